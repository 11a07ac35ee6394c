"""Section 00 - sums and products of two arrays of activations, element by element."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from qwen25vl.rounding import as_it_is


def added(
    x: Float[np.ndarray, "rows D"],
    y: Float[np.ndarray, "rows D"],
    *,
    rounded: Callable[[np.ndarray], np.ndarray] = as_it_is,
) -> Float[np.ndarray, "rows D"]:
    """Add two arrays: a block's output to the residual stream.

    Rounding: (N25) the sum
    Spec: spec/00-notation.md (N25)
    """
    return rounded(x + y)  # (N25)


def multiplied(
    x: Float[np.ndarray, "rows F"],
    y: Float[np.ndarray, "rows F"],
    *,
    rounded: Callable[[np.ndarray], np.ndarray] = as_it_is,
) -> Float[np.ndarray, "rows F"]:
    """Multiply two arrays: the activated gate and its other factor.

    Rounding: (N26) the product
    Spec: spec/00-notation.md (N26)
    """
    return rounded(x * y)  # (N26)
