"""Section 15 - deviation: how far are two arrays apart, and where?"""

from dataclasses import dataclass

import numpy as np

ROW_LETTERS = ("P", "M", "L", "rows")
"""Words of a shape whose first side counts patches or tokens."""

TINY = float(np.finfo(np.float64).tiny)
"""Least number that is divided by."""


@dataclass(frozen=True)
class Deviation:
    """The difference of two arrays of one shape, measured in four ways; all of them are 0 where they are equal."""

    max_abs: float
    """Largest absolute difference; infinite where one of them alone is infinite or NaN."""
    at: tuple[int, ...]
    """Where it is; empty in an array without elements."""
    p99: float
    """The absolute difference that 99 of 100 elements do not exceed."""
    rel_l2: float
    """Root of the summed squared differences over that of the summed squared wanted values."""
    rms: float
    """Root mean square of the differences."""
    worst_row: int | None
    """The row with the largest relative L2; None where the first side counts no rows."""
    worst_row_rel_l2: float | None
    """Its own."""
    worst_row_cosine: float | None
    """The cosine between its found and its wanted values."""


def deviation(found: np.ndarray, wanted: np.ndarray, *, dims: str) -> Deviation:
    """Compare two arrays.

    Args:
        found: any shape; numbers or truth values.
        wanted: the same shape.
        dims: words of the shape, as in `TapName.shape`.

    Spec: spec/15-golden-values.md (X25)
    """
    if found.shape != wanted.shape:
        raise ValueError(f"need equal shapes, got {found.shape} and {wanted.shape}")
    if found.size == 0:
        return Deviation(0.0, (), 0.0, 0.0, 0.0, None, None, None)
    ours, theirs = found.astype(np.float64), wanted.astype(np.float64)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.where(same, 0.0, np.abs(ours - theirs))
        apart[~same & ~np.isfinite(apart)] = np.inf
        flat = apart.reshape(-1)
        largest = int(np.argmax(flat))
        row = _worst_row(ours, theirs, apart) if dims.split(" ")[0] in ROW_LETTERS else (None, None, None)
        return Deviation(
            max_abs=float(flat[largest]),
            at=tuple(int(i) for i in np.unravel_index(largest, found.shape)),
            p99=float(np.partition(flat, _index99(flat.size))[_index99(flat.size)]),
            rel_l2=_length(flat) / max(_length(_finite(theirs).reshape(-1)), TINY),
            rms=_length(flat) / float(np.sqrt(flat.size)),
            worst_row=row[0],
            worst_row_rel_l2=row[1],
            worst_row_cosine=row[2],
        )


def _worst_row(ours: np.ndarray, theirs: np.ndarray, apart: np.ndarray) -> tuple[int, float, float]:
    """Find the row that is furthest off, relative to its own length, or to a hundredth of the longest."""
    count = len(ours)
    lengths = np.sqrt(np.sum(np.square(_finite(theirs).reshape(count, -1)), axis=1))
    errors = np.sqrt(np.sum(np.square(apart.reshape(count, -1)), axis=1))
    relative = errors / np.maximum(np.maximum(lengths, lengths.max() / 100), TINY)
    worst = int(np.argmax(relative))
    a, b = (_finite(array[worst : worst + 1]).reshape(-1) for array in (ours, theirs))
    norm = _length(a) * _length(b)
    cosine = 1.0 if errors[worst] == 0 else float(a @ b) / norm if norm > TINY else 0.0
    return worst, float(relative[worst]), cosine


def _length(flat: np.ndarray) -> float:
    """Euclidean length of finite values, or infinity; huge and tiny ones neither overflow nor vanish."""
    peak = float(np.max(np.abs(flat), initial=TINY))
    if 1e-100 < peak < 1e100:
        return float(np.sqrt(flat @ flat))
    return peak * float(np.sqrt(np.sum(np.square(flat / peak)))) if np.isfinite(peak) else np.inf


def _finite(array: np.ndarray) -> np.ndarray:
    """Put 0 in the place of infinities and NaN."""
    return np.where(np.isfinite(array), array, 0.0)


def _index99(size: int) -> int:
    """Return the place of the 99th of 100 in sorted values."""
    return min(size - 1, -(-99 * size // 100) - 1 if size > 1 else 0)
