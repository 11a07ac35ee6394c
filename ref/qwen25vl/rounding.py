"""Section 00 - rounding: which float32 number stands for the nearest one of bfloat16 or float16?

An emulated precision holds its numbers as float32 and rounds where upstream does; everything between two
roundings is float32, as in upstream's own kernels.
"""

import numpy as np
from jaxtyping import Float, Float32

DROPPED_BITS = 16
"""Bits of a float32's fraction that a bfloat16 does not have: it is the upper half of a float32."""


def as_it_is(x: np.ndarray) -> np.ndarray:
    """Return `x` itself: the rounding of a precision that NumPy computes in."""
    return x


def to_bfloat16(x: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """Round to the nearest number of bfloat16: 8 significant bits, the range of float32.

    Ties go to the number whose last bit is 0. Beyond the largest finite number, 3.39e38, lies infinity.
    Subnormal numbers and the sign of zero are kept; NaN stays NaN.

    Returns: a new array.
    Spec:    spec/00-notation.md (N14)
    """
    bits = x.view(np.uint32)
    # Just under half of the last kept place is added, or half where the last kept bit is 1: a carry runs into
    # the exponent as it should, and at the end of the range into infinity.
    rounded = np.right_shift(bits, DROPPED_BITS, out=np.empty(x.shape, dtype=np.uint32))
    rounded &= 1
    rounded += 2 ** (DROPPED_BITS - 1) - 1
    rounded += bits
    rounded &= 2**32 - 2**DROPPED_BITS
    result = rounded.view(np.float32)
    np.copyto(result, x, where=np.isnan(x))  # a carry would turn some of them into zero
    return result  # (N14)


def widened_bfloat16(bits: np.ndarray) -> Float32[np.ndarray, "..."]:
    """Widen bfloat16, given as its bits in `uint16`, to float32, which is exact.

    Returns: a new array.
    """
    # Of one number NumPy gives no array.
    return np.asarray(np.left_shift(bits, DROPPED_BITS, dtype=np.uint32)).view(np.float32)


def to_float16(x: Float[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """Round to the nearest number of float16: 11 significant bits, up to 65,504, subnormals down to 2**-24.

    Ties go to the number whose last bit is 0. From 65,520 on lies infinity.

    Returns: a new array.
    Spec:    spec/00-notation.md (N14)
    """
    with np.errstate(all="ignore"):  # infinity is the result, not a mistake
        return x.astype(np.float16).astype(np.float32)  # (N14)
