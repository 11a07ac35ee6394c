"""How far may upstream's float64 run stray, given that it computes some steps in float32?

Upstream narrows norms, softmax and rotation to float32 and widens the results again. Here each such step
of ours is disturbed by the largest error that its float32 arithmetic can make, with drawn signs; how that
spreads through the model is computed by the model itself. Nothing is tuned: the factors count roundings.
"""

from dataclasses import replace

import numpy as np

from qwen25vl.layers.attention import attention
from qwen25vl.layers.norm import rms_norm
from qwen25vl.layers.rotary import rotated
from qwen25vl.ops import Ops, reference_ops
from qwen25vl.precision import FLOAT64

U = 2.0**-24
"""Unit roundoff of float32."""


def disturbed_ops(seed: int, *, largest_angle: float) -> Ops:
    """Float64 operations whose islands carry a worst-case float32 error of drawn sign."""
    rng = np.random.default_rng(seed)

    def signs(shape):
        return rng.choice([-1.0, 1.0], size=shape)

    def norm(x, weight, *, eps):
        # The row comes in rounded (1), is squared (1), summed over D (D - 1), divided (1), eps added (1): the
        # root halves that; reciprocal root and product round 3 times more.
        roundings = (x.shape[1] + 3) / 2 + 4
        return rms_norm(x, weight, eps=eps) * (1 + roundings * U * signs(x.shape))

    def rotation(x, cos, sin):
        # The angle is rounded once, relative to itself; cosine and sine twice more. Vision rounds the rotated
        # head on its way in and out, two products and a sum.
        error = (largest_angle + 2) * U
        turned = rotated(x, cos + error * signs(cos.shape), sin + error * signs(sin.shape))
        return turned + 5 * U * np.max(np.abs(x), axis=-1, keepdims=True) * signs(x.shape)

    def mixing(q, k, v, *, allowed=None, probs=None):
        clean = np.empty((q.shape[1], q.shape[0], k.shape[0]))
        attention(q, k, v, allowed=allowed, probs=clean)
        shared = np.repeat(k, q.shape[1] // k.shape[1], axis=1)
        scores = np.abs(np.einsum("snd,tnd->nst", q, shared)) / np.sqrt(q.shape[2])
        # The score is rounded (its size), the largest subtracted (their sizes), exp, sum over T, division.
        roundings = 2 * (scores + scores.max(axis=-1, keepdims=True)) + k.shape[0] + 4
        noisy = clean * (1 + roundings * U * signs(clean.shape))
        if probs is not None:
            probs[:] = noisy
        return np.einsum("nst,tnd->snd", noisy, np.repeat(v, q.shape[1] // v.shape[1], axis=1))

    wide = reference_ops(FLOAT64)
    return replace(wide, rms_norm=norm, rotated=rotation, rotated_in_steps=rotation, attention=mixing)
