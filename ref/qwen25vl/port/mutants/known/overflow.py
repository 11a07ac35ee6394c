"""Known bugs of range: what leaves it that must not (section 00)."""

from collections.abc import Callable, Iterator

import numpy as np

from qwen25vl.ops import Ops
from qwen25vl.port.mutants.mutant import OpsSwap, Swap, known_bug


@known_bug(
    "norm-overflows",
    mechanism="precision",
    clauses=("N4", "N17"),
    symptom="One object of a picture is missing from the answer: whole rows are zero from some block on.",
    cause="Squares are summed in float16: above 256 a square is infinite, and its inverse root is 0.",
    hidden_by="Pictures whose activations stay small; bfloat16, which has the range.",
    fix="Widen to float32 before squaring.",
    threads=("lablup/mlxcel#1601", "lablup/mlxcel#920"),
)
def norm_overflows() -> Iterator[OpsSwap]:
    def by(right: Ops) -> Callable[..., np.ndarray]:
        def rms_norm(x: np.ndarray, weight: np.ndarray, *, eps: float) -> np.ndarray:
            squares = np.square(x.astype(np.float16))
            mean = np.mean(squares, axis=-1, keepdims=True, dtype=np.float16).astype(x.dtype)
            return weight * right.precision.rounded(x * (1 / np.sqrt(mean + x.dtype.type(eps))))

        return rms_norm

    yield OpsSwap("rms_norm", by)


@known_bug(
    "mlp-overflows",
    mechanism="precision",
    clauses=("N3", "N16"),
    symptom="`!!!!` or `????` for a few pictures, such as a checkerboard; nothing wrong with any other.",
    cause="A matrix product adds up in float16, so a sum that passes 65504 on its way is infinite.",
    hidden_by="Most photographs: their activations stay in the range.",
    fix="Add up in float32 and round the sum once; or compute the last blocks of the encoder in a wider type.",
    threads=(
        "ggml-org/llama.cpp#17534",
        "ollama/ollama#18070",
        "openvinotoolkit/openvino#33491",
        "openvinotoolkit/openvino#33880",
    ),
)
def mlp_overflows() -> Iterator[OpsSwap]:
    def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
        narrow, factors = x.astype(np.float16), weight.astype(np.float16)
        total = np.zeros((len(x), len(weight)), dtype=np.float16)
        for d in range(x.shape[1]):
            total += narrow[:, d, np.newaxis] * factors[:, d]
        wide = total.astype(x.dtype)
        return wide if bias is None else wide + bias

    yield OpsSwap("linear", lambda right: linear)


@known_bug(
    "softmax-overflows",
    mechanism="precision",
    clauses=("N5",),
    symptom="NaN, or answers of one repeated character, for some prompts.",
    cause="Exponentials are taken of the scores as they are.",
    hidden_by="Scores below 88, the logarithm of float32's largest number.",
    fix="Take the largest score of a row off before the exponential.",
)
def softmax_overflows() -> Iterator[Swap]:
    def softmax(scores: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            weights = np.exp(scores)
            return weights / np.sum(weights, axis=-1, keepdims=True)

    yield Swap("layers.activations.softmax", lambda right: softmax)


@known_bug(
    "silu-overflows",
    mechanism="precision",
    clauses=("N6",),
    symptom="NaN for a few inputs with large activations.",
    cause="The sigmoid is written `exp(x) / (1 + exp(x))`: infinity over infinity to the right of 88.",
    hidden_by="Arguments below 88; in float16, where 11 is too much, only if the exponential has that type.",
    fix="1 / (1 + exp(-x)) for positive arguments, exp(x) / (1 + exp(x)) for negative ones, in float32.",
)
def silu_overflows() -> Iterator[OpsSwap]:
    def silu(x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            return x * (np.exp(x) / (1 + np.exp(x)))

    yield OpsSwap("silu", lambda right: silu)
