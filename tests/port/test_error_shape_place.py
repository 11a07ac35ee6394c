"""The shape of an error in one place: rows, frames, heads or channels are wrong alone, and must be named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from port.error_arrays import ARRAYS, Arrays, arrays_of, shaped
from qwen25vl.port.error_place import unlikely
from qwen25vl.port.error_shape import Layout, error_shape


def spoiled(arrays, pick):
    """The wanted array with other values in one place."""
    found = arrays.wanted.copy()
    found[pick] = arrays.draw.standard_normal(found[pick].shape) * arrays.scale * 3
    return found


@given(arrays_of(heads=2), st.integers(0, 5), st.sampled_from(["N", "K"]))
def test_one_wrong_head_is_named(arrays, head, letter):
    heads = arrays.wanted.shape[1]
    head %= heads
    shape = shaped(arrays, spoiled(arrays, np.s_[:, head]), dims=f"L {letter} d")
    assert (shape.kind, shape.columns) == ("head", (head,))
    assert shape.detail.startswith(f"only {'key ' * (letter == 'K')}head {head} of {heads}")


@given(arrays_of(heads=2), st.integers(0, 5))
def test_what_happened_inside_a_head_is_told(arrays, head):
    heads = arrays.wanted.shape[1]
    head %= heads
    found = arrays.wanted.copy()
    found[:, head] *= 0.5
    shape = shaped(arrays, found)
    assert shape.kind == "head"
    assert shape.detail.startswith(f"only head {head} of {heads}; there every value is 0.5 of the wanted one")


def test_one_wrong_head_of_probabilities_is_named():
    draw = np.random.default_rng(0)
    wanted = draw.random((4, 12, 12))
    found = wanted.copy()
    found[2] = draw.random((12, 12))
    for shape, dims in (((4, 12, 12), "N L L"), ((4, 144), "N S")):
        result = error_shape(
            found.reshape(shape), wanted.reshape(shape), part="x", dims=dims, tolerance=1e-6, layout=Layout()
        )
        assert (result.kind, result.columns, result.detail) == ("head", (2,), "only head 2 of 4")


@given(arrays_of(rows=5, d=8), st.sampled_from(["height", "width"]))
def test_a_band_of_the_vision_tower_is_named(arrays, axis):
    d = arrays.wanted.shape[2]
    first = 0 if axis == "height" else d // 4
    channels = np.r_[first : first + d // 4, first + d // 2 : first + d // 2 + d // 4]
    shape = shaped(arrays, spoiled(arrays, np.s_[:, :, channels]), part="vision.blocks.00.attn.q_rope")
    assert (shape.kind, shape.columns) == ("band", tuple(channels[:8]))
    assert f"(the {axis} band)" in shape.detail


@pytest.mark.parametrize(
    ("axes", "text"),
    [
        (("time",), "(the time band)"),
        (("height",), "(the height band)"),
        (("width",), "(the width band)"),
        (("height", "width"), "(the height band and the width band)"),
        (("time", "width"), "(the time band and the width band)"),
    ],
)
def test_bands_of_the_decoder_are_named_by_the_sections(axes, text):
    arrays = Arrays(rows=20, heads=3, d=16, seed=0)
    ends = {"time": (0, 2), "height": (2, 5), "width": (5, 8)}
    channels = np.concatenate([np.r_[slice(*ends[axis])] + half for half in (0, 8) for axis in axes])
    shape = shaped(arrays, spoiled(arrays, np.s_[:, :, channels]), dims="L N d", layout=Layout(sections=(2, 3, 3)))
    assert (shape.kind, shape.columns) == ("band", tuple(np.sort(channels)[:8]))
    assert text in shape.detail


def test_the_fast_channels_of_a_band_alone_lie_inside_it():
    arrays = Arrays(rows=20, heads=3, d=32, seed=0)
    channels = np.r_[4:7, 20:23]  # of 4 to 9 and 20 to 25
    layout = Layout(sections=(4, 6, 6))
    shape = shaped(arrays, spoiled(arrays, np.s_[:, :, channels]), dims="L N d", layout=layout)
    assert shape.detail.startswith("only channels 4 to 6 and 20 to 22 of each head (inside the height band)")


@given(arrays_of(rows=5, d=8), st.booleans())
def test_a_half_of_each_head_is_a_band(arrays, second):
    d = arrays.wanted.shape[2]
    half = np.s_[:, :, d // 2 :] if second else np.s_[:, :, : d // 2]
    shape = shaped(arrays, spoiled(arrays, half))
    assert shape.kind == "band"
    assert f"(the {'second' if second else 'first'} half)" in shape.detail


@given(ARRAYS, st.integers(0, 10**6))
def test_one_wrong_row_is_a_token(arrays, row):
    rows = len(arrays.wanted)
    row %= rows
    shape = shaped(arrays, spoiled(arrays, row), dims="L N d")
    assert (shape.kind, shape.rows, shape.columns) == ("token", (row,), ())
    place = {0: ", the first", rows - 1: ", the last"}.get(row, "")
    assert shape.detail.startswith(f"only token {row}{place}")


def test_a_token_is_said_to_be_a_vision_token():
    arrays = Arrays(rows=40, heads=2, d=8, seed=0)
    layout = Layout(vision_rows=(np.arange(40) >= 10) & (np.arange(40) < 30))
    for row, text in (
        (10, "the first vision token"),
        (11, "the second vision token"),
        (20, "a vision token"),
        (29, "the last vision token"),
        (5, "a text token"),
        (0, "the first and a text token"),
    ):
        shape = shaped(arrays, spoiled(arrays, row), dims="L N d", layout=layout)
        assert (shape.kind, shape.rows) == ("token", (row,))
        assert shape.detail == f"only token {row}, {text}"


@pytest.mark.parametrize("vision", [True, False])
def test_all_vision_tokens_or_all_text_tokens_are_named(vision):
    arrays = Arrays(rows=40, heads=2, d=8, seed=0)
    mask = (np.arange(40) >= 10) & (np.arange(40) < 30)
    rows = np.flatnonzero(mask == vision)
    shape = shaped(arrays, spoiled(arrays, rows), dims="L N d", layout=Layout(vision_rows=mask))
    assert (shape.kind, shape.rows) == ("token", tuple(rows[:8]))
    assert shape.detail == f"only {'vision' if vision else 'text'} tokens"
    shape = shaped(arrays, spoiled(arrays, rows[1:]), dims="L N d", layout=Layout(vision_rows=mask))
    assert shape.detail == f"only {'vision' if vision else 'text'} tokens (19 of their 20 tokens)"


@given(st.integers(2, 4), st.integers(2, 6), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_one_wrong_frame_is_named(frames, merged, frame, seed):
    frame %= frames
    arrays = Arrays(rows=frames * merged * 4, heads=2, d=8, seed=seed)
    frame_of_row = np.repeat(np.arange(frames), merged * 4)
    found = spoiled(arrays, frame_of_row == frame)
    shape = shaped(arrays, found, layout=Layout(frame_of_row=frame_of_row))
    assert shape.kind == "frame"
    assert shape.detail.startswith(f"only the rows of frame {frame} of {frames}")
    assert shape.rows[0] == frame * merged * 4


def test_frames_of_merged_tokens_follow_from_those_of_patches():
    arrays = Arrays(rows=12, heads=1, d=8, seed=0)
    layout = Layout(frame_of_row=np.repeat(np.arange(3), 16), merge_unit=4)
    shape = shaped(arrays, spoiled(arrays, np.s_[4:8]), dims="M N d", layout=layout)
    assert (shape.kind, shape.rows) == ("frame", (4, 5, 6, 7))


def test_one_wrong_window_is_named():
    arrays = Arrays(rows=48, heads=2, d=8, seed=0)
    layout = Layout(frame_of_row=np.zeros(48, int), window_of_row=np.repeat(np.arange(3), 16))
    shape = shaped(arrays, spoiled(arrays, np.s_[16:32]), layout=layout)
    assert (shape.kind, shape.detail) == ("token", "only the rows of window 1 of 3")


@given(ARRAYS, st.integers(1, 3))
def test_padding_is_padding_even_where_the_rows_are_tokens_too(arrays, count):
    rows = len(arrays.wanted)
    padding = np.arange(rows) < count
    layout = Layout(padding_rows=padding, vision_rows=padding)
    shape = shaped(arrays, spoiled(arrays, padding), dims="L N d", layout=layout)
    assert (shape.kind, shape.rows) == ("padding", tuple(range(count)))


def test_facts_about_another_number_of_rows_are_not_used():
    arrays = Arrays(rows=40, heads=2, d=8, seed=0)
    layout = Layout(frame_of_row=np.zeros(7), padding_rows=np.ones(39, dtype=bool), window_order=np.arange(9))
    assert shaped(arrays, spoiled(arrays, 3), layout=layout).kind == "token"


def test_a_row_that_repeats_another_is_said_to():
    arrays = Arrays(rows=40, heads=2, d=8, seed=0)
    found = arrays.wanted.copy()
    found[39] = found[38]
    shape = shaped(arrays, found, dims="L N d")
    assert (shape.kind, shape.detail) == ("token", "only token 39, the last: token 39 holds what token 38 should")


def test_rows_that_nobody_wrote_are_said_to_be_zero():
    arrays = Arrays(rows=40, heads=2, d=8, seed=0)
    found = arrays.noisy
    found[7] = 0
    shape = error_shape(found, arrays.wanted, part="x", dims="L N d", tolerance=arrays.tolerance, layout=Layout())
    assert (shape.kind, shape.detail) == (
        "token",
        "only token 7; there every value is 0, as if nothing had been written",
    )


def test_one_wrong_id_is_a_token_with_both_numbers():
    ids = np.array([151644, 8948, 198, 2610, 525, 264], dtype=np.float64)
    found = ids.copy()
    found[3] = 7
    shape = error_shape(found, ids, part="outputs.ids", dims="L", tolerance=0.0, layout=Layout())
    assert (shape.kind, shape.rows) == ("token", (3,))
    assert shape.detail == "only token 3, a single value, 7 for 2610"


def test_an_axis_of_positions_is_named():
    wanted = np.tile(np.arange(20.0), (3, 1))
    found = wanted.copy()
    found[1] += 4
    shape = error_shape(found, wanted, part="language.positions", dims="3 L", tolerance=0.0, layout=Layout())
    assert (shape.kind, shape.detail) == ("band", "only height; there every value is 4 too large")


def test_two_limits_are_both_told_and_the_band_gives_the_kind():
    arrays = Arrays(rows=40, heads=3, d=16, seed=0)
    vision = (np.arange(40) >= 10) & (np.arange(40) < 30)
    rows, channels = np.flatnonzero(vision), np.r_[2:8, 10:16]
    found = spoiled(arrays, np.ix_(rows, np.arange(3), channels))
    layout = Layout(vision_rows=vision, sections=(2, 3, 3))
    shape = shaped(arrays, found, dims="L N d", layout=layout)
    assert shape.kind == "band"
    assert shape.detail.startswith("only vision tokens; only channels 2 to 7 and 10 to 15 of each head")
    assert "(the height band and the width band)" in shape.detail


# ------------------------------------------------------------------------------------------ no false claims


@given(arrays_of(rows=24), st.integers(2, 6))
def test_strewn_elements_have_no_place(arrays, count):
    rows = arrays.draw.choice(len(arrays.wanted), count, replace=False)
    found = arrays.wanted.copy()
    for row in rows:
        found[row].flat[arrays.draw.integers(found[row].size)] += arrays.scale * (1 + arrays.draw.random())
    shape = shaped(arrays, found)
    assert shape.kind == "other" or len(np.unique(np.argwhere(np.abs(found - arrays.wanted) > 0)[:, 1])) == 1
    assert shape.kind != "token"


def test_most_channels_without_a_name_are_no_band():
    arrays = Arrays(rows=300, heads=1, d=64, seed=0)
    channels = np.setdiff1d(np.arange(64), [17, 40])
    shape = shaped(arrays, spoiled(arrays, np.s_[:, :, channels]), dims="L N d")
    assert shape.kind == "other"


def test_half_of_the_rows_without_a_name_are_no_token():
    arrays = Arrays(rows=40, heads=2, d=8, seed=0)
    shape = shaped(arrays, spoiled(arrays, np.s_[20:]), dims="L N d")
    assert shape.kind == "other"
    assert "from token 20 on" in shape.detail


@pytest.mark.parametrize(
    ("count", "total", "wrong", "is_so"),
    [(1, 1000, 1, False), (1, 1000, 2, True), (5, 1000, 5, False), (1, 12, 30, True), (11, 12, 30, False)],
)
def test_a_place_counts_if_chance_would_not_choose_it(count, total, wrong, is_so):
    assert unlikely(count, total, wrong) == is_so


def test_a_run_of_rows_that_came_late_is_said_to():
    arrays = Arrays(rows=100, heads=2, d=8, seed=0)
    found = arrays.wanted.copy()
    found[40:46] = arrays.wanted[39:45]
    shape = shaped(arrays, found, dims="L N d")
    assert (shape.kind, shape.detail) == ("token", "only tokens 40 to 45: tokens 40 to 45 stand 1 place too late")


def test_from_which_row_on_a_head_is_wrong_is_told():
    arrays = Arrays(rows=40, heads=6, d=8, seed=0)
    shape = shaped(arrays, spoiled(arrays, np.s_[11:, 2]), dims="L N d")
    assert (shape.kind, shape.detail) == ("head", "only head 2 of 6; only tokens 11 to 39")


def test_a_band_turned_by_a_wrong_angle_is_said_to_be_so():
    arrays = Arrays(rows=40, heads=3, d=16, seed=0)
    angle = np.zeros((40, 1, 8))
    angle[:, :, 2:5] = np.linspace(0.3, 2, 40)[:, np.newaxis, np.newaxis]
    a, b = arrays.wanted[..., :8], arrays.wanted[..., 8:]
    found = np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], axis=-1)
    layout = Layout(sections=(2, 3, 3))
    shape = shaped(arrays, found, part="language.blocks.00.attn.k_rope", dims="L N d", layout=layout)
    assert shape.kind == "band"
    assert "(the height band); channels j and j + 8 have the right length together" in shape.detail
