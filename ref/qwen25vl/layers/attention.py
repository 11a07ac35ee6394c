"""Section 00 - scaled dot-product attention over one segment, with shared key and value heads."""

import math

import numpy as np
from jaxtyping import Bool, Float

from qwen25vl.layers.activations import softmax


def attention(
    q: Float[np.ndarray, "S N d"],
    k: Float[np.ndarray, "T K d"],
    v: Float[np.ndarray, "T K d"],
    *,
    allowed: Bool[np.ndarray, "S T"] | None = None,
    probs: Float[np.ndarray, "N S T"] | None = None,
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

    Source: transformers 5.23.0 modeling_qwen2_5_vl.py, eager_attention_forward
    Spec: spec/00-notation.md (N10, N11, N13)
    """
    heads_per_kv = q.shape[1] // k.shape[1]
    scale = q.dtype.type(1 / math.sqrt(q.shape[2]))  # (N13)

    mixed = np.empty_like(q)
    for n in range(q.shape[1]):
        shared = n // heads_per_kv  # (N10) neighbouring query heads share a key head
        scores = (q[:, n] @ k[:, shared].T) * scale  # [S, T]
        if allowed is not None:
            scores = np.where(allowed, scores, -np.inf)  # (N11)
        weights = softmax(scores)
        mixed[:, n] = weights @ v[:, shared]
        if probs is not None:
            probs[n] = weights
    return mixed
