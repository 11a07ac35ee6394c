"""Section 10 - cache: what does decoding keep of the tokens it has seen?"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Cache:
    """Rotated keys and plain values of every token so far, layer by layer.

    A step does not change a cache, it returns a longer one: two continuations of one prompt cannot
    disturb each other.

    Spec: spec/10-decoder.md (D7, D8)
    """

    keys: tuple[Float[np.ndarray, "T K d"], ...]
    values: tuple[Float[np.ndarray, "T K d"], ...]

    @property
    def length(self) -> int:
        """Tokens seen so far."""
        return len(self.keys[0])

    def first(self, count: int) -> "Cache":
        """Return the cache as it was after `count` tokens. Nothing is copied."""
        return Cache(keys=tuple(k[:count] for k in self.keys), values=tuple(v[:count] for v in self.values))


def empty_cache(*, layers: int, kv_heads: int, head_dim: int, dtype: np.dtype[np.floating]) -> Cache:
    """Return a cache of no tokens."""
    nothing = np.empty((0, kv_heads, head_dim), dtype=dtype)
    return Cache(keys=(nothing,) * layers, values=(nothing,) * layers)
