"""Arrays for tests of the shape of an error: structure is drawn, values are NumPy's."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st

from qwen25vl.port.error_shape import ErrorShape, Layout, error_shape

TOLERANCE = 1e-3
"""In units of the arrays' own scale."""


@dataclass(frozen=True)
class Arrays:
    """A wanted array [P, N, d], and what makes noise for it."""

    rows: int
    heads: int
    d: int
    seed: int
    scale: float = 1.0

    @cached_property
    def draw(self) -> np.random.Generator:
        """Draws whatever a test needs besides."""
        return np.random.default_rng([self.seed, 1])

    @cached_property
    def wanted(self) -> np.ndarray:
        """Normal values."""
        shape = (self.rows, self.heads, self.d)
        return np.random.default_rng(self.seed).standard_normal(shape) * self.scale

    @property
    def tolerance(self) -> float:
        """The error below which an element is noise."""
        return TOLERANCE * self.scale

    @cached_property
    def noise(self) -> np.ndarray:
        """A quarter of the tolerance at most."""
        return self.draw.uniform(-1, 1, self.wanted.shape) * self.tolerance / 4

    @property
    def noisy(self) -> np.ndarray:
        """What a correct port finds."""
        return self.wanted + self.noise


def arrays_of(*, rows: int = 4, heads: int = 1, d: int = 4) -> st.SearchStrategy[Arrays]:
    """Arrays that are at least so large."""
    return st.builds(
        Arrays,
        rows=st.sampled_from([n for n in (4, 5, 7, 12, 24, 300) if n >= rows]),
        heads=st.sampled_from([n for n in (1, 2, 3, 6) if n >= heads]),
        d=st.sampled_from([n for n in (4, 8, 12) if n >= d]),
        seed=st.integers(0, 2**32 - 1),
        scale=st.sampled_from([1e-4, 1.0, 50.0]),
    )


ARRAYS = arrays_of()


def shaped(
    arrays: Arrays, found: np.ndarray, *, part: str = "x", dims: str = "P N d", layout: Layout | None = None
) -> ErrorShape:
    """What the shape of an error is said to be, once noise came on top of it."""
    return error_shape(
        found + arrays.noise,
        arrays.wanted,
        part=part,
        dims=dims,
        tolerance=arrays.tolerance,
        layout=layout or Layout(),
    )
