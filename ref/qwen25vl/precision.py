"""Section 00 - precision: in which floating-point format are the numbers of a run kept?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from qwen25vl.errors import BadInput
from qwen25vl.rounding import as_it_is, to_bfloat16, to_float16


@dataclass(frozen=True)
class Precision:
    """A named format for weights and activations.

    `dtype` is the NumPy type in which arrays of this precision are held, between all steps and within them (N1);
    the two constants that upstream holds in float32 are widened, never recomputed (N2). A composed function gets
    its precision through `ops`; the small functions of `layers` follow the type of their arrays.

    The 16-bit formats are emulated: held as float32, and rounded at the places where upstream rounds (N15).

    Spec: spec/00-notation.md (N1, N2, N14, N15)
    """

    name: str
    dtype: np.dtype[np.floating]
    rounded: Callable[[np.ndarray], np.ndarray] = as_it_is
    """The nearest numbers of the format."""
    hidden_score: float = -np.inf
    """What is added to the score of a key that a query may not see (N21)."""
    on_overflow: Literal["ignore"] | None = None
    """What NumPy does where a result is infinite or NaN: nothing, since these are results of the format (N27);
    None leaves NumPy as it is set."""

    def held(self, array: np.ndarray) -> np.ndarray:
        """Numbers as a port of this format holds them once it has loaded them; beyond its range, infinities."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.rounded(np.asarray(array).astype(self.dtype))


FLOAT64 = Precision("float64", np.dtype(np.float64))
"""The oracle: golden values come from it."""

FLOAT32 = Precision("float32", np.dtype(np.float32))
"""The default for running."""

BFLOAT16 = Precision(
    "bfloat16",
    np.dtype(np.float32),
    rounded=to_bfloat16,
    hidden_score=-(2.0**128 - 2.0**120),  # the lowest finite number
    on_overflow="ignore",
)
"""Emulated: what the releases are stored and served in."""

FLOAT16 = Precision(
    "float16", np.dtype(np.float32), rounded=to_float16, hidden_score=-65504.0, on_overflow="ignore"
)
"""Emulated: its range ends at 65,504."""

PRECISIONS = {precision.name: precision for precision in (FLOAT64, FLOAT32, BFLOAT16, FLOAT16)}
"""Every precision by name."""


def named_precision(name: str) -> Precision:
    """Look up a precision.

    Raises:
        BadInput: if there is none of that name.
    """
    if not isinstance(name, str) or name not in PRECISIONS:
        raise BadInput(f"unknown precision {name!r}; choose one of {', '.join(PRECISIONS)}")
    return PRECISIONS[name]
