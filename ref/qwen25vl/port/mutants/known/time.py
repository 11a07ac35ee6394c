"""Known bugs of time: how many seconds is a row of a video long, and which position is that (sections 03, 09)?"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.media.frames import Sampling
from qwen25vl.media.video_settings import FPS, VideoRequest
from qwen25vl.port.mutants.known._walk import changed_positions, offsets, runs
from qwen25vl.port.mutants.mutant import Swap, known_bug


@known_bug(
    "asked-rate-for-time",
    mechanism="time",
    clauses=("V9", "T5"),
    symptom="Events are placed at wrong seconds, by more the shorter the clip.",
    cause="Two over the argument `fps` is taken for the seconds of a row, whatever number of frames came out.",
    hidden_by="Clips whose length times the rate is an even number of frames, and lists of frames.",
    fix="`second_per_grid = temporal_patch / sampled_fps`, with `sampled_fps = count / total * fps` of the file.",
    versions="transformers 4.49 to 4.57, which take an argument `fps`, 2.0 unless given",
)
def asked_rate_for_time() -> Iterator[Swap]:
    def by(right: Callable[..., Sampling]) -> Callable[..., Sampling]:
        def sampling(*clip: Any, request: VideoRequest, **settings: Any) -> Sampling:
            asked = FPS if request.fps is None else request.fps
            return replace(right(*clip, request=request, **settings), sampled_fps=asked)

        return sampling

    yield Swap("media.frames.sampling", by)


@known_bug(
    "source-rate-for-time",
    mechanism="time",
    clauses=("V9", "T5"),
    symptom="Long clips seem to last a moment: all rows of time have one position, or few.",
    cause="The rate of the container is taken where that of the chosen frames is meant.",
    hidden_by="A clip of which every frame is taken.",
    fix="`sampled_fps = count / total * fps` of the file.",
    threads=("hiyouga/LlamaFactory#6868",),
)
def source_rate_for_time() -> Iterator[Swap]:
    def by(right: Callable[..., Sampling]) -> Callable[..., Sampling]:
        def sampling(source_frames: int, source_fps: float, **settings: Any) -> Sampling:
            return replace(right(source_frames, source_fps, **settings), sampled_fps=source_fps)

        return sampling

    yield Swap("media.frames.sampling", by)


@known_bug(
    "fixed-rate-for-time",
    mechanism="time",
    clauses=("V9", "T5"),
    symptom="Clips of one and of thirty frames per second look alike: durations and moments are wrong.",
    cause="The seconds of a row are lost on the way to the positions, and the default stands in: one second "
    "(2 per second), or 0.083 (24 per second).",
    hidden_by="Clips sampled at 2 frames per second.",
    fix="Hand `second_per_grid` from the sampling of the frames to the positions, in prefill and in `generate`.",
    threads=(
        "huggingface/transformers#41152",
        "huggingface/transformers#41153",
        "huggingface/transformers#42009",
        "sgl-project/sglang#3674",
        "vllm-project/vllm#47736",
        "vllm-project/vllm#23056",
        "EvolvingLMMs-Lab/lmms-eval#1260",
    ),
    versions="transformers 4.49 to 4.57 where no `fps` is given (2), before autumn 2025 in `generate` as well; "
    "5.0 and later without metadata (24)",
)
def fixed_rate_for_time() -> Iterator[Swap]:
    yield Swap("media.frames.row_seconds", lambda right: lambda sampled_fps, **patch: right(FPS, **patch))


@known_bug(
    "video-time-constant",
    mechanism="time",
    clauses=("T4", "T5"),
    symptom="The model sees frames, not their order: motion and moments are guessed.",
    cause="The code of pictures, whose time stands still, is used for videos.",
    hidden_by="Videos of one row of time, and short clips above 24 frames per second, whose times are all 0.",
    fix="Row t of time has position `trunc(t * second_per_grid * tokens_per_second)` behind the start.",
)
def video_time_constant() -> Iterator[Swap]:
    yield Swap("language.mrope.row_times", lambda right: lambda T, **rates: np.zeros(T, dtype=np.int64))


@known_bug(
    "video-time-from-start",
    mechanism="time",
    clauses=("T4", "T5"),
    symptom="All rows of a video share one time, far from the text around it (60 for 15 times 4).",
    cause="The start is multiplied by the positions of a row, where the number of the row must be.",
    hidden_by="A video of one row at position 0. Upstream's own test had rows of 0.083 seconds, "
    "whose step is cut to 0.",
    fix="`start + trunc(t * second_per_grid * tokens_per_second)` for row t.",
    threads=("huggingface/transformers#45381", "huggingface/transformers#45400"),
    versions="transformers 5.3.0 to 5.5.4",
)
def video_time_from_start() -> Iterator[Swap]:
    def change(
        ids: np.ndarray, mask: np.ndarray, positions: np.ndarray, seconds: np.ndarray, config: dict[str, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        for (b, run), each in zip(runs(ids, config["video_token_id"]), seconds.tolist(), strict=True):
            positions[0, b, run] = positions[1, b, run.start] * (config["tokens_per_second"] * int(each))
        return positions, offsets(positions, mask)

    yield changed_positions(change)


@known_bug(
    "still-time-scaled",
    mechanism="time",
    clauses=("T2", "T5"),
    symptom="Boxes and points drift; the more text stands before a picture, the further away in time it is.",
    cause="The start of a picture is multiplied by `tokens_per_second` together with the time of its rows.",
    hidden_by="A picture at position 0. Every prompt of the template has text before it.",
    fix="The time of a picture is its start; only what is counted from the start is scaled.",
    threads=(
        "huggingface/transformers#45325",
        "huggingface/transformers#45330",
        "huggingface/lerobot#3648",
        "huggingface/lerobot#3704",
    ),
    versions="transformers 5.3.0 to 5.5.3",
)
def still_time_scaled() -> Iterator[Swap]:
    def change(
        ids: np.ndarray, mask: np.ndarray, positions: np.ndarray, seconds: np.ndarray, config: dict[str, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        positions[0][ids == config["image_token_id"]] *= config["tokens_per_second"]
        return positions, offsets(positions, mask)

    yield changed_positions(change)


@known_bug(
    "video-time-by-row",
    mechanism="time",
    clauses=("T5",),
    symptom="Durations are wrong; order is right. The model of Qwen2-VL counts so.",
    cause="A port of Qwen2-VL is used as it is: there time counts rows.",
    hidden_by="Clips of 4 frames per second, where a row is one position long.",
    fix="Multiply the number of the row by `second_per_grid` and `tokens_per_second`.",
)
def video_time_by_row() -> Iterator[Swap]:
    yield Swap("language.mrope.row_times", lambda right: lambda T, **rates: np.arange(T))


@known_bug(
    "seconds-truncated-first",
    mechanism="time",
    clauses=("T6",),
    symptom="Above 2 frames per second time stands still; at 1.5 it runs too slowly.",
    cause="The seconds of a row are converted to the integer type of the row numbers before the product.",
    hidden_by="2, 1 and 0.5 frames per second.",
    fix="Multiply in float32, and cut behind the second product only.",
    threads=("huggingface/transformers#48669", "EvolvingLMMs-Lab/lmms-eval#1393"),
    versions="transformers 4.52 to 5.2, and again from 5.8.1 or earlier to 5.17",
)
def seconds_truncated_first() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def row_times(T: int, *, second_per_grid: float, tokens_per_second: int) -> np.ndarray:
            return np.arange(T) * int(second_per_grid) * tokens_per_second

        return row_times

    yield Swap("language.mrope.row_times", by)


@known_bug(
    "time-rounded",
    mechanism="time",
    clauses=("T6",),
    symptom="Single rows of time lie one position too late.",
    cause="`round` for a conversion that cuts.",
    hidden_by="Rates at which a row spans a whole number of positions: 4, 2, 1 and 0.5 frames per second.",
    fix="Cut: `int(...)` in Python, a cast in C, `trunc`.",
)
def time_rounded() -> Iterator[Swap]:
    def row_times(T: int, *, second_per_grid: float, tokens_per_second: int) -> np.ndarray:
        return np.rint(np.arange(T) * second_per_grid * tokens_per_second).astype(np.int64)

    yield Swap("language.mrope.row_times", lambda right: row_times)


@known_bug(
    "time-products-joined",
    mechanism="time",
    clauses=("T5",),
    symptom="None with a release; with other positions per second single rows of time are off by one.",
    cause="`tokens_per_second * second_per_grid` is computed once, and multiplied by the number of the row.",
    hidden_by="2 positions per second, a power of two: nothing differs for 384 rows at sixteen rates.",
    fix="`(t * second_per_grid) * tokens_per_second`, each product rounded to float32.",
    versions="transformers 5.18.0 to 5.23.0",
)
def time_products_joined() -> Iterator[Swap]:
    def row_times(T: int, *, second_per_grid: float, tokens_per_second: int) -> np.ndarray:
        return np.trunc(np.arange(T) * (tokens_per_second * second_per_grid)).astype(np.int64)

    yield Swap("language.mrope.row_times", lambda right: row_times)


@known_bug(
    "tokens-per-second-fixed",
    mechanism="time",
    clauses=("T5",),
    symptom="None with a release; a checkpoint with another value tells durations wrong.",
    cause="The 2 of the releases is written into the code, as the authors' fine-tuning code has it.",
    hidden_by="Every released config.",
    fix="Read `tokens_per_second` from the vision part of config.json.",
)
def tokens_per_second_fixed() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda T, **rates: right(T, **{**rates, "tokens_per_second": 2})

    yield Swap("language.mrope.row_times", by)
