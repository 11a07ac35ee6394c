"""Section 08 - merger: how do four patches become one row of the language model's width?"""

import numpy as np
from jaxtyping import Float

from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import VisionConfig
from qwen25vl.ops import Ops
from qwen25vl.tap import Tap


def joined_patches(rows: Float[np.ndarray, "P D"], *, merge_unit: int) -> Float[np.ndarray, "M joined"]:
    """Lay the patches of each merged token side by side.

    Args:
        rows: one row per patch; the patches of a merged token are neighbours, row-major.
        merge_unit: patches in one merged token (4 in every release).

    Spec: spec/08-merger.md (M2)
    """
    return rows.reshape(-1, merge_unit * rows.shape[1])  # (M2) [M, merge_unit D]


def merged_tokens(
    x: Float[np.ndarray, "P D"], weights: Weights, *, config: VisionConfig, ops: Ops, tap: Tap
) -> Float[np.ndarray, "M E"]:
    """Normalise each patch, join the patches of a merge block, and project.

    Args:
        x: the last block's output, one row per patch; the patches of a merged token are neighbours.
        weights: `ln_q`, `mlp.0` and `mlp.2` of the merger.

    Returns:
        One row per merged token, in the order of `x`, of the language model's width.

    Source: paper 2.1 (vision-language merger); transformers 5.23.0 Qwen2_5_VLPatchMerger.forward
    Spec: spec/08-merger.md (M1, M2, M3)
    """
    unit = ops.rms_norm(x, weights["ln_q.weight"], eps=config.rms_norm_eps)  # (M1) per patch, not per block
    norm = tap("norm", unit)
    joined = joined_patches(norm, merge_unit=config.merge_unit)
    hidden = tap("hidden", ops.linear(joined, weights["mlp.0.weight"], weights["mlp.0.bias"]))
    act = tap("act", ops.gelu(hidden))  # (M3)
    return tap("out", ops.linear(act, weights["mlp.2.weight"], weights["mlp.2.bias"]))
