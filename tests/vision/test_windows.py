"""Window order, frame boundaries, and the moving of merge blocks: integers, compared exactly."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.vision.windows import frame_starts, reordered, window_order
from strategies import configs, grids_m

windows_m = st.integers(1, 5)

# Merged 2 x 5, 5 x 7 and 8 x 8 with the released window of 4: computed from upstream's formula, padding and all,
# by a script of its own before this code was written, in a survey of what ports get wrong. The first tokens of the
# order and of its inverse, and the boundaries in patches, four to a merged token.
GOLDEN = {
    (2, 5): ([0, 1, 2, 3, 5, 6, 7, 8, 4, 9], [0, 1, 2, 3, 8, 4, 5, 6, 7, 9], [0, 32, 40]),
    (5, 7): (
        [0, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 17],
        [0, 1, 2, 3, 16, 17, 18, 4, 5, 6, 7, 19],
        [0, 64, 112, 128, 140],
    ),
    (8, 8): (
        [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19],
        [0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7],
        [0, 64, 128, 192, 256],
    ),
}


def places(grids, window_m):
    """Medium, frame, window row, window column, row and column of every merged token, in token order."""
    return [
        (medium, t, row // window_m, column // window_m, row, column)
        for medium, (T, Hm, Wm) in enumerate(grids.tolist())
        for t in range(T)
        for row in range(Hm)
        for column in range(Wm)
    ]


@given(grids_m(), windows_m)
def test_w0_the_order_is_a_permutation(grids, window_m):
    order, starts = window_order(grids, window_m=window_m)
    assert sorted(order.tolist()) == list(range(int(np.sum(np.prod(grids, axis=1)))))
    assert (starts[0], starts[-1]) == (0, len(order))
    assert (order.dtype, starts.dtype) == (np.int64, np.int64)


@given(grids_m(), windows_m)
def test_w1_a_window_never_spans_two_frames_nor_two_media(grids, window_m):
    order, starts = window_order(grids, window_m=window_m)
    where = places(grids, window_m)
    for first, end in pairwise(starts):
        assert len({where[token][:2] for token in order[first:end]}) == 1


@given(grids_m(), windows_m)
def test_w1_a_window_is_a_square_of_neighbours(grids, window_m):
    order, starts = window_order(grids, window_m=window_m)
    where = places(grids, window_m)
    for first, end in pairwise(starts):
        rows = {where[token][4] for token in order[first:end]}
        columns = {where[token][5] for token in order[first:end]}
        assert max(rows) - min(rows) < window_m
        assert max(columns) - min(columns) < window_m
        assert len(rows) * len(columns) == end - first


@given(grids_m(), windows_m)
def test_w2_tokens_come_by_medium_frame_window_row_window_column_row_and_column(grids, window_m):
    order, _ = window_order(grids, window_m=window_m)
    where = places(grids, window_m)
    assert order.tolist() == sorted(range(len(where)), key=lambda token: where[token])


@given(grids_m(), windows_m)
def test_w3_a_window_ends_where_the_grid_ends_and_none_is_empty(grids, window_m):
    _, starts = window_order(grids, window_m=window_m)
    assert np.all(np.diff(starts) >= 1), "an empty window was listed"
    sizes = [
        min(window_m, Hm - top) * min(window_m, Wm - left)
        for T, Hm, Wm in grids.tolist()
        for _ in range(T)
        for top in range(0, Hm, window_m)
        for left in range(0, Wm, window_m)
    ]
    assert np.diff(starts).tolist() == sizes


@pytest.mark.parametrize("sides", GOLDEN, ids=str)
def test_w2_and_w3_at_the_sizes_that_ports_got_wrong(sides):
    first, inverse, boundaries = GOLDEN[sides]
    order, starts = window_order(np.array([[1, *sides]]), window_m=4)
    assert order[: len(first)].tolist() == first
    assert np.argsort(order)[: len(inverse)].tolist() == inverse
    assert (4 * starts).tolist() == boundaries


def test_w2_a_video_of_two_frames():
    # Same source: grid (2, 8, 18) in patches, so merged 4 x 9; boundaries in patches.
    _, starts = window_order(np.array([[2, 4, 9]]), window_m=4)
    assert (4 * starts).tolist() == [0, 64, 128, 144, 208, 272, 288]


def test_sizes_that_hide_a_wrong_inverse_are_known():
    # blindness check: 448 x 448 is its own inverse, the sizes above are not
    def is_its_own_inverse(*sides):
        order, _ = window_order(np.array([[1, *sides]]), window_m=4)
        return np.array_equal(order[order], np.arange(len(order)))

    assert is_its_own_inverse(16, 16)
    assert not any(is_its_own_inverse(*sides) for sides in [*GOLDEN, (12, 12)])


@given(grids_m(), windows_m, st.integers(1, 9), st.sampled_from([(), (3,), (2, 3)]))
def test_w4_the_patches_of_a_merged_token_stay_together_and_in_order(grids, window_m, merge_unit, more):
    order, _ = window_order(grids, window_m=window_m)
    rows = np.arange(len(order) * merge_unit * int(np.prod(more))).reshape(-1, *more)
    got = reordered(rows, order, merge_unit=merge_unit)
    assert got.shape == rows.shape
    for place, token in enumerate(order.tolist()):
        for k in range(merge_unit):
            np.testing.assert_array_equal(got[place * merge_unit + k], rows[token * merge_unit + k])


def test_w6_a_segment_of_full_attention_is_one_frame():
    # Two videos in one call; counted by hand, T times H x W each.
    assert frame_starts(np.array([[3, 4, 4], [2, 2, 4]])).tolist() == [0, 16, 32, 48, 56, 64]
    assert frame_starts(np.empty((0, 3), np.int64)).tolist() == [0]


@given(grids_m())
def test_w6_every_frame_of_every_medium_is_one(grids):
    starts = frame_starts(grids)
    assert starts.dtype == np.int64
    assert starts[0] == 0
    assert np.diff(starts).tolist() == [H * W for T, H, W in grids.tolist() for _ in range(T)]


@pytest.mark.oracle
@given(st.data(), configs(), grids_m())
def test_matches_upstream(data, config, grids):
    import oracle

    vision = config.vision
    patches = grids * np.array([1, vision.merge_p, vision.merge_p])
    order, starts = window_order(grids, window_m=vision.window_m)
    want_order, want_starts = oracle.window_order(patches, vision)
    np.testing.assert_array_equal(order, want_order)
    np.testing.assert_array_equal(starts * vision.merge_unit, want_starts)
    np.testing.assert_array_equal(frame_starts(patches), oracle.frame_starts(patches))


@pytest.mark.parametrize(("grid", "window_m"), [((1, 2, 2), 0), ((1, 2, 2), -1), ((0, 2, 2), 4), ((1, 0, 2), 4)])
def test_an_empty_side_is_refused(grid, window_m):
    with pytest.raises(ValueError, match=r"need positive sides, got window_m="):
        window_order(np.array([grid]), window_m=window_m)
