"""What wrong positions are made of: a change of the right ones, the runs of a prompt, a walk without checks."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.language.mrope import block_positions
from qwen25vl.port.mutants.mutant import Swap

Change = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, int]], tuple[np.ndarray, np.ndarray]]
"""From ids, mask, right positions (its own to change), seconds of each video and config: positions and offsets."""


def changed_positions(change: Change) -> Swap:
    """Let positions and offsets be others than the right walk gives."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def mrope_positions(
            ids: np.ndarray,
            mask: np.ndarray,
            images: np.ndarray,
            videos: np.ndarray,
            seconds: np.ndarray,
            **config: Any,
        ) -> tuple[np.ndarray, np.ndarray]:
            positions, _ = right(ids, mask, images, videos, seconds, **config)
            return change(ids, mask, positions, seconds, config)

        return mrope_positions

    return Swap("language.mrope.mrope_positions", by)


def changed_offsets(change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Swap:
    """Let offsets be others: `change(offsets, mask)`."""
    return changed_positions(
        lambda ids, mask, positions, seconds, config: (positions, change(offsets(positions, mask), mask))
    )


def offsets(positions: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return what the index of a later token lacks to its position, for each prompt."""
    largest = np.max(positions, axis=(0, 2), where=mask, initial=-1)
    return np.asarray(largest + 1 - mask.shape[1])


def runs(ids: np.ndarray, pad_id: int) -> Iterator[tuple[int, slice]]:
    """Give prompt and place of each run of pads, in the order of the prompts."""
    for b, row in enumerate(ids):
        edges = np.flatnonzero(np.diff(row == pad_id, prepend=False, append=False))
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            yield b, slice(start, end)


def unchecked_media() -> Swap:
    """Let a medium fill its run of pads, whether its grid fits or not: too many are cut, too few begin again."""

    def medium_positions(ids: np.ndarray, medium: Any, *, at: int, tokens_per_second: int) -> np.ndarray:
        run = next(place for _, place in runs(ids[np.newaxis, at:], int(ids[at])))
        block = block_positions(
            medium.grid_m, second_per_grid=medium.second_per_grid, tokens_per_second=tokens_per_second
        )
        return block[:, np.arange(run.stop) % block.shape[1]]

    return Swap("language.mrope._medium_positions", lambda right: medium_positions)
