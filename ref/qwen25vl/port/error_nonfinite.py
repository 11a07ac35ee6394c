"""Section 15 - NaN and infinity: where do they begin, and did a value only grow too large?"""

import numpy as np

from qwen25vl.port.error_view import View, slices
from qwen25vl.port.error_words import few, number, numbered, percent, ranges

FLOAT16_END = 65520.0
"""From this value on, float16 rounds to infinity."""


def nonfinite_claim(view: View) -> tuple[str, str, tuple[int, ...], tuple[int, ...]] | None:
    """Say where the found array holds NaN or infinity and the wanted one a number.

    Returns:
        kind, detail, rows, columns (channels of the first such row, counted through the heads); None where
        there is none.
    """
    counts = np.zeros(len(view.found), dtype=np.int64)
    nans, against, least = 0, 0, np.inf
    for index in slices(view):
        found, wanted = view.found[index], view.wanted[index]
        bad = np.isfinite(wanted) & ~np.isfinite(found)
        if bad.any():
            counts[index] = bad.reshape(len(bad), -1).sum(axis=1)
            nans += int(np.count_nonzero(np.isnan(found[bad])))
            infinite = bad & np.isinf(found)
            against += int(np.count_nonzero(np.sign(found[infinite]) != np.sign(wanted[infinite])))
            least = min(least, float(np.abs(wanted[infinite]).min(initial=np.inf)))
    rows = np.flatnonzero(counts)
    if not len(rows):
        return None
    total = int(counts.sum())
    first = view.found[rows[0]].reshape(-1), view.wanted[rows[0]].reshape(-1)
    columns = np.flatnonzero(np.isfinite(first[1]) & ~np.isfinite(first[0]))
    if not nans and not against and _only_the_largest(view, least):
        bound = ", as float16 has it" if least >= FLOAT16_END else ""
        text = f"infinity where the wanted value is {number(least)} or more in size{bound}"
        return "saturation", f"{text}: {numbered(view.noun, rows)}", few(rows), few(columns)
    what = "NaN" if nans == total else "infinity" if not nans else "NaN and infinity"
    return "nan", _since(view, what, counts, int(columns[0])), few(rows), few(columns)


def _only_the_largest(view: View, least: float) -> bool:
    """Whether every value that stayed finite is wanted to be smaller than those that did not."""
    return all(
        float(np.abs(view.wanted[index][np.isfinite(view.found[index])]).max(initial=0.0)) <= least
        for index in slices(view)
    )


def _since(view: View, what: str, counts: np.ndarray, column: int) -> str:
    """Say from where on values are not finite."""
    rows = np.flatnonzero(counts)
    share = percent(float(counts.sum()) / view.found.size)
    full = np.all(counts[rows] == view.width)
    if full and len(rows) == len(counts):
        return f"{what} everywhere"
    whole = "all of " if full else ""
    if len(rows) == 1:
        return f"{what} in {whole}{view.noun} {rows[0]}, from channel {column} on, {share} of the values"
    if len(rows) > 1 and len(rows) == len(counts) - rows[0]:
        where = f"from {view.noun} {rows[0]}, channel {column} on"
        return f"{what} {where}, in every row behind it, {share} of the values"
    where = f"{whole}{numbered(view.noun, rows)}" if full else f"{view.noun}s {ranges(rows)}"
    return f"{what} in {where}, first at channel {column}, {share} of the values"
