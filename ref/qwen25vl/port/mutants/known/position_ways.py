"""Known bugs of positions in other ways: orders of a clip, and where texts and media begin (section 09)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.port.mutants.known.positions import adjacent_pictures_joined, position_restarts, video_block_order
from qwen25vl.port.mutants.mutant import Swap, other_way

# ----------------------------------------------------------------------------------- order of a clip


def reordered(order: Callable[[tuple[int, int, int]], np.ndarray]) -> Swap:
    """Let the tokens of a clip have each other's positions: `order((T, Hm, Wm))` is a permutation of them."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def block_positions(grid_m: tuple[int, int, int], *, second_per_grid: float, **rate: int) -> np.ndarray:
            block: np.ndarray = right(grid_m, second_per_grid=second_per_grid, **rate)
            is_clip = second_per_grid > 0
            return block[:, order(grid_m)] if is_clip else block

        return block_positions

    return Swap("language.mrope.block_positions", by)


@other_way(video_block_order, "columns-first")
def columns_first() -> Iterator[Swap]:
    """Count the tokens of a frame down its columns."""
    yield reordered(lambda grid_m: np.arange(np.prod(grid_m)).reshape(grid_m).swapaxes(1, 2).ravel())


@other_way(video_block_order, "frames-innermost")
def frames_innermost() -> Iterator[Swap]:
    """Count one place through all frames, then the next place."""
    yield reordered(lambda grid_m: np.arange(np.prod(grid_m)).reshape(grid_m[0], -1).T.ravel())


# ------------------------------------------------------------------------------ where something begins


def is_text(segment: np.ndarray) -> bool:
    """Whether three positions of each token are equal and go on by one, as those of a text do."""
    return bool(np.all(segment == segment[0, 0] + np.arange(segment.shape[1])))


@other_way(position_restarts, "media")
def media_restart() -> Iterator[Swap]:
    """Count every medium from 0, and the text behind it from there."""
    yield Swap(
        "language.mrope.next_start", lambda right: lambda segment: 0 if is_text(segment) else right(segment)
    )


@other_way(position_restarts, "text")
def text_restarts() -> Iterator[Swap]:
    """Count the text behind every medium from 0."""
    yield Swap(
        "language.mrope.next_start", lambda right: lambda segment: right(segment) if is_text(segment) else 0
    )


@other_way(adjacent_pictures_joined, "same-start")
def same_start() -> Iterator[Swap]:
    """Let a medium begin where the one right before it did: a start is moved on by words alone."""

    def by(right: Callable[..., int]) -> Callable[..., int]:
        begin = 0

        def next_start(segment: np.ndarray) -> int:
            nonlocal begin
            if is_text(segment):
                between = segment.shape[1] == 2 and segment[0, 0] > 0
                return begin if between else right(segment)
            begin = int(segment.min())
            return right(segment)

        return next_start

    yield Swap("language.mrope.next_start", by)
