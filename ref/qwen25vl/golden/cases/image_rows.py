"""Section 15 - image row cases: in which order do the pixels of a picture reach the encoder?"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from qwen25vl.golden.case import Lab, Part, count_part
from qwen25vl.golden.registry import case
from qwen25vl.media.patches import normalised, patch_rows

PATCH_PX = 14
"""Side of a patch in every release."""


def numbered_pixels(height_px: int, width_px: int) -> UInt8[np.ndarray, "height width 3"]:
    """Make a picture of which every pixel says where it is.

    Red numbers the patches row by row, green the pixels of a patch, blue runs down from corner to corner: no two
    pixels are alike, and no two channels.
    """
    y, x = np.mgrid[:height_px, :width_px]
    red = y // PATCH_PX * (width_px // PATCH_PX) + x // PATCH_PX
    green = y % PATCH_PX * PATCH_PX + x % PATCH_PX
    blue = 255 - (y + x)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I19", "I20", "I21", "I22"),
    kills=(
        "raster-patches",
        "inner-order-frame-first",
        "inner-order-channel-last",
        "patch-transposed",
        "second-frame-zero",
        "channel-order",
    ),
    note="2 x 3 blocks of 2 x 2 patches, every pixel with colours of its own. One block, one colour or grey hides "
    "raster order, exchanged x and y, or exchanged channels; a still picture cannot show the order of frames.",
)
def rows_go_block_by_block_and_channel_by_channel(lab: Lab) -> Iterator[Part]:
    """Patches come merge block by merge block, and a row holds channel, frame, y, x, its one frame twice."""
    settings = lab.processor.settings
    rgb = numbered_pixels(56, 84)
    yield Part("inputs.rgb", rgb, "height width 3", "the picture at its target size")
    frame = normalised(rgb, mean=settings.mean, std=settings.std)
    rows, grid = patch_rows(frame[np.newaxis], patch_px=PATCH_PX, temporal_patch_f=2, merge_p=2)
    yield Part("outputs.rows", rows, "P C", "one row for each patch: channel, frame, y, x")
    yield count_part("outputs.grid", grid, "axes", "T, H, W in patches")
