"""Section 15 - words for an error: how do indices and numbers of a part look in a sentence?"""

from collections.abc import Iterable, Sequence

import numpy as np

MOST_INDICES = 8
"""Indices that a finding carries at most."""

MOST_RUNS = 4
"""Runs of indices that a sentence lists at most."""

ORDINALS = ("first", "second", "third", "fourth")


Indices = Sequence[int] | np.ndarray
"""Increasing indices."""


def number(value: float) -> str:
    """Return a number with four digits, an integer with all of them."""
    if float(value).is_integer() and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.4g}"


def percent(share: float) -> str:
    """Return a share in percent, never 0 % for something nor 100 % for not all."""
    if share >= 1 or share == 0:
        return f"{100 * share:.0f} %"
    text = f"{100 * share:.3g}" if share < 0.995 else f"{100 * share:.5g}"
    if share < 1e-5:
        return "less than 0.001 %"
    return "more than 99.999 %" if float(text) >= 100 else f"{text} %"


def counted(count: int, noun: str) -> str:
    """Return a count and its noun: `1 row`, `3 rows`, `2 queries`."""
    return f"{count} {noun}" if count == 1 else f"{count} {several(noun)}"


def several(noun: str) -> str:
    """Return the plural of a noun."""
    head, _, rest = noun.partition(" of ")
    plural = head[:-1] + "ies" if head.endswith("y") else head + "s"
    return f"{plural} of {rest}" if rest else plural


def runs(indices: Indices) -> list[tuple[int, int]]:
    """Return the first and last index of every unbroken run of increasing indices."""
    values = np.asarray(indices, dtype=np.int64)
    if not len(values):
        return []
    ends = np.flatnonzero(np.diff(values) != 1)
    firsts, lasts = np.concatenate([[0], ends + 1]), np.concatenate([ends, [len(values) - 1]])
    return [(int(values[a]), int(values[b])) for a, b in zip(firsts, lasts, strict=True)]


def ranges(indices: Indices, *, most: int = MOST_RUNS) -> str:
    """Return indices as runs: `4 to 7 and 16 to 19`, `3, 8, 11, 20 and 5 more`."""
    found = runs(indices)
    texts = []
    for first, last in found[:most]:
        texts += [f"{first} to {last}"] if last > first + 1 else [str(i) for i in range(first, last + 1)]
    left = sum(last - first + 1 for first, last in found[most:])
    if left:
        texts.append(f"{left} more")
    return listed(texts)


def listed(texts: Iterable[str]) -> str:
    """Return texts in a row: `a`, `a and b`, `a, b and c`."""
    *front, last = list(texts)
    return f"{', '.join(front)} and {last}" if front else last


def numbered(noun: str, indices: Indices) -> str:
    """Return a noun and its indices: `row 4`, `rows 4 to 7`."""
    return f"{noun if len(indices) == 1 else several(noun)} {ranges(indices)}"


def few(indices: Indices) -> tuple[int, ...]:
    """Return the first indices, as many as a finding carries."""
    return tuple(int(i) for i in indices[:MOST_INDICES])
