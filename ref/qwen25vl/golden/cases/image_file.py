"""Section 15 - image file cases: which pixels does a picture file stand for?

The files are stored with the case, byte for byte; what a lossy decoder makes of a JPEG is not specified.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from qwen25vl.golden.case import Lab, Part
from qwen25vl.golden.cases.image_png import GREY, PALETTE, RGB, RGBA, orientation, png_file
from qwen25vl.golden.draws import drawn_bytes
from qwen25vl.golden.registry import case
from qwen25vl.media.image import decoded_rgb


def file_part(file: UInt8[np.ndarray, " bytes"], name: str = "inputs.file") -> Part:
    """Give the bytes of a file."""
    return Part(name, file, "bytes", "a PNG file")


def rgb_part(rgb: UInt8[np.ndarray, "height width 3"], source: str, name: str = "outputs.rgb") -> Part:
    """Give decoded pixels."""
    return Part(name, rgb, "height width 3", f"red, green, blue of {source}")


def bars() -> UInt8[np.ndarray, "6 10 3"]:
    """Make a picture with a red bar at the left and a green one at the bottom; every pixel has its own blue."""
    rgb = np.zeros((6, 10, 3), dtype=np.uint8)
    rgb[..., 2] = np.arange(60).reshape(6, 10) * 4
    rgb[:, :2, 0] = 255
    rgb[-1, :, 1] = 255
    return rgb


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I2",),
    kills=("exif-ignored", "exif-wrong-turn"),
    note="Orientation 6, as telephones write it: 6 x 10 stored, 10 x 6 shown. The bars and the blue of each pixel "
    "tell all eight orientations apart; a square picture, or a symmetric one, would not.",
)
def a_file_is_turned_upright(lab: Lab) -> Iterator[Part]:
    """The EXIF orientation of a file is applied before anything else."""
    file = png_file(bars(), kind=RGB, extra=(orientation(6),))
    yield file_part(file)
    yield rgb_part(decoded_rgb(file.tobytes()), "the file, upright")


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I1", "I3"),
    kills=("palette-not-looked-up", "alpha-as-colour", "alpha-on-white", "alpha-on-black"),
    note="Five colours, three of them transparent, fully and by half. The colours under transparency count as "
    "they are stored: what a viewer hides, the model sees.",
)
def a_palette_is_looked_up_and_its_transparency_dropped(lab: Lab) -> Iterator[Part]:
    """A palette gives its stored colours, transparent or not."""
    colours = np.array([[255, 0, 0], [0, 200, 10], [5, 6, 250], [90, 90, 90], [255, 255, 0]], dtype=np.uint8)
    indices = (np.arange(35) % 5).reshape(5, 7)
    extra = ((b"PLTE", colours.tobytes()), (b"tRNS", bytes([0, 255, 128, 0])))
    file = png_file(indices, kind=PALETTE, extra=extra)
    yield file_part(file)
    yield rgb_part(decoded_rgb(file.tobytes()), "the file")


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I3", "I5"),
    kills=("alpha-as-colour", "alpha-on-white", "alpha-on-black"),
    note="The same four channels as a file and as an array: the one keeps the colours under the alpha, the other "
    "is laid on white. Every alpha from 0 to 255 stands beside drawn colours. An opaque picture hides all of it.",
)
def alpha_goes_one_way_in_a_file_and_another_in_an_array(lab: Lab) -> Iterator[Part]:
    """A file loses its alpha channel; an array with a fourth channel is laid on white."""
    rgba = drawn_bytes(201, (16, 16, 4))
    rgba[..., 3] = np.arange(256).reshape(16, 16)
    file = png_file(rgba, kind=RGBA)
    yield file_part(file)
    yield Part("inputs.rgba", rgba, "height width 4", "the same as an array: red, green, blue, alpha")
    yield rgb_part(decoded_rgb(file.tobytes()), "the file")
    yield rgb_part(decoded_rgb(rgba), "the array", "outputs.rgb_of_array")


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I1", "I6"),
    kills=("sixteen-bits-clipped",),
    note="Values around every border of the high byte, and small ones, which are black. Clipped at 255, all but "
    "the darkest would be white; rounded, half of them would be one level brighter.",
)
def sixteen_bits_of_grey_keep_the_high_byte(lab: Lab) -> Iterator[Part]:
    """Grey of 16 bits keeps its high byte, three times."""
    borders = np.arange(32)[:, np.newaxis] * 2114 + np.array([-1, 0, 127, 128, 255])
    file = png_file(np.clip(borders, 0, 65535), kind=GREY, bits=16)
    yield file_part(file)
    yield rgb_part(decoded_rgb(file.tobytes()), "the file")
