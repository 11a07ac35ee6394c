"""Section 15 - arithmetic: in which order are the sums of a golden added up?"""

from collections.abc import Callable
from importlib import import_module

from qwen25vl.errors import BadInput
from qwen25vl.golden.case import Lab
from qwen25vl.ops import Ops

STRICT, BLAS = "strict", "blas"
"""Every sum in one written order, the same on every machine; or by BLAS, faster, in an order of its own."""

STRICT_MODULE = "qwen25vl.strict.ops"
"""Where the strict functions are. Importing them takes a second, which only a run in them should pay."""


def chosen_arithmetic(precision: str, *, blas: bool) -> str:
    """Choose the arithmetic of a golden: strict in float64, unless BLAS is asked for.

    Spec: spec/15-golden-values.md (X19)
    """
    return STRICT if precision == "float64" and not blas else BLAS


def in_arithmetic(lab: Lab, arithmetic: str) -> Lab:
    """Return a lab that adds up in an order.

    Args:
        lab: the checkpoint; for `strict`, in float64.
        arithmetic: `strict` or `blas`.

    Raises:
        BadInput: if the strict functions cannot be imported.

    Spec: spec/15-golden-values.md (X19)
    """
    if arithmetic == BLAS:
        return lab
    if arithmetic != STRICT or lab.ops.precision.name != "float64":
        raise ValueError(f"need strict in float64, or blas, got {arithmetic!r} in {lab.ops.precision.name}")
    try:
        strict_ops: Callable[[], Ops] = import_module(STRICT_MODULE).strict_ops
    except ImportError as error:
        if (error.name or "").startswith("qwen25vl"):
            raise
        raise BadInput(
            f"strict sums need Numba, which cannot be imported ({error}); install it, or add --blas"
        ) from error
    return lab.with_ops(strict_ops())
