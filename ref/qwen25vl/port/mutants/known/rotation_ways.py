"""Known bugs of the decoder's rotation in other ways: one tower alone, another order of sections (section 09)."""

from collections.abc import Iterator

import numpy as np

from qwen25vl.port.mutants.known.rotation import axes_of_channels, rotation_sign, sections_order
from qwen25vl.port.mutants.mutant import OpsSwap, Swap, other_way


@other_way(rotation_sign, "decoder")
def sign_in_decoder() -> Iterator[OpsSwap]:
    """The vision encoder turns as it should."""
    yield OpsSwap("rotated_in_steps", lambda right: lambda x, cos, sin: right.rotated_in_steps(x, cos, -sin))


@other_way(sections_order, "width-height")
def width_before_height() -> Iterator[Swap]:
    """The second section follows width, the third height: a place is read as x and y."""
    yield Swap(
        "language.mrope.mrope_rotation",
        axes_of_channels(lambda sections: np.tile(np.repeat([0, 2, 1], sections), 2)),
    )
