"""Section 02 - limits: which numbers may a caller give?"""

import math
from typing import SupportsFloat, SupportsIndex

import numpy as np

from qwen25vl.errors import BadInput
from qwen25vl.wording import shown

LARGEST_WHOLE = 2**53
"""Whole numbers beyond this have no exact float64; no count of pixels, frames or tokens comes near."""


def whole_number(value: object, *, name: str, least: int = 1, most: int = LARGEST_WHOLE) -> int:
    """Return a limit as an int: an int or a NumPy integer; true, 1.0 and "1" are none.

    Raises:
        BadInput: with the name, the range and the value.

    Spec: spec/02-images.md (I26)
    """
    number = None
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):  # (I26)
        try:
            number = value.__index__()
        except TypeError:  # an array of several numbers has the method, too
            number = None
    if number is None or not least <= number <= most:
        upper = "2**53" if most == LARGEST_WHOLE else str(most)
        raise BadInput(f"{name} must be a whole number from {least} to {upper}, got {shown(value)}; change it")
    return number


def finite_number(
    value: object,
    *,
    name: str,
    above: float | int = -math.inf,
    least: float | int = -math.inf,
    most: float | int = math.inf,
) -> float:
    """Return a limit as a float: any number but a truth value that is finite and in its range.

    Args:
        above: a bound that the number has to exceed.
        least: a bound that it may reach.
        most: likewise.

    Raises:
        BadInput: with the name, the range and the value.

    Spec: spec/02-images.md (I26)
    """
    number = math.nan
    if isinstance(value, SupportsFloat) and not isinstance(value, bool | np.bool | str | bytes):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
    if not (math.isfinite(number) and above < number and least <= number <= most):  # (I26)
        bounds = {"above": above, "of at least": least, "at most": most}
        words = " and ".join(f"{word} {_bound(bound)}" for word, bound in bounds.items() if math.isfinite(bound))
        raise BadInput(f"{name} must be a {f'finite number {words}'.strip()}, got {shown(value)}; change it")
    return number


def _bound(bound: float | int) -> str:
    """Return a bound as text."""
    return "2**53" if bound == LARGEST_WHOLE else f"{bound:g}"
