"""Known bugs of the segments of vision attention: masks and boundaries (section 07)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.ops import Ops
from qwen25vl.port.mutants.mutant import AnySwap, OpsSwap, Swap, known_bug


def other_starts(change: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Callable[..., Any]]:
    """Let vision attention take other segments than it is given."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def vision_attention(
            x: np.ndarray, cos: np.ndarray, sin: np.ndarray, starts: np.ndarray, *rest: Any, **settings: Any
        ) -> Any:
            return right(x, cos, sin, change(starts), *rest, **settings)

        return vision_attention

    return by


# --------------------------------------------------------------------------------------- window mask


@known_bug(
    "no-window-mask",
    mechanism="window mask",
    clauses=("W1", "W8"),
    symptom="Pictures are described well, and every box collapses to one point; several pictures, or the frames "
    "of a video, run into each other.",
    cause="Attention is called without a mask and without boundaries, or a mask is not block-diagonal.",
    hidden_by="One picture of one window: up to 112 pixels a side.",
    fix="Attend within each segment alone: windows, or in the blocks of full attention frames.",
    threads=(
        "ml-explore/mlx-swift-lm#222",
        "ml-explore/mlx-swift-lm#238",
        "vllm-project/vllm-gaudi#831",
        "sgl-project/sglang#9426",
    ),
)
def no_window_mask() -> Iterator[Swap]:
    yield Swap("vision.attention.vision_attention", other_starts(lambda starts: starts[[0, -1]]))


@known_bug(
    "mask-of-ones",
    mechanism="window mask",
    clauses=("N11", "W8"),
    symptom="As without a mask, a little weaker: pictures contaminate each other, boxes are off.",
    cause="A mask of ones and zeros, made for multiplication, is added to the scores.",
    hidden_by="One picture of one window: up to 112 pixels a side.",
    fix="Add 0 and minus infinity, pass booleans, or attend within each segment alone.",
    threads=("Blaizzy/mlx-vlm#704",),
)
def mask_of_ones() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def vision_attention(
            x: np.ndarray,
            cos: np.ndarray,
            sin: np.ndarray,
            starts: np.ndarray,
            *rest: Any,
            ops: Ops,
            **settings: Any,
        ) -> Any:
            segment = np.searchsorted(starts, np.arange(len(x)), side="right")
            same = segment[:, np.newaxis] == segment

            def attention(*qkv: np.ndarray, **s: Any) -> np.ndarray:  # 0 and -1 weigh as 1 and 0
                return ops.attention(*qkv, allowed=same, hidden_score=-1.0, **s)

            whole = starts[[0, -1]]
            return right(x, cos, sin, whole, *rest, ops=replace(ops, attention=attention), **settings)

        return vision_attention

    yield Swap("vision.attention.vision_attention", by)


@known_bug(
    "mask-too-weak",
    mechanism="causal mask",
    clauses=("N11", "N21"),
    symptom="Right almost always; now and then, where activations are very large, a token sees a later one.",
    cause="Hidden keys get a fixed score of -10000, as in older encoders, for want of an infinity.",
    hidden_by="Scores of common size: -10000 loses to all of them.",
    fix="Add minus infinity, or in 16 bits the lowest finite number of the format.",
)
def mask_too_weak() -> Iterator[OpsSwap]:
    def by(right: Ops) -> Callable[..., np.ndarray]:
        return lambda *qkv, **settings: right.attention(*qkv, **{**settings, "hidden_score": -1e4})

    yield OpsSwap("attention", by)


# --------------------------------------------------------------------------------- segment boundaries


