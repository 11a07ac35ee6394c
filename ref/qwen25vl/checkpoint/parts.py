"""Section 01 - parts: how many parameters has each part of a model?"""

import math
from dataclasses import dataclass

from qwen25vl.checkpoint.census import EMBEDDING, HEAD
from qwen25vl.checkpoint.names import Shapes

PARTS = (
    ("vision", "patch embedding", "visual.patch_embed."),
    ("vision", "vision blocks", "visual.blocks."),
    ("vision", "merger", "visual.merger."),
    ("text", "embedding", EMBEDDING),
    ("text", "decoder blocks", "model.layers."),
    ("text", "final norm", "model.norm."),
    ("text", "head", HEAD),
)
"""Tower, part, and how the released names of its tensors begin, in the order in which the data flows."""


@dataclass(frozen=True)
class PartSize:
    """The size of one part of a model."""

    tower: str
    """`vision` or `text`."""
    part: str
    tensors: int
    parameters: int


def part_sizes(shapes: Shapes) -> tuple[PartSize, ...]:
    """Count the tensors and values of every part, in the order of `PARTS`; a tied model has an empty head.

    Args:     shapes: by released name, as `expected_shapes` gives them.
    Raises:   ValueError: a name belongs to no part.
    Spec:     spec/01-config-checkpoint.md (C19, C20)
    """
    values: dict[str, list[int]] = {begin: [] for _, _, begin in PARTS}
    for name, shape in shapes.items():
        begin = next((begin for begin in values if name.startswith(begin)), None)
        if begin is None:
            raise ValueError(f"the tensor {name} belongs to no part of the model")
        values[begin].append(math.prod(shape))
    return tuple(PartSize(tower, part, len(values[begin]), sum(values[begin])) for tower, part, begin in PARTS)
