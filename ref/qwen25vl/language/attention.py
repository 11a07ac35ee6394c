"""Section 10 - decoder attention: which earlier tokens does a token see, and through which heads?"""

import numpy as np
from jaxtyping import Float

from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import TextConfig
from qwen25vl.ops import Ops
from qwen25vl.tap import Tap


def decoder_attention(
    x: Float[np.ndarray, "L E"],
    cos: Float[np.ndarray, "L d"],
    sin: Float[np.ndarray, "L d"],
    past_keys: Float[np.ndarray, "past K d"],
    past_values: Float[np.ndarray, "past K d"],
    weights: Weights,
    *,
    config: TextConfig,
    ops: Ops,
    tap: Tap,
) -> tuple[Float[np.ndarray, "L E"], Float[np.ndarray, "T K d"], Float[np.ndarray, "T K d"]]:
    """Attend causally over the cached tokens and the new ones.

    Args:
        x: normalised activations of the new tokens.
        cos: rotation of each new token.
        sin: likewise.
        past_keys: rotated keys of the tokens before.
        past_values: values of the tokens before.
        weights: `q_proj`, `k_proj`, `v_proj` (with bias) and `o_proj` (without).

    Returns:
        The block's attention output, and the keys and values of all tokens, old and new.

    Source: transformers 5.23.0 Qwen2_5_VLAttention.forward
    Spec: spec/10-decoder.md (D3 to D7, D20)
    """
    L, past = len(x), len(past_keys)

    def heads(name: str, count: int) -> np.ndarray:
        flat = ops.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])  # (D3)
        return flat.reshape(L, count, config.head_dim)

    q = tap("q", heads("q_proj", config.num_attention_heads))
    k = tap("k", heads("k_proj", config.num_key_value_heads))
    v = tap("v", heads("v_proj", config.num_key_value_heads))
    q_rope = tap("q_rope", ops.rotated_in_steps(q, cos, sin))  # (D20)
    k_rope = tap("k_rope", ops.rotated_in_steps(k, cos, sin))

    keys = np.concatenate([past_keys, k_rope])  # (D7) rotated keys are kept
    values = np.concatenate([past_values, v])
    # (D4) by place in the sequence, never by position: the tokens of a picture share one time position
    allowed = np.arange(past + L) <= np.arange(past, past + L)[:, np.newaxis]  # [L, T]
    probs = np.empty((config.num_attention_heads, L, past + L), x.dtype) if tap.wants("probs") else None
    mixed = ops.attention(q_rope, keys, values, allowed=allowed, probs=probs)  # (D5)
    if probs is not None:
        tap("probs", probs)
    mixed = tap("mixed", mixed)
    out = tap("out", ops.linear(mixed.reshape(L, -1), weights["o_proj.weight"]))  # (D6) no bias
    return out, keys, values
