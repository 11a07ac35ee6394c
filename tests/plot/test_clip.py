"""Frames in time: each row of the grid has its frames, its place on the axis and its position."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.plot import frame_times
from qwen25vl.plot.clip import MOST_COLUMNS, MOST_NUMBERS


def drawn(F: int, *, per_row: int = 2, height: int = 28, width: int = 56):
    """Draw F frames, whose grey is their number, half a second apart; positions are 3 apart."""
    frames = np.broadcast_to(np.arange(F, dtype=np.uint8)[:, None, None, None], (F, height, width, 3)).copy()
    T = -(-F // per_row)
    return frame_times(
        frames, np.arange(F) / 2, 3 * np.arange(T), temporal_patch_f=per_row, duration_s=F / 2, title="t"
    )


def parts(figure):
    """Split the axes: the time line, and the thumbnails in the order of the grid."""
    line, *thumbnails = figure.axes
    return line, thumbnails


@given(F=st.integers(1, 16), per_row=st.integers(1, 3))
def test_every_row_of_a_short_clip_is_a_column_of_its_frames(F, per_row):
    F = min(F, MOST_COLUMNS * per_row)
    line, thumbnails = parts(drawn(F, per_row=per_row))
    T = -(-F // per_row)
    assert [int(axes.images[0].get_array()[0, 0, 0]) for axes in thumbnails] == [
        min(i, F - 1) for i in range(T * per_row)
    ]
    repeated = [axes.get_xlabel() == "repeated" for axes in thumbnails]
    assert repeated == [i >= F for i in range(T * per_row)]
    assert [axes.get_title() for axes in thumbnails[::per_row]] == [f"row {t}\ntime {3 * t}" for t in range(T)]
    marks = [joined.get_xdata().tolist() for joined in line.lines]
    assert marks == [[i / 2 for i in range(t * per_row, min(F, (t + 1) * per_row))] for t in range(T)]
    assert [text.get_text() for text in line.texts] == [str(3 * t) for t in range(T)]


def test_of_a_long_clip_the_first_the_last_and_some_between_are_shown_and_all_frames_are_marked():
    line, thumbnails = parts(drawn(100))
    assert len(thumbnails) == 2 * MOST_COLUMNS
    assert thumbnails[0].get_title().startswith("row 0\n")
    assert thumbnails[-2].get_title().startswith("row 49\n")
    rows = [int(axes.get_title().split()[1]) for axes in thumbnails[::2]]
    assert line.get_xlabel().startswith(
        "seconds; 8 of 50 rows of the grid shown, the frames of the others are thin"
    )
    assert [joined.get_xdata().tolist() for joined in line.lines] == [[row, row + 0.5] for row in rows]
    assert [text.get_text() for text in line.texts] == [str(3 * row) for row in rows]
    (ticks,) = line.collections
    assert [segment[0][0] for segment in ticks.get_segments()] == [i / 2 for i in range(100)]


def test_a_clip_whose_marks_have_room_bears_them_all():
    line, thumbnails = parts(drawn(2 * MOST_NUMBERS))
    assert len(thumbnails) == 2 * MOST_COLUMNS
    assert len(line.texts) == len(line.lines) == MOST_NUMBERS
    assert len(line.collections) == 0
    assert line.get_xlabel().startswith("seconds; 8 of 32 rows of the grid shown\n")


def test_the_axis_spans_the_video_in_seconds():
    line, _ = parts(drawn(6))
    assert line.get_xlim() == (0.0, 3.0)
    assert line.get_xlabel().startswith("seconds\neach column is one row of the grid, 2 frames")


@pytest.mark.parametrize(("frames", "times", "rows"), [(0, 0, 0), (4, 4, 1), (4, 4, 3)])
def test_what_does_not_belong_together_is_refused(frames, times, rows):
    with pytest.raises(ValueError, match="do not match"):
        frame_times(
            np.zeros((frames, 2, 2, 3), np.uint8),
            np.zeros(times),
            np.zeros(rows, np.int64),
            temporal_patch_f=2,
            duration_s=1.0,
        )
