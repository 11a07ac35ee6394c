"""Patch embedding. Whole numbers add up exactly, so comparisons are exact."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks import WIDE
from qwen25vl.ops import REFERENCE
from qwen25vl.vision.patch_embed import patch_embedding


@st.composite
def kernels(draw):
    """Pixel rows and a kernel of drawn, mostly unequal sides, filled with small whole numbers."""
    D, C, frames, px = (draw(st.integers(1, 4)) for _ in range(4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    rows = rng.integers(-9, 10, (draw(st.integers(1, 5)), C * frames * px * px)).astype(np.float32)
    return rows, rng.integers(-9, 10, (D, C, frames, px, px)).astype(np.float64)


@given(kernels())
def test_e1_a_row_meets_the_kernel_in_the_order_channel_frame_y_x(drawn):
    rows, weight = drawn
    got = patch_embedding(rows, weight, ops=WIDE)
    assert got.shape == (len(rows), len(weight))
    D, C, frames, px, _ = weight.shape
    for p in range(len(rows)):
        for d in range(D):
            pixel = iter(rows[p].tolist())
            total = 0.0
            for c, f, y, x in np.ndindex(C, frames, px, px):
                total += next(pixel) * weight[d, c, f, y, x]
            assert got[p, d] == total


def test_e1_the_two_frames_of_a_patch_have_kernels_of_their_own():
    # A still picture repeats its frame, so only the sum of the two slices would show.
    weight = np.arange(2.0).reshape(1, 1, 2, 1, 1)
    first_then_second = patch_embedding(np.array([[3.0, 5.0], [5.0, 3.0]], np.float32), weight, ops=WIDE)
    assert first_then_second.tolist() == [[5.0], [3.0]]


@given(kernels(), st.randoms())
def test_e1_every_patch_is_embedded_alone(drawn, random):
    rows, weight = drawn
    shuffled = list(range(len(rows)))
    random.shuffle(shuffled)
    want = patch_embedding(rows, weight, ops=WIDE)[shuffled]
    np.testing.assert_array_equal(patch_embedding(rows[shuffled], weight, ops=WIDE), want)


def test_e2_rows_are_widened_not_rounded_to_the_weights():
    # 1/3 in float32 has no shorter form: in float64 the product keeps it, and its error is none.
    third = np.float32(1) / np.float32(3)
    got = patch_embedding(np.array([[third]]), np.full((1, 1, 1, 1, 1), 3.0), ops=WIDE)
    assert got[0, 0] == float(third) * 3.0 != 1.0
    assert got.dtype == np.float64
    narrow = patch_embedding(np.array([[third]]), np.full((1, 1, 1, 1, 1), 3.0, np.float32), ops=REFERENCE)
    assert narrow.dtype == np.float32


def test_e3_there_is_no_bias():
    assert patch_embedding(np.zeros((1, 4), np.float32), np.ones((2, 1, 1, 2, 2)), ops=WIDE).tolist() == [
        [0.0, 0.0]
    ]
    seen = []

    def linear(x, weight, bias=None):
        seen.append(bias)
        return REFERENCE.linear(x, weight, bias)

    patch_embedding(np.zeros((1, 4), np.float32), np.ones((2, 1, 1, 2, 2)), ops=replace(WIDE, linear=linear))
    assert seen == [None]


@pytest.mark.oracle
@given(kernels())
def test_matches_upstreams_convolution(drawn):
    import oracle

    rows, weight = drawn
    np.testing.assert_array_equal(patch_embedding(rows, weight, ops=WIDE), oracle.patch_embedding(rows, weight))
