"""Sections 03 and 09 - frames in time: which frames of a video were chosen, and which share a row of the grid?"""

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.transforms import offset_copy

from qwen25vl.plot.style import BLUE, MUTED, ORANGE, WIDTH_IN, blank_figure, drawable, house_style

MOST_COLUMNS = 8
"""Rows of the grid whose frames are shown; of a longer clip every few are."""

MOST_NUMBERS = 32
"""Rows of the grid whose marks and numbers have room on the axis; of a longer clip only those shown have them."""

BELOW_PT = 16
"""Room below a thumbnail, for its time."""


def frame_times(
    frames: UInt8[np.ndarray, "F height width 3"],
    times_s: Float64[np.ndarray, " F"],
    time_ids: Int64[np.ndarray, " T"],
    *,
    temporal_patch_f: int,
    duration_s: float,
    title: str = "",
) -> Figure:
    """Draw the chosen frames over a time axis: a column for each row of the grid, and its temporal position.

    Args:
        frames: the chosen frames, before an odd count is filled up.
        times_s: when each frame is shown, in seconds.
        time_ids: temporal position of each row of the grid.
        temporal_patch_f: frames in a row of the grid.
        duration_s: length of the video, in seconds.
        title: stands above; empty for none.

    Raises:
        ValueError: if there is no frame, or frames and positions do not belong together.
    """
    F, height, width = frames.shape[:3]
    T = len(time_ids)
    if F == 0 or -(-F // temporal_patch_f) != T:
        raise ValueError(f"{F} frames and {T} rows of {temporal_patch_f} do not match")
    shown = np.unique(np.linspace(0, T - 1, min(T, MOST_COLUMNS)).round().astype(int)).tolist()
    thumb_in = min(height / width * (WIDTH_IN - 0.4) / max(len(shown), 4), 2.5)
    with house_style():
        figure = blank_figure(height_in=temporal_patch_f * (thumb_in + 0.18) + 2.0)
        ratios = [*[thumb_in + 0.1] * temporal_patch_f, 0.8]
        grid = figure.add_gridspec(temporal_patch_f + 1, len(shown), height_ratios=ratios)
        line = figure.add_subplot(grid[-1, :])
        marked = list(range(T)) if T <= MOST_NUMBERS else shown
        _time_line(line, times_s, time_ids, marked, temporal_patch_f=temporal_patch_f)
        line.set_xlim(min(0.0, times_s.min()), max(duration_s, times_s.max()))
        for column, row in enumerate(shown):
            for k in range(temporal_patch_f):
                frame = min(row * temporal_patch_f + k, F - 1)
                axes = figure.add_subplot(grid[k, column])
                _thumbnail(
                    axes, frames[frame], time_s=float(times_s[frame]), again=frame < row * temporal_patch_f + k
                )
                if k == 0:
                    axes.set_title(f"row {row}\ntime {time_ids[row]}", loc="center", fontsize=8)
            middle = _span(times_s, row, temporal_patch_f).mean()
            _leader(figure, axes, line, x=float(middle))
        left_out = "" if len(shown) == T else f"{len(shown)} of {T} rows of the grid shown"
        others = "" if len(marked) == T else ", the frames of the others are thin and grey"
        line.set_xlabel(
            f"seconds{left_out and '; '}{left_out}{others}\n"
            f"each column is one row of the grid, {temporal_patch_f} frames; time: its position"
        )
        if title:
            figure.suptitle(drawable(title), fontsize=10)
    return figure


def _span(times_s: Float64[np.ndarray, " F"], row: int, temporal_patch_f: int) -> Float64[np.ndarray, " frames"]:
    """Return the times of the frames of one row of the grid."""
    return times_s[row * temporal_patch_f : (row + 1) * temporal_patch_f]


def _thumbnail(axes: Axes, rgb: UInt8[np.ndarray, "height width 3"], *, time_s: float, again: bool) -> None:
    """Draw one frame; a repeat that fills a row up is pale."""
    axes.imshow(rgb, alpha=0.35 if again else 1.0, interpolation="antialiased")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_xlabel("repeated" if again else f"{time_s:.2f} s", fontsize=8, labelpad=2)


def _time_line(
    axes: Axes,
    times_s: Float64[np.ndarray, " F"],
    time_ids: Int64[np.ndarray, " T"],
    marked: list[int],
    *,
    temporal_patch_f: int,
) -> None:
    """Draw when each frame is shown, and join those of a marked row of the grid under its temporal position."""
    if len(marked) < len(time_ids):
        # Not snapped to whole pixels: dense lines would show gaps that are not there.
        axes.vlines(times_s, -0.12, 0.12, color=MUTED, linewidth=0.4, clip_on=False, snap=False)
    for place, row in enumerate(marked):
        span = _span(times_s, row, temporal_patch_f)
        colour = (BLUE, ORANGE)[place % 2]
        axes.plot(span, np.zeros(len(span)), color=colour, marker="o", markersize=5, linewidth=3, clip_on=False)
        axes.annotate(
            str(time_ids[row]),
            (span.mean(), 0),
            xytext=(0, -14),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axes.set(ylim=(-1, 1), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.02)


def _leader(figure: Figure, above: Axes, line: Axes, *, x: float) -> None:
    """Join a column with its place on the time axis."""
    figure.add_artist(
        ConnectionPatch(
            xyA=(0.5, 0),
            coordsA=offset_copy(above.transAxes, fig=figure, y=-BELOW_PT, units="points"),
            xyB=(x, 0.2),
            coordsB=line.transData,
            color=MUTED,
            linewidth=0.7,
        )
    )
