"""Rows and columns of patches, and the angles that they turn by."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.config import VisionConfig
from qwen25vl.ops import reference_ops
from qwen25vl.precision import FLOAT32, FLOAT64
from qwen25vl.vision.rope_2d import patch_coordinates, vision_rotation
from strategies import grids_m

WIDE = reference_ops(FLOAT64)


@st.composite
def grids_and_merge(draw):
    """Grids in patches, and the side of their merge blocks."""
    merge_p = draw(st.integers(1, 3))
    return draw(grids_m()) * np.array([1, merge_p, merge_p]), merge_p


def test_r1_patches_come_block_by_block_and_row_by_row_within():
    # By hand: 4 rows and 6 columns in blocks of 2 x 2.
    got = patch_coordinates(np.array([[1, 4, 6]]), merge_p=2)
    first_blocks = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3), (0, 4), (0, 5), (1, 4), (1, 5)]
    assert [tuple(pair) for pair in got.tolist()] == first_blocks + [
        (row + 2, column) for row, column in first_blocks
    ]


@given(grids_and_merge())
def test_r1_coordinates_count_patches_and_a_merge_block_is_a_square_of_them(drawn):
    grids, merge_p = drawn
    got = patch_coordinates(grids, merge_p=merge_p)
    assert got.dtype == np.int64
    first = 0
    for T, H, W in grids.tolist():
        frames = got[first : first + T * H * W].reshape(T, H * W, 2)
        first += T * H * W
        assert sorted(map(tuple, frames[0].tolist())) == [(row, column) for row in range(H) for column in range(W)]
        blocks = frames[0].reshape(-1, merge_p, merge_p, 2)
        corners = blocks[:, 0, 0]
        assert corners.tolist() == [[y, x] for y in range(0, H, merge_p) for x in range(0, W, merge_p)]
        for row in range(merge_p):
            for column in range(merge_p):
                np.testing.assert_array_equal(
                    blocks[:, row, column] - corners, np.tile((row, column), (len(blocks), 1))
                )


@given(grids_and_merge())
def test_r2_every_frame_of_every_medium_begins_at_row_0_column_0(drawn):
    grids, merge_p = drawn
    got = patch_coordinates(grids, merge_p=merge_p)
    first = 0
    for T, H, W in grids.tolist():
        alone = patch_coordinates(np.array([[1, H, W]]), merge_p=merge_p)
        for _ in range(T):
            np.testing.assert_array_equal(got[first : first + H * W], alone)
            first += H * W
    assert first == len(got)


def test_r3_the_first_channels_turn_by_the_row_and_the_next_by_the_column():
    row, column = 3, 50
    cos, sin = vision_rotation(np.array([[row, column]]), head_dim=8, theta=100.0, ops=WIDE)
    # Half a head is 4 channels wide, so an axis has two frequencies: 1 and 100**(-2/4) = 0.1, in float32.
    frequencies = [1.0, float(np.float32(0.1))]
    angles = [axis * frequency for axis in (row, column) for frequency in frequencies]
    np.testing.assert_array_equal(cos[0, :4], np.cos(angles))
    np.testing.assert_array_equal(sin[0, :4], np.sin(angles))


@given(st.integers(1, 5).map(lambda quarter: 4 * quarter), st.integers(0, 99), st.integers(0, 99))
def test_r3_both_axes_have_the_same_frequencies(head_dim, row, column):
    quarter = head_dim // 4
    here, swapped = (
        vision_rotation(np.array([pair]), head_dim=head_dim, theta=1e4, ops=WIDE)
        for pair in ((row, column), (column, row))
    )
    for a, b in zip(here, swapped, strict=True):
        np.testing.assert_array_equal(a[0, :quarter], b[0, quarter : 2 * quarter])
        np.testing.assert_array_equal(a[0, quarter : 2 * quarter], b[0, :quarter])


@given(grids_and_merge(), st.integers(1, 5).map(lambda quarter: 4 * quarter))
def test_r4_the_second_half_of_a_head_repeats_the_first(drawn, head_dim):
    grids, merge_p = drawn
    coordinates = patch_coordinates(grids, merge_p=merge_p)
    for turn in vision_rotation(coordinates, head_dim=head_dim, theta=1e4, ops=WIDE):
        assert turn.shape == (len(coordinates), head_dim)
        np.testing.assert_array_equal(turn[:, : head_dim // 2], turn[:, head_dim // 2 :])
        # Not channel by channel: with two frequencies, neighbours of a column beyond 0 differ.
        if head_dim >= 8 and coordinates[-1, 0] > 0:
            assert turn[-1, 0] != turn[-1, 1]


@pytest.mark.parametrize("precision", [FLOAT32, FLOAT64], ids=lambda precision: precision.name)
def test_n1_angles_are_in_the_precision_of_the_run(precision):
    for turn in vision_rotation(np.array([[3, 5]]), head_dim=8, theta=1e4, ops=reference_ops(precision)):
        assert turn.dtype == precision.dtype


def test_no_media_have_no_patches():
    assert patch_coordinates(np.empty((0, 3), np.int64), merge_p=2).shape == (0, 2)


@pytest.mark.oracle
@given(grids_and_merge())
def test_coordinates_match_upstream(drawn):
    import oracle

    grids, merge_p = drawn
    want = oracle.patch_coordinates(grids, merge_p=merge_p)
    np.testing.assert_array_equal(patch_coordinates(grids, merge_p=merge_p), want)


@pytest.mark.oracle
@given(grids_and_merge(), st.sampled_from([(40, 2), (32, 4), (1280, 16)]))
def test_angles_match_upstream(drawn, sizes):
    import oracle

    hidden, heads = sizes
    config = VisionConfig(hidden_size=hidden, num_heads=heads)
    coordinates = patch_coordinates(drawn[0], merge_p=drawn[1])
    got = vision_rotation(coordinates, head_dim=config.head_dim, theta=config.rope_theta, ops=WIDE)
    for ours, theirs in zip(got, oracle.vision_rotation(coordinates, config), strict=True):
        # The angles are the same products of the same numbers; cosine and sine may each be one unit off.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2 * 2.0**-53)


@pytest.mark.parametrize("grid", [(1, 3, 2), (1, 2, 5), (0, 2, 2), (1, 0, 2), (1, 2, -2)])
def test_a_grid_that_is_no_grid_is_refused(grid):
    with pytest.raises(ValueError, match=r"positive sides that are multiples of merge_p=2, got"):
        patch_coordinates(np.array([grid]), merge_p=2)
