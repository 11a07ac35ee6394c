"""Section 07 - a vision block: attention, then the gated MLP, each added to the residual stream."""

import numpy as np
from jaxtyping import Float, Int64

from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import VisionConfig
from qwen25vl.gated_mlp import gated_mlp
from qwen25vl.ops import Ops
from qwen25vl.tap import Tap
from qwen25vl.vision.attention import vision_attention


def vision_block(
    x: Float[np.ndarray, "P D"],
    cos: Float[np.ndarray, "P d"],
    sin: Float[np.ndarray, "P d"],
    starts: Int64[np.ndarray, " boundaries"],
    weights: Weights,
    *,
    config: VisionConfig,
    ops: Ops,
    tap: Tap,
) -> Float[np.ndarray, "P D"]:
    """Apply one pre-norm block.

        x = x + attention(norm1(x))
        x = x + mlp(norm2(x))

    Args:
        x: one row per patch, in window order.
        cos: rotation of each patch, in the same order.
        sin: likewise.
        starts: where the segments begin: windows or frames, as this block needs.
        weights: the block's own scope.

    Source: transformers 5.23.0 Qwen2_5_VLVisionBlock.forward
    Spec: spec/07-windows.md (W10)
    """
    norm1 = tap("norm1", ops.rms_norm(x, weights["norm1.weight"], eps=config.rms_norm_eps))
    attended = vision_attention(
        norm1, cos, sin, starts, weights.at("attn"), num_heads=config.num_heads, ops=ops, tap=tap.at("attn")
    )
    resid_mid = tap("resid_mid", ops.added(x, attended))  # (W10)
    norm2 = tap("norm2", ops.rms_norm(resid_mid, weights["norm2.weight"], eps=config.rms_norm_eps))
    mlp = gated_mlp(norm2, weights.at("mlp"), bias=True, ops=ops, tap=tap.at("mlp"))
    return tap("resid_post", ops.added(resid_mid, mlp))
