"""Section 01 - weights: how does a function get the arrays of its own module?"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Integer

from qwen25vl.checkpoint.directory import Checkpoint
from qwen25vl.checkpoint.safetensors import StoredTensor
from qwen25vl.rounding import as_it_is, to_bfloat16, to_float16

ROUNDED_ALREADY = {"BF16": to_bfloat16, "F16": to_float16}
"""Stored types, and the rounding that leaves their numbers as they are: it is passed over, to save time."""


@dataclass(frozen=True)
class Weights:
    """The tensors of a checkpoint below one name, widened each time they are read; nothing is kept.

        Weights(checkpoint, float32).at("visual.blocks.0")["attn.qkv.weight"]

    reads `visual.blocks.0.attn.qkv.weight`. `dtype` is float32 or float64; arrays are read-only. In an emulated
    precision each number is rounded when it is read, as upstream rounds a checkpoint of another type when it
    loads it.

    Rounding: (C40) every weight
    Spec:     spec/01-config-checkpoint.md (C16, C17, C26, C40)
    """

    checkpoint: Checkpoint
    dtype: np.dtype[np.floating]
    prefix: str = ""
    """The name that all others are below, without a dot at its end."""
    rounded: Callable[[np.ndarray], np.ndarray] = as_it_is
    """The rounding of the precision of the run."""

    def at(self, scope: str) -> "Weights":
        """The tensors below `scope`, itself below this prefix. (C26)"""
        return replace(self, prefix=self.full_name(scope))

    def __getitem__(self, name: str) -> Float[np.ndarray, "..."]:
        """The whole tensor `name`, of its shape in `expected_shapes`. KeyError if there is none."""
        stored = self._stored(name)
        return self._rounded(stored, stored.widened(self.dtype))

    def __contains__(self, name: str) -> bool:
        """Whether there is a tensor `name` below this prefix."""
        return self.full_name(name) in self.checkpoint.tensors

    def rows(self, name: str, ids: Integer[np.ndarray, "*ids"]) -> Float[np.ndarray, "*ids width"]:
        """Rows of the matrix `name`, read alone: an embedding look-up. BadInput for a row outside it."""
        stored = self._stored(name)
        return self._rounded(stored, stored.rows(ids, self.dtype))

    def _rounded(self, stored: StoredTensor, wide: np.ndarray) -> np.ndarray:
        """Its numbers, rounded and read-only. (C40)"""
        if ROUNDED_ALREADY.get(stored.dtype) is self.rounded:
            return wide
        result = self.rounded(wide)
        result.flags.writeable = False
        return result

    def full_name(self, name: str) -> str:
        """The released name."""
        return f"{self.prefix}.{name}" if self.prefix else name

    def _stored(self, name: str) -> StoredTensor:
        """The tensor as stored."""
        full = self.full_name(name)
        if full not in self.checkpoint.tensors:
            raise KeyError(f"the checkpoint has no tensor {full}")
        return self.checkpoint.tensors[full]
