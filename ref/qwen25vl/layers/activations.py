"""Section 00 - softmax and the two activation functions."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float64

from qwen25vl.rounding import as_it_is

ERF = np.frompyfunc(math.erf, 1, 1)
"""The error function of the C library, element by element; NumPy has none."""


def softmax(scores: Float[np.ndarray, "rows T"]) -> Float[np.ndarray, "rows T"]:
    """Turn each row of scores into weights that sum to one.

        p = exp(s - max s) / sum exp(s - max s)

    A score of minus infinity becomes exactly zero. Every row needs one finite score.

    Spec: spec/00-notation.md (N5)
    """
    largest = np.max(scores, axis=-1, keepdims=True)  # [rows, 1]
    weights = np.exp(scores - largest)  # (N5)
    return weights / np.sum(weights, axis=-1, keepdims=True)


def silu(
    x: Float[np.ndarray, "..."], *, rounded: Callable[[np.ndarray], np.ndarray] = as_it_is
) -> Float[np.ndarray, "..."]:
    """Compute x * sigmoid(x), without overflow for large negative x.

    Rounding: (N24) the result
    Spec: spec/00-notation.md (N6, N24)
    """
    decay = np.exp(-np.abs(x))  # in (0, 1]: never overflows
    sigmoid = np.where(x >= 0, 1, decay) / (1 + decay)  # (N6)
    return rounded(x * sigmoid)  # (N24)


def gelu(
    x: Float[np.ndarray, "..."], *, rounded: Callable[[np.ndarray], np.ndarray] = as_it_is
) -> Float[np.ndarray, "..."]:
    """Compute the exact GELU: x * (1 + erf(x / sqrt 2)) / 2. Not the tanh approximation.

    Rounding: (N24) the result
    Source: transformers 5.23.0 Qwen2_5_VLPatchMerger uses nn.GELU() with its default
    Spec: spec/00-notation.md (N7, N24)
    """
    erf = np.asarray(ERF(x * math.sqrt(0.5)), dtype=x.dtype)  # (N7)
    return rounded(x * (1 + erf) / 2)  # (N24)


def log_probabilities(logits: Float[np.ndarray, " V"]) -> Float64[np.ndarray, " V"]:
    """Turn one row of logits into natural logarithms of probabilities, in float64.

    Spec: spec/11-generation.md (G19)
    """
    shifted = logits.astype(np.float64) - np.max(logits)
    return shifted - np.log(np.sum(np.exp(shifted)))  # (G19)
