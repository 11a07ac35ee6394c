"""Section 01 - census: does a checkpoint hold exactly the tensors of its config?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qwen25vl.checkpoint.names import Shapes, expected_shapes, is_ignored
from qwen25vl.checkpoint.safetensors import StoredTensor
from qwen25vl.config import Config
from qwen25vl.wording import named

HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
"""The two ends of the language model; a tied model has one matrix for both."""

ROWS_AT_ONCE = 4096
"""Rows of two large matrices that are compared at a time, so that neither has to fit in memory."""


class Misshapen(NamedTuple):
    """A tensor whose stored shape is not the one that the config asks for."""

    name: str
    found: tuple[int, ...]
    wanted: tuple[int, ...]


@dataclass(frozen=True)
class Census:
    """What a checkpoint lacks, has too much of and has in another shape, and how many values it holds."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: tuple[Misshapen, ...]
    parameters: Mapping[str, int]
    """Values stored under expected names, by part: `vision` and `text`."""

    @property
    def clean(self) -> bool:
        """Whether every tensor is as it should be."""
        return not (self.missing or self.unexpected or self.misshapen)

    def report(self) -> str:
        """Every fault: a heading for each kind, then one tensor per line. (C21)"""
        lines: list[str] = []
        for kind, names in (("missing", self.missing), ("unexpected", self.unexpected)):
            if names:
                lines += [f"{kind} ({len(names)}):", *(f"  {named(name)}" for name in names)]
        if self.misshapen:
            lines.append(f"of another shape ({len(self.misshapen)}):")
            lines += [
                f"  {name}: found {list(found)}, wanted {list(wanted)}" for name, found, wanted in self.misshapen
            ]
        return "\n".join(lines)


def taken_census(tensors: Mapping[str, StoredTensor], config: Config) -> Census:
    """Compare the tensors of a checkpoint with those of its config.

    Args:     tensors: by released name, as `open_checkpoint` gathers them.
    Returns:  a Census: `missing` and `misshapen` in the order of `expected_shapes`, `unexpected` sorted.
              Values are read in one case alone, a tied config with a stored lm_head.weight.
    Spec:     spec/01-config-checkpoint.md (C21, C22, C23)
    """
    wanted = expected_shapes(config)
    allowed = {HEAD} if config.tie_word_embeddings and _head_repeats_embedding(tensors) else set()  # (C23)
    present = [name for name in wanted if name in tensors]
    return Census(
        missing=tuple(name for name in wanted if name not in tensors),
        unexpected=tuple(
            sorted(name for name in tensors.keys() - wanted.keys() - allowed if not is_ignored(name))
        ),
        misshapen=tuple(
            Misshapen(name, tensors[name].shape, wanted[name])
            for name in present
            if tensors[name].shape != wanted[name]
        ),
        parameters=parameter_counts({name: tensors[name].shape for name in present}),
    )


def parameter_counts(shapes: Shapes) -> dict[str, int]:
    """Values in the tensors of each part: `vision`, and `text` (a tied matrix counts once)."""
    counts = {"vision": 0, "text": 0}
    for name, shape in shapes.items():
        counts["vision" if name.startswith("visual.") else "text"] += math.prod(shape)
    return counts


def _head_repeats_embedding(tensors: Mapping[str, StoredTensor]) -> bool:
    """Whether lm_head.weight is stored and equals the embedding bit for bit. (C23)"""
    head, embedding = tensors.get(HEAD), tensors.get(EMBEDDING)
    if head is None or embedding is None or len(head.shape) != 2:
        return False
    if (head.dtype, head.shape) != (embedding.dtype, embedding.shape):
        return False
    starts = range(0, head.shape[0], ROWS_AT_ONCE)
    return all(np.array_equal(_bits(head, first), _bits(embedding, first)) for first in starts)


def _bits(tensor: StoredTensor, first: int) -> np.ndarray:
    """Some rows as bytes, so that NaN equals itself and -0 differs from 0."""
    return np.ascontiguousarray(tensor.raw[first : first + ROWS_AT_ONCE]).view(np.uint8)
