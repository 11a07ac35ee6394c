"""Errors of order: rows, channels, heads and axes are moved, and the move must come back by name."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from port.error_arrays import ARRAYS, Arrays, arrays_of, shaped
from qwen25vl.port.error_order_names import order_told
from qwen25vl.port.error_shape import Layout, error_shape
from qwen25vl.vision.windows import window_order
from strategies import grids_m


def rolled(rows, step):
    """Row i holds what row i - step should."""
    return np.roll(np.arange(rows), step)


@given(arrays_of(rows=12))
def test_rows_anywhere_are_a_permutation(arrays):
    rows = len(arrays.wanted)
    order = arrays.draw.permutation(rows)
    moved = np.flatnonzero(order != np.arange(rows))
    assume(len(moved) >= 4)
    shape = shaped(arrays, arrays.wanted[order])
    assert shape.kind in ("permutation", "transposition")
    assert shape.rows == tuple(moved[:8]) or "transposition" in shape.kind or "place" in shape.detail


@given(ARRAYS)
def test_rows_in_reverse_order_are_said_to_be_so(arrays):
    shape = shaped(arrays, arrays.wanted[::-1])
    assert (shape.kind, shape.detail) == ("permutation", "all rows stand in reverse order")


@given(ARRAYS)
def test_exchanged_halves_are_said_to_be_so(arrays):
    rows = len(arrays.wanted)
    assume(rows % 2 == 0)
    shape = shaped(arrays, arrays.wanted[rolled(rows, rows // 2)])
    assert (shape.kind, shape.detail) == ("permutation", "the two halves of the rows have changed places")


@given(arrays_of(rows=12), st.integers(1, 4), st.booleans())
def test_rows_that_went_round_are_counted(arrays, step, late):
    rows = len(arrays.wanted)
    shape = shaped(arrays, arrays.wanted[rolled(rows, step if late else -step)])
    assert shape.kind == "permutation"
    places = f"{step} place{'s' * (step > 1)}"
    assert shape.detail == f"every row stands {places} too {'late' if late else 'early'}, going round at the end"


@given(arrays_of(rows=12), st.integers(1, 3))
def test_rows_that_came_late_behind_new_ones_are_a_permutation(arrays, step):
    new = arrays.draw.standard_normal((step, *arrays.wanted.shape[1:])) * arrays.scale
    shape = shaped(arrays, np.concatenate([new, arrays.wanted[:-step]]))
    assert shape.kind == "permutation"
    assert "too late; row" in shape.detail
    assert shape.detail.endswith("new")


@given(ARRAYS, st.data())
def test_two_rows_that_changed_places_are_named(arrays, data):
    rows = len(arrays.wanted)
    a = data.draw(st.integers(0, rows - 2))
    b = data.draw(st.integers(a + 1, rows - 1))
    order = np.arange(rows)
    order[[a, b]] = b, a
    shape = shaped(arrays, arrays.wanted[order])
    assert (shape.kind, shape.rows) == ("permutation", (a, b))
    assert shape.detail == f"rows {a} and {b} have changed places"


def test_runs_that_changed_places_are_named():
    arrays = Arrays(rows=24, heads=2, d=8, seed=0)
    order = np.r_[0:4, 16:20, 8:16, 4:8, 20:24]
    shape = shaped(arrays, arrays.wanted[order])
    assert shape.detail == "rows 4 to 7 and 16 to 19 have changed places"
    assert shape.rows == (4, 5, 6, 7, 16, 17, 18, 19)


@given(grids_m(), st.sampled_from([1, 4]), st.integers(0, 2**32 - 1))
def test_each_misuse_of_the_window_order_has_a_name(grids, unit, seed):
    order, _ = window_order(grids, window_m=2)
    assume(len(order) >= 2)
    rows = (order[:, np.newaxis] * unit + np.arange(unit)).ravel()
    inverse = np.argsort(rows)
    arrays = Arrays(rows=len(rows), heads=1, d=12, seed=seed)
    layout = Layout(window_order=order, merge_unit=4)
    misuses = (
        (rows, "stand in window order"),
        (inverse, "stand in the inverse of the window order"),
        (rows[rows], "went through the window order twice"),
        (inverse[inverse], "went through the inverse of the window order twice"),
    )
    told = []  # one permutation may be several misuses: then the first name counts
    for misuse, text in misuses:
        if any(np.array_equal(misuse, known) for known, _ in told):
            continue
        told.append((misuse, text))
        shape = shaped(arrays, arrays.wanted[misuse], layout=layout)
        if np.array_equal(misuse, np.arange(len(rows))):
            assert shape.kind == "noise"
        else:
            assert shape.kind == "permutation"
            assert text in shape.detail


def test_the_window_order_of_vision_tokens_is_seen_among_text_too():
    order, _ = window_order(np.array([[1, 4, 6]]), window_m=4)
    vision = (np.arange(40) >= 9) & (np.arange(40) < 33)
    arrays = Arrays(rows=40, heads=2, d=8, seed=0)
    moved = np.arange(40)
    moved[9:33] = 9 + order
    layout = Layout(vision_rows=vision, window_order=order)
    shape = shaped(arrays, arrays.wanted[moved], dims="L N d", layout=layout)
    assert shape.kind == "permutation"
    assert shape.detail.startswith(
        "among the vision tokens, counted by themselves, the tokens stand in window order"
    )
    moved[9:33] = np.roll(np.arange(9, 33), -1)
    shape = shaped(arrays, arrays.wanted[moved], dims="L N d", layout=layout)
    assert shape.detail.endswith("every token stands 1 place too early, going round at the end")


@given(grids_m())
def test_a_list_of_places_that_is_the_inverse_is_said_to_be_so(grids):
    order, _ = window_order(grids, window_m=2)
    wanted, found = order.astype(float), np.argsort(order).astype(float)
    shape = error_shape(found, wanted, part="vision.window_order", dims="M", tolerance=0.0, layout=Layout())
    if np.array_equal(found, wanted):
        assert shape.kind == "noise"
    else:
        assert shape.kind == "permutation"
        assert shape.detail.endswith("the permutation is the inverse of the wanted one")
        assert shape.rows == tuple(np.flatnonzero(found != wanted)[:8])


def test_frames_and_merged_tokens_are_called_by_their_names():
    arrays = Arrays(rows=48, heads=2, d=8, seed=0)
    layout = Layout(frame_of_row=np.repeat(np.arange(3), 16), merge_unit=4)
    frames = np.r_[16:32, 0:16, 32:48]
    assert shaped(arrays, arrays.wanted[frames], layout=layout).detail == "frames 0 and 1 have changed places"
    blocks = np.r_[0:4, 8:12, 4:8, 12:48]
    shape = shaped(arrays, arrays.wanted[blocks], layout=layout)
    assert shape.detail == "merged tokens 1 and 2 have changed places"
    inside = np.arange(48).reshape(-1, 2, 2).transpose(0, 2, 1).ravel()
    shape = shaped(arrays, arrays.wanted[inside], layout=layout)
    assert (shape.kind, shape.detail) == ("permutation", "in each merged token, rows 1 and 2 have changed places")
    columns = np.arange(48).reshape(3, 4, 4).transpose(0, 2, 1).ravel()
    shape = shaped(arrays, arrays.wanted[columns], layout=layout)
    assert shape.kind == "transposition"
    assert shape.detail.startswith("in each frame, the rows are those of a grid of 4 x 4, column by column")


@pytest.mark.parametrize(("height", "width"), [(4, 6), (6, 10), (2, 8), (8, 6)])
def test_raster_order_is_told_from_blocks(height, width):
    arrays = Arrays(rows=2 * height * width, heads=1, d=12, seed=0)
    raster = np.arange(2 * height * width).reshape(2, height, width)  # of two frames
    in_blocks = raster.reshape(2, height // 2, 2, width // 2, 2).transpose(0, 1, 3, 2, 4).ravel()
    shape = shaped(arrays, arrays.wanted[np.argsort(in_blocks)])
    assert shape.kind == "permutation"
    assert shape.detail == f"the rows stand in raster order, not in blocks of 2 x 2; the grid is {width} wide"
    shape = shaped(arrays, arrays.wanted[in_blocks])
    assert shape.detail == f"the rows stand in blocks of 2 x 2, not in raster order; the grid is {width} wide"


@given(st.integers(2, 6), st.integers(3, 9), st.integers(0, 2**32 - 1))
def test_a_grid_taken_column_by_column_is_a_transposition(height, width, seed):
    arrays = Arrays(rows=height * width, heads=2, d=8, seed=seed)
    order = np.arange(height * width).reshape(height, width).T.ravel()
    shape = shaped(arrays, arrays.wanted[order])
    assert shape.kind == "transposition"
    assert f"a grid of {height} x {width}, column by column" in shape.detail


# ------------------------------------------------------------------------------------------------- channels


@given(arrays_of(d=8))
def test_interleaved_pairs_are_told_from_halves(arrays):
    d = arrays.wanted.shape[2]
    assume(d > 4)  # of four channels, both moves are one
    each = "in each head, " if arrays.wanted.shape[1] > 1 else ""
    interleaved = np.arange(d).reshape(2, -1).T.ravel()
    shape = shaped(arrays, arrays.wanted[..., interleaved])
    assert shape.kind == "permutation"
    assert (
        shape.detail == f"{each}channels i and i + {d // 2} stand at 2 i and 2 i + 1: interleaved, not in halves"
    )
    shape = shaped(arrays, arrays.wanted[..., np.argsort(interleaved)])
    assert (
        shape.detail == f"{each}channels 2 i and 2 i + 1 stand at i and i + {d // 2}: in halves, not interleaved"
    )


@given(arrays_of(heads=3))
def test_heads_in_another_order_are_a_permutation_of_heads(arrays):
    heads = arrays.wanted.shape[1]
    shape = shaped(arrays, arrays.wanted[:, ::-1])
    assert shape.kind == "permutation"
    assert shape.detail == (
        "heads 0 and 2 have changed places" if heads == 3 else "all heads stand in reverse order"
    )


@given(ARRAYS)
def test_exchanged_halves_of_each_head_are_a_permutation(arrays):
    shape = shaped(arrays, np.roll(arrays.wanted, arrays.wanted.shape[2] // 2, axis=2))
    assert shape.kind == "permutation"
    assert "the two halves of the channels have changed places" in shape.detail


@given(ARRAYS)
def test_channels_anywhere_are_a_permutation(arrays):
    rows, heads, d = arrays.wanted.shape
    order = arrays.draw.permutation(heads * d)
    assume(np.count_nonzero(order != np.arange(heads * d)) > 2)
    shape = shaped(arrays, arrays.wanted.reshape(rows, -1)[:, order].reshape(arrays.wanted.shape))
    assert shape.kind == "permutation"
    assert "channel" in shape.detail or "head" in shape.detail
    assert shape.columns == tuple(np.flatnonzero(order != np.arange(heads * d))[:8])


def test_pairs_are_found_where_the_slow_channels_are_nearly_equal():
    angles = np.arange(30)[:, np.newaxis] * 1e6 ** -(np.arange(10) / 10)
    wanted = np.cos(np.concatenate([angles, angles], axis=1))  # the last ones are 1 in all rows, nearly
    found = wanted[:, np.arange(20).reshape(2, 10).T.ravel()]
    shape = error_shape(found, wanted, part="language.rope.cos", dims="L d", tolerance=1e-5, layout=Layout())
    assert shape.kind == "permutation"
    assert shape.detail == "channels i and i + 10 stand at 2 i and 2 i + 1: interleaved, not in halves"


def test_colours_in_reverse_order_are_blocks_of_channels_that_changed_places():
    wanted = np.random.default_rng(0).standard_normal((20, 3 * 8))
    found = wanted.reshape(20, 3, 8)[:, ::-1].reshape(20, 24)
    shape = error_shape(found, wanted, part="inputs.pixels", dims="P C", tolerance=0.0, layout=Layout())
    assert (shape.kind, shape.detail) == ("permutation", "channels 0 to 7 and 16 to 23 have changed places")


def test_height_and_width_of_positions_that_changed_places_are_named():
    text, h, w = np.arange(3), np.repeat(np.arange(2), 5), np.tile(np.arange(5), 2)
    wanted = np.stack([np.r_[text, h * 0 + 3, 8, 9], np.r_[text, h + 3, 8, 9], np.r_[text, w + 3, 8, 9]]).astype(
        float
    )
    shape = error_shape(
        wanted[[0, 2, 1]], wanted, part="language.positions", dims="3 L", tolerance=0.0, layout=Layout()
    )
    assert (shape.kind, shape.detail) == ("permutation", "the axes stand in the order time, width and height")
    assert shape.columns == (1, 2)


# ------------------------------------------------------------------------------------------------ whole axes


@given(st.integers(3, 12), st.integers(0, 2**32 - 1))
def test_a_square_turned_over_is_a_transposition(side, seed):
    wanted = np.random.default_rng(seed).standard_normal((side, side))
    shape = error_shape(wanted.T, wanted, part="x", dims="P D", tolerance=1e-6, layout=Layout())
    assert (shape.kind, shape.detail) == ("transposition", "axes P and D are exchanged")


@given(ARRAYS, st.sampled_from([(1, 0, 2), (0, 2, 1), (2, 1, 0), (1, 2, 0), (2, 0, 1)]))
def test_heads_laid_out_before_rows_are_a_transposition(arrays, axes):
    shape = arrays.wanted.shape
    long = [axis for axis in axes if shape[axis] > 1]
    assume(long != sorted(long))
    result = shaped(arrays, arrays.wanted.transpose(axes).reshape(shape), dims="L N d")
    assert result.kind == "transposition"
    result = shaped(
        arrays, arrays.wanted.reshape([shape[a] for a in axes]).transpose(np.argsort(axes)), dims="L N d"
    )
    assert result.kind == "transposition"


def test_the_order_of_the_axes_is_told():
    arrays = Arrays(rows=7, heads=3, d=4, seed=0)
    found = arrays.wanted.transpose(1, 0, 2).reshape(arrays.wanted.shape)
    shape = shaped(arrays, found, dims="L N d")
    assert shape.detail == "the values of [L, N, d] lie in the order [N, L, d]"
    found = arrays.wanted.reshape(3, 7, 4).transpose(1, 0, 2)
    shape = shaped(arrays, found, dims="L N d")
    assert shape.detail == "the values of [L, N, d] were read as if they lay in the order [N, L, d]"


def test_probabilities_turned_over_are_a_transposition():
    wanted = np.random.default_rng(0).random((3, 9, 9))
    shape = error_shape(wanted.transpose(0, 2, 1), wanted, part="x", dims="N L L", tolerance=1e-6, layout=Layout())
    assert shape.kind == "transposition"


def test_a_symmetric_array_turned_over_is_right():
    half = np.random.default_rng(0).standard_normal((8, 8))
    wanted = half + half.T
    assert error_shape(wanted.T, wanted, part="x", dims="P D", tolerance=0.0, layout=Layout()).kind == "noise"


# ------------------------------------------------------------------------------------------ no false claims


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 3]))
def test_rows_so_narrow_that_any_meets_any_are_not_called_moved(seed, width):
    draw = np.random.default_rng(seed)
    wanted, found = draw.random((2, 4000, width))  # sorted, the two would agree to the tolerance
    shape = error_shape(found, wanted, part="x", dims="P D", tolerance=0.1, layout=Layout())
    assert shape.kind == "other"


@given(arrays_of(rows=12, d=8))
def test_equal_rows_among_the_moved_ones_do_no_harm(arrays):
    rows = len(arrays.wanted)
    wanted = arrays.wanted.copy()
    wanted[1::3] = wanted[1]  # a third of all rows are one: black patches
    order = arrays.draw.permutation(rows)
    assume(np.any(wanted[order] != wanted))
    shape = error_shape(
        wanted[order] + arrays.noise, wanted, part="x", dims="P N d", tolerance=arrays.tolerance, layout=Layout()
    )
    assert shape.kind == "permutation"


@given(arrays_of(rows=12, d=8))
def test_rows_that_repeat_others_are_not_a_permutation(arrays):
    rows = len(arrays.wanted)
    found = arrays.wanted[np.arange(rows) // 2 * 2]
    shape = shaped(arrays, found)
    assert shape.kind == "other"
    assert "the values of others: row 1 what row 0 should" in shape.detail
    shape = shaped(arrays, np.broadcast_to(arrays.wanted[:1], arrays.wanted.shape))
    assert shape.kind == "other"
    assert f"rows 1 to {rows - 1} hold what row 0 should" in shape.detail


def test_large_arrays_are_matched_too():
    draw = np.random.default_rng(0)
    wanted = draw.standard_normal((9000, 40))  # keys in float32, in several chunks
    order = np.arange(9000).reshape(90, 100).T.ravel()
    found = wanted[order] + draw.uniform(-1, 1, wanted.shape) * 1e-4
    shape = error_shape(found, wanted, part="x", dims="P D", tolerance=4e-4, layout=Layout())
    assert (shape.kind, shape.detail.split(",")[0]) == (
        "transposition",
        "the rows are those of a grid of 90 x 100",
    )


@given(st.permutations(range(12)), st.sampled_from([{}, {3: "head"}, {4: "frame"}]))
def test_every_permutation_but_the_identity_has_a_name(order, blocks):
    order = np.array(order)
    assume(np.any(order != np.arange(12)))
    kind, text = order_told(order, noun="row", blocks=blocks, orders={})
    assert kind in ("permutation", "transposition")
    assert text
    if "stand in other places" in text and "block" not in text and not blocks:
        assert text.startswith(f"{np.count_nonzero(order != np.arange(12))} of 12 rows")


def test_ids_in_another_order_are_a_permutation():
    ids = np.array([151644, 8948, 198, 2610, 525, 264, 198, 10950], dtype=np.float64)  # one of them twice
    shape = error_shape(ids[::-1], ids, part="outputs.ids", dims="L", tolerance=0.0, layout=Layout())
    assert (shape.kind, shape.detail) == ("permutation", "all tokens stand in reverse order")
    shape = error_shape(np.roll(ids, 1), ids, part="outputs.ids", dims="L", tolerance=0.0, layout=Layout())
    assert shape.kind == "permutation"
    assert shape.detail.startswith("every token stands 1 place too late")


def test_equal_rows_do_not_hide_the_name_of_an_order():
    arrays = Arrays(rows=48, heads=2, d=8, seed=0)
    order, _ = window_order(np.array([[1, 6, 8]]), window_m=4)
    wanted = arrays.wanted.copy()
    wanted[::5] = wanted[0]  # black patches
    for misuse in (order, np.argsort(order)):
        shape = error_shape(
            wanted[misuse], wanted, part="x", dims="M N d", tolerance=0.0, layout=Layout(window_order=order)
        )
        assert shape.kind == "permutation"
        assert "window order" in shape.detail
