"""Section 15 - taps as parts: how does a case of a piece of the model hand on what the piece reported?"""

from collections.abc import Iterator

import numpy as np

from qwen25vl.golden.case import Part
from qwen25vl.tap import Tap
from qwen25vl.tap_names import tap_name


def tap_part(name: str, array: np.ndarray) -> Part:
    """Make a part of a tap's value; the table of ids says what it means.

    Raises:
        KeyError: if there is no tap of that name.
    """
    row = tap_name(name)
    return Part(name, array, row.shape, row.meaning, row.section)


def tapped_parts(tap: Tap) -> Iterator[Part]:
    """Give everything that a tap kept, in the order in which it came."""
    for name in tap:
        yield tap_part(name, tap[name])
