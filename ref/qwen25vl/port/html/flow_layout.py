"""Section 15 - layouts of the flow: where does each stage of the model stand, and where do arrows run?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qwen25vl.port.html.svg import Number

Place = tuple[Number, Number, Number, Number]
"""x, y, width, height."""


@dataclass(frozen=True)
class Layout:
    """Where boxes stand and arrows run."""

    width: Number
    height: Number
    boxes: Mapping[str, Place]
    arrows: Sequence[str]
    """Paths; each ends in a head."""


WIDE = Layout(
    width=960,
    height=356,
    boxes={
        "media": (2, 24, 138, 72),
        "patch_embed": (172, 24, 118, 72),
        "vision": (322, 24, 356, 72),
        "merger": (710, 24, 104, 72),
        "windows": (406, 124, 188, 36),
        "ids": (2, 214, 138, 72),
        "embed": (172, 214, 118, 72),
        "language": (322, 214, 356, 72),
        "norm": (710, 214, 62, 72),
        "logits": (796, 214, 68, 72),
        "answer": (888, 214, 70, 72),
        "positions": (406, 314, 188, 36),
        "other": (796, 314, 162, 36),
    },
    arrows=(
        "M140,60 H170",
        "M290,60 H320",
        "M678,60 H708",
        "M500,124 V98",
        "M762,96 V180 Q762,187 755,187 H238 Q231,187 231,194 V212",
        "M140,250 H170",
        "M290,250 H320",
        "M678,250 H708",
        "M772,250 H794",
        "M864,250 H886",
        "M500,314 V288",
    ),
)
"""For a desktop: the vision encoder above, the language model below."""

NARROW = Layout(
    width=340,
    height=672,
    boxes={
        "media": (2, 24, 160, 60),
        "windows": (178, 24, 160, 60),
        "patch_embed": (2, 108, 160, 60),
        "vision": (2, 192, 336, 84),
        "merger": (2, 300, 160, 60),
        "ids": (178, 300, 160, 60),
        "embed": (2, 384, 160, 60),
        "positions": (178, 384, 160, 60),
        "language": (2, 468, 336, 84),
        "norm": (2, 576, 92, 60),
        "logits": (118, 576, 92, 60),
        "answer": (234, 576, 104, 60),
        "other": (178, 108, 160, 60),
    },
    arrows=(
        "M82,84 V106",
        "M82,168 V190",
        "M178,66 H176 Q170,66 170,72 V190",
        "M82,276 V298",
        "M82,360 V382",
        "M200,360 Q200,372 188,372 H130 Q122,372 122,382",
        "M82,444 V466",
        "M258,444 V466",
        "M48,552 V574",
        "M94,606 H116",
        "M210,606 H232",
    ),
)
"""For a phone: one column."""
