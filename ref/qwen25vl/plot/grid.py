"""Sections 02 and 07 - the patch grid: what does the vision encoder see of a picture, window by window?"""

import math

import numpy as np
from jaxtyping import Int64, UInt8
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from qwen25vl.plot.style import INK, ORANGE, WIDTH_IN, blank_figure, drawable, house_style

BESIDE_IN, ABOVE_IN, BETWEEN_IN = 0.8, 1.0, 0.4
"""Room for labels: beside the picture, above and below it, and for each further strip."""

TALLEST_IN = 9.0
"""Height of a figure, at most."""

LARGEST_PATCH_IN = 0.5
"""A small picture is not blown up beyond this side of a patch."""

LONGEST_RATIO, MOST_STRIPS = 10, 8
"""A picture longer than this many times its other side is cut into strips, at borders of windows."""

CLOSEST_PT = 4.0
"""Lines closer than this many points would hide the picture, and are left out."""

NUMBER_PT = 24.0
"""Room that the number of a window needs; in a finer grid only every few windows bear theirs."""


def patch_grid(
    rgb: UInt8[np.ndarray, "height width 3"],
    *,
    patch_px: int,
    merge_p: int,
    window_m: int,
    windows: Int64[np.ndarray, "windows 4"],
    title: str = "",
) -> Figure:
    """Draw patches, merged tokens and windows over a picture; windows bear their numbers in window order.

    Args:
        rgb: the picture at the size of `smart_resize`.
        patch_px: side of a patch, in pixels.
        merge_p: side of the square of patches that becomes one merged token.
        window_m: side of a whole window in merged tokens; in a small picture no window is whole.
        windows: top, left, height and width of each window in merged tokens, in window order: the last four
            columns of `window_boxes`.
        title: stands above; empty for none.

    Raises:
        ValueError: if a side is no multiple of `patch_px * merge_p`.
    """
    height, width = rgb.shape[:2]
    token_px = patch_px * merge_p
    if height % token_px or width % token_px:
        raise ValueError(f"sides must be multiples of {token_px} pixels, got {height} x {width}")
    step_px = int(windows[:, 2:].max()) * token_px
    strips = _strips(height, width, step_px=step_px)
    rows, columns = (len(strips), 1) if width >= height else (1, len(strips))
    tall_px, wide_px = strips[0][1] - strips[0][0], strips[0][3] - strips[0][2]
    inch_per_px = min(
        ((WIDTH_IN - BESIDE_IN) / columns - BETWEEN_IN * (columns > 1)) / wide_px,
        ((TALLEST_IN - ABOVE_IN) / rows - BETWEEN_IN * (rows > 1)) / tall_px,
        LARGEST_PATCH_IN / patch_px,
    )
    pt_per_px = inch_per_px * 72
    drawn = [px for px in (patch_px, token_px) if px * pt_per_px >= CLOSEST_PT]
    with house_style():
        figure = blank_figure(height_in=rows * (tall_px * inch_per_px + BETWEEN_IN) - BETWEEN_IN + ABOVE_IN)
        for axes, (top, bottom, left, right) in zip(
            figure.subplots(rows, columns, squeeze=False).flat, strips, strict=True
        ):
            part = rgb[top:bottom, left:right]
            axes.imshow(part, extent=(left, right, bottom, top), interpolation="antialiased")
            _draw_lines(axes, (top, bottom, left, right), drawn=drawn)
            _draw_windows(axes, windows * token_px, (top, bottom, left, right), pt_per_px=pt_per_px)
            ticks_px = step_px * max(1, math.ceil(NUMBER_PT * 1.5 / (step_px * pt_per_px)))
            axes.set(xticks=range(left, right + 1, ticks_px), yticks=range(top, bottom + 1, ticks_px))
            axes.set(xlim=(left, left + wide_px), ylim=(top + tall_px, top))  # one scale for all strips
            axes.spines[:].set_visible(False)
            if axes.get_subplotspec().is_first_col():
                axes.set_ylabel("y in pixels")
        figure.supxlabel("x in pixels\n" + _caption(patch_px, token_px, drawn, window_m * token_px), fontsize=9)
        if title:
            figure.suptitle(drawable(title), fontsize=10)
    return figure


def _strips(height: int, width: int, *, step_px: int) -> list[tuple[int, int, int, int]]:
    """Cut along the longer side, at borders of windows: (top, bottom, left, right) of each strip, in pixels."""
    longer, shorter = max(height, width), min(height, width)
    count = min(MOST_STRIPS, math.ceil(longer / shorter / LONGEST_RATIO))
    span = math.ceil(longer / step_px / count) * step_px
    cuts = [(begin, min(begin + span, longer)) for begin in range(0, longer, span)]
    if width >= height:
        return [(0, height, begin, end) for begin, end in cuts]
    return [(begin, end, 0, width) for begin, end in cuts]


def _draw_lines(axes: Axes, strip: tuple[int, int, int, int], *, drawn: list[int]) -> None:
    """Draw the lines between patches, and between merged tokens, inside a strip."""
    top, bottom, left, right = strip
    for step_px, thickness_pt in zip(drawn, (0.4, 0.9)[2 - len(drawn) :], strict=True):
        upright = [[(x, top), (x, bottom)] for x in range(left + step_px, right, step_px)]
        level = [[(left, y), (right, y)] for y in range(top + step_px, bottom, step_px)]
        lines = LineCollection([*upright, *level], colors="white", linewidths=thickness_pt, alpha=0.75)
        lines.set_gid(f"every {step_px} px")
        shadow = patheffects.withStroke(linewidth=thickness_pt + 0.6, foreground=INK, alpha=0.45)
        lines.set_path_effects([shadow])
        axes.add_collection(lines)


def _draw_windows(
    axes: Axes, boxes_px: Int64[np.ndarray, "windows 4"], strip: tuple[int, int, int, int], *, pt_per_px: float
) -> None:
    """Draw the borders of the windows that lie in a strip, and their numbers where these have room."""
    top, bottom, left, right = strip
    side_px = int(boxes_px[:, 2:].max())
    thickness_pt = min(2.2, max(0.7, side_px * pt_per_px / 20))
    every = math.ceil(NUMBER_PT / (side_px * pt_per_px))
    for number, (y, x, tall, wide) in enumerate(boxes_px.tolist()):
        if not (top <= y < bottom and left <= x < right):
            continue
        for colour, more_pt, layer in ((INK, 1.4, 2), (ORANGE, 0.0, 3)):  # all shadows below all borders
            border = Rectangle((x, y), wide, tall, fill=False, edgecolor=colour, clip_on=False, zorder=layer)
            border.set_linewidth(thickness_pt + more_pt)
            axes.add_patch(border)
        if x // side_px % every == 0 and y // side_px % every == 0:
            text = axes.text(x + wide / 2, y + tall / 2, str(number), ha="center", va="center", color="white")
            text.set(fontsize=8, zorder=4, path_effects=[patheffects.withStroke(linewidth=2.0, foreground=INK)])


def _caption(patch_px: int, token_px: int, drawn: list[int], window_px: int) -> str:
    """Say what the lines are."""
    names = {patch_px: f"patches of {patch_px} px", token_px: f"merged tokens of {token_px} px"}
    windows = f"windows of at most {window_px} px in bold, numbered in window order"
    return ", ".join([*(names[px] for px in drawn), windows])
