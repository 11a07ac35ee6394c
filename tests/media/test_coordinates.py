"""Section 12: coordinates of an answer count pixels of the resized picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.errors import BadInput
from qwen25vl.media.coordinates import original_boxes_px, original_points_px, resized_boxes_px, resized_points_px
from qwen25vl.media.resize import smart_resize

RELEASED = {"min_pixels": 3136, "max_pixels": 12_845_056}

SIDES = st.integers(28, 4000)


def test_a1_the_lower_right_corner_of_the_resized_picture_is_that_of_the_original():
    size = (1080, 1920)
    resized = smart_resize(*size, **RELEASED)
    assert resized == (1092, 1932)
    corner = original_points_px(np.array([[1932, 1092]]), original_size=size, resized_size=resized)
    np.testing.assert_array_equal(corner, [[1920.0, 1080.0]])
    smaller = smart_resize(*size, min_pixels=3136, max_pixels=1_003_520)
    assert smaller == (728, 1316)
    middle = original_points_px(np.array([[658, 364]]), original_size=size, resized_size=smaller)
    np.testing.assert_array_equal(middle, [[960.0, 540.0]])


@given(SIDES, SIDES, st.floats(0, 1), st.floats(0, 1))
def test_a1_a2_a_point_keeps_its_share_of_each_side(height, width, across, down):
    resized = smart_resize(height, width, min_pixels=3136, max_pixels=1_003_520)
    point = np.array([[across * resized[1], down * resized[0]]])
    found = original_points_px(point, original_size=(height, width), resized_size=resized)
    np.testing.assert_allclose(found, [[across * width, down * height]], rtol=1e-14)


def test_a2_each_axis_has_a_factor_of_its_own():
    found = original_points_px(np.array([[168, 56], [84, 14]]), original_size=(70, 182), resized_size=(56, 168))
    np.testing.assert_array_equal(found, [[182.0, 70.0], [91.0, 17.5]])


def test_a3_nothing_is_rounded_or_cut_off():
    sizes = {"original_size": (100, 100), "resized_size": (112, 112)}
    found = original_points_px(np.array([[1, 2], [-5, 130]]), **sizes)
    np.testing.assert_array_equal(found, np.array([[1, 2], [-5, 130]]) * 100.0 / 112.0)
    assert found.dtype == np.float64


@given(SIDES, SIDES)
def test_a4_the_way_into_a_prompt_is_the_inverse(height, width):
    sizes = {"original_size": (height, width), "resized_size": smart_resize(height, width, **RELEASED)}
    boxes = np.array([[0, 0, width, height], [3, 5, 17, 11]])
    there = resized_boxes_px(boxes, **sizes)
    np.testing.assert_allclose(there[0], [0, 0, *sizes["resized_size"][::-1]], rtol=1e-15)
    np.testing.assert_allclose(original_boxes_px(there, **sizes), boxes, rtol=1e-15)
    points = resized_points_px(boxes[:, 2:], **sizes)
    np.testing.assert_array_equal(points, there[:, 2:])


def test_a1_a_box_is_two_corners_and_there_may_be_none():
    sizes = {"original_size": (70, 182), "resized_size": (56, 168)}
    boxes = np.array([[84, 14, 168, 56]])
    found = original_boxes_px(boxes, **sizes)
    np.testing.assert_array_equal(found, original_points_px(boxes.reshape(2, 2), **sizes).reshape(1, 4))
    assert original_boxes_px(np.empty((0, 4)), **sizes).shape == (0, 4)


@pytest.mark.parametrize(
    "sizes",
    [
        {"original_size": (0, 10), "resized_size": (28, 28)},
        {"original_size": (10, 10), "resized_size": (28, -28)},
        {"original_size": (10, 10), "resized_size": (28, 2**54)},
    ],
    ids=["zero", "negative", "too large"],
)
def test_a5_a_side_that_no_picture_has_is_refused(sizes):
    with pytest.raises(BadInput, match="a side of a picture, in pixels must be a whole number from 1"):
        original_points_px(np.array([[1, 2]]), **sizes)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a5_a_coordinate_that_is_not_finite_is_refused(bad):
    with pytest.raises(ValueError, match="a coordinate is not finite"):
        resized_points_px(np.array([[1.0, bad]]), original_size=(10, 10), resized_size=(28, 28))
