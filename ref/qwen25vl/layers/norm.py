"""Section 00 - RMS normalisation, one definition for both towers."""

import numpy as np
from jaxtyping import Float


def rms_norm(
    x: Float[np.ndarray, "rows D"], weight: Float[np.ndarray, " D"], *, eps: float
) -> Float[np.ndarray, "rows D"]:
    """Scale each row to unit root-mean-square, then by a learned gain.

        y = weight * (x / sqrt(mean(x**2) + eps))

    Args:
        x: one activation per row.
        weight: the gain. It multiplies as it is: there is no `1 + weight` here.
        eps: added to the mean square, inside the root.

    Source: transformers 5.23.0 modeling_qwen2_5_vl.py, Qwen2_5_VLRMSNorm.forward
    Spec: spec/00-notation.md (N4)
    """
    mean_square = np.mean(np.square(x), axis=-1, keepdims=True)  # [rows, 1]
    unit = x * (1 / np.sqrt(mean_square + x.dtype.type(eps)))  # (N4) no mean is subtracted
    return weight * unit
