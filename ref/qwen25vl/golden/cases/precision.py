"""Section 15 - cases of number formats: what is the nearest bfloat16, the nearest float16?

These parts are the numbers of one format whatever the precision of the run, and a port meets them to the bit.
"""

from collections.abc import Iterator

import numpy as np

from qwen25vl.golden.case import Lab, Part, Run, count_part
from qwen25vl.golden.registry import case
from qwen25vl.rounding import to_bfloat16, to_float16

NAN_BITS = (0x7FFFFFFF, 0x7F800001)
"""Bit patterns of NaN: all bits set, of which a carry makes zero, and the lowest one alone."""


def float32_of(bits: list[int]) -> np.ndarray:
    """Return the float32 numbers of these bit patterns."""
    return np.array(bits, dtype=np.uint32).view(np.float32)


@case(
    family="precision",
    tier="unit",
    section="00",
    clauses=("N14", "N27"),
    kills=("bfloat16-truncated",),
    note="Halves above an even and above an odd number, one bit on either side of a half, a carry into the "
    "exponent, subnormals, both zeros, the last finite number and the half beyond it, and a NaN whose bits a "
    "carry would turn into zero. Random numbers hold no half.",
)
def halves_of_bfloat16_go_to_even(lab: Lab) -> Iterator[Part | Run]:
    """Round float32 numbers to bfloat16."""
    halves = [0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F808001, 0x3F817FFF, 0x3F818001, 0xBF808000, 0xBF818000]
    carries = [0x3FFF8000, 0x3FFF7FFF, 0x3FFFFFFF]
    small = [0x00000000, 0x80000000, 0x00000001, 0x00008000, 0x00008001, 0x00018000, 0x007FFFFF, 0x00800000]
    large = [0x7F7F0000, 0x7F7F7FFF, 0x7F7F8000, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0xFF7F8000]
    numbers = float32_of(halves + carries + small + large)
    yield Part("inputs.numbers", numbers, "numbers", "float32 numbers")
    yield count_part("inputs.nan_bits", NAN_BITS, "numbers", "float32 numbers that are NaN, as bit patterns")
    rounded = to_bfloat16(numbers)
    yield Part("outputs.rounded", rounded, "numbers", "the nearest numbers of bfloat16")
    bits = (rounded.view(np.uint32) >> 16).astype(np.int64)
    yield Part("outputs.bits", bits, "numbers", "their 16 bits, which tell -0 from 0")
    nan = np.isnan(to_bfloat16(float32_of([*NAN_BITS])))
    yield Part("outputs.stays_nan", nan, "numbers", "whether it is NaN still")


@case(
    family="precision",
    tier="unit",
    section="00",
    clauses=("N14", "N27"),
    kills=("float16-subnormals-lost", "float16-overflow-clamped"),
    note="The range ends at 65504, and what is nearer to 65536 is infinite, not clamped; below 6.1e-5 the numbers "
    "are subnormal, down to 2^-24, and half of that goes to zero.",
)
def float16_has_subnormals_and_an_end(lab: Lab) -> Iterator[Part | Run]:
    """Round float32 numbers to float16."""
    unit = 2.0**-10
    halves = [1 + unit / 2, 1 + 3 * unit / 2, 1 + unit / 2 + 2.0**-23, -(1 + unit / 2), 2048.0 + 1, 2048.0 + 3]
    large = [65504.0, 65519.0, 65519.996, 65520.0, 65536.0, -65520.0, 1e10, np.inf, -np.inf]
    least = 2.0**-24
    small = [
        0.0,
        -0.0,
        least,
        least / 2,
        least * 0.75,
        least * 1.5,
        least * 2.5,
        2.0**-14,
        2.0**-14 - least / 4,
        1e-30,
    ]
    numbers = np.array(halves + large + small, dtype=np.float32)
    yield Part("inputs.numbers", numbers, "numbers", "float32 numbers")
    rounded = to_float16(numbers)
    yield Part("outputs.rounded", rounded, "numbers", "the nearest numbers of float16")
    bits = rounded.astype(np.float16).view(np.uint16).astype(np.int64)
    yield Part("outputs.bits", bits, "numbers", "their 16 bits, which tell -0 from 0")
