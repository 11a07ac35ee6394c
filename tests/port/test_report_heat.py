"""Heat maps, patches and digits of the evidence."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from port.report_samples import FAULT, evidence_of, runs
from qwen25vl.media.patches import patch_rows
from qwen25vl.port.html.closeup import bar_lengths, close_up
from qwen25vl.port.html.heat import (
    KNEE,
    MOST_COLUMNS,
    MOST_ROWS,
    NOISE_STEPS,
    coloured,
    error_matrix,
    heat_map,
    palette,
)
from qwen25vl.port.html.patches import MOST_FRAMES, patch_errors
from qwen25vl.port.verdicts import Evidence


def evidence(
    found: np.ndarray, wanted: np.ndarray | float = 0.0, *, floor: float = 1.0, dims: str = "P D", **others
):
    wanted = np.broadcast_to(np.asarray(wanted, dtype=np.float64), found.shape)
    return Evidence("c", "t", dims, np.asarray(found, dtype=np.float64), wanted, floor, **others)


def decoded(uri: str) -> np.ndarray:
    """The colours of a picture, red, green, blue, opacity."""
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGBA"))


def test_errors_are_in_units_of_the_floor():
    found = np.array([[1.0, 2.5], [-3.0, 4.0]])
    assert error_matrix(evidence(found, 1.0, floor=0.5)).tolist() == [[0, 3], [8, 6]]


@pytest.mark.parametrize("floor", [0.0, float("nan"), float("inf"), -1.0])
def test_without_a_floor_errors_stay_as_they_are(floor):
    assert error_matrix(evidence(np.array([[3.0]]), 1.0, floor=floor)).tolist() == [[2]]


def test_what_is_no_number_is_infinitely_wrong_unless_it_is_wanted():
    found = np.array([[np.nan, np.inf, np.nan, np.inf, -np.inf, 1.0]])
    wanted = np.array([[0.0, 0.0, np.nan, np.inf, np.inf, np.nan]])
    assert error_matrix(evidence(found, wanted)).tolist() == [[np.inf, np.inf, 0, 0, np.inf, np.inf]]


def test_errors_beyond_the_largest_number_are_infinite():
    assert error_matrix(evidence(np.array([[1e308]]), -1e308)).tolist() == [[np.inf]]


@pytest.mark.parametrize(
    ("shape", "dims", "matrix"),
    [
        ((), "", (1, 1)),
        ((5,), "M", (5, 1)),
        ((5, 3), "P D", (5, 3)),
        ((5, 2, 3), "P N d", (5, 6)),
        ((2, 5, 4), "N L L", (10, 4)),
        ((3, 7), "3 L", (3, 7)),
        ((2, 7), "N S", (2, 7)),
        ((0, 3), "P D", (0, 0)),
        ((2, 0), "P D", (2, 0)),
    ],
)
def test_every_shape_becomes_rows_and_columns(shape, dims, matrix):
    assert error_matrix(evidence(np.ones(shape), dims=dims)).shape == matrix


@given(
    rows=st.sampled_from([1, 2, MOST_ROWS - 1, MOST_ROWS, MOST_ROWS + 1, 3 * MOST_ROWS + 5]),
    columns=st.sampled_from([1, MOST_COLUMNS, MOST_COLUMNS + 1, 2 * MOST_COLUMNS + 3]),
    seed=st.integers(0, 1000),
)
def test_one_wrong_element_is_seen_however_large_the_part(rows, columns, seed):
    rng = np.random.default_rng(seed)
    found = np.zeros((rows, columns))
    i, j = int(rng.integers(rows)), int(rng.integers(columns))
    found[i, j] = 1e6
    drawn = heat_map(error_matrix(evidence(found)))
    pixels = decoded(drawn.image)
    assert pixels.shape[0] <= MOST_ROWS
    assert pixels.shape[1] <= MOST_COLUMNS
    dark = np.argwhere((pixels[..., :3] == list(palette()[-6:-3])).all(axis=-1))
    assert dark.tolist() == [[i // drawn.rows_per_cell, j // drawn.columns_per_cell]]
    assert np.flatnonzero(drawn.row_errors).tolist() == [i // drawn.rows_per_cell]


def test_colours_grow_darker_with_the_error():
    errors = np.array([[0.0, 0.01, 0.5, KNEE, 1.1 * KNEE, 100.0, 1e4, 1e6, np.inf]])
    places = coloured(errors, top=1e6)[0].astype(int)
    assert np.all(np.diff(places) >= 0)
    assert (places[0], places[3], places[-2], places[-1]) == (0, NOISE_STEPS - 1, 254, 255)
    assert places[4] >= NOISE_STEPS
    colours = np.frombuffer(palette(), dtype=np.uint8).reshape(256, 3).astype(float)
    brightness = colours[:255] @ [0.299, 0.587, 0.114]
    assert np.all(np.diff(brightness[:NOISE_STEPS]) <= 0)
    assert np.all(np.diff(brightness[NOISE_STEPS:]) < 0.5)


def test_a_part_without_elements_has_no_map():
    shown = close_up(evidence(np.ones((0, 4))))
    assert shown.heat is None
    assert shown.digits == []
    assert shown.frames == []


def test_errors_return_to_the_place_from_which_the_patches_were_cut():
    T, H, W = 3, 4, 6
    number = np.arange(T * H * W, dtype=np.float32).reshape(T, H, W)
    pixels = number.repeat(14, axis=1).repeat(14, axis=2).repeat(2, axis=0)  # [2T, 14H, 14W]
    frames = np.repeat(pixels[:, None], 3, axis=1)
    rows, grid = patch_rows(frames, patch_px=14, temporal_patch_f=2, merge_p=2)
    assert grid == (T, H, W)
    order = np.random.default_rng(0).permutation(len(rows))
    found = patch_errors(rows[order, 0].astype(np.float64), order, grid=grid)
    assert np.array_equal(found, number)


def test_patches_of_other_media_are_left_out_and_patches_without_a_row_are_none():
    found = patch_errors(np.array([5.0, 7.0]), np.array([3, 4]), grid=(1, 2, 2))
    assert np.array_equal(found, [[[np.nan, np.nan], [np.nan, 5]]], equal_nan=True)


def test_the_wrong_patch_is_where_it_lies_over_the_picture():
    found = np.zeros((16, 2))
    found[5, 1] = 1e4
    shown = evidence(
        found,
        frame_grid=(1, 4, 4),
        patch_of_row=np.arange(16),
        picture=np.full((56, 56, 3), 200, dtype=np.uint8),
    )
    (drawn,) = close_up(shown).frames
    pixels = decoded(drawn.image)
    opaque = pixels[..., 3] == pixels[..., 3].max()
    assert np.argwhere(opaque).tolist() == [[0, 3]]  # patch 5 is the second of the second merge block
    assert decoded(drawn.picture).shape == (56, 56, 4)
    assert (drawn.height, drawn.width, drawn.worst) == (4, 4, 1e4)


def test_of_many_frames_the_worst_are_shown_in_the_order_of_time():
    T = MOST_FRAMES + 3
    found = np.zeros((T * 4, 1))
    found[np.arange(T) * 4] = np.array([50.0] * 3 + [90.0 + t for t in range(T - 3)])[:, None]
    drawn = close_up(evidence(found, frame_grid=(T, 2, 2), patch_of_row=np.arange(T * 4))).frames
    assert [frame.frame for frame in drawn] == list(range(3, T))
    assert all(frame.picture == "" for frame in drawn)


def test_the_fault_of_the_sample_is_seen_in_every_patch():
    (drawn,) = close_up(evidence_of("main_job", FAULT)).frames
    grid = runs()[3].image_grids[0]
    assert (drawn.height, drawn.width) == tuple(grid[1:])
    assert decoded(drawn.image)[..., 3].min() == decoded(drawn.image)[..., 3].max()


def test_rows_that_do_not_match_their_patches_are_not_drawn():
    assert close_up(evidence(np.ones((3, 2)), frame_grid=(1, 2, 2), patch_of_row=np.arange(4))).frames == []


def test_the_worst_element_is_shown_with_its_neighbours_and_nine_digits():
    found = np.arange(20.0).reshape(2, 10) / 7
    wanted = found.copy()
    wanted[1, 8] -= 0.5
    rows = close_up(evidence(found, wanted, floor=0.25)).digits
    assert [row.at for row in rows] == [f"[1, {i}]" for i in range(3, 10)]
    assert [row.at for row in rows if row.is_worst] == ["[1, 8]"]
    (worst,) = (row for row in rows if row.is_worst)
    assert (worst.found, worst.wanted) == (" 2.57142857e+00", " 2.07142857e+00")
    assert (worst.difference, worst.units) == (" 5.0e-01", "2.0x")


@pytest.mark.parametrize(("shape", "count"), [((), 1), ((1,), 1), ((3,), 3), ((9,), 7), ((2, 3, 4), 4)])
def test_any_shape_has_a_close_look(shape, count):
    found = np.zeros(shape)
    found[(0,) * len(shape)] = 1
    shown = close_up(evidence(found, dims=" ".join("PDE"[: len(shape)])))
    assert len(shown.digits) == count
    assert [row.is_worst for row in shown.digits].count(True) == 1
    assert shown.worst == f"[{', '.join(['0'] * len(shape))}]"


def test_what_is_no_number_is_the_worst_element():
    found = np.array([[1e300, 0.0], [np.nan, 2.0]])
    shown = close_up(evidence(found))
    assert shown.worst == "[1, 0]"
    assert shown.nonfinite == 1
    assert next(row for row in shown.digits if row.is_worst).units == "no number"


def test_bars_grow_with_the_error_and_end_at_the_edge():
    lengths = bar_lengths(np.array([0.0, KNEE / 2, KNEE, 100.0, 1e6, np.inf]), top=1e6)
    assert np.all(np.diff(lengths) >= 0)
    assert lengths[[0, 2, 4, 5]].tolist() == [0, 10, 100, 100]
