"""Section 15 - compiling: with which settings is strict arithmetic compiled?"""

from collections.abc import Callable
from typing import Any

from numba import njit


def _compiled(**settings: Any) -> Callable[..., Any]:
    """Compile with settings; keep the machine code on disk where there is a place for it."""

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return njit(cache=True, **settings)(function)  # a second start pays nothing
        except RuntimeError:  # neither the package's directory nor the user's can be written to
            return njit(**settings)(function)

    return compiled


STRICT = _compiled(
    error_model="numpy",  # a division by zero gives infinity, as in NumPy, and no branch
    # No `fastmath`: LLVM may then neither contract a product and a sum into one rounding, nor reorder a sum.
)
"""Compiles one function."""

STRICT_PARALLEL = _compiled(
    error_model="numpy",
    parallel=True,  # over outputs only: no sum is shared between threads
    nogil=True,  # so that a caller's other threads go on
)
"""Compiles one function whose `prange` loops run on several threads."""
