"""Section 15 - scenes: which pictures, clips and messages do the cases of whole passes show the model?

Everything is made of integers, pixel by pixel: no decoder, no generator of chance and no library's drawing has
a part in it. Sides are multiples of 28 pixels, so no resampling has one either.
"""

from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

LEAST_AREA_PX = 56 * 56
"""Asked for where a video is shown: a frame of any scene here keeps its size."""

GREY = 232
"""Background of the shapes."""


def ramp(height_px: int, width_px: int) -> UInt8[np.ndarray, "height width 3"]:
    """Make a picture in which no two patches and no two of its directions are alike.

    Red grows to the right, green grows downwards, blue steps from patch to patch in raster order.
    """
    y, x = _pixels(height_px, width_px)
    patch = y // 14 * (width_px // 14) + x // 14
    return _rgb(x * 255 // (width_px - 1), y * 255 // (height_px - 1), patch * 37 % 256)


def plaid(height_px: int, width_px: int) -> UInt8[np.ndarray, "height width 3"]:
    """Make a picture of fine detail, nowhere like a `ramp`."""
    y, x = _pixels(height_px, width_px)
    return _rgb((x * 7 ^ y * 3) % 256, (x * y + 5 * y) % 256, (x * 2 + y * 11) % 256)


def shapes(height_px: int, width_px: int) -> UInt8[np.ndarray, "height width 3"]:
    """Make three shapes on light grey, each in a place of its own: a red disc, a green square, a blue triangle."""
    y, x = _pixels(height_px, width_px)
    rgb = _rgb(*[np.full((height_px, width_px), GREY)] * 3)
    r = min(height_px, width_px) // 5
    rgb[(y - height_px // 4) ** 2 + (x - width_px // 4) ** 2 <= r * r] = (214, 30, 40)
    rgb[(abs(y - height_px // 2) <= r) & (abs(x - width_px * 3 // 4) <= r)] = (30, 160, 60)
    below = y - height_px * 5 // 8
    rgb[(below >= 0) & (below <= 2 * r) & (2 * abs(x - width_px * 3 // 8) <= below)] = (40, 70, 210)
    return rgb


def checkerboard(height_px: int, width_px: int, *, field_px: int) -> UInt8[np.ndarray, "height width 3"]:
    """Make black and white squares: a picture that drives activations far."""
    y, x = _pixels(height_px, width_px)
    white = (y // field_px + x // field_px) % 2 * 255
    return _rgb(white, white, white)


def solid(height_px: int, width_px: int) -> UInt8[np.ndarray, "height width 3"]:
    """Make a picture of one colour, with three different channels."""
    return _rgb(*(np.full((height_px, width_px), value) for value in (200, 80, 30)))


def film(frames_f: int, height_px: int, width_px: int) -> UInt8[np.ndarray, "F height width 3"]:
    """Make a clip of a square that moves over a changing background; the last frame differs most."""
    y, x = _pixels(height_px, width_px)
    frames = []
    for i in range(frames_f):
        background = (x * 2 + y + 40 * i) % 256
        frame = _rgb(background, (y * 3 + 15 * i) % 256, np.full_like(x, 50 * i % 256))
        frame[(abs(y - height_px // 2) < 12) & (abs(x - 16 - 20 * i) < 12)] = (250, 240, 20)
        frames.append(frame)
    frames[-1] = 255 - frames[-1]
    return np.stack(frames)


def said(*parts: str | np.ndarray) -> dict[str, Any]:
    """Make a message of the user: texts, pictures `[height, width, 3]` and clips `[F, height, width, 3]`."""
    content: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, str):
            content.append({"type": "text", "text": part})
        else:
            kind = "image" if part.ndim == 3 else "video"
            content.append({"type": kind, kind: part})
    return {"role": "user", "content": content}


def answered(text: str) -> dict[str, Any]:
    """Make a message of the model."""
    return {"role": "assistant", "content": text}


def _pixels(height_px: int, width_px: int) -> tuple[Int64[np.ndarray, "h w"], Int64[np.ndarray, "h w"]]:
    """Row and column of each pixel."""
    y, x = np.mgrid[:height_px, :width_px].astype(np.int64)
    return y, x


def _rgb(*channels: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    """Put three channels together."""
    return np.stack(channels, axis=-1).astype(np.uint8)
