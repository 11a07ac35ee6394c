"""Section 15 - cases of rounding places: where do functions round in 16 bits, and where must they not?

The parts `outputs.bfloat16.*` and `outputs.float16.*` are computed in the emulated format whatever the precision
of the run. Their sums are exact in float32, so no order of adding up changes a bit of them.
"""

from collections.abc import Iterator

import numpy as np

from qwen25vl.golden.case import Lab, Part, Run
from qwen25vl.golden.draws import drawn
from qwen25vl.golden.registry import case
from qwen25vl.layers.rotary import inverse_frequencies
from qwen25vl.ops import Ops, reference_ops
from qwen25vl.precision import BFLOAT16, FLOAT16

EPS = 1e-6
"""Of every norm of the model."""


def both_formats() -> tuple[Ops, Ops]:
    """Return the functions of both emulated formats."""
    return reference_ops(BFLOAT16), reference_ops(FLOAT16)


def single(array: np.ndarray) -> np.ndarray:
    """Hold drawn numbers as an emulated precision does; none of them changes."""
    return array.astype(np.float32)


@case(
    family="precision",
    tier="unit",
    section="00",
    clauses=("N4", "N17", "N18"),
    kills=("norm-eps-outside", "norm-subtracts-mean", "norm-gain-plus-one", "norm-overflows"),
    note="Rows of common size, of a size at which eps decides, of zeros, with a mean, and so large that their "
    "squares overflow float16 though the row itself does not. Rows of common size alone hide four of five "
    "mistakes.",
)
def norm_holds_for_tiny_and_large_rows(lab: Lab) -> Iterator[Part | Run]:
    """Normalise rows of very different size."""
    sizes = np.array([1.0, 2.0**-10, 2.0**-14, 0.0, 1.0, 2.0**13])
    x = drawn(581, (6, 48)) * sizes[:, np.newaxis]
    x[4] = drawn(582, (48,), bits=5) + 2
    gain = drawn(583, (48,), bits=6) + 1
    yield Part("inputs.x", x, "rows D", "activations")
    yield Part("inputs.gain", gain, "D", "gain; it multiplies as it is")
    yield Part("inputs.eps", np.array([EPS]), "1", "added to the mean square")
    yield Part("outputs.norm", lab.ops.rms_norm(lab.held(x), lab.held(gain), eps=EPS), "rows D", "normalised rows")


@case(
    family="precision",
    tier="unit",
    section="00",
    clauses=("N15", "N17", "N18"),
    kills=("norm-rounds-once",),
    note="The unit row is rounded, then its product with the gain. Rounding the product alone changes a quarter "
    "of the results by one last place, and every usual tolerance lets that pass: compare bits.",
)
def norm_rounds_in_front_of_the_gain(lab: Lab) -> Iterator[Part | Run]:
    """Normalise rows in both 16-bit formats."""
    x, gain = drawn(584, (8, 64)), drawn(585, (64,), bits=6) + 1
    yield Part("inputs.x", x, "rows D", "activations")
    yield Part("inputs.gain", gain, "D", "gain")
    for ops in both_formats():
        form = ops.precision.name
        norm = ops.rms_norm(single(x), single(gain), eps=EPS)
        yield Part(
            f"outputs.{form}.norm",
            norm,
            "rows D",
            "normalised rows in this format",
            format=ops.precision.name,
        )


@case(
    family="precision",
    tier="unit",
    section="00",
    clauses=("N23", "R5", "T12", "D20"),
    kills=("rotation-rounds-elsewhere", "vision-rotation-in-steps"),
    note="The encoder turns with float32 angles and rounds once, the decoder with rounded cosines and sines and "
    "rounds each product. At position 0 nothing turns and both agree.",
)
def towers_round_their_rotations_apart(lab: Lab) -> Iterator[Part | Run]:
    """Turn one head as each tower does it, in both 16-bit formats."""
    x = drawn(586, (6, 2, 16))
    positions = np.array([0, 1, 2, 9, 40, 300])
    half = positions[:, np.newaxis].astype(np.float32) * inverse_frequencies(width=16, theta=10000.0)
    angles = np.concatenate([half, half], axis=-1)
    cos, sin = (function(angles.astype(np.float64)).astype(np.float32) for function in (np.cos, np.sin))
    yield Part("inputs.x", x, "S N d", "queries")
    yield Part("inputs.cos", cos, "S d", "cosines, float32 numbers")
    yield Part("inputs.sin", sin, "S d", "sines, float32 numbers")
    for ops in both_formats():
        form = ops.precision.name
        name, rounded = f"outputs.{form}", ops.precision.rounded
        yield Part(
            f"{name}.vision",
            ops.rotated(single(x), cos, sin),
            "S N d",
            "turned as the encoder does",
            format=ops.precision.name,
        )
        steps = ops.rotated_in_steps(single(x), rounded(cos), rounded(sin))
        yield Part(f"{name}.language", steps, "S N d", "turned as the decoder does", format=form)


@case(
    family="precision",
    tier="unit",
    section="00",
    clauses=("N19", "N20", "N21", "N22"),
    kills=("softmax-in-16-bits", "attention-rounds-elsewhere"),
    note="Products of few bits, so that scores are exact before they are rounded. Scores, scaled scores, "
    "probabilities and mixed values are rounded, each once; what lies between is float32.",
)
def attention_rounds_four_times(lab: Lab) -> Iterator[Part | Run]:
    """Attend with a causal mask in both 16-bit formats."""
    q, k, v = drawn(587, (12, 2, 24)) * 4, drawn(588, (12, 1, 24)) * 4, drawn(589, (12, 1, 24))
    allowed = np.tri(12, dtype=bool)
    yield Part("inputs.q", q, "L N d", "queries")
    yield Part("inputs.k", k, "T K d", "keys")
    yield Part("inputs.v", v, "T K d", "values")
    yield Part("inputs.allowed", allowed, "L T", "true where a query may see a key")
    for ops in both_formats():
        form = ops.precision.name
        name, probs = f"outputs.{form}", np.empty((2, 12, 12), dtype=np.float32)
        mixed = ops.attention(single(q), single(k), single(v), allowed=allowed, probs=probs)
        yield Part(
            f"{name}.probs", probs, "N L T", "attention probabilities in this format", format=ops.precision.name
        )
        yield Part(f"{name}.mixed", mixed, "L N d", "mixed values in this format", format=form)
