"""Known bugs of patch rows: which pixels a row holds, and in which order (section 02)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.port.mutants.mutant import Swap, known_bug

Rows = tuple[np.ndarray, tuple[int, int, int]]
"""What `patch_rows` returns."""


def _inside_rows(change: Callable[[np.ndarray], np.ndarray]) -> Iterator[Swap]:
    """Change the values of each row, given as [patches, channel, frame, y, x]."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def patch_rows(frames: np.ndarray, *, patch_px: int, temporal_patch_f: int, merge_p: int) -> Rows:
            rows, grid = right(frames, patch_px=patch_px, temporal_patch_f=temporal_patch_f, merge_p=merge_p)
            split = rows.reshape(len(rows), frames.shape[1], temporal_patch_f, patch_px, patch_px)
            return np.ascontiguousarray(change(split)).reshape(rows.shape), grid

        return patch_rows

    yield Swap("media.patches.patch_rows", by)


@known_bug(
    "raster-patches",
    mechanism="patch order",
    clauses=("I20",),
    symptom="Noise: the merger joins four patches that do not lie together.",
    cause="Patches are cut row by row over the whole width.",
    hidden_by="A picture of one merge block, or one block wide, and one of a single colour.",
    fix="Go by row of blocks, column of blocks, row in the block, column in the block.",
    threads=("lablup/mlxcel#1610", "warpfront/hipfire#324", "warpfront/hipfire#325"),
)
def raster_patches() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def patch_rows(frames: np.ndarray, *, merge_p: int, **sides: int) -> Rows:
            rows, (T, H, W) = right(frames, merge_p=merge_p, **sides)
            blocks = rows.reshape(T, H // merge_p, W // merge_p, merge_p, merge_p, -1)
            return blocks.swapaxes(2, 3).reshape(rows.shape), (T, H, W)

        return patch_rows

    yield Swap("media.patches.patch_rows", by)


@known_bug(
    "inner-order-frame-first",
    mechanism="patch order",
    clauses=("I21",),
    symptom="Colours and edges are noise to the encoder, though shapes fit everywhere.",
    cause="A patch is laid out as [frame, channel, y, x], the order of a stack of pictures.",
    hidden_by="Grey pictures; the second half of a still picture's row repeats the first.",
    fix="Lay a row out as [channel, frame, y, x], the order in which the kernel is stored.",
    threads=("warpfront/hipfire#324", "warpfront/hipfire#325"),
)
def inner_order_frame_first() -> Iterator[Swap]:
    yield from _inside_rows(lambda rows: rows.swapaxes(1, 2))


@known_bug(
    "inner-order-channel-last",
    mechanism="patch order",
    clauses=("I21",),
    symptom="Colours and edges are noise to the encoder, though shapes fit everywhere.",
    cause="Pixels are copied as they lie in memory, red, green, blue by turns.",
    hidden_by="Pictures of a single grey.",
    fix="Bring the channel to the front of a row: [channel, frame, y, x].",
)
def inner_order_channel_last() -> Iterator[Swap]:
    yield from _inside_rows(lambda rows: np.moveaxis(rows, 1, -1))


@known_bug(
    "patch-transposed",
    mechanism="patch order",
    clauses=("I21",),
    symptom="Small print and thin lines are read wrong, while things and colours are named right.",
    cause="x and y change places where a patch is copied, as in column-major libraries.",
    hidden_by="Plain areas, and patches that are symmetric about their diagonal.",
    fix="Let x run fastest inside a row.",
)
def patch_transposed() -> Iterator[Swap]:
    yield from _inside_rows(lambda rows: rows.swapaxes(3, 4))


@known_bug(
    "second-frame-zero",
    mechanism="patch order",
    clauses=("I19",),
    symptom="Still pictures are pale: half of each row is missing.",
    cause="The temporal axis of a still picture is filled up with zeros, as a convolution pads.",
    hidden_by="Videos with an even number of frames.",
    fix="Repeat the last frame until the count is a multiple of the temporal patch.",
)
def second_frame_zero() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def patch_rows(frames: np.ndarray, **sides: int) -> Rows:
            still = len(frames) == 1
            return right(np.concatenate([frames, np.zeros_like(frames)]) if still else frames, **sides)

        return patch_rows

    yield Swap("media.patches.patch_rows", by)
