"""Section 15 - sums in a fixed order: matrix products and sums of rows, term by term from the first to the last.

A result is vectorised over outputs, never over terms: the lanes of a register hold neighbouring outputs, and each
adds its own terms in order. So neither the width of a register nor the number of threads changes a bit.
"""

import numpy as np
from jaxtyping import Float64
from numba import prange

from qwen25vl.strict.jit import STRICT, STRICT_PARALLEL

PANEL = 128
"""Outputs that one panel holds."""

DEPTH = 128
"""Terms of a panel that are turned at once: 128 KiB with `PANEL`, which stays in the second cache."""

WORTH_SHARING = 2_000_000
"""Fewer products than this stay on one thread: waking another takes longer. Which thread adds changes no bit."""


def product(x: Float64[np.ndarray, "rows D"], weight: Float64[np.ndarray, "F D"]) -> Float64[np.ndarray, "rows F"]:
    """Multiply each row by a weight that is stored output-first.

        y[r, f] = ((0 + x[r, 0] w[f, 0]) + x[r, 1] w[f, 1]) + x[r, 2] w[f, 2] ...

    one rounding for each product and one for each sum. A sum begins with 0, so none is -0.

    Args:
        x: one activation per row; any memory order, read-only or not.
        weight: one row per output, likewise. Of a weight in row-major order no copy is made but of a panel.

    Spec: spec/15-golden-values.md (X16)
    """
    result = np.zeros((len(x), len(weight)))
    x, weight = np.ascontiguousarray(x), np.ascontiguousarray(weight)
    shared = x.size * len(weight) >= WORTH_SHARING
    if len(x) == 1:  # a step of decoding: a panel would be turned for one row
        (_share_row if shared else _add_row)(x[0], weight, result[0])
    elif len(x) > 1:
        (_share_products if shared else _add_products)(x, weight, result)
    return result


def row_sums(x: Float64[np.ndarray, "rows T"]) -> Float64[np.ndarray, " rows"]:
    """Add up each row, from its first number to its last.

    Spec: spec/15-golden-values.md (X16)
    """
    result = np.zeros(len(x))
    _add_rows(np.ascontiguousarray(x), result)
    return result


@STRICT
def _add_terms(x0: np.ndarray, x1: np.ndarray, turned: np.ndarray, total: np.ndarray) -> None:
    """Add the terms of two rows to the outputs of a panel; four at a time, but one after the other.

    Two rows share what is read of the panel. `total` holds the outputs of the first, then those of the second.
    """
    depth = x0.shape[0]
    d = 0
    while d + 4 <= depth:
        a0, b0, c0, e0 = x0[d], x0[d + 1], x0[d + 2], x0[d + 3]
        a1, b1, c1, e1 = x1[d], x1[d + 1], x1[d + 2], x1[d + 3]
        for f in range(PANEL):
            a, b, c, e = turned[d, f], turned[d + 1, f], turned[d + 2, f], turned[d + 3, f]
            total[f] = (((total[f] + a0 * a) + b0 * b) + c0 * c) + e0 * e
            total[f + PANEL] = (((total[f + PANEL] + a1 * a) + b1 * b) + c1 * c) + e1 * e
        d += 4
    while d < depth:
        for f in range(PANEL):
            total[f] += x0[d] * turned[d, f]
            total[f + PANEL] += x1[d] * turned[d, f]
        d += 1


@STRICT
def _add_panel(x: np.ndarray, weight: np.ndarray, result: np.ndarray, panel: int) -> None:
    """Compute the outputs of one panel for all rows."""
    rows, D = x.shape
    first = panel * PANEL
    count = min(PANEL, weight.shape[0] - first)
    turned = np.zeros((DEPTH, PANEL))  # terms outermost, so that a register takes neighbouring outputs
    total = np.zeros(2 * PANEL)
    for start in range(0, D, DEPTH):
        depth = min(DEPTH, D - start)
        for f in range(count):
            for d in range(depth):
                turned[d, f] = weight[first + f, start + d]
        for r in range(0, rows, 2):
            other = min(r + 1, rows - 1)  # a last row without another goes with itself
            for f in range(count):
                total[f], total[f + PANEL] = result[r, first + f], result[other, first + f]
            _add_terms(x[r, start : start + depth], x[other, start : start + depth], turned, total)
            for f in range(count):
                result[r, first + f], result[other, first + f] = total[f], total[f + PANEL]


@STRICT
def _add_eight(x: np.ndarray, weight: np.ndarray, result: np.ndarray, eight: int) -> None:
    """Compute eight neighbouring outputs of one row; their sums run side by side."""
    first = 8 * eight
    if first + 8 > weight.shape[0]:
        for f in range(first, weight.shape[0]):
            for d in range(x.shape[0]):
                result[f] += x[d] * weight[f, d]
        return
    w = weight[first : first + 8]
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for d in range(x.shape[0]):
        s0 += x[d] * w[0, d]
        s1 += x[d] * w[1, d]
        s2 += x[d] * w[2, d]
        s3 += x[d] * w[3, d]
        s4 += x[d] * w[4, d]
        s5 += x[d] * w[5, d]
        s6 += x[d] * w[6, d]
        s7 += x[d] * w[7, d]
    for i, total in enumerate((s0, s1, s2, s3, s4, s5, s6, s7)):
        result[first + i] = total


@STRICT
def _add_products(x: np.ndarray, weight: np.ndarray, result: np.ndarray) -> None:
    """Compute all outputs on one thread."""
    for panel in range((weight.shape[0] + PANEL - 1) // PANEL):
        _add_panel(x, weight, result, panel)


@STRICT_PARALLEL
def _share_products(x: np.ndarray, weight: np.ndarray, result: np.ndarray) -> None:
    """Compute all outputs; threads share the panels."""
    for panel in prange((weight.shape[0] + PANEL - 1) // PANEL):
        _add_panel(x, weight, result, panel)


@STRICT
def _add_row(x: np.ndarray, weight: np.ndarray, result: np.ndarray) -> None:
    """Compute all outputs of one row on one thread."""
    for eight in range((weight.shape[0] + 7) // 8):
        _add_eight(x, weight, result, eight)


@STRICT_PARALLEL
def _share_row(x: np.ndarray, weight: np.ndarray, result: np.ndarray) -> None:
    """Compute all outputs of one row; threads share them by eights."""
    for eight in prange((weight.shape[0] + 7) // 8):
        _add_eight(x, weight, result, eight)


@STRICT
def _add_rows(x: np.ndarray, result: np.ndarray) -> None:
    """Add up each row."""
    for r in range(x.shape[0]):
        total = 0.0
        for t in range(x.shape[1]):
            total += x[r, t]
        result[r] = total
