"""Section 00 - RMS normalisation, one definition for both towers."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from qwen25vl.rounding import as_it_is


def rms_norm(
    x: Float[np.ndarray, "rows D"],
    weight: Float[np.ndarray, " D"],
    *,
    eps: float,
    rounded: Callable[[np.ndarray], np.ndarray] = as_it_is,
) -> Float[np.ndarray, "rows D"]:
    """Scale each row to unit root-mean-square, then by a learned gain.

        y = weight * (x / sqrt(mean(x**2) + eps))

    Args:
        x: one activation per row.
        weight: the gain. It multiplies as it is: there is no `1 + weight` here.
        eps: added to the mean square, inside the root.
        rounded: what rounds the two results below.

    Rounding: (N17) the unit row, before the gain; (N18) the product
    Source: transformers 5.23.0 modeling_qwen2_5_vl.py, Qwen2_5_VLRMSNorm.forward
    Spec: spec/00-notation.md (N4, N17, N18)
    """
    mean_square = np.mean(np.square(x), axis=-1, keepdims=True)  # [rows, 1]
    unit = x * (1 / np.sqrt(mean_square + x.dtype.type(eps)))  # (N4) no mean is subtracted
    return rounded(weight * rounded(unit))  # (N17, N18)
