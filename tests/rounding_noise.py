"""How far may two float32 runs of one model lie apart, when they add up in other orders?

Each operation of a float64 run is disturbed by what float32 rounding typically does to its result, with drawn
signs; how that spreads through the model is computed by the model itself. The noise of a run in another format
is this one, scaled: rounding errors are far too small to meet each other.

A sum of n terms t is taken to be made one term at a time in a random order, the least exact order that a library
would use. Its k-th partial sum is then k/n of the whole on average, and its square, over all k together, comes to

    n/3 (sum t)^2 + n/6 sum t^2,

each addition errs by at most u times its partial sum, in either direction, and the product that a term is by u t
more: so u^2 (n/3 (sum t)^2 + (n/6 + 1) sum t^2) is the variance. Nothing is tuned.
"""

from dataclasses import replace

import numpy as np

from qwen25vl.layers.activations import gelu, silu, softmax
from qwen25vl.layers.linear import linear
from qwen25vl.layers.norm import rms_norm
from qwen25vl.layers.rotary import rotated
from qwen25vl.ops import Ops, reference_ops
from qwen25vl.precision import FLOAT64

U = 2.0**-24
"""Unit roundoff of float32."""

U_FLOAT64 = 2.0**-53
"""Unit roundoff of float64."""


def noisy_ops(seed: int, *, largest_angle: float) -> Ops:
    """Float64 operations with typical float32 rounding errors."""
    rng = np.random.default_rng(seed)

    def signs(shape):
        return rng.choice([-1.0, 1.0], size=shape)

    def summed(x, weight, total):
        """The rows of `total` = x weight', as a float32 sum gives them."""
        n = x.shape[1]
        squares = np.square(x, dtype=np.float32) @ np.square(weight, dtype=np.float32).T
        return total + U * np.sqrt(n / 3 * np.square(total) + (n / 6 + 1) * squares) * signs(total.shape)

    def noisy_linear(x, weight, bias=None):
        product = summed(x, weight, linear(x, weight))
        return product if bias is None else added(product, bias)

    def norm(x, weight, *, eps):
        # The mean square: a sum of terms of one sign. The root halves its error, and rounds (1), as do the
        # reciprocal (1) and the two products with the row and the gain (2).
        common = (np.sqrt(x.shape[1] / 3) / 2 + 2) * U * signs((len(x), 1))
        return rms_norm(x, weight, eps=eps) * (1 + common) * (1 + 2 * U * signs(x.shape))

    def rotation(x, cos, sin):
        # The angle is rounded relative to itself (1), cosine and sine are, too (1), and so are two products (1)
        # and their sum (1).
        size = rotated(np.abs(x), np.abs(cos), np.abs(sin))
        turned = rotated(
            x, cos + (largest_angle + 1) * U * signs(cos.shape), sin + (largest_angle + 1) * U * signs(sin.shape)
        )
        return turned + 2 * U * np.abs(size) * signs(x.shape)

    def mixing(q, k, v, *, allowed=None, probs=None):
        mixed = np.empty_like(q)
        for n in range(q.shape[1]):
            head = n // (q.shape[1] // k.shape[1])
            scores = summed(q[:, n], k[:, head], q[:, n] @ k[:, head].T) / np.sqrt(q.shape[2])
            # Scaled (1), the largest subtracted (1), the exponential (1): relative to these numbers.
            scores += (
                U * (np.abs(scores) + np.abs(scores - scores.max(axis=1, keepdims=True))) * signs(scores.shape)
            )
            if allowed is not None:
                scores = np.where(allowed, scores, -np.inf)
            # The sum of T terms of one sign, and the quotient (1).
            common = np.sqrt(k.shape[0] / 3) * U * signs((len(q), 1))
            weights = softmax(scores) * (1 + common) * (1 + 2 * U * signs(scores.shape))
            if probs is not None:
                probs[n] = weights
            mixed[:, n] = summed(weights, v[:, head].T, weights @ v[:, head])
        return mixed

    def smooth(function):
        # exp or erf (2, of 1 at most beside 1), the sum (1), the quotient or products (2).
        def noisy(x):
            return function(x) + U * (3 * np.abs(function(x)) + np.minimum(np.abs(x), 1)) * signs(x.shape)

        return noisy

    def added(x, y):
        return (x + y) * (1 + U * signs(x.shape))

    def multiplied(x, y):
        return x * y * (1 + U * signs(x.shape))

    return replace(
        reference_ops(FLOAT64),
        linear=noisy_linear,
        rms_norm=norm,
        rotated=rotation,
        rotated_in_steps=rotation,
        attention=mixing,
        silu=smooth(silu),
        gelu=smooth(gelu),
        added=added,
        multiplied=multiplied,
    )
