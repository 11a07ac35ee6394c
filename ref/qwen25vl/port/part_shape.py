"""Section 15 - shapes of a dump: does an array hold a part in another shape or type, and which is it then?

A port keeps batch axes, flattens heads, or saves counts as floating point. These are no errors: the numbers are
the same, in the same order. An array whose axes are in another order is not put right here: that may be the bug.
"""

import math

import numpy as np

from qwen25vl.tap_names import tap_name

WHOLE_TAPS = ("vision.window_order", "vision.window_starts", "vision.frame_starts", "language.positions")
"""Taps of whole numbers; `rows.NN.` and `chunks.NN.` may stand in front."""

LARGEST_EXACT = 2.0**53
"""Floating point holds every whole number up to here."""


def in_shape(array: np.ndarray, part: str, wanted: tuple[int, ...] | None) -> np.ndarray:
    """Return a view of an array in the shape that a part should have, if it may be the same numbers in order.

    Args:
        array: what a port gives.
        part: its id.
        wanted: the golden's shape; None if it has no such part, and the number of sides alone is known.

    Returns:
        The array in `wanted`, where they differ by sides of 1 or by sides that are flattened in one of them; else
        as it is, without the sides of 1 in front that are too many.
    """
    if wanted is not None and is_same_row_major(array.shape, wanted):
        return array.reshape(wanted)
    sides = _sides(part) if wanted is None else len(wanted)
    while sides is not None and array.ndim > sides and array.shape[0] == 1:
        array = array[0]
    return array


def is_same_row_major(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether one shape is the other with sides of 1 more or less, or with its last sides flattened into one."""
    a, b = ([side for side in sides if side != 1] for sides in (shape, other))
    same = 0
    while same < min(len(a), len(b)) and a[same] == b[same]:
        same += 1
    return math.prod(a[same:]) == math.prod(b[same:]) and min(len(a), len(b)) - same <= 1


def whole_numbers(array: np.ndarray, part: str) -> np.ndarray:
    """Return whole numbers as int64: any integers, and what is saved as floating point if the part is of integers.

    What does not fit stays as it is: fractions, infinities, numbers beyond int64; and texts and truth values.
    """
    if array.dtype.kind in "iu" and array.dtype != np.uint8:
        fits = array.dtype != np.uint64 or array.size == 0 or array.max() <= np.iinfo(np.int64).max
        return array.astype(np.int64, copy=False) if fits else array
    if array.dtype.kind == "f" and part.endswith(WHOLE_TAPS):
        return array.astype(np.int64) if is_whole(array) else array
    return array


def is_whole(array: np.ndarray) -> bool:
    """Whether every number of a floating-point array is a whole one that int64 holds."""
    with np.errstate(invalid="ignore"):
        whole = np.isfinite(array) & (np.abs(array) <= LARGEST_EXACT) & (np.trunc(array) == array)
    return bool(whole.all())


def _sides(part: str) -> int | None:
    """Return how many sides a tap has; None for what is no tap."""
    try:
        return len(tap_name(part).shape.split())
    except KeyError:
        return None


def misfit(found: np.ndarray, right: np.ndarray) -> str:
    """Say why an array cannot be the part; "" if it can."""
    if found.shape != right.shape:
        return f"it has the shape {list(found.shape)}, expected {list(right.shape)}"
    if right.dtype.kind == "f" and found.dtype.kind != "f":
        what = "whole numbers" if found.dtype.kind in "iu" else str(found.dtype)
        return f"it holds {what}, expected floating point"
    if right.dtype.kind != "f" and found.dtype.kind == "f" and not np.array_equal(found, np.trunc(found)):
        return "it holds fractions, expected whole numbers"
    return ""
