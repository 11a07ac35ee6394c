"""Section 15 - drawn arrays: which numbers does a golden case take where any would do?

They come from the generator of section 11, so that every machine and every version of a library draws the same
ones, and a port can draw them itself.
"""

import math

import numpy as np
from jaxtyping import Float64, UInt8, UInt64

from qwen25vl.generate.draw import GOLDEN

MOST_BITS = 7
"""With more, some drawn numbers would have over 8 significant bits, and bfloat16 would round them."""


def drawn_words(seed: int, count: int) -> UInt64[np.ndarray, " {count}"]:
    """Return the first numbers of the splitmix64 generator that starts at a seed: `splitmix64(seed, index=i)`.

    Args:
        seed: 0 to 2**64 - 1.
        count: how many.

    Spec: spec/11-generation.md (G17)
    """
    steps = np.arange(1, count + 1, dtype=np.uint64)
    z = np.uint64(seed) + steps * np.uint64(GOLDEN)  # arrays of uint64 wrap around, as is meant
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def drawn(seed: int, shape: tuple[int, ...], *, bits: int = MOST_BITS) -> Float64[np.ndarray, "..."]:
    """Return multiples of `2**-bits` in [-1, 1), each as likely as any other.

    All of them are numbers of bfloat16 and of float16: rounding them to the precision of a run changes nothing.

    Args:
        seed: 0 to 2**64 - 1.
        shape: filled row by row.
        bits: 0 to 7; a number is the upper `bits + 1` bits of a word, times `2**-bits`, less 1.

    Raises:
        ValueError: if `bits` is out of its range.
    """
    if not 0 <= bits <= MOST_BITS:
        raise ValueError(f"bits must lie between 0 and {MOST_BITS}, got {bits}")
    whole = drawn_words(seed, math.prod(shape)) >> np.uint64(63 - bits)
    return (whole.astype(np.float64) * 2.0**-bits - 1.0).reshape(shape)


def drawn_bytes(seed: int, shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
    """Return bytes, the upper 8 bits of each word, row by row.

    Args:
        seed: 0 to 2**64 - 1.
        shape: filled row by row.
    """
    return (drawn_words(seed, math.prod(shape)) >> np.uint64(56)).astype(np.uint8).reshape(shape)
