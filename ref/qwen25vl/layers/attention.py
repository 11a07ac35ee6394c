"""Section 00 - scaled dot-product attention over one segment, with shared key and value heads."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from qwen25vl.layers.activations import softmax
from qwen25vl.rounding import as_it_is


def attention(
    q: Float[np.ndarray, "S N d"],
    k: Float[np.ndarray, "T K d"],
    v: Float[np.ndarray, "T K d"],
    *,
    allowed: Bool[np.ndarray, "S T"] | None = None,
    probs: Float[np.ndarray, "N S T"] | None = None,
    rounded: Callable[[np.ndarray], np.ndarray] = as_it_is,
    hidden_score: float = -np.inf,
) -> Float[np.ndarray, "S N d"]:
    """Mix the values of T tokens for each of S queries, head by head.

        p = softmax(q k' / sqrt d),   mixed = p v

    Args:
        q: queries, N heads.
        k: keys, K heads; each serves N/K consecutive query heads.
        v: values, likewise.
        allowed: True where a query may see a key; None lets every query see every key.
        probs: filled with the attention probabilities where given. They are the largest array of the
            model, so nobody holds those of all heads unless somebody asked.
        rounded: what rounds each of the results below.
        hidden_score: added to the score of a key that is not allowed.

    Rounding: (N19) scores, and again when scaled; (N21) with the mask; (N20) probabilities; (N22) mixed values
    Source: transformers 5.23.0 modeling_qwen2_5_vl.py, eager_attention_forward
    Spec: spec/00-notation.md (N10, N11, N13, N19 to N22)
    """
    heads_per_kv = q.shape[1] // k.shape[1]
    scale = q.dtype.type(1 / math.sqrt(q.shape[2]))  # (N13)
    if allowed is not None:
        mask = np.where(allowed, 0, q.dtype.type(hidden_score))  # [S, T]

    mixed = np.empty_like(q)
    for n in range(q.shape[1]):
        shared = n // heads_per_kv  # (N10) neighbouring query heads share a key head
        scores = rounded(q[:, n] @ k[:, shared].T)  # (N19) [S, T]
        scores = rounded(scores * scale)  # (N19)
        if allowed is not None:
            scores = rounded(scores + mask)  # (N11, N21)
        weights = rounded(softmax(scores))  # (N20)
        mixed[:, n] = rounded(weights @ v[:, shared])  # (N22)
        if probs is not None:
            probs[n] = weights
    return mixed
