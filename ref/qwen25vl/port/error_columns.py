"""Section 15 - errors of the order of channels: interleaved pairs, exchanged heads, or any other order?"""

from collections.abc import Iterator

import numpy as np

from qwen25vl.port.error_bands import AXES
from qwen25vl.port.error_match import matching
from qwen25vl.port.error_order_names import order_told
from qwen25vl.port.error_view import Claim, View
from qwen25vl.port.error_words import few, listed


def known_columns(view: View) -> Iterator[Claim]:
    """Yield the claims that the channels of each head stand in an order that rotary embeddings are often given.

    Cosines of slow channels are nearly equal, so that these orders could not be found by matching.
    """
    heads, d = view.found.shape[1:]
    if "d" not in view.words or d % 2 or d < 4:
        return
    half = np.arange(d).reshape(2, -1)
    for one in (half.T.reshape(-1), np.arange(d).reshape(-1, 2).T.reshape(-1), half[::-1].reshape(-1)):
        yield _columns_claim(view, (np.arange(0, heads * d, d)[:, np.newaxis] + one).reshape(-1))


def moved_columns(view: View) -> Iterator[Claim]:
    """Yield the claim that channels stand in other places, the same in every row."""
    rows, width = view.sample, view.width
    tolerance = view.tolerance
    if isinstance(tolerance, np.ndarray):
        tolerance = tolerance[rows].reshape(len(rows), width).T[:, np.newaxis]
    turned = [array[rows].reshape(len(rows), width).T[:, np.newaxis] for array in (view.found, view.wanted)]
    order = matching(View(turned[0], turned[1], tolerance))  # a channel is a row of the turned sample
    if order is None:
        return
    yield _columns_claim(view, order)


def _columns_claim(view: View, order: np.ndarray) -> Claim:
    """Claim that the channels, counted through the heads, stand in this order."""
    heads, d = view.found.shape[1:]
    if view.words == ("3", "L"):
        text = f"the axes stand in the order {listed(AXES[axis] for axis in order)}"
    else:
        _, text = order_told(order, noun="channel", blocks={d: "head"} if heads > 1 else {}, orders={})

    def moved(array: np.ndarray, rows: slice | np.ndarray) -> np.ndarray:
        some = array[rows]
        return some.reshape(len(some), -1)[:, order].reshape(some.shape)

    columns = few(np.flatnonzero(order != np.arange(len(order))))
    return Claim("permutation", text, lambda rows: moved(view.wanted, rows), moved, columns=columns)
