"""Sections 07 and 10 - depth: how large is the residual stream, and what does each block add to it?"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from qwen25vl.plot.style import BLUE, GREEN, ORANGE, PINK, blank_figure, drawable, house_style

CURVES = {
    "resid": ("residual stream", BLUE, "o", "-"),
    "attn": ("attention adds", ORANGE, "s", "--"),
    "mlp": ("MLP adds", GREEN, "^", ":"),
}
"""Each curve's label, colour, mark and line."""


def residual_norms(
    towers: Mapping[str, Mapping[str, Float[np.ndarray, " points"]]],
    *,
    full_attention_blocks: Sequence[int] = (),
    title: str = "",
) -> Figure:
    """Draw the root mean square of the residual stream along the depth of each tower, one pair of axes for each.

    Args:
        towers: by name; of each, `resid` before block 0 and after every block (one point more than blocks), and
            if known `attn` and `mlp`, what each block adds. NaN leaves a gap.
        full_attention_blocks: blocks of the tower `vision` that attend over whole frames; they are shaded.
        title: stands above; empty for none.

    Raises:
        ValueError: if there is no tower, or one of another length.
    """
    if not towers:
        raise ValueError("need at least one tower")
    with house_style():
        figure = blank_figure(height_in=3.6)
        row = figure.subplots(1, len(towers), squeeze=False)[0]
        for axes, (tower, curves) in zip(row, towers.items(), strict=True):
            depth = len(curves["resid"]) - 1
            if tower == "vision":
                _shade(axes, [block for block in full_attention_blocks if block < depth])
            _curves(axes, curves, depth=depth)
            axes.set(title=drawable(tower), xlabel="block (-1: before the first)")
        row[0].set_ylabel("root mean square")
        named = {
            label: handle for axes in row for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=len(named))
        if title:
            figure.suptitle(drawable(title), fontsize=10)
    return figure


def _curves(axes: Axes, curves: Mapping[str, Float[np.ndarray, " points"]], *, depth: int) -> None:
    """Draw what is known of a tower; a logarithmic axis where nothing is zero."""
    for name, (label, colour, mark, line) in CURVES.items():
        if name not in curves:
            continue
        values, first = curves[name], -1 if name == "resid" else 0
        if len(values) != depth - first:
            raise ValueError(f"{name} needs {depth - first} points for {depth} blocks, got {len(values)}")
        axes.plot(
            np.arange(first, depth), values, color=colour, marker=mark, linestyle=line, markersize=4, label=label
        )
    known = np.concatenate([values[np.isfinite(values)] for values in curves.values()])
    if known.size and known.min() > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=9))
    axes.grid(axis="y", alpha=0.25)


def _shade(axes: Axes, blocks: Sequence[int]) -> None:
    """Mark the blocks of full attention."""
    for i, block in enumerate(blocks):
        axes.axvspan(
            block - 0.4, block + 0.4, color=PINK, alpha=0.25, linewidth=0, label=None if i else "full attention"
        )
