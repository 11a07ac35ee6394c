"""Saving: how does a figure become the bytes of a file, the same in every run?"""

import io
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qwen25vl.plot.style import house_style

FORMATS: dict[str, dict[str, Any]] = {
    "png": {"metadata": {"Software": None}},
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "pdf": {"metadata": {"CreationDate": None, "Creator": None, "Producer": None}},
}
"""Endings of the files that can be written, and what keeps time and version out of them."""


def figure_bytes(figure: Figure, *, ending: str) -> bytes:
    """Return the file that a figure is saved as.

    Args:
        figure: what a function of this room returned.
        ending: a key of `FORMATS`.

    Raises:
        ValueError: for another ending.
    """
    if ending not in FORMATS:
        raise ValueError(f"a figure is saved as one of {', '.join(FORMATS)}, not as {ending!r}")
    FigureCanvasAgg(figure)
    stream = io.BytesIO()
    with house_style():
        figure.savefig(stream, format=ending, **FORMATS[ending])
    return stream.getvalue()
