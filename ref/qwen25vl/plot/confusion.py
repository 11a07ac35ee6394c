"""Section 15 - the confusion matrix as a picture: which mechanism was named for which?"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from qwen25vl.plot.style import INK, PAPER, blank_figure, drawable, house_style

NOTHING = "nothing"
"""Stands where nothing was named."""


def confusion_picture(pairs: Sequence[tuple[str, str]], *, title: str = "") -> Figure:
    """Draw how often each pair of a true and a named mechanism occurs.

    Args:
        pairs: true and named; an empty name stands for nothing.
        title: stands above; empty for none.

    Raises:
        ValueError: if there is no pair.
    """
    if not pairs:
        raise ValueError("need at least one pair")
    counts = Counter((true, named or NOTHING) for true, named in pairs)
    rows = list(dict.fromkeys(true for true, _ in counts))
    columns = [*rows, *dict.fromkeys(named for _, named in counts if named not in rows)]
    table = np.array([[counts[true, named] for named in columns] for true in rows])
    with house_style():
        figure = blank_figure(height_in=1.8 + 0.24 * len(rows))
        axes = figure.subplots()
        axes.imshow(np.ma.masked_equal(table, 0), cmap="viridis_r", vmin=0, aspect="auto")
        for i, j in np.argwhere(table):
            dark = table[i, j] > table.max() / 2
            axes.text(j, i, str(table[i, j]), ha="center", va="center", fontsize=7, color=PAPER if dark else INK)
        axes.set_yticks(range(len(rows)), [drawable(name) for name in rows], fontsize=7)
        names = [drawable(name) for name in columns]
        axes.set_xticks(range(len(columns)), names, fontsize=7, rotation=60, ha="right")
        axes.set(xlabel="first candidate", ylabel="planted")
        if title:
            figure.suptitle(drawable(title), fontsize=10)
    return figure
