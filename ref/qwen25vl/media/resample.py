"""Section 02 - resampling: what exactly does Pillow's bicubic filter compute?

Pillow does the work in `image.resized_rgb`; this module gives the same bytes, and so must a port.
"""

import math

import numpy as np
from jaxtyping import Int64, UInt8

from qwen25vl.errors import BadInput

FRACTION_BITS = 22
"""Binary places of a fixed-point weight: 32 bits, less 8 for the pixel and 2 for sign and overshoot."""

CUBIC_A = -0.5
"""The free constant of the cubic kernel. Source: Pillow; other libraries also use -0.75."""

CUBIC_SUPPORT = 2.0
"""Half width of the kernel, in pixels of the coarser of the two grids."""


def resampled_rgb(
    rgb: UInt8[np.ndarray, "height width C"],
    *,
    height_px: int,
    width_px: int,
    vertical_first: bool | None = None,
) -> UInt8[np.ndarray, "{height_px} {width_px} C"]:
    """Return the picture at another size, byte for byte as Pillow's BICUBIC gives it.

    Args:
        rgb: at least one pixel; channels do not influence each other.
        height_px: wanted height, in pixels.
        width_px: wanted width, in pixels.
        vertical_first: the order of the two passes; None means the rule of `runs_vertical_first`, and False
            is what Pillow did up to 12.1.

    Returns:
        A new array.

    Raises:
        BadInput: if a side, given or wanted, is below 1.

    Rounding: (I16) once after each of the two passes, to uint8
    Source:   Pillow 13.0.0 Resample.c, the branch for 8 bits per channel
    Spec:     spec/02-images.md (I14 to I17)     Same bytes: qwen25vl.media.image.resized_rgb
    """
    height, width = rgb.shape[:2]
    by_rule = runs_vertical_first(height, width, height_px=height_px, width_px=width_px)
    height_first = by_rule if vertical_first is None else vertical_first
    if height_first:
        out = _resampled_columns(_resampled_rows(rgb, height_px=height_px), width_px=width_px)
    else:
        out = _resampled_rows(_resampled_columns(rgb, width_px=width_px), height_px=height_px)
    return np.ascontiguousarray(out)


def runs_vertical_first(height: int, width: int, *, height_px: int, width_px: int) -> bool:
    """Return whether the height is resampled before the width: it loses pixels, and over twice as many.

    Args:
        height: given height in pixels.
        width: given width in pixels.
        height_px: wanted height in pixels.
        width_px: wanted width in pixels; a width that grows counts as a negative loss.

    Raises:
        BadInput: if a side, given or wanted, is below 1.

    Source: Pillow 13.0.0 Resample.c, ImagingResampleInner
    Spec: spec/02-images.md (I17)
    """
    if min(height, width, height_px, width_px) < 1:
        raise BadInput(
            f"cannot resample {height} x {width} pixels to {height_px} x {width_px}; sides must be at least 1"
        )
    # trap: the bytes depend on the order, and the order on the version: up to 12.1 the width came first
    lost_height, lost_width = height - height_px, width - width_px
    return lost_height > 0 and lost_height > 2 * lost_width  # (I17)


def _resampled_columns(
    image: UInt8[np.ndarray, "height width C"], *, width_px: int
) -> UInt8[np.ndarray, "height {width_px} C"]:
    """Resample the width: the same as the height of the transposed picture."""
    return _resampled_rows(image.transpose(1, 0, 2), height_px=width_px).transpose(1, 0, 2)


def _resampled_rows(
    image: UInt8[np.ndarray, "height width C"], *, height_px: int
) -> UInt8[np.ndarray, "{height_px} width C"]:
    """Resample the height: each output row is a weighted sum of neighbouring input rows."""
    if height_px == len(image):  # (I17) and the weights would all be 0 or 1
        return image.copy()
    out = np.empty((height_px, *image.shape[1:]), dtype=np.uint8)
    for i in range(height_px):
        first, weights = fixed_weights(i, given=len(image), wanted=height_px)
        taps = image[first : first + len(weights)].astype(np.int64)  # [taps, width, C]
        total = 2 ** (FRACTION_BITS - 1) + np.tensordot(weights, taps, axes=1)  # (I16) starts at one half
        out[i] = np.clip(total >> FRACTION_BITS, 0, 255)
    return out


def fixed_weights(i: int, *, given: int, wanted: int) -> tuple[int, Int64[np.ndarray, " taps"]]:
    """Return the first input position that output position `i` reads, and its fixed-point weights.

        centre = (i + 1/2) * given / wanted;  taps from floor(centre - s + 1/2) to floor(centre + s + 1/2)

    Args:
        i: output position, from 0 to `wanted` - 1.
        given: input length, in pixels.
        wanted: output length, in pixels.

    Returns:
        The position, and integers that stand for `weight / 2**22`.

    Rounding: (I15) half away from zero, after the weights were made to sum to 1 in float64
    Spec:     spec/02-images.md (I14, I15)
    """
    first, weights = kernel_weights(i, given=given, wanted=wanted)
    scaled = [weight * 2**FRACTION_BITS for weight in weights]
    return first, np.array([math.trunc(w + math.copysign(0.5, w)) for w in scaled], dtype=np.int64)  # (I15)


def kernel_weights(i: int, *, given: int, wanted: int) -> tuple[int, list[float]]:
    """Return the same position, and the weights before they are made integers: they sum to 1.

    Spec: spec/02-images.md (I14)
    """
    widening = kernel_widening(given=given, wanted=wanted)
    support = CUBIC_SUPPORT * widening
    centre = (i + 0.5) * (given / wanted)
    first = max(math.floor(centre - support + 0.5), 0)
    beyond = min(math.floor(centre + support + 0.5), given)

    raw = [cubic((x - centre + 0.5) * (1.0 / widening)) for x in range(first, beyond)]
    total = 0.0
    for weight in raw:  # from left to right: `sum` would compensate, NumPy would pair
        total += weight
    return first, [weight / total for weight in raw]


def kernel_widening(*, given: int, wanted: int) -> float:
    """Return how many times wider the kernel is than when a picture grows.

    Spec: spec/02-images.md (I14)
    """
    return max(given / wanted, 1.0)  # when shrinking, it covers the area that it stands for


def cubic(x: float) -> float:
    """Return the kernel's value at a distance of `x` pixels (Keys, a = -1/2).

    Spec: spec/02-images.md (I14)
    """
    x = abs(x)
    if x < 1.0:
        return ((CUBIC_A + 2.0) * x - (CUBIC_A + 3.0)) * x * x + 1.0
    if x < 2.0:
        return (((x - 5.0) * x + 8.0) * x - 4.0) * CUBIC_A
    return 0.0
