"""Section 15 - the shape of an error: what kind of mistake turns the wanted array into the found one?

A kind is claimed only if it explains the error: once the mistake is made on the wanted array too, what remains
is noise in nearly all elements, or at least ten times smaller. Of several explanations the simplest whole one
counts; then the place of the error; then an explanation in the main.
"""

from dataclasses import dataclass
from itertools import chain

import numpy as np

from qwen25vl.port.error_columns import known_columns, moved_columns
from qwen25vl.port.error_fit import Fit, fits
from qwen25vl.port.error_match import copies
from qwen25vl.port.error_nonfinite import nonfinite_claim
from qwen25vl.port.error_order import (
    copied_rows,
    copies_told,
    exchanged_axes,
    inverted_order,
    moved_rows,
    shifted_rows,
)
from qwen25vl.port.error_place import Place, place
from qwen25vl.port.error_rest import constant_told, rest_told
from qwen25vl.port.error_values import value_claims
from qwen25vl.port.error_vectors import sign_claims, turned_pairs, vector_claims
from qwen25vl.port.error_view import Layout, View, view_of
from qwen25vl.port.error_words import few

__all__ = ["KINDS", "ErrorShape", "Layout", "error_shape"]

KINDS = (
    "noise",
    "nan",
    "saturation",
    "permutation",
    "transposition",
    "sign",
    "scale",
    "offset",
    "head",
    "band",
    "token",
    "frame",
    "padding",
    "other",
)
"""Every kind of error."""


@dataclass(frozen=True)
class ErrorShape:
    """What an error looks like."""

    kind: str
    """One of `KINDS`."""
    detail: str
    """One clause for a human, with numbers."""
    rows: tuple[int, ...] = ()
    """First rows concerned, at most 8; none where all are. A row is a patch or token; in `3 L` and `N L L` too."""
    columns: tuple[int, ...] = ()
    """First columns concerned, at most 8: heads for `head`; channels of a head for `band` and `sign`; else
    channels counted through the heads."""


def error_shape(
    found: np.ndarray,
    wanted: np.ndarray,
    *,
    part: str,
    dims: str,
    tolerance: np.ndarray | float,
    layout: Layout,
) -> ErrorShape:
    """Say what kind of mistake lies between two arrays.

    Args:
        found: a port's values, float64; may hold NaN and infinity.
        wanted: the golden ones, of the same shape.
        part: id of the part.
        dims: the words of the part's shape, such as `P N d`.
        tolerance: absolute error up to which an element is noise; one number, or broadcastable.
        layout: what is known about the rows.

    Raises:
        ValueError: if the shapes differ.
    """
    if found.shape != wanted.shape:
        raise ValueError(f"need two arrays of one shape, got {found.shape=} and {wanted.shape=}")
    if found.size == 0:
        return ErrorShape("noise", "there are no values")
    found, wanted = (np.asarray(array, dtype=np.float64) for array in (found, wanted))
    with np.errstate(all="ignore"):  # a port's values may overflow in any sum; a claim is then not made
        view = view_of(found, wanted, part=part, dims=dims, tolerance=tolerance, layout=layout)
        if view.wrong == 0:
            return ErrorShape("noise", "every value is within tolerance")
        nonfinite = nonfinite_claim(view)
        if nonfinite is not None:
            return ErrorShape(*nonfinite)
        if not np.isfinite(view.square):
            return ErrorShape("other", rest_told(view), _some(view))
        return _explained(view, found, wanted)


def _explained(view: View, found: np.ndarray, wanted: np.ndarray) -> ErrorShape:
    """Explain an error of finite values."""
    constant = constant_told(view)
    if constant is not None:
        return ErrorShape("other", constant)
    order = (moved_rows(view), shifted_rows(view), known_columns(view), moved_columns(view))
    simple = chain(
        value_claims(view),
        inverted_order(view, found, wanted),
        exchanged_axes(view, found, wanted),
        sign_claims(view),
        *(order[::-1] if view.words == ("3", "L") else order),  # tokens rarely move, axes often do
    )
    whole, in_the_main = fits(view, simple)
    if whole is not None:
        return _shape(view, whole)
    where = place(view)
    if where is not None:
        return ErrorShape(where.kind, where.text + _inside(view, where), _some(view), where.columns)
    loose = chain(turned_pairs(view), vector_claims(view), copied_rows(view))
    whole, in_the_main = fits(view, loose, best=in_the_main)
    fit = whole or in_the_main
    if fit is not None:
        return _shape(view, fit)
    return ErrorShape("other", rest_told(view), _some(view))


def _some(view: View) -> tuple[int, ...]:
    """Return the first wrong rows, or none if all are."""
    rows = np.flatnonzero(view.wrong_of_row)
    return few(rows) if len(rows) < len(view.found) else ()


def _shape(view: View, fit: Fit) -> ErrorShape:
    """Return a claim that holds."""
    return ErrorShape(fit.claim.kind, fit.told(view), fit.claim.rows, fit.claim.columns)


def _inside(view: View, where: Place) -> str:
    """Say what happened inside a place, if that has a simple form."""
    block = view.block(where.rows, where.heads, where.channels)
    constant = constant_told(block)
    if constant is not None:
        return f"; there {constant}"
    source = copies(view, where.rows) if len(where.rows) < len(view.found) else None
    if source is not None:
        return f": {copies_told(where.rows, source, noun=view.noun)}"
    whole, best = fits(block, chain(value_claims(block), sign_claims(block), vector_claims(block)))
    if whole is None:
        turned, _ = fits(view, turned_pairs(view))
        if turned is not None:
            return f"; {turned.told(view)}"
    fit = whole or best
    return f"; there {fit.told(block)}" if fit is not None else ""
