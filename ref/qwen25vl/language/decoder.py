"""Section 10 - the decoder: from token and vision rows to normalised hidden states, with a cache."""

import numpy as np
from jaxtyping import Float, Int64

from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import TextConfig
from qwen25vl.language.block import decoder_block
from qwen25vl.language.cache import Cache
from qwen25vl.language.mrope import mrope_rotation
from qwen25vl.ops import Ops
from qwen25vl.tap import Tap


def decoded_tokens(
    x: Float[np.ndarray, "L E"],
    positions: Int64[np.ndarray, "3 L"],
    cache: Cache,
    weights: Weights,
    *,
    config: TextConfig,
    ops: Ops,
    tap: Tap,
) -> tuple[Float[np.ndarray, "L E"], Cache]:
    """Run new tokens through every block, after the tokens of the cache.

    Args:
        x: embedded tokens and vision rows.
        positions: time, height and width of each new token.
        cache: what the tokens before left; empty at the start.
        weights: the scope `model`.

    Returns:
        The hidden states behind the final norm, ready for the head, and the longer cache.

    Source: paper 2.1; transformers 5.23.0 Qwen2_5_VLTextModel.forward
    Rounding: (T12) cosines and sines
    Spec: spec/10-decoder.md (D8, D10), spec/09-mrope.md (T12)
    """
    x, positions = tap("embed.out", x), tap("positions", positions)
    cos, sin = mrope_rotation(
        positions,
        head_dim=config.head_dim,
        theta=config.rope_theta,
        sections=config.mrope_section,
        ops=ops,
    )
    cos = tap("rope.cos", ops.precision.rounded(cos))  # (T12)
    sin = tap("rope.sin", ops.precision.rounded(sin))

    keys, values = [], []
    for i in range(config.num_hidden_layers):
        x, k, v = decoder_block(
            x,
            cos,
            sin,
            cache.keys[i],
            cache.values[i],
            weights.at(f"layers.{i}"),
            config=config,
            ops=ops,
            tap=tap.at(f"blocks.{i:02d}"),
        )
        keys.append(k)
        values.append(v)

    hidden = tap("norm.out", ops.rms_norm(x, weights["norm.weight"], eps=config.rms_norm_eps))  # (D10)
    return hidden, Cache(keys=tuple(keys), values=tuple(values))  # (D8)
