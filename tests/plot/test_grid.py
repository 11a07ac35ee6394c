"""The patch grid: the lines and borders that are drawn are those of the picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from qwen25vl.plot import grid, patch_grid
from qwen25vl.plot.style import ORANGE
from qwen25vl.vision.window_boxes import window_boxes
from qwen25vl.vision.windows import window_order
from strategies import sides_m


def drawn(Hm: int, Wm: int, *, window_m: int = 4, **more):
    """Draw a grid of Hm x Wm tokens of 28 pixels."""
    rgb = np.full((Hm * 28, Wm * 28, 3), 90, dtype=np.uint8)
    boxes = window_boxes((1, Hm, Wm), window_m=window_m)
    return patch_grid(rgb, patch_px=14, merge_p=2, window_m=window_m, windows=boxes[:, 1:], **more)


def borders(figure) -> list[tuple[float, float, float, float]]:
    """List left, top, width and height of every bold border, in pixels."""
    return [
        (patch.get_x(), patch.get_y(), patch.get_width(), patch.get_height())
        for axes in figure.axes
        for patch in axes.patches
        if isinstance(patch, Rectangle) and patch.get_edgecolor()[:3] == pytest.approx(rgb_of(ORANGE))
    ]


def rgb_of(colour: str) -> tuple[float, ...]:
    """Read `#rrggbb`."""
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


@given(Hm=sides_m, Wm=sides_m, window_m=st.integers(1, 4))
def test_the_bold_borders_enclose_the_tokens_of_each_window_in_their_order(Hm, Wm, window_m):
    order, starts = window_order(np.array([[1, Hm, Wm]]), window_m=window_m)
    found = borders(drawn(Hm, Wm, window_m=window_m))
    assert len(found) == len(starts) - 1
    for i, (x, y, width, height) in enumerate(found):
        inside = {
            row * Wm + column
            for row in range(Hm)
            for column in range(Wm)
            if x <= column * 28 < x + width and y <= row * 28 < y + height
        }
        assert inside == set(order[starts[i] : starts[i + 1]].tolist())


@given(Hm=sides_m, Wm=sides_m)
def test_thin_lines_part_the_patches_and_thicker_ones_the_tokens(Hm, Wm):
    (axes,) = drawn(Hm, Wm).axes
    lines = {found.get_gid(): found for found in axes.collections if isinstance(found, LineCollection)}
    assert list(lines) == ["every 14 px", "every 28 px"]
    assert lines["every 14 px"].get_linewidth()[0] < lines["every 28 px"].get_linewidth()[0]
    for step_px, count in ((14, 2), (28, 1)):
        segments = np.reshape(lines[f"every {step_px} px"].get_segments(), (-1, 2, 2))
        assert len(segments) == (count * Wm - 1) + (count * Hm - 1)
        assert {int(x) for x, _ in segments[: count * Wm - 1, 0]} == set(range(step_px, Wm * 28, step_px))
        assert {int(y) for _, y in segments[count * Wm - 1 :, 0]} == set(range(step_px, Hm * 28, step_px))


def test_windows_bear_their_numbers_in_their_middles():
    (axes,) = drawn(5, 7).axes
    assert [(text.get_text(), text.get_position()) for text in axes.texts] == [
        ("0", (56.0, 56.0)),
        ("1", (154.0, 56.0)),
        ("2", (56.0, 126.0)),
        ("3", (154.0, 126.0)),
    ]


def test_lines_that_would_hide_the_picture_are_left_out():
    fine, coarse = drawn(14, 140), drawn(5, 7)
    (axes,) = fine.axes
    assert [found.get_gid() for found in axes.collections] == []
    assert len(borders(fine)) == 4 * 35
    assert fine.get_supxlabel().startswith("x in pixels\nwindows of at most 112 px")
    assert "patches of 14 px, merged tokens of 28 px" in coarse.get_supxlabel()


@pytest.mark.parametrize(("Hm", "Wm"), [(2, 3), (1, 1), (4, 4), (9, 5)])
def test_the_caption_names_the_side_of_a_whole_window_though_none_may_be_whole(Hm, Wm):
    assert "windows of at most 112 px in bold" in drawn(Hm, Wm).get_supxlabel()
    assert "windows of at most 56 px in bold" in drawn(Hm, Wm, window_m=2).get_supxlabel()


def test_where_numbers_have_no_room_every_second_row_and_column_bears_them():
    (axes,) = drawn(14, 140).axes
    assert [int(text.get_text()) for text in axes.texts] == [
        row * 35 + column for row in (0, 2) for column in range(0, 35, 2)
    ]


@pytest.mark.parametrize("wide", [True, False])
def test_a_long_strip_is_cut_at_windows_and_loses_none(wide):
    figure = drawn(1, 120) if wide else drawn(120, 1)
    assert len(figure.axes) == grid.MOST_STRIPS
    spans = [axes.get_xlim() if wide else axes.get_ylim()[::-1] for axes in figure.axes]
    assert [begin for begin, _ in spans] == [i * 4 * 112 for i in range(grid.MOST_STRIPS)]
    assert len(borders(figure)) == len(set(borders(figure))) == 30
    assert sum(axes.images[0].get_array().shape[1 if wide else 0] for axes in figure.axes) == 120 * 28


def test_the_picture_lies_where_its_pixels_are():
    rgb = np.arange(56 * 84 * 3, dtype=np.uint32).astype(np.uint8).reshape(56, 84, 3)
    boxes = window_boxes((1, 2, 3), window_m=4)[:, 1:]
    figure = patch_grid(rgb, patch_px=14, merge_p=2, window_m=4, windows=boxes)
    (image,) = figure.axes[0].images
    assert tuple(image.get_extent()) == (0, 84, 56, 0)
    np.testing.assert_array_equal(image.get_array(), rgb)


@pytest.mark.parametrize(("height", "width"), [(27, 28), (28, 30), (14, 28)])
def test_a_side_that_is_no_multiple_is_refused(height, width):
    boxes = window_boxes((1, 1, 1), window_m=4)[:, 1:]
    with pytest.raises(ValueError, match="multiples of 28"):
        patch_grid(np.zeros((height, width, 3), np.uint8), patch_px=14, merge_p=2, window_m=4, windows=boxes)
