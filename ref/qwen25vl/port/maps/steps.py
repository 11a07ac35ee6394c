"""Section 15 - steps of a map: how does a dumped array become one of our shape?"""

from collections.abc import Callable, Sequence

import numpy as np

from qwen25vl.port.maps.rules import Make

Step = Callable[[np.ndarray], np.ndarray]
"""Turns one array into another. A `ValueError` says in a few words why it cannot."""


def chained(*steps: Step) -> Make:
    """Return what does the steps one after the other with the first array."""

    def make(arrays: Sequence[np.ndarray]) -> np.ndarray:
        array = arrays[0]
        for step in steps:
            array = step(array)
        return array

    return make


def alone(axes: int, *, at: int = 0) -> Step:
    """Return what takes off axes of length 1 (one prompt, a batch of one) until `axes` are left.

    Args:
        axes: how many axes are left.
        at: where the axes stand that are too many.
    """

    def step(x: np.ndarray) -> np.ndarray:
        while x.ndim > axes and x.shape[at] == 1:
            x = x.take(0, axis=at)
        if x.ndim != axes:
            raise ValueError(f"{axes} axes are needed, behind an axis of 1 at most; dump one prompt at a time")
        return x

    return step


def heads(count: int) -> Step:
    """Return what splits rows of all heads into heads."""

    def step(x: np.ndarray) -> np.ndarray:
        if x.shape[1] % count:
            raise ValueError(f"rows of {x.shape[1]} numbers cannot be split into {count} heads")
        return x.reshape(x.shape[0], count, x.shape[1] // count)

    return step


def piece(axis: int, part: int, of: int) -> Step:
    """Return what takes one of `of` equal pieces of an axis."""

    def step(x: np.ndarray) -> np.ndarray:
        if not -x.ndim <= axis < x.ndim:
            raise ValueError(f"it has no axis {axis}")
        length, rest = divmod(x.shape[axis], of)
        if rest:
            raise ValueError(f"an axis of {x.shape[axis]} cannot be split into {of} equal pieces")
        return x.take(range(part * length, (part + 1) * length), axis=axis)

    return step


def widths(width: int, advice: str) -> Step:
    """Return what refuses rows of any other width, with what to dump instead."""

    def step(x: np.ndarray) -> np.ndarray:
        if x.shape[-1] != width:
            raise ValueError(f"its rows have {x.shape[-1]} numbers, not {width}: {advice}")
        return x

    return step


def wide_integers(x: np.ndarray) -> np.ndarray:
    """Return integers as int64; transformers counts some in int32."""
    return x.astype(np.int64) if x.dtype.kind in "iu" else x


def unknown(x: np.ndarray) -> np.ndarray:
    """Refuse to guess: what a map needs of the model's config, and was not given."""
    raise ValueError("the config of the model is not known; give it to name_map")
