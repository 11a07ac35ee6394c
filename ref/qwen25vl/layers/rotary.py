"""Section 00 - rotary embedding: how does a position turn a head's channels?"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float32

from qwen25vl.rounding import as_it_is


def inverse_frequencies(*, width: int, theta: float) -> Float32[np.ndarray, " half"]:
    """List one frequency (radians per position) for each pair of channels.

        f[i] = 1 / theta ** (2 i / width),  i = 0 ... width/2 - 1

    Args:
        width: channels that one axis rotates: half a head in the vision encoder, a head in the decoder.
        theta: base; 10,000 in the vision encoder, 1,000,000 in the decoder.

    Returns:
        float32 values in every precision, as upstream holds them: exponent, power and reciprocal
        are each rounded to float32.

    Source: transformers 5.23.0, compute_axial_rope_parameters and compute_default_rope_parameters
    Spec: spec/00-notation.md (N8)
    """
    exponent = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    # trap: PyTorch's own float32 power is one unit in the last place off at a few exponents, and which
    # ones depends on the machine; the frequency is then up to two off. The correctly rounded power is taken here.
    power = np.power(np.float64(theta), exponent.astype(np.float64)).astype(np.float32)
    return np.float32(1) / power  # (N8)


def rotated(
    x: Float[np.ndarray, "S N d"],
    cos: Float[np.ndarray, "S d"],
    sin: Float[np.ndarray, "S d"],
    *,
    rounded: Callable[[np.ndarray], np.ndarray] = as_it_is,
    rounded_products: Callable[[np.ndarray], np.ndarray] = as_it_is,
) -> Float[np.ndarray, "S N d"]:
    """Rotate channel j against channel j + d/2, by the angle of each position.

        y[j]       = x[j] cos[j]             - x[j + d/2] sin[j]
        y[j + d/2] = x[j + d/2] cos[j + d/2] + x[j] sin[j + d/2]

    Args:
        x: queries or keys, head by head.
        cos: the second half repeats the first; the same for every head.
        sin: likewise.
        rounded: what rounds the sums.
        rounded_products: what rounds the products before; in the vision encoder nothing does.

    Rounding: (N23) the sums, and in the decoder the products
    Source: transformers 5.23.0, rotate_half and apply_rotary_pos_emb
    Spec: spec/00-notation.md (N9, N23)
    """
    half = x.shape[-1] // 2
    turned = np.concatenate([-x[..., half:], x[..., :half]], axis=-1)  # (N9) halves, not neighbours
    straight = rounded_products(x * cos[:, np.newaxis])
    crossed = rounded_products(turned * sin[:, np.newaxis])
    return rounded(straight + crossed)  # (N23)
