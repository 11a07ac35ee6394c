"""Section 15 - strict operations: the small functions of the model, in float64, the same to the bit everywhere.

What NumPy rounds once for each element (sums and products of two arrays, quotients, roots) is left to NumPy.
"""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64

from qwen25vl.ops import Ops, reference_ops
from qwen25vl.precision import FLOAT64
from qwen25vl.strict.exponential import erf, exp, log
from qwen25vl.strict.sums import product, row_sums
from qwen25vl.strict.trigonometry import cos, sin


def strict_ops() -> Ops:
    """Give the golden path its functions.

    Spec: spec/15-golden-values.md (X16, X17, X18)
    """
    return replace(
        reference_ops(FLOAT64),
        linear=linear,
        rms_norm=rms_norm,
        attention=attention,
        silu=silu,
        gelu=gelu,
        cos=cos,
        sin=sin,
        log_probabilities=log_probabilities,
    )


def linear(
    x: Float64[np.ndarray, "rows D"],
    weight: Float64[np.ndarray, "F D"],
    bias: Float64[np.ndarray, " F"] | None = None,
) -> Float64[np.ndarray, "rows F"]:
    """Do as `layers.linear`: the products are added up first, the bias last. (X16)"""
    total = product(x, weight)
    return total if bias is None else total + bias


def rms_norm(
    x: Float64[np.ndarray, "rows D"], weight: Float64[np.ndarray, " D"], *, eps: float
) -> Float64[np.ndarray, "rows D"]:
    """Do as `layers.norm`. (X16)"""
    mean_square = (row_sums(np.square(x)) / x.shape[-1])[:, np.newaxis]
    return weight * (x * (1 / np.sqrt(mean_square + eps)))


def attention(
    q: Float64[np.ndarray, "S N d"],
    k: Float64[np.ndarray, "T K d"],
    v: Float64[np.ndarray, "T K d"],
    *,
    allowed: Bool[np.ndarray, "S T"] | None = None,
    probs: Float64[np.ndarray, "N S T"] | None = None,
) -> Float64[np.ndarray, "S N d"]:
    """Do as `layers.attention`: a hidden key has weight 0, and its product is added like any other. (X16)"""
    heads_per_kv = q.shape[1] // k.shape[1]
    scale = 1 / math.sqrt(q.shape[2])
    if allowed is not None:
        mask = np.where(allowed, 0, -np.inf)  # added, so that NaN stays NaN
    mixed = np.empty_like(q)
    for n in range(q.shape[1]):
        shared = n // heads_per_kv
        scores = product(q[:, n], k[:, shared]) * scale
        if allowed is not None:
            scores = scores + mask
        weights = softmax(scores)
        mixed[:, n] = product(weights, v[:, shared].T)
        if probs is not None:
            probs[n] = weights
    return mixed


def softmax(scores: Float64[np.ndarray, "rows T"]) -> Float64[np.ndarray, "rows T"]:
    """Do as `layers.activations.softmax`. (X16, X17)"""
    weights = exp(scores - np.max(scores, axis=-1, keepdims=True))
    return weights / row_sums(weights)[:, np.newaxis]


def silu(x: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Do as `layers.activations.silu`. (X17)"""
    decay = exp(-np.abs(x))
    return x * (np.where(x >= 0, 1, decay) / (1 + decay))


def gelu(x: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Do as `layers.activations.gelu`. (X17)"""
    return x * (1 + erf(x * math.sqrt(0.5))) / 2


def log_probabilities(logits: Float64[np.ndarray, " V"]) -> Float64[np.ndarray, " V"]:
    """Do as `layers.activations.log_probabilities`. (X16, X17)"""
    shifted = logits - np.max(logits)
    return shifted - log(row_sums(exp(shifted)[np.newaxis]))
