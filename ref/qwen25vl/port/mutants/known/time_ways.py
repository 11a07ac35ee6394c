"""Known bugs of time in other ways: rates and steps that the walk over a prompt takes (section 09)."""

from collections.abc import Callable, Iterator
from math import floor

import numpy as np

from qwen25vl.media.video_settings import FPS
from qwen25vl.port.mutants.known._walk import changed_positions, offsets, runs
from qwen25vl.port.mutants.known.time import (
    fixed_rate_for_time,
    time_rounded,
    tokens_per_second_fixed,
    video_time_from_start,
)
from qwen25vl.port.mutants.mutant import Swap, other_way

EXAMPLE_RATE = 25
"""Positions per second in the example that upstream's walk is documented with."""


def from_start(step: Callable[[float, int], float]) -> Iterator[Swap]:
    """Multiply the start of a video by the step of a row, and let text follow by the sides alone.

    Args:
        step: of seconds and positions per second.
    """

    def change(
        ids: np.ndarray, mask: np.ndarray, positions: np.ndarray, seconds: np.ndarray, config: dict[str, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        for (b, run), each in zip(runs(ids, config["video_token_id"]), seconds.tolist(), strict=True):
            start = int(positions[1, b, run.start])
            positions[0, b, run] = int(start * step(each, config["tokens_per_second"]))
        return positions, offsets(positions, mask)

    yield Swap("language.mrope.next_start", lambda right: lambda segment: int(segment[1:].max()) + 1)
    yield changed_positions(change)


@other_way(video_time_from_start, "text-by-sides")
def from_start_in_whole_seconds() -> Iterator[Swap]:
    """Cut the seconds first, as the releases do, which also let text follow by the sides."""
    yield from from_start(lambda seconds, rate: int(seconds) * rate)


@other_way(video_time_from_start, "fractions")
def from_start_in_fractions() -> Iterator[Swap]:
    """Keep fractions of seconds up to the product."""
    yield from from_start(lambda seconds, rate: seconds * rate)


def rows_of(seconds: float) -> Swap:
    """Let a row of every video be so long."""
    return other_times(lambda right, T, each, rate: right(T, second_per_grid=seconds, tokens_per_second=rate))


def other_times(change: Callable[[Callable[..., np.ndarray], int, float, int], np.ndarray]) -> Swap:
    """Give rows of videos other times: `change(right, T, second_per_grid, tokens_per_second)`."""

    def by(right: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def row_times(T: int, *, second_per_grid: float, tokens_per_second: int) -> np.ndarray:
            is_clip = second_per_grid > 0
            if not is_clip:
                return right(T, second_per_grid=second_per_grid, tokens_per_second=tokens_per_second)
            return change(right, T, second_per_grid, tokens_per_second)

        return row_times

    return Swap("language.mrope.row_times", by)


@other_way(fixed_rate_for_time, "positions")
def one_second_in_positions() -> Iterator[Swap]:
    """The walk is not given the seconds of a row, and takes those of 2 frames per second."""
    yield rows_of(2 / FPS)


@other_way(fixed_rate_for_time, "24")
def a_film_in_positions() -> Iterator[Swap]:
    """The walk takes the seconds of a row at 24 frames per second."""
    yield rows_of(2 / 24)


@other_way(time_rounded, "each-step")
def step_rounded() -> Iterator[Swap]:
    """The step of a row is rounded, and multiplied by the number of the row."""
    yield other_times(lambda right, T, each, rate: np.arange(T) * floor(each * rate + 0.5))


@other_way(tokens_per_second_fixed, "25")
def another_rate() -> Iterator[Swap]:
    """The 25 of an example in upstream's documentation is written into the code."""
    yield other_times(lambda right, T, each, rate: right(T, second_per_grid=each, tokens_per_second=EXAMPLE_RATE))
