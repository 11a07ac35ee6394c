"""Known bugs of number formats: how 16 bits round, and where they must (section 00)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.ops import REFERENCE, Ops
from qwen25vl.port.mutants.mutant import OpsSwap, Swap, known_bug
from qwen25vl.precision import Precision
from qwen25vl.rounding import as_it_is

Rounding = Callable[[np.ndarray], np.ndarray]
"""Gives the nearest numbers of a format."""

SMALLEST_NORMAL = 2.0**-14
"""Of float16."""

LARGEST = 65504.0
"""Of float16."""


def other_rounding(name: str, by: Callable[[Rounding], Rounding]) -> Iterator[Swap]:
    """Round to a format in another way, wherever it is rounded to."""

    def reference_ops(right: Callable[..., Ops]) -> Callable[..., Ops]:
        def wrong(precision: Precision) -> Ops:
            changed = replace(precision, rounded=by(precision.rounded))
            return right(changed if precision.name == name else precision)

        return wrong

    yield Swap(f"rounding.to_{name}", by)
    yield Swap("ops.reference_ops", reference_ops)


@known_bug(
    "bfloat16-truncated",
    mechanism="precision",
    clauses=("N14",),
    symptom="Answers are a little worse: every number is too small, and the loss adds up over the blocks.",
    cause="The upper 16 bits of a float32 are taken as they are.",
    hidden_by="Numbers that bfloat16 holds, such as the stored weights, and halves that go down.",
    fix="Add just under half of the last kept place, or half where the last kept bit is 1, and cut then.",
)
def bfloat16_truncated() -> Iterator[Swap]:
    def cut(x: np.ndarray) -> np.ndarray:
        return (x.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)

    yield from other_rounding("bfloat16", lambda right: cut)


@known_bug(
    "float16-subnormals-lost",
    mechanism="precision",
    clauses=("N14",),
    symptom="None to the eye: small weights and probabilities are zero.",
    cause="The processor or the compiler flushes subnormal numbers to zero, for speed.",
    hidden_by="Numbers above 6.1e-5.",
    fix="Keep subnormals of float16, down to 2^-24; bfloat16 hardly needs them.",
)
def float16_subnormals_lost() -> Iterator[Swap]:
    def by(right: Rounding) -> Rounding:
        def flushed(x: np.ndarray) -> np.ndarray:
            found = right(x)
            return np.where(np.abs(found) < SMALLEST_NORMAL, np.float32(0), found)

        return flushed

    yield from other_rounding("float16", by)


@known_bug(
    "float16-overflow-clamped",
    mechanism="precision",
    clauses=("N26", "N27"),
    symptom="Some pictures are described a little wrong where another stack gives `!!!!`: the run looks sound.",
    cause="Results are clamped to 65504, to be rid of NaN.",
    hidden_by="Every run that stays in the range, which is nearly every one.",
    fix="Let it be infinite, and say where it began; or compute that part in float32, or all in bfloat16.",
)
def float16_overflow_clamped() -> Iterator[Swap]:
    def by(right: Rounding) -> Rounding:
        return lambda x: np.clip(right(x), np.float32(-LARGEST), np.float32(LARGEST))

    yield from other_rounding("float16", by)


# ------------------------------------------------------------------------------------- rounding places


@known_bug(
    "norm-rounds-once",
    mechanism="precision",
    clauses=("N17", "N18"),
    symptom="None to the eye: a quarter of the numbers behind a norm is off by one last place.",
    cause="A fused kernel multiplies by the gain in float32 and rounds at its end.",
    hidden_by="Every usual tolerance; float32 runs; a gain of one.",
    fix="Round the unit row, then its product with the gain. Compare the share of elements that differ.",
)
def norm_rounds_once() -> Iterator[OpsSwap]:
    yield OpsSwap("rms_norm", lambda right: REFERENCE.rms_norm)


@known_bug(
    "rotation-rounds-elsewhere",
    mechanism="precision",
    clauses=("N23", "D20"),
    symptom="None to the eye: rotated queries and keys of the decoder are off by one last place here and there.",
    cause="One kernel turns both towers, in float32 with one rounding at the end, as the encoder needs it.",
    hidden_by="Every usual tolerance; float32 runs; position 0, where nothing turns.",
    fix="Round once in the encoder; in the decoder each product, and the sum.",
)
def rotation_rounds_elsewhere() -> Iterator[OpsSwap]:
    yield OpsSwap("rotated_in_steps", lambda right: right.rotated)


@known_bug(
    "vision-rotation-in-steps",
    mechanism="precision",
    clauses=("N23", "R5"),
    symptom="Boxes are a little off in large pictures: a rounded angle far from the corner is another angle.",
    cause="The decoder's rotation, all of it in 16 bits, turns the encoder's heads, too.",
    hidden_by="Every usual tolerance; float32 runs; row 0 and column 0, where nothing turns.",
    fix="Widen queries and keys of the encoder to float32, turn them by float32 angles, and round once.",
)
def vision_rotation_in_steps() -> Iterator[OpsSwap]:
    def by(right: Ops) -> Callable[..., np.ndarray]:
        rounded = right.precision.rounded
        return lambda x, cos, sin: right.rotated_in_steps(x, rounded(cos), rounded(sin))

    yield OpsSwap("rotated", by)


@known_bug(
    "softmax-in-16-bits",
    mechanism="precision",
    clauses=("N20",),
    symptom="Answers get worse with the length of the prompt and the size of the picture: a sum of many small "
    "numbers is coarse.",
    cause="The softmax runs in the type of its scores.",
    hidden_by="Short rows of keys, and float32 runs.",
    fix="Exponentials, their sum and the quotient in float32, and one rounding behind.",
    threads=("vllm-project/vllm-gaudi#831",),
)
def softmax_in_16_bits() -> Iterator[Swap]:
    rounding: list[Rounding] = [as_it_is]

    def remembered(right: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def attention(*qkv: np.ndarray, rounded: Rounding = as_it_is, **settings: Any) -> np.ndarray:
            rounding[:] = [rounded]
            return right(*qkv, rounded=rounded, **settings)

        return attention

    def softmax(scores: np.ndarray) -> np.ndarray:
        rounded = rounding[0]
        weights = rounded(np.exp(rounded(scores - np.max(scores, axis=-1, keepdims=True))))
        return rounded(weights / rounded(np.sum(weights, axis=-1, keepdims=True)))

    yield Swap("layers.attention.attention", remembered)
    yield Swap("layers.activations.softmax", lambda right: softmax)


@known_bug(
    "attention-rounds-elsewhere",
    mechanism="precision",
    clauses=("N19", "N22"),
    symptom="None to the eye: mixed values differ in their last place.",
    cause="A fused kernel (flash attention) keeps scores in float32 and rounds nothing but its result.",
    hidden_by="Every usual tolerance, and float32 runs.",
    fix="Against upstream's eager attention: round scores, scaled scores, probabilities and mixed values. "
    "Else expect it, and compare with a floor of that kernel.",
)
def attention_rounds_elsewhere() -> Iterator[OpsSwap]:
    def by(right: Ops) -> Callable[..., np.ndarray]:
        def attention(*qkv: np.ndarray, probs: np.ndarray | None = None, **settings: Any) -> np.ndarray:
            mixed = REFERENCE.attention(*qkv, probs=probs, **settings)
            if probs is not None:
                probs[:] = right.precision.rounded(probs)
            return mixed

        return attention

    yield OpsSwap("attention", by)
