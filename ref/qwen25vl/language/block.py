"""Section 10 - a decoder block: attention, then the gated MLP, each added to the residual stream."""

import numpy as np
from jaxtyping import Float

from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import TextConfig
from qwen25vl.gated_mlp import gated_mlp
from qwen25vl.language.attention import decoder_attention
from qwen25vl.ops import Ops
from qwen25vl.tap import Tap


def decoder_block(
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
    """Apply one pre-norm block.

        x = x + attention(input_layernorm(x))
        x = x + mlp(post_attention_layernorm(x))

    The arguments and results are those of `decoder_attention`, with `x` the residual stream.

    Source: transformers 5.23.0 Qwen2_5_VLDecoderLayer.forward
    Spec: spec/10-decoder.md (D9)
    """
    norm1 = tap("norm1", ops.rms_norm(x, weights["input_layernorm.weight"], eps=config.rms_norm_eps))
    attended, keys, values = decoder_attention(
        norm1,
        cos,
        sin,
        past_keys,
        past_values,
        weights.at("self_attn"),
        config=config,
        ops=ops,
        tap=tap.at("attn"),
    )
    resid_mid = tap("resid_mid", ops.added(x, attended))  # (D9)
    gain = weights["post_attention_layernorm.weight"]
    norm2 = tap("norm2", ops.rms_norm(resid_mid, gain, eps=config.rms_norm_eps))
    mlp = gated_mlp(norm2, weights.at("mlp"), bias=False, ops=ops, tap=tap.at("mlp"))
    resid_post = tap("resid_post", ops.added(resid_mid, mlp))
    return resid_post, keys, values