@known_bug(
    "empty-window-kept",
    mechanism="segment boundaries",
    clauses=("W3",),
    symptom="Counts of windows are too large: pictures that fit are refused, a kernel stops or gives NaN at a "
    "segment without rows. Where it passes over them, none.",
    cause="Upstream pads a side that divides by a whole window and then removes the repeated boundaries; the "
    "port leaves the second step out.",
    hidden_by="Pictures neither of whose sides in merged tokens is a multiple of 4, such as 5 x 7.",
    fix="List no window without tokens, or take repeated boundaries out as `unique_consecutive` does.",
    threads=("huggingface/transformers#37535",),
)
def empty_window_kept() -> Iterator[AnySwap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def window_order(grids: np.ndarray, *, window_m: int) -> tuple[np.ndarray, np.ndarray]:
            sizes = [0]
            for T, *sides in grids.tolist():
                rows, columns = ([window_m] * (side // window_m) + [side % window_m] for side in sides)
                sizes += T * [row * column for row in rows for column in columns]
            order, _ = right(grids, window_m=window_m)
            return order, np.cumsum(sizes)

        return window_order

    yield Swap("vision.windows.window_order", by)
    yield OpsSwap("attention", lambda right: lambda q, *kv, **s: right.attention(q, *kv, **s) if len(q) else q)


@known_bug(
    "windows-span-frames",
    mechanism="segment boundaries",
    clauses=("W1",),
    symptom="In a video objects smear from one frame into the next, and neighbouring pictures borrow details.",
    cause="A window at the end of a frame is closed by the next window's start only, so it takes the next "
    "frame's first window with it.",
    hidden_by="One still picture.",
    fix="Begin windows anew in every frame of every picture and video.",
)
def windows_span_frames() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def window_order(grids: np.ndarray, *, window_m: int) -> tuple[np.ndarray, np.ndarray]:
            order, starts = right(grids, window_m=window_m)
            frames = np.cumsum([Hm * Wm for T, Hm, Wm in grids.tolist() for _ in range(T)])
            return order, starts[~np.isin(starts, frames[:-1])]

        return window_order

    yield Swap("vision.windows.window_order", by)


@known_bug(
    "starts-in-tokens",
    mechanism="segment boundaries",
    clauses=("W4", "W8"),
    symptom="Noise, or a kernel that leaves three quarters of the rows as they were in memory.",
    cause="Windows are counted in merged tokens, and their starts are handed to attention, which counts patches.",
    hidden_by="A picture of one window, if the end is that of the patches.",
    fix="Multiply the starts by the patches of a merged token, 4.",
)
def starts_in_tokens() -> Iterator[Swap]:
    def patch_starts(starts: np.ndarray, *, merge_unit: int) -> np.ndarray:
        return np.append(starts[:-1], starts[-1] * merge_unit)  # the last one takes what is left

    yield Swap("vision.windows.patch_starts", lambda right: patch_starts)


@known_bug(
    "frame-starts-per-video",
    mechanism="segment boundaries",
    clauses=("W6",),
    symptom="Stills are right; a video's frames blur into each other, and answers about moments are wrong.",
    cause="Boundaries of full attention are `T * H * W` for each medium, without repeating `H * W` for each row "
    "of time.",
    hidden_by="Any still picture, and a video of one row of time.",
    fix="One segment of `H * W` patches for each of the `T` rows of time.",
    threads=("sgl-project/sglang#12261", "sgl-project/sglang#11458"),
)
def frame_starts_per_video() -> Iterator[Swap]:
    yield Swap("vision.windows.frame_starts", lambda right: lambda grids: np.cumsum([0, *np.prod(grids, axis=1)]))


@known_bug(
    "frame-starts-one",
    mechanism="segment boundaries",
    clauses=("W6",),
    symptom="One picture is right; with two, or in a batch, each shows traces of the other.",
    cause="The rows of all media are one sequence, and full attention runs over it without a mask.",
    hidden_by="A call with one still picture.",
    fix="One segment for each frame of each picture and video.",
    threads=("NVIDIA/TensorRT-LLM#2183", "NVIDIA/TensorRT-LLM#2495", "vllm-project/vllm-gaudi#884"),
)
def frame_starts_one() -> Iterator[Swap]:
    yield Swap(
        "vision.windows.frame_starts", lambda right: lambda grids: np.array([0, np.prod(grids, axis=1).sum()])
    )


@known_bug(
    "lengths-for-starts",
    mechanism="segment boundaries",
    clauses=("W6", "W8"),
    symptom="Small single pictures are right, all others are noise, or a kernel stops at an assertion.",
    cause="A kernel for packed sequences wants cumulative lengths, and gets a 0 and the lengths themselves.",
    hidden_by="One picture of one window: 0 and its length are its boundaries, too.",
    fix="Sum the lengths up: `cumsum`, with a 0 in front.",
    threads=("sgl-project/sglang#31867",),
)
def lengths_for_starts() -> Iterator[Swap]:
    def lengths(starts: np.ndarray) -> np.ndarray:
        listed = np.array([0, *np.diff(starts), starts[-1]])  # the last one takes what is left
        return np.unique(np.maximum.accumulate(listed))  # one that ends before it begins is passed over

    yield Swap("vision.attention.vision_attention", other_starts(lengths))
