"""Style: how does every picture of the project look?"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
from matplotlib import ft2font
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

WIDTH_IN = 8.0
"""Width of every figure in inches: that of a notebook's column."""

INK, MUTED, PAPER = "#1a1a1a", "#6b6b6b", "#ffffff"
"""Text, secondary text, and the background: white is set, so that a page may be dark."""

BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"
"""Okabe and Ito's colours, which people who see red and green alike can tell apart."""

FONT = "DejaVu Sans"
"""It comes with matplotlib, so that a picture is the same on every machine."""

STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": [FONT],
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "text.parse_math": False,  # a dollar in the name of a file is a dollar
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "svg.hashsalt": "qwen25vl",  # names of elements do not change from run to run
    "svg.fonttype": "path",
}
"""What differs from matplotlib's own defaults; the user's settings do not count."""


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house's style; matplotlib's settings are as before when the block ends."""
    with matplotlib.style.context(["default", STYLE], after_reset=True):
        yield


def blank_figure(*, height_in: float) -> Figure:
    """Return an empty white figure of the house's width, laid out so that nothing is clipped."""
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.05)
    return Figure(figsize=(WIDTH_IN, height_in), dpi=120, layout=layout)


def drawable(text: str) -> str:
    """Return a text in one line whose every sign the font has; another sign is shown as its escape."""
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    signs = ft2font.FT2Font(str(path)).get_charmap()
    return "".join(
        sign if ord(sign) in signs and sign.isprintable() else sign.encode("unicode_escape").decode("ascii")
        for sign in text
    )
