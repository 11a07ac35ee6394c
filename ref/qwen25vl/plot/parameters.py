"""Section 01 - parameters: which part of a model holds how many?"""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from qwen25vl.plot.style import BLUE, GREEN, ORANGE, blank_figure, drawable, house_style

COLOURS = (BLUE, ORANGE, GREEN)
"""One for each tower, in the order in which they come."""


def parameter_bars(parts: Sequence[tuple[str, str, int]], *, title: str = "") -> Figure:
    """Draw one horizontal bar for each part of a model, coloured by tower, with its count and share.

    Args:
        parts: tower, name and number of parameters of each part, from the top down.
        title: stands above; empty for none.

    Raises:
        ValueError: if there is no part, or no parameter.
    """
    total = sum(count for _, _, count in parts)
    if total <= 0:
        raise ValueError(f"need parts with parameters, got {list(parts)}")
    colours = {
        tower: COLOURS[i % len(COLOURS)] for i, tower in enumerate(dict.fromkeys(part[0] for part in parts))
    }
    with house_style():
        figure = blank_figure(height_in=1.1 + 0.36 * len(parts))
        axes = figure.subplots()
        places = range(len(parts))
        axes.barh(places, [part[2] for part in parts], color=[colours[part[0]] for part in parts], height=0.7)
        for place, (_, _, count) in zip(places, parts, strict=True):
            axes.annotate(
                f"{parameter_text(count)} ({_share_text(count / total)})" if count else "none of its own",
                (count, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
            )
        axes.set_yticks(places, [drawable(part[1]) for part in parts])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.28 * max(part[2] for part in parts))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: parameter_text(value, tick=True)))
        axes.set_xlabel("parameters")
        axes.legend(
            handles=[Patch(color=colour, label=drawable(tower)) for tower, colour in colours.items()],
            loc="best",
        )
        axes.set_title(drawable(title) if title else f"{parameter_text(total)} parameters")
    return figure


def _share_text(share: float) -> str:
    """Say a share that is not zero in per cent."""
    return f"{share:.1%}" if share >= 0.001 else "<0.1%"


def parameter_text(count: int | float, *, tick: bool = False) -> str:
    """Say a number of parameters with three or four digits: `3.75 B`, `668.7 M`, `40`; a tick without zeros."""
    for size, unit, places in ((10**9, "B", 2), (10**6, "M", 1), (10**3, "k", 1)):
        if count >= size:
            return f"{count / size:g} {unit}" if tick else f"{count / size:.{places}f} {unit}"
    return f"{count:g}"
