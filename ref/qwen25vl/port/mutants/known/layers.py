"""Known bugs of norms, activations and linear layers, which both towers share (section 00)."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.ops import Ops
from qwen25vl.port.mutants.mutant import OpsSwap, Swap, known_bug, other_way


@known_bug(
    "norm-eps-outside",
    mechanism="norms",
    clauses=("N4", "M1"),
    symptom="None for most inputs: rows near zero come out far too large.",
    cause="The small number is added to the root instead of the mean of squares: `x / (rms + eps)`.",
    hidden_by="Rows of common size: with eps 1e-6 a row of size 1 changes by a millionth, one of 0.001 by half.",
    fix="`x / sqrt(mean(x * x) + eps)`.",
)
def norm_eps_outside() -> Iterator[OpsSwap]:
    def by(right: Ops) -> Callable[..., np.ndarray]:
        def rms_norm(x: np.ndarray, weight: np.ndarray, *, eps: float) -> np.ndarray:
            root = np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True))
            return weight * right.precision.rounded(x / (root + x.dtype.type(eps)))

        return rms_norm

    yield OpsSwap("rms_norm", by)


@known_bug(
    "norm-subtracts-mean",
    mechanism="norms",
    clauses=("N4",),
    symptom="Everything is a little off, in both towers, and adds up from block to block.",
    cause="A LayerNorm, as in Qwen2-VL's vision encoder, stands for the RMS norm.",
    hidden_by="Rows whose mean is small beside their size.",
    fix="Divide by the root of the mean square; subtract no mean, add no bias.",
    threads=("NVIDIA/TensorRT-Model-Connect#191", "lablup/mlxcel#866"),
)
def norm_subtracts_mean() -> Iterator[OpsSwap]:
    def by(right: Ops) -> Callable[..., np.ndarray]:
        return lambda x, weight, *, eps: right.rms_norm(x - np.mean(x, axis=-1, keepdims=True), weight, eps=eps)

    yield OpsSwap("rms_norm", by)


@known_bug(
    "norm-gain-plus-one",
    mechanism="norms",
    clauses=("N4",),
    symptom="Nonsense: every norm multiplies by far too much.",
    cause="The norm of Gemma, whose stored gain is one less than what it multiplies by, is shared.",
    hidden_by="A test with gains of zero or drawn around zero.",
    fix="Multiply by the weight as it is stored.",
)
def norm_gain_plus_one() -> Iterator[OpsSwap]:
    yield OpsSwap(
        "rms_norm",
        lambda right: lambda x, weight, *, eps: right.rms_norm(x, weight + weight.dtype.type(1), eps=eps),
    )


@known_bug(
    "residual-from-norm",
    mechanism="norms",
    clauses=("D9", "W10"),
    symptom="Nonsense from the first block on.",
    cause="The norm's result overwrites the variable that is added later, as in models that normalise behind the "
    "sum.",
    hidden_by="A stream that a norm does not change: rows of size one under a gain of one.",
    fix="Add the result of a half block to the stream as it was in front of the norm.",
)
def residual_from_norm() -> Iterator[OpsSwap]:
    last: list[np.ndarray] = []

    def remembered(right: Ops) -> Callable[..., np.ndarray]:
        def rms_norm(*arrays: np.ndarray, **settings: Any) -> np.ndarray:
            last[:] = [right.rms_norm(*arrays, **settings)]
            return last[0]

        return rms_norm

    yield OpsSwap("rms_norm", remembered)
    yield OpsSwap("added", lambda right: lambda stream, result: right.added(last[0], result))


@known_bug(
    "gelu-tanh",
    mechanism="activations",
    clauses=("N7", "M3"),
    symptom="None to the eye: merged tokens are off by less than most tolerances.",
    cause="What a runtime calls plain `gelu` is the approximation by tanh, or another family asks for that one.",
    hidden_by="Every comparison by a tolerance of 5e-4, the largest difference; in 16 bits all arguments but "
    "negative ones with small results.",
    fix="The exact one, by the error function: `nn.GELU()` with its default.",
)
def gelu_tanh() -> Iterator[OpsSwap]:
    def gelu(x: np.ndarray) -> np.ndarray:
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return x / 2 * (1 + np.tanh(inner))

    yield OpsSwap("gelu", lambda right: gelu)


@known_bug(
    "gelu-for-silu",
    mechanism="activations",
    clauses=("N6", "N12"),
    symptom="Nonsense in the decoder; with the vision encoder alone wrong, vague descriptions.",
    cause="The activation's name is not read from the config, or the merger's is taken for all of the encoder.",
    hidden_by="Large arguments, where both are x or 0.",
    fix="The gated MLPs of both towers have SiLU, the merger has GELU.",
)
def gelu_for_silu() -> Iterator[OpsSwap]:
    yield OpsSwap("silu", lambda right: right.gelu)


@known_bug(
    "gate-up-swapped",
    mechanism="activations",
    clauses=("N12",),
    symptom="Nonsense, though both projections are right.",
    cause="Gate and up are fused in one matrix and parted in the other order.",
    hidden_by="Small arguments: where SiLU is a straight line, x / 2, the product is the same either way.",
    fix="`down(silu(gate(x)) * up(x))`.",
)
def gate_up_swapped() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def gated_mlp(x: np.ndarray, weights: Any, *, ops: Ops, **settings: Any) -> Any:
            other = replace(
                ops, silu=lambda gate: gate, multiplied=lambda gate, up: ops.multiplied(gate, ops.silu(up))
            )
            return right(x, weights, ops=other, **settings)

        return gated_mlp

    yield Swap("gated_mlp.gated_mlp", by)


@known_bug(
    "bias-forgotten",
    mechanism="linear layers",
    clauses=("W7", "W9", "D3", "M3", "N12"),
    symptom="Nonsense, or fluent answers that miss the picture, by which bias is missing.",
    cause="A decoder of the Llama family has no biases, and its loader passes over the names that it does not "
    "know.",
    hidden_by="A checkpoint whose biases are zero, such as a freshly made one.",
    fix="Queries, keys and values have biases in both towers; in the vision encoder so have the output layer, "
    "the MLP and the merger. Refuse names that are not used.",
)
def bias_forgotten() -> Iterator[OpsSwap]:
    yield OpsSwap("linear", lambda right: lambda x, weight, bias=None: right.linear(x, weight))


def no_biases(right: Callable[..., Any]) -> Callable[..., Any]:
    """Let a module that is given `ops` add no bias anywhere."""

    def module(*arguments: Any, ops: Ops, **settings: Any) -> Any:
        def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
            return ops.linear(x, weight)

        return right(*arguments, ops=replace(ops, linear=linear), **settings)

    return module


@other_way(bias_forgotten, "decoder")
def bias_forgotten_in_decoder() -> Iterator[Swap]:
    """Only queries, keys and values of the decoder, which alone have a bias there."""
    yield Swap("language.attention.decoder_attention", no_biases)
