"""Section 07 - vision attention: within which segments do patches look at each other?"""

from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int64

from qwen25vl.checkpoint.weights import Weights
from qwen25vl.ops import Ops
from qwen25vl.tap import Tap


def split_heads(fused: Float[np.ndarray, "P fused"], *, num_heads: int) -> Float[np.ndarray, "3 P N d"]:
    """Part what the fused layer gives into queries, keys and values, head by head.

    Args:
        fused: of each patch all queries, then all keys, then all values.
        num_heads: heads N in each of the three.

    Returns:
        A view of `fused`.

    Spec: spec/07-windows.md (W7)
    """
    return np.moveaxis(fused.reshape(len(fused), 3, num_heads, -1), 1, 0)  # (W7) the three outermost


def vision_attention(
    x: Float[np.ndarray, "P D"],
    cos: Float[np.ndarray, "P d"],
    sin: Float[np.ndarray, "P d"],
    starts: Int64[np.ndarray, " boundaries"],
    weights: Weights,
    *,
    num_heads: int,
    ops: Ops,
    tap: Tap,
) -> Float[np.ndarray, "P D"]:
    """Attend within each segment: a window, or a whole frame.

    Args:
        x: normalised activations, one row per patch, in window order.
        cos: rotation of each patch, in the same order.
        sin: likewise.
        starts: segment i holds patches `starts[i]` to `starts[i + 1]`.
        weights: `qkv.weight`, `qkv.bias`, `proj.weight`, `proj.bias`.
        num_heads: every head has its own keys and values here.

    Source: paper 2.1.1; transformers 5.23.0 Qwen2_5_VLVisionAttention.forward
    Spec: spec/07-windows.md (W7, W8, W9), spec/06-rotary-2d.md (R5)
    """
    P, D = x.shape
    fused = ops.linear(x, weights["qkv.weight"], weights["qkv.bias"])
    heads = split_heads(fused, num_heads=num_heads)  # [3, P, N, d]
    q, k, v = tap("q", heads[0]), tap("k", heads[1]), tap("v", heads[2])
    q_rope = tap("q_rope", ops.rotated(q, cos, sin))  # (R5)
    k_rope = tap("k_rope", ops.rotated(k, cos, sin))

    mixed = np.empty_like(q)
    segment_probs = []
    for first, end in pairwise(starts):
        part = slice(first, end)
        probs = None
        if tap.wants("probs"):
            probs = np.empty((num_heads, end - first, end - first), dtype=x.dtype)
            segment_probs.append(probs.reshape(num_heads, -1))  # a view: filled by the next line
        mixed[part] = ops.attention(q_rope[part], k_rope[part], v[part], probs=probs)  # (W8)
    if segment_probs:
        tap("probs", np.concatenate(segment_probs, axis=-1))
    mixed = tap("mixed", mixed)
    return tap("out", ops.linear(mixed.reshape(P, D), weights["proj.weight"], weights["proj.bias"]))  # (W9)
