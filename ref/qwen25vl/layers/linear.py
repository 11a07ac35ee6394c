"""Section 00 - linear layers: one matrix product, with or without a bias."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from qwen25vl.rounding import as_it_is


def linear(
    x: Float[np.ndarray, "rows D"],
    weight: Float[np.ndarray, "F D"],
    bias: Float[np.ndarray, " F"] | None = None,
    *,
    rounded: Callable[[np.ndarray], np.ndarray] = as_it_is,
) -> Float[np.ndarray, "rows F"]:
    """Multiply each row by a weight that is stored output-first, and add the bias.

        y[r, f] = sum over d of x[r, d] * weight[f, d]  +  bias[f]

    Args:
        x: one activation per row.
        weight: as in the checkpoint, one row per output.
        bias: one value per output, or None where the layer has none.
        rounded: what rounds the result; it is not rounded where this is left out.

    Rounding: (N16) the sum, bias included
    Spec: spec/00-notation.md (N3, N16)
    """
    product = x @ weight.T  # (N3)
    return rounded(product if bias is None else product + bias)  # (N16)
