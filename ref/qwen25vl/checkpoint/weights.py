"""Section 01 - weights: how does a function get the arrays of its own module?"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from qwen25vl.checkpoint.directory import Checkpoint
from qwen25vl.checkpoint.safetensors import StoredTensor


@dataclass(frozen=True)
class Weights:
    """The tensors of a checkpoint below one name, widened each time they are read; nothing is kept.

        Weights(checkpoint, float32).at("visual.blocks.0")["attn.qkv.weight"]

    reads `visual.blocks.0.attn.qkv.weight`. `dtype` is float32 or float64; arrays are read-only.

    Spec:     spec/01-config-checkpoint.md (C16, C17, C26)
    """

    checkpoint: Checkpoint
    dtype: np.dtype[np.floating]
    prefix: str = ""
    """The name that all others are below, without a dot at its end."""

    def at(self, scope: str) -> "Weights":
        """The tensors below `scope`, itself below this prefix. (C26)"""
        return Weights(self.checkpoint, self.dtype, self._full(scope))

    def __getitem__(self, name: str) -> Float[np.ndarray, "..."]:
        """The whole tensor `name`, of its shape in `expected_shapes`. KeyError if there is none."""
        return self._stored(name).widened(self.dtype)

    def __contains__(self, name: str) -> bool:
        """Whether there is a tensor `name` below this prefix."""
        return self._full(name) in self.checkpoint.tensors

    def rows(self, name: str, ids: Integer[np.ndarray, "*ids"]) -> Float[np.ndarray, "*ids width"]:
        """Rows of the matrix `name`, read alone: an embedding look-up. BadInput for a row outside it."""
        return self._stored(name).rows(ids, self.dtype)

    def _full(self, name: str) -> str:
        """The released name."""
        return f"{self.prefix}.{name}" if self.prefix else name

    def _stored(self, name: str) -> StoredTensor:
        """The tensor as stored."""
        full = self._full(name)
        if full not in self.checkpoint.tensors:
            raise KeyError(f"the checkpoint has no tensor {full}")
        return self.checkpoint.tensors[full]
