"""Section 12 - coordinates: which place of the original picture does an answer mean?

The model sees the resized picture, and its boxes and points count the pixels of that.
"""

import numpy as np
from jaxtyping import Float64, Real

from qwen25vl.errors import BadInput
from qwen25vl.limits import whole_number


def original_points_px(
    points_px: Real[np.ndarray, "points 2"], *, original_size: tuple[int, int], resized_size: tuple[int, int]
) -> Float64[np.ndarray, "points 2"]:
    """Return points of an answer in pixels of the original picture.

        x * original width / resized width,  y * original height / resized height

    Args:
        points_px: x and y of each point, as the model wrote them: pixels of the resized picture, from its left
            and upper edge. A point may lie outside, and stays there.
        original_size: height and width of the decoded picture, in pixels (`Picture.original_size`).
        resized_size: height and width that the model saw, in pixels (`Picture.resized_size`).

    Returns:
        x and y of each point, not rounded.

    Raises:
        BadInput: if a side is not a whole number from 1 to 2**53, or a coordinate is not finite.

    Source:   paper 2.1.2; QwenLM/Qwen3-VL, cookbooks of Qwen2.5-VL
    Spec:     spec/12-answers.md (A1 to A3, A5)
    """
    return _scaled(points_px, seen=resized_size, wanted=original_size)


def resized_points_px(
    points_px: Real[np.ndarray, "points 2"], *, original_size: tuple[int, int], resized_size: tuple[int, int]
) -> Float64[np.ndarray, "points 2"]:
    """Return points of the original picture in the pixels that the model counts: the way into a prompt.

    See `original_points_px`, whose inverse this is (A4).
    """
    return _scaled(points_px, seen=original_size, wanted=resized_size)


def original_boxes_px(
    boxes_px: Real[np.ndarray, "boxes 4"], *, original_size: tuple[int, int], resized_size: tuple[int, int]
) -> Float64[np.ndarray, "boxes 4"]:
    """Return boxes of an answer in pixels of the original picture: left, top, right and bottom of each.

    A box is two points, its upper left and its lower right corner; see `original_points_px`.

    Spec: spec/12-answers.md (A1 to A3)
    """
    corners = boxes_px.reshape(-1, 2)
    moved = original_points_px(corners, original_size=original_size, resized_size=resized_size)
    return moved.reshape(-1, 4)


def resized_boxes_px(
    boxes_px: Real[np.ndarray, "boxes 4"], *, original_size: tuple[int, int], resized_size: tuple[int, int]
) -> Float64[np.ndarray, "boxes 4"]:
    """Return boxes of the original picture in the pixels that the model counts; see `resized_points_px` (A4)."""
    corners = boxes_px.reshape(-1, 2)
    moved = resized_points_px(corners, original_size=original_size, resized_size=resized_size)
    return moved.reshape(-1, 4)


def _scaled(
    points_px: Real[np.ndarray, "points 2"], *, seen: tuple[int, int], wanted: tuple[int, int]
) -> Float64[np.ndarray, "points 2"]:
    """Bring points from a picture of one size to the same picture of another; sizes are height and width."""
    seen_height, seen_width = (whole_number(side, name="a side of a picture, in pixels") for side in seen)  # (A5)
    height, width = (whole_number(side, name="a side of a picture, in pixels") for side in wanted)
    points = points_px.astype(np.float64)
    if not np.isfinite(points).all():
        raise BadInput("a coordinate is not finite; give numbers of pixels")
    # trap: x goes with the width, though sizes name the height first
    return points * np.array([width, height]) / np.array([seen_width, seen_height])  # (A2, A3)
