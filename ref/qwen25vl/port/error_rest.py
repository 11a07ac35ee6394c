"""Section 15 - an error without a name: how large is it, where does it begin, does it grow?"""

from collections.abc import Callable

import numpy as np

from qwen25vl.port.error_view import View, slices
from qwen25vl.port.error_words import number, numbered, percent
from qwen25vl.rounding import to_bfloat16, to_float16

GROWS = 4.0
"""An error grows along the rows if it is so many times larger in the last quarter than in the first."""

CONSTANT_AMONG = 4
"""Elements that a constant array must have to be called one."""


def constant_told(view: View) -> str | None:
    """Say that every value found is one number, where the wanted ones are not."""
    value = view.found.flat[0]
    if view.found.size < CONSTANT_AMONG or np.any(view.found != value):
        return None
    if np.all(view.wanted == view.wanted.flat[0]):
        return None
    return f"every value is {number(float(value))}{', as if nothing had been written' if value == 0 else ''}"


def rest_told(view: View) -> str:
    """Say of an error that no kind fits how much is wrong, where, and how the two arrays hang together."""
    if view.found.size == 1:
        return f"{number(float(view.found.flat[0]))} for {number(float(view.wanted.flat[0]))}"
    texts = [f"{percent(view.wrong / view.found.size)} of the values are wrong", *_where(view), *_relation(view)]
    return ", ".join(texts)


def _where(view: View) -> list[str]:
    """Say from which row on values are wrong, and whether the error grows."""
    rows, total = np.flatnonzero(view.wrong_of_row), len(view.found)
    texts = []
    if rows[0] > 0 and len(rows) >= 0.9 * (total - rows[0]) and len(rows) > 1:
        texts.append(f"from {view.noun} {rows[0]} on")
    elif len(rows) < total / 2:
        texts.append(f"in {numbered(view.noun, rows)}")
    quarter = total // 4 if rows[0] == 0 else 0
    if quarter >= 2 and np.isfinite(view.square):
        error = np.sqrt(view.square_of_row)
        first, last = float(np.median(error[:quarter])), float(np.median(error[-quarter:]))
        if first > 0 and last > GROWS * first:
            texts.append(
                f"{number(last / first)} times larger in the last quarter of the {view.noun}s than in the first"
            )
    largest = int(np.argmax(view.square_of_row))
    if total > 1 and view.square_of_row[largest] > 0.9 * view.square:
        texts.append(f"nearly all of the error in {view.noun} {largest}")
    return texts


def _relation(view: View) -> list[str]:
    """Say how large the error is, how the two arrays hang together, and what type the values may come from."""
    found, wanted = view.found[view.sample].reshape(-1), view.wanted[view.sample].reshape(-1)
    a, b = found - found.mean(), wanted - wanted.mean()
    over = float(np.sqrt(np.vdot(a, a) * np.vdot(b, b)))
    if not over > 0 or not np.isfinite(over):
        return []
    correlation = float(np.vdot(a, b)) / over
    unrelated = ": the two have nothing to do with each other" if abs(correlation) < 4 / np.sqrt(len(a)) else ""
    whole = sum(float(np.square(view.wanted[index]).sum()) for index in slices(view))
    error = float(np.sqrt(view.square / whole)) if whole > 0 else np.inf
    texts = [f"an error of {percent(error)} on the whole", f"correlation {correlation:.3f}{unrelated}"]
    for name, rounded in (("bfloat16", to_bfloat16), ("float16", to_float16)):
        if not unrelated and _all_are(found, rounded) and not _all_are(wanted, rounded):
            texts.append(f"every value is a number of {name}")
            break
    return texts


def _all_are(values: np.ndarray, rounded: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Whether rounding to a type changes none of the values."""
    narrow = values.astype(np.float32)
    return bool(np.array_equal(narrow, values) and np.array_equal(rounded(narrow), narrow))
