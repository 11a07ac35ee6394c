"""Section 00 - precision: in which floating-point format are the numbers of a run kept?"""

from dataclasses import dataclass

import numpy as np

from qwen25vl.errors import BadInput


@dataclass(frozen=True)
class Precision:
    """A named format for weights and activations.

    `dtype` is the NumPy type in which arrays of this precision are held, between all steps and within them (N1);
    the two constants that upstream holds in float32 are widened, never recomputed (N2). A composed function gets
    its precision through `ops`; the small functions of `layers` follow the type of their arrays.

    Spec: spec/00-notation.md (N1, N2)
    """

    name: str
    dtype: np.dtype[np.floating]


FLOAT64 = Precision("float64", np.dtype(np.float64))
"""The oracle: golden values come from it."""

FLOAT32 = Precision("float32", np.dtype(np.float32))
"""The default for running."""

PRECISIONS = {precision.name: precision for precision in (FLOAT64, FLOAT32)}
"""Every precision by name."""


def named_precision(name: str) -> Precision:
    """Look up a precision.

    Raises:
        BadInput: if there is none of that name.
    """
    if name not in PRECISIONS:
        raise BadInput(f"unknown precision {name!r}; choose one of {', '.join(PRECISIONS)}")
    return PRECISIONS[name]
