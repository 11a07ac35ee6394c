"""Section 11 - ranges: which values may a setting of generation have?"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from qwen25vl.errors import BadInput
from qwen25vl.wording import shown

FACTOR_LIMIT = 1e15
"""A temperature or a penalty lies between 1 / this and this: so no product of both leaves float32."""


def _is_factor(value: Any) -> bool:
    """Say whether a number is positive, and neither absurdly small nor absurdly large."""
    return bool(1 / FACTOR_LIMIT <= value <= FACTOR_LIMIT)


RANGES: dict[str, tuple[str, Callable[[Any], bool], int]] = {
    "temperature": ("0, or a number from 1e-15 to 1e15", lambda v: v == 0 or _is_factor(v), 1),
    "top_k": ("a whole number of at least 0", lambda v: v >= 0, 0),
    "top_p": ("a number from 0 to 1", lambda v: 0 <= v <= 1, 1),
    "min_p": ("a number from 0 to 1", lambda v: 0 <= v <= 1, 0),
    "repetition_penalty": ("a number from 1e-15 to 1e15", _is_factor, 1),
}
"""Each setting: its range in words, the test of it, and the value that changes nothing."""


def checked_values(values: Mapping[str, object], *, where: str = "") -> dict[str, Any]:
    """Return settings in the types of their fields.

    Args:
        values: any of `RANGES`, by name.
        where: put before the name in a refusal, as `FILE: `.

    Raises:
        BadInput: if a value is out of its range, or no number.

    Spec: spec/11-generation.md (G13)
    """
    checked: dict[str, Any] = {}
    for key, value in values.items():
        words, is_fine, neutral = RANGES[key]
        whole = key == "top_k"
        kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
        if not isinstance(value, kinds) or isinstance(value, bool) or not is_fine(value):  # (G13)
            raise BadInput(f"{where}{key} must be {words}, got {shown(value)}; {neutral} switches it off")
        checked[key] = int(value) if whole else float(value)
    return checked
