"""Section 15 - the kill matrix as a picture: which case catches which bug?"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from qwen25vl.plot.style import MUTED, blank_figure, drawable, house_style

ROW_IN = 0.062
"""Height of a bug's row in inches."""


def kill_picture(
    units: Float[np.ndarray, "bugs cases"],
    *,
    groups: Sequence[tuple[str, int]],
    families: Sequence[tuple[str, int]],
    title: str = "",
) -> Figure:
    """Draw a square for each case that catches a bug, darker the further off it is.

    Args:
        units: of the noise floor; 0 where a case does not see a bug.
        groups: name and number of bugs of each mechanism, from top to bottom.
        families: name and number of cases of each family, from left to right.
        title: stands above; empty for none.

    Raises:
        ValueError: if the groups or the families do not account for every row or column.
    """
    if tuple(sum(count for _, count in sides) for sides in (groups, families)) != units.shape:
        raise ValueError(f"groups and families must add up to the sides of {units.shape=}")
    with house_style():
        figure = blank_figure(height_in=max(3.0, 1.2 + ROW_IN * len(units)))
        axes = figure.subplots()
        seen = np.ma.masked_less_equal(units, 0)
        image = axes.imshow(seen, norm=LogNorm(10, 1e9), cmap="viridis_r", aspect="auto", interpolation="nearest")
        for name_axis, counts, line in ((axes.yaxis, groups, axes.axhline), (axes.xaxis, families, axes.axvline)):
            edges = np.cumsum([0, *(count for _, count in counts)])
            for edge in edges[1:-1]:
                line(edge - 0.5, color=MUTED, linewidth=0.3)
            name_axis.set_ticks((edges[:-1] + edges[1:] - 1) / 2, [drawable(name) for name, _ in counts])
            name_axis.set_tick_params(length=0, labelsize=6)
        axes.xaxis.tick_top()
        axes.tick_params(axis="x", labelrotation=60)
        bar = figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.5, aspect=40, pad=0.01)
        bar.set_label("error of the first wrong part, in units of the noise floor", fontsize=7)
        bar.set_ticks([10.0**n for n in range(1, 10)], labels=[f"1e{n}" for n in range(1, 10)])
        bar.ax.tick_params(labelsize=6)
        if title:
            figure.suptitle(drawable(title), fontsize=10)
    return figure
