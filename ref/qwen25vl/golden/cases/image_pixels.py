"""Section 15 - image pixel cases: which bytes come out of the resampling, and which numbers of the normalising?

No checkpoint matters here but for its mean and deviation. A port starts from the stored bytes.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from qwen25vl.golden.case import Lab, Part, count_part
from qwen25vl.golden.cases.image_size import LEAST, MOST
from qwen25vl.golden.draws import drawn_bytes
from qwen25vl.golden.registry import case
from qwen25vl.media.patches import normalised
from qwen25vl.media.resample import fixed_weights, resampled_rgb
from qwen25vl.media.resize import smart_resize

LENGTHS = ((10, 7), (40, 28), (28, 84), (100, 28), (3, 28), (29, 28), (512, 28))
"""Given and wanted lengths in pixels: a bit, a lot and many times shorter or longer."""


def etching(seed: int, height_px: int, width_px: int) -> UInt8[np.ndarray, "height width 3"]:
    """Make fine detail: noise beside strokes of black and white, which overshoot; every channel differs."""
    noise = drawn_bytes(seed, (height_px, width_px, 3))
    strokes = np.where(noise < 100, 0, 255).astype(np.uint8)
    return np.where(np.arange(width_px)[:, np.newaxis] < width_px // 2, noise, strokes)


def resampling_parts(rgb: UInt8[np.ndarray, "height width 3"], height_px: int, width_px: int) -> Iterator[Part]:
    """Give a picture, the wanted size, and the picture at that size."""
    yield Part("inputs.rgb", rgb, "height width 3", "the picture")
    yield count_part("inputs.size", [height_px, width_px], "sides", "wanted height and width, pixels")
    resized = resampled_rgb(rgb, height_px=height_px, width_px=width_px)
    yield Part("outputs.rgb", resized, "height width 3", "the picture at that size")


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I14", "I16"),
    kills=("no-antialias", "bilinear", "nearest", "cubic-minus-three-quarters", "resample-in-float"),
    note="Fine detail that loses a bit over half of its height and of its width, so every filter gives other "
    "bytes, and strokes whose overshoot is clipped. A smooth picture comes out nearly the same by any.",
)
def shrinking_stretches_the_kernel(lab: Lab) -> Iterator[Part]:
    """A picture that shrinks is averaged over all that a pixel stands for."""
    yield from resampling_parts(etching(202, 61, 130), 28, 56)


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I14", "I16", "I17"),
    kills=("bilinear", "nearest", "cubic-minus-three-quarters", "resample-in-float"),
    note="Both sides grow, by factors that are no whole numbers; the kernel is not stretched, and the bytes "
    "between the two passes show.",
)
def growing_keeps_the_kernel(lab: Lab) -> Iterator[Part]:
    """A picture that grows is interpolated by the kernel as it is."""
    yield from resampling_parts(etching(203, 19, 23), 56, 84)


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I17",),
    kills=("resample-height-first", "resample-width-first"),
    note="The first picture loses 42 rows and 20 columns, over twice as many: height first. The second loses 40 "
    "and 20, exactly twice: width first. The bytes between the passes depend on it. A picture that loses the same "
    "share of both sides is resampled width first in every version.",
)
def the_order_of_the_two_passes_follows_the_loss(lab: Lab) -> Iterator[Part]:
    """The height is resampled first where it loses pixels, and over twice as many as the width."""
    tall = etching(204, 70, 48)
    yield Part("inputs.taller_rgb", tall, "height width 3", "height first")
    yield Part("inputs.rgb", tall[:68], "height width 3", "width first")
    yield count_part("inputs.size", [28, 28], "sides", "wanted height and width of both, pixels")
    for name, rgb in (("outputs.taller_rgb", tall), ("outputs.rgb", tall[:68])):
        resized = resampled_rgb(rgb, height_px=28, width_px=28)
        yield Part(name, resized, "height width 3", "the same picture at that size")


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I14", "I15"),
    kills=("no-antialias", "cubic-minus-three-quarters", "resample-in-float"),
    note="All weights of seven lengths. Those of a position sum to 2**22 but for rounding; at the edges taps are "
    "cut off and the rest is scaled up.",
)
def weights_of_the_kernel_are_whole_numbers(lab: Lab) -> Iterator[Part]:
    """Each output position reads a run of inputs with weights in units of 2**-22."""
    yield count_part("inputs.lengths", LENGTHS, "pairs 2", "given and wanted length, pixels")
    rows = [fixed_weights(i, given=given, wanted=wanted) for given, wanted in LENGTHS for i in range(wanted)]
    yield count_part("outputs.first", [first for first, _ in rows], "positions", "first input read, pair by pair")
    yield count_part(
        "outputs.taps", [len(weights) for _, weights in rows], "positions", "how many inputs are read"
    )
    together = np.concatenate([weights for _, weights in rows])
    yield Part("outputs.weights", together, "taps", "their weights, end to end, in units of 2**-22")


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I10", "I14", "I25"),
    kills=("resized-twice", "no-pixel-limits"),
    note="61 x 130 under a largest area of 4704 is 28 x 84. By way of 56 x 140, the size without that limit, it "
    "has the same size and other bytes. A picture that meets both limits is resized once by either way.",
)
def a_picture_is_resized_once(lab: Lab) -> Iterator[Part]:
    """A caller's limit decides the size at once, and the decoded pixels are resampled to it in one step."""
    rgb = etching(206, 61, 130)
    height_px, width_px = smart_resize(61, 130, min_pixels=LEAST, max_pixels=4704)
    yield Part("inputs.rgb", rgb, "height width 3", "the picture")
    yield count_part("inputs.limits", [LEAST, 4704], "limits", "least and largest area, pixels")
    resized = resampled_rgb(rgb, height_px=height_px, width_px=width_px)
    yield Part("outputs.rgb", resized, "height width 3", "the picture at its target size")


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I11", "I12", "I14"),
    kills=("no-pixel-limits",),
    note="One row of 40 pixels becomes 28 x 364: every tap of the height falls on the one row that there is.",
)
def a_single_row_of_pixels_is_a_picture(lab: Lab) -> Iterator[Part]:
    """A picture one pixel high is brought to the least area and resampled like any other."""
    rgb = etching(205, 1, 40)
    height_px, width_px = smart_resize(1, 40, min_pixels=LEAST, max_pixels=MOST)
    yield from resampling_parts(rgb, height_px, width_px)


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I18",),
    kills=("clip-mean-half", "not-rescaled", "normalise-folded", "channel-order"),
    note="Every byte in every channel. The channels' means and deviations differ in the second digit, so "
    "exchanged ones are a few hundredths off. Folding 1/255 into them changes last bits only, which show where a "
    "byte is nearly the mean: there the difference is small.",
)
def every_byte_is_normalised_in_its_channel(lab: Lab) -> Iterator[Part]:
    """A byte is divided by 255, its channel's mean taken off, and the rest divided by its channel's deviation."""
    settings = lab.processor.settings
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    rgb = np.stack([levels, levels[::-1], levels[:, ::-1]], axis=-1)
    yield Part("inputs.rgb", rgb, "height width 3", "every byte in every channel")
    yield Part("inputs.mean", np.array(settings.mean), "channels", "brightness that is taken off")
    yield Part("inputs.std", np.array(settings.std), "channels", "brightness that is divided by")
    unit = normalised(rgb, mean=settings.mean, std=settings.std)
    yield Part("outputs.normalised", unit, "channels height width", "float32, rounded after every step")
    near = [int(np.abs(channel).argmin()) for channel in unit]
    closest = np.array([channel.flat[place] for channel, place in zip(unit, near, strict=True)])
    yield Part("outputs.closest", closest, "channels", "of each channel the number closest to zero")
