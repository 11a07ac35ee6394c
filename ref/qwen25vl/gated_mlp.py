"""Section 00 - the gated MLP (SwiGLU) of both towers: biased in the vision encoder, not in the decoder."""

import numpy as np
from jaxtyping import Float

from qwen25vl.checkpoint.weights import Weights
from qwen25vl.ops import Ops
from qwen25vl.tap import Tap


def gated_mlp(
    x: Float[np.ndarray, "rows D"], weights: Weights, *, bias: bool, ops: Ops, tap: Tap
) -> Float[np.ndarray, "rows D"]:
    """Compute down(silu(gate(x)) * up(x)).

    Args:
        x: normalised activations.
        weights: `gate_proj`, `up_proj`, `down_proj`, each with `.weight` and, where biased, `.bias`.
        bias: whether the three layers have biases.

    Source: paper 2.1.1; transformers 5.23.0 Qwen2_5_VLMLP and Qwen2MLP
    Spec: spec/00-notation.md (N12)
    """

    def layer(name: str, value: np.ndarray) -> np.ndarray:
        return ops.linear(value, weights[f"{name}.weight"], weights[f"{name}.bias"] if bias else None)

    gate = tap("gate", layer("gate_proj", x))
    up = tap("up", layer("up_proj", x))
    act = tap("act", ops.multiplied(ops.silu(gate), up))  # (N12) the gate is activated, not the other factor
    return tap("out", layer("down_proj", act))
