"""Section 00 - linear layers: one matrix product, with or without a bias."""

import numpy as np
from jaxtyping import Float


def linear(
    x: Float[np.ndarray, "rows D"],
    weight: Float[np.ndarray, "F D"],
    bias: Float[np.ndarray, " F"] | None = None,
) -> Float[np.ndarray, "rows F"]:
    """Multiply each row by a weight that is stored output-first, and add the bias.

        y[r, f] = sum over d of x[r, d] * weight[f, d]  +  bias[f]

    Args:
        x: one activation per row.
        weight: as in the checkpoint, one row per output.
        bias: one value per output, or None where the layer has none.

    Spec: spec/00-notation.md (N3)
    """
    product = x @ weight.T  # (N3)
    return product if bias is None else product + bias
