"""Section 11 - drawing: which id does a seed give, so that any language draws the same one?"""

import numpy as np
from jaxtyping import Float32

MASK = 2**64 - 1
"""All arithmetic of the generator is modulo 2 to the power of 64."""

GOLDEN = 0x9E3779B97F4A7C15
"""What splitmix64 adds to its state for each number."""


def splitmix64(state: int, *, index: int) -> int:
    """Return number `index`, counted from 0, of the splitmix64 generator that starts at a state.

    Source: Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators (2014); Vigna's splitmix64.c
    """
    z = (state + (index + 1) * GOLDEN) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def uniform_number(*, seed: int, sequence: int, step: int) -> float:
    """Return the number in [0, 1) that decides one step of one answer.

    Args:
        seed: 0 to 2**64 - 1.
        sequence: which of a prompt's answers, from 0.
        step: which token of the answer, from 0.

    Spec: spec/11-generation.md (G17, G18)
    """
    start = splitmix64(seed, index=sequence)  # (G18) a stream for each answer, none for the row of a batch
    return (splitmix64(start, index=step) >> 11) * 2.0**-53  # (G17) the 53 upper bits


def drawn_id(scores: Float32[np.ndarray, " V"], *, u: float) -> int:
    """Return the id that a number in [0, 1) stands for, each as often as its probability says.

    Spec: spec/11-generation.md (G16)
    """
    weights = np.exp(scores.astype(np.float64) - np.max(scores))
    mass = np.cumsum(weights)  # (G16) one after the other, by id
    return int(np.searchsorted(mass, u * mass[-1], side="right"))  # (G16) the first that exceeds it
