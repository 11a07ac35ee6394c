"""Section 05 - patch embedding: how does a patch of pixels become a vector?"""

import numpy as np
from jaxtyping import Float, Float32

from qwen25vl.ops import Ops


def patch_embedding(
    rows: Float32[np.ndarray, "P patch_dim"],
    weight: Float[np.ndarray, "D C frames y x"],
    *,
    ops: Ops,
) -> Float[np.ndarray, "P D"]:
    """Embed each patch: upstream's three-dimensional convolution is one matrix product.

    The kernel is as large as its stride, so every output sees exactly one patch, and a row holds its
    patch in the kernel's own order: channel, frame, y, x.

    Args:
        rows: pixel rows, float32-valued in every precision.
        weight: the convolution kernel as stored. There is no bias.

    Rounding: (E4) the rows, before the product
    Source: paper 2.1.1; transformers 5.23.0 Qwen2_5_VisionPatchEmbed.forward
    Spec: spec/05-patch-embedding.md (E1 to E4)
    """
    flat_weight = weight.reshape(weight.shape[0], -1)  # (E1) [D, patch_dim]
    wide_rows = rows.astype(ops.precision.dtype)  # (E2) the same values, wider
    held_rows = ops.precision.rounded(wide_rows)  # (E4)
    return ops.linear(held_rows, flat_weight)  # (E3) no bias
