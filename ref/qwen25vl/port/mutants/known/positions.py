"""Known bugs of positions: where does each token of a prompt stand (section 09)?"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.port.mutants.known._walk import changed_positions, runs, unchecked_media
from qwen25vl.port.mutants.mutant import Swap, known_bug
from qwen25vl.rounding import to_bfloat16


@known_bug(
    "positions-sequential",
    mechanism="positions",
    clauses=("T2", "T3", "T4"),
    symptom="Descriptions are fluent; boxes, points and reading order are wrong.",
    cause="The rotary embedding of the text model is used as it is, or positions are left to a default that "
    "counts tokens because nobody said where the pictures are.",
    hidden_by="Text alone: its three positions are equal and sequential.",
    fix="Compute three positions for each token from ids and grids, and give them to every pass.",
    threads=(
        "huggingface/transformers#33487",
        "linkedin/Liger-Kernel#276",
        "modelscope/ms-swift#2051",
        "QwenLM/Qwen3-VL#488",
        "Blaizzy/mlx-vlm#319",
        "huggingface/diffusers#14194",
        "ModelTC/LightX2V#1416",
        "huggingface/trl#6697",
        "huggingface/candle#2814",
        "huggingface/candle#3515",
        "ollama/ollama#13278",
        "gty111/gLLM#115",
        "NVIDIA/TensorRT-Model-Connect#766",
    ),
    versions="transformers before September 2024 (Qwen2-VL) where `position_ids` is None; 5.3 and later where "
    "`mm_token_type_ids` is not given",
)
def positions_sequential() -> Iterator[Swap]:
    def change(ids: np.ndarray, mask: np.ndarray, *_: Any) -> tuple[np.ndarray, np.ndarray]:
        counted = np.where(mask, np.cumsum(mask, axis=1) - 1, 1)
        return np.stack([counted] * 3), mask.sum(axis=1) - mask.shape[1]

    yield changed_positions(change)


@known_bug(
    "positions-rounded",
    mechanism="positions",
    clauses=("T1", "T12"),
    symptom="Long prompts fall apart: neighbours share a position.",
    cause="Positions are cast to the 16 bits of the model before they are multiplied by the frequencies.",
    hidden_by="Prompts of up to 256 positions, which bfloat16 holds exactly.",
    fix="Keep positions as integers, or float32, up to the angle.",
)
def positions_rounded() -> Iterator[Swap]:
    def rounded(positions: np.ndarray) -> np.ndarray:
        return np.asarray(to_bfloat16(positions.astype(np.float32)).astype(np.int64))

    def walk_by(right: Callable[..., Any]) -> Callable[..., Any]:
        def mrope_positions(*prompts: Any, **config: Any) -> Any:
            positions, delta = right(*prompts, **config)
            return rounded(positions), delta

        return mrope_positions

    yield Swap("language.mrope.mrope_positions", walk_by)
    yield Swap(
        "language.mrope.mrope_rotation",
        lambda right: lambda positions, **settings: right(rounded(positions), **settings),
    )


@known_bug(
    "grid-transposed-positions",
    mechanism="positions",
    clauses=("T4",),
    symptom="Boxes are mirrored along the diagonal, or wrong in pictures that are not square.",
    cause="The grid is read as time, width, height.",
    hidden_by="Square pictures.",
    fix="A grid is `(T, H, W)`: height counts rows, width counts columns.",
)
def grid_transposed_positions() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def block_positions(grid_m: tuple[int, int, int], **rates: Any) -> Any:
            T, Hm, Wm = grid_m
            return right((T, Wm, Hm), **rates)

        return block_positions

    yield Swap("language.mrope.block_positions", by)


@known_bug(
    "positions-in-patches",
    mechanism="positions",
    clauses=("T4", "T3"),
    symptom="Boxes are scaled or shifted, and text behind a picture is further away than it should be.",
    cause="Rows and columns of the grid, which are patches, are not divided by the merge size.",
    hidden_by="A picture of one merged token.",
    fix="Count `H // merge` rows and `W // merge` columns.",
)
def positions_in_patches() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda grid_m, **rates: right(grid_m, **rates) * np.array([[1], [2], [2]])

    yield Swap("language.mrope.block_positions", by)


@known_bug(
    "text-after-by-tokens",
    mechanism="positions",
    clauses=("T3",),
    symptom="Answers get worse with the size of the picture: the question is too far away from it.",
    cause="The running position goes on by the number of pads, as it does in a text.",
    hidden_by="Text alone, pictures of one row or column, and a picture at the end of a prompt.",
    fix="Go on at one more than the largest position of the picture, over all three axes.",
)
def text_after_by_tokens() -> Iterator[Swap]:
    def next_start(segment: np.ndarray) -> int:
        return int(segment[0, 0]) + segment.shape[1]

    yield Swap("language.mrope.next_start", lambda right: next_start)


@known_bug(
    "text-after-by-time",
    mechanism="positions",
    clauses=("T3",),
    symptom="Text behind a picture lies among its positions; boxes and counts suffer.",
    cause="Time alone is taken for the position that a prompt has reached.",
    hidden_by="Pictures of one merged token, and videos whose time goes beyond their sides.",
    fix="Go on at one more than the largest position of all three axes.",
)
def text_after_by_time() -> Iterator[Swap]:
    yield Swap("language.mrope.next_start", lambda right: lambda segment: int(segment[0].max()) + 1)


@known_bug(
    "text-after-by-sides",
    mechanism="positions",
    clauses=("T3",),
    symptom="Questions about long videos are answered worse: their words have the positions of its later seconds.",
    cause="What follows a medium begins `max(H, W) / 2` behind its start.",
    hidden_by="Pictures, and videos that take less time than they have rows or columns.",
    fix="Go on at one more than the largest position of all three axes, time included.",
    versions="transformers 5.3.0 to 5.23.0",
)
def text_after_by_sides() -> Iterator[Swap]:
    yield Swap("language.mrope.next_start", lambda right: lambda segment: int(segment[1:].max()) + 1)


@known_bug(
    "video-block-order",
    mechanism="positions",
    clauses=("T4",),
    symptom="Videos are described as if their frames were cut into strips and mixed.",
    cause="Each row's number is repeated `W * T` times, in one go for all frames.",
    hidden_by="Pictures, and videos of one row of time or of one row of merged tokens.",
    fix="Count frame by frame, row by row, column by column: repeat a row W times, and the whole frame T times.",
    threads=("huggingface/transformers#45381", "huggingface/transformers#45400"),
    versions="transformers 5.3.0 to 5.5.4",
)
def video_block_order() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def block_positions(grid_m: tuple[int, int, int], **rates: Any) -> Any:
            T, Hm, Wm = grid_m
            time, _, width = right(grid_m, **rates)
            return np.stack([time, np.repeat(np.arange(Hm), Wm * T), width])

        return block_positions

    yield Swap("language.mrope.block_positions", by)


@known_bug(
    "position-restarts",
    mechanism="several media",
    clauses=("T2", "T3"),
    symptom="Words around a picture lose their order; a second picture lies on top of the first.",
    cause="Each piece of text and each picture is counted from 0, and the running start is not added.",
    hidden_by="Text alone, and a prompt that is one picture.",
    fix="Every text and every medium begins at one more than the largest position so far.",
)
def position_restarts() -> Iterator[Swap]:
    yield Swap("language.mrope.next_start", lambda right: lambda segment: 0)


@known_bug(
    "adjacent-pictures-joined",
    mechanism="several media",
    clauses=("T1", "T2"),
    symptom="Two pictures next to each other are mixed up; with a word between them all is right.",
    cause="What stands between two pictures is taken for text only if it has words: end and start marker are not "
    "counted.",
    hidden_by="One picture, and pictures with text between them.",
    fix="Both markers are text, and take one position each.",
)
def adjacent_pictures_joined() -> Iterator[Swap]:
    def by(right: Callable[..., int]) -> Callable[..., int]:
        def next_start(segment: np.ndarray) -> int:
            start, is_text = int(segment[0, 0]), bool(np.all(segment == segment[0]))
            only_markers = is_text and segment.shape[1] == 2 and start > 0
            return start if only_markers else right(segment)

        return next_start

    yield Swap("language.mrope.next_start", by)


@known_bug(
    "picture-taken-for-video",
    mechanism="several media",
    clauses=("T8",),
    symptom="Prompts with both a picture and a video are answered wrong, or crash where sizes differ.",
    cause="One list holds the grids of pictures and behind them those of videos, and is used up in the order of "
    "the prompt.",
    hidden_by="One kind of medium, and prompts with all pictures in front of all videos.",
    fix="Keep a list and a counter for each kind; the pad id says which.",
    threads=("vllm-project/vllm#27859",),
)
def picture_taken_for_video() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def mrope_positions(
            ids: np.ndarray,
            mask: np.ndarray,
            images: np.ndarray,
            videos: np.ndarray,
            seconds: np.ndarray,
            **config: Any,
        ) -> Any:
            clips = [(b, run.start) for b, run in runs(ids, config["video_token_id"])]
            media = sorted(clips + [(b, run.start) for b, run in runs(ids, config["image_token_id"])])
            is_clip = np.array([medium in clips for medium in media], dtype=bool)
            grids = np.concatenate([images, videos])
            spans = np.concatenate([np.zeros(len(images)), seconds])
            return right(ids, mask, grids[~is_clip], grids[is_clip], spans[is_clip], **config)

        return mrope_positions

    yield Swap("language.mrope.mrope_positions", by)
    yield unchecked_media()
