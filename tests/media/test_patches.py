"""Normalisation and patch rows. Uneven grids, three channels and unequal frames tell every axis apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_settings import MEAN, STD
from qwen25vl.errors import BadInput
from qwen25vl.media.patches import normalised, patch_rows

SIDES = {"patch_px": 14, "temporal_patch_f": 2, "merge_p": 2}


def numbered(frames, channels, height, width):
    """Every value is its own position, exactly representable."""
    return np.arange(frames * channels * height * width, dtype=np.float32).reshape(frames, channels, height, width)


def test_i18_all_256_brightnesses_round_in_this_order():
    byte = np.arange(256, dtype=np.uint8)
    rgb = np.stack([byte] * 3, axis=-1)[np.newaxis]
    got = normalised(rgb, mean=MEAN, std=STD)
    assert got.shape == (3, 1, 256)
    for channel in range(3):
        for x in range(256):
            brightness = np.float32(x * (1 / 255))
            want = (brightness - np.float32(MEAN[channel])) / np.float32(STD[channel])
            assert got[channel, 0, x] == want


def test_i18_other_orders_give_other_bits():
    # blindness check: the two short cuts that ports take are told apart by these 256 bytes
    byte = np.arange(256, dtype=np.float32)
    rgb = np.stack([byte.astype(np.uint8)] * 3, axis=-1)[np.newaxis]
    red = normalised(rgb, mean=MEAN, std=STD)[0, 0]
    fused = (byte - np.float32(MEAN[0] * 255)) / np.float32(STD[0] * 255)
    wide = ((byte.astype(np.float64) / 255 - MEAN[0]) / STD[0]).astype(np.float32)
    assert np.any(red != fused)
    assert np.any(red != wide)
    assert np.max(np.abs(red - wide)) < 1e-6  # and all three mean the same


@pytest.mark.parametrize(("frames", "steps"), [(1, 1), (2, 1), (3, 2), (5, 3)])
def test_i19_the_last_frame_fills_the_last_patch(frames, steps):
    video = numbered(frames, 3, 28, 28)
    rows, grid = patch_rows(video, **SIDES)
    assert grid == (steps, 2, 2)
    values = rows.reshape(steps * 4, 3, 2, 14, 14)
    last, before = values[-1, :, 1], values[-1, :, 0]
    np.testing.assert_array_equal(last, video[-1, :, 14:, 14:])
    assert np.array_equal(last, before) == (frames % 2 == 1)


def test_i19_three_frames_per_patch_repeat_as_often_as_needed():
    rows, grid = patch_rows(numbered(4, 1, 4, 4), patch_px=2, temporal_patch_f=3, merge_p=2)
    assert grid == (2, 2, 2)
    assert rows[4].tolist() == [48, 49, 52, 53] * 3  # the fourth frame, three times


def test_i20_rows_go_block_by_block():
    # one pixel per patch, 4 x 6 patches in blocks of 2 x 2: the first block holds 0 1 6 7
    rows, grid = patch_rows(numbered(1, 1, 4, 6), patch_px=1, temporal_patch_f=1, merge_p=2)
    assert grid == (1, 4, 6)
    assert rows[:, 0].astype(int).tolist() == [
        *(0, 1, 6, 7),
        *(2, 3, 8, 9),
        *(4, 5, 10, 11),
        *(12, 13, 18, 19),
        *(14, 15, 20, 21),
        *(16, 17, 22, 23),
    ]


def test_i21_a_row_goes_channel_frame_y_x():
    frames = numbered(2, 3, 4, 4)  # 48 values per frame, 16 per channel, 4 per line
    rows, _ = patch_rows(frames, patch_px=2, temporal_patch_f=2, merge_p=2)
    corner = [0, 1, 4, 5]
    assert rows[0].astype(int).tolist() == [
        16 * channel + 48 * frame + pixel for channel in range(3) for frame in range(2) for pixel in corner
    ]


@given(
    frames=st.integers(1, 5),
    channels=st.integers(1, 3),
    block_rows=st.integers(1, 3),
    block_columns=st.integers(1, 3),
    patch_px=st.integers(1, 3),
    temporal_patch_f=st.integers(1, 3),
    merge_p=st.integers(1, 3),
)
def test_i21_every_value_stands_where_the_loops_put_it(
    frames, channels, block_rows, block_columns, patch_px, temporal_patch_f, merge_p
):
    side = patch_px * merge_p
    video = numbered(frames, channels, block_rows * side, block_columns * side)
    rows, (T, H, W) = patch_rows(video, patch_px=patch_px, temporal_patch_f=temporal_patch_f, merge_p=merge_p)
    expected = [
        video[min(t * temporal_patch_f + f, frames - 1), c, row * patch_px + y, column * patch_px + x]
        for t in range(T)
        for top in range(0, H, merge_p)
        for left in range(0, W, merge_p)
        for row in range(top, top + merge_p)
        for column in range(left, left + merge_p)
        for c in range(channels)
        for f in range(temporal_patch_f)
        for y in range(patch_px)
        for x in range(patch_px)
    ]
    np.testing.assert_array_equal(rows.ravel(), np.array(expected, dtype=np.float32))


def test_i22_the_grid_counts_patches():
    rows, grid = patch_rows(np.zeros((3, 3, 56, 140), np.float32), **SIDES)
    assert grid == (2, 4, 10)
    assert rows.shape == (80, 1176)


@pytest.mark.oracle
@given(
    blocks=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    seed=st.integers(0, 2**32 - 1),
    temporal_patch_f=st.integers(1, 3),
)
def test_i20_matches_upstream(blocks, seed, temporal_patch_f):
    import oracle

    height, width = 28 * blocks[0], 28 * blocks[1]
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    size = {"shortest_edge": 1, "longest_edge": 10**7}
    want, grids = oracle.pil_processor_rows([rgb], size=size, temporal_patch_size=temporal_patch_f)
    frame = normalised(rgb, mean=MEAN, std=STD)
    rows, grid = patch_rows(frame[np.newaxis], patch_px=14, temporal_patch_f=temporal_patch_f, merge_p=2)
    assert rows.dtype == want.dtype == np.float32
    np.testing.assert_array_equal(rows, want)
    assert [list(grid)] == grids.tolist()


@pytest.mark.parametrize("shape", [(0, 3, 28, 28), (1, 3, 0, 28), (1, 3, 28, 0), (1, 3, 42, 28), (1, 3, 28, 30)])
def test_i22_sides_that_do_not_divide_are_refused(shape):
    with pytest.raises(BadInput, match="multiples of 28"):
        patch_rows(np.zeros(shape, np.float32), **SIDES)


def test_i18_a_mean_for_each_channel_is_needed():
    with pytest.raises(BadInput, match="each of 4 channels"):
        normalised(np.zeros((2, 2, 4), np.uint8), mean=MEAN, std=STD)
