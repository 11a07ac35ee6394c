"""Section 15 - element by element: how is a compiled function of one number applied to an array?"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from qwen25vl.strict.jit import STRICT


@STRICT
def polynomial(terms: tuple[float, ...], x: float) -> float:
    """Evaluate a polynomial whose highest power comes first: one product and one sum a term."""
    # Numba's cache of the functions that call it, in other modules, does not see a change here: empty it by hand.
    total = terms[0]
    for term in terms[1:]:
        total = total * x + term
    return total


def of_each(
    loop: Callable[[np.ndarray, np.ndarray], None], x: Float64[np.ndarray, "*shape"]
) -> Float64[np.ndarray, "*shape"]:
    """Apply a compiled loop over a flat array and its flat result to an array of any shape."""
    flat = np.ascontiguousarray(x, dtype=np.float64).reshape(-1)
    result = np.empty(flat.shape)
    loop(flat, result)
    return result.reshape(x.shape)
