"""Section 15 - matching: which wanted row does each found row hold, if the rows were moved?

Rows are compared by keys, a few numbers computed from each. Keys are only a means to find candidates: what comes
of them is compared element by element before anybody says it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from qwen25vl.port.error_view import SLICE_ELEMENTS, View

KEY_NUMBERS = 32
"""Numbers in a key: so many random sums tell any two rows apart that differ by more than noise."""

EXACT_KEYS = 4096
"""Up to so many rows, keys are compared in float64; above, in float32, which is faster."""

CHUNK = 64
"""Rows compared at a time with all others: with 20,000 others, 5 MiB of products."""

MOST_ROWS = 2**16
"""Above so many rows no partners are sought: all pairs would take minutes."""

TRIED = 200
"""Rows that are matched first: only if most of them have a partner, all are matched."""

MATCHED = 0.8
"""Share of them that must have one."""

NARROW = 8
"""Rows with fewer elements can meet by chance, so the chance is counted."""

EQUAL = 1e-10
"""Rows whose keys, mixed once more, differ by no more than this are one; relative to the largest."""

CHANCE = 0.5
"""Partners by chance that a row may have, on average."""


@dataclass(frozen=True)
class Mixture:
    """How keys are computed: all channels count, each in units of its own spread among the wanted rows."""

    mean: Float64[np.ndarray, " F"]
    weights: Float64[np.ndarray, "F k"]

    def keys(self, rows: Float64[np.ndarray, "R H d"], chosen: Int64[np.ndarray, " n"]) -> np.ndarray:
        """Return the keys [n, k] of some rows."""
        step = max(1, SLICE_ELEMENTS // len(self.mean))
        pieces = [chosen[first : first + step] for first in range(0, len(chosen), step)]
        return np.concatenate([(rows[p].reshape(len(p), -1) - self.mean) @ self.weights for p in pieces])


def mixture(view: View) -> Mixture:
    """Weigh the channels by the sample of the wanted rows, and draw what mixes them."""
    points = view.wanted[view.sample].reshape(len(view.sample), -1)
    spread = points.std(axis=0)
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    if not scale.any():
        scale = np.ones_like(spread)
    if len(scale) <= KEY_NUMBERS:
        return Mixture(points.mean(axis=0), np.diag(scale))
    draw = np.random.default_rng(0).standard_normal((len(scale), KEY_NUMBERS))
    return Mixture(points.mean(axis=0), draw * scale[:, np.newaxis])


def nearest(found: Float64[np.ndarray, "n k"], wanted: Float64[np.ndarray, "m k"]) -> Int64[np.ndarray, " n"]:
    """Return for each found key the index of the nearest wanted one; the first of equals."""
    exact = len(wanted) <= EXACT_KEYS or found.shape[1] < KEY_NUMBERS
    dtype = np.float64 if exact else np.float32
    half = np.square(wanted).sum(axis=1, keepdims=True) / 2
    # Nearest is largest in a b - b b / 2: one product, with 1 behind every found key.
    a: np.ndarray = np.column_stack([found, np.ones(len(found))]).astype(dtype)
    b: np.ndarray = np.column_stack([wanted, -half]).astype(dtype).T
    result = np.empty(len(a), dtype=np.int64)
    for first in range(0, len(a), CHUNK):
        result[first : first + CHUNK] = np.argmax(a[first : first + CHUNK] @ b, axis=1)
    return result


def classes(keys: Float64[np.ndarray, "n k"]) -> Int64[np.ndarray, " n"]:
    """Number rows so that equal ones, black patches say, have one number."""
    mixed = keys @ np.random.default_rng(1).standard_normal(keys.shape[1])
    order = np.argsort(mixed, kind="stable")
    result = np.empty(len(keys), dtype=np.int64)
    result[order] = np.cumsum(np.diff(mixed[order], prepend=mixed[order[0]]) > EQUAL * np.abs(mixed).max())
    return result


def one_to_one(chosen: Int64[np.ndarray, " n"], kind: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"] | None:
    """Share equal rows out among those that chose one of them, in order.

    Args:
        chosen: for each found row the wanted one most like it; of equal ones, any.
        kind: number of the class of each wanted row.

    Returns: a permutation, or None if a class was not chosen as often as it has rows.
    """
    if not np.array_equal(np.bincount(kind[chosen], minlength=len(kind)), np.bincount(kind, minlength=len(kind))):
        return None
    shared = np.empty_like(chosen)
    shared[np.argsort(kind[chosen], kind="stable")] = np.argsort(kind, kind="stable")
    return shared


def matching(view: View) -> Int64[np.ndarray, " R"] | None:
    """Find the permutation p with found[i] = wanted[p[i]], where most of the wrong rows agree with that.

    Returns: None where they do not, where rows so narrow would agree by chance, or where none has moved.
    """
    wrong = np.flatnonzero(view.wrong_of_row)
    if not 2 <= len(wrong) <= MOST_ROWS:
        return None
    mix = mixture(view)
    wanted = mix.keys(view.wanted, wrong)
    kind = classes(wanted)
    if kind.max() + 1 < (2 if view.width >= NARROW else max(2, len(wrong) / 2)):
        return None
    tried = np.unique(np.random.default_rng(0).integers(0, len(wrong), TRIED))
    partner = nearest(mix.keys(view.found, wrong[tried]), wanted)
    if np.mean(met(view, wrong[tried], wrong[partner])) < MATCHED or _by_chance(view, wrong, tried, partner):
        return None
    found = mix.keys(view.found, wrong)
    chosen = in_rank(found, wanted) if found.shape[1] == 1 else one_to_one(nearest(found, wanted), kind)
    if chosen is None:
        return None
    order = np.arange(len(view.found))
    order[wrong] = wrong[chosen]
    return order if np.any(chosen != np.arange(len(wrong))) else None


def in_rank(found: Float64[np.ndarray, "n 1"], wanted: Float64[np.ndarray, "n 1"]) -> Int64[np.ndarray, " n"]:
    """Match keys of one number by rank, which is best and leaves no two with the same partner."""
    result = np.empty(len(found), dtype=np.int64)
    result[np.argsort(found[:, 0], kind="stable")] = np.argsort(wanted[:, 0], kind="stable")
    return result


def _by_chance(view: View, wrong: np.ndarray, tried: np.ndarray, partner: np.ndarray) -> bool:
    """Whether a found row could just as well be some other wanted row than the one that it was matched with."""
    if view.width >= NARROW:
        return False
    found, own = view.found[wrong[tried]], view.wanted[wrong[partner]]
    others = view.wanted[wrong[tried]]  # as good as any
    limit = view.tolerance if isinstance(view.tolerance, float) else float(np.max(view.tolerance[wrong]))
    meets = np.all(np.abs(found[:, np.newaxis] - others) <= limit, axis=(2, 3))
    twins = np.all(np.abs(own[:, np.newaxis] - others) <= 1e-9 * (1 + np.abs(others)), axis=(2, 3))
    return bool(np.mean(meets & ~twins) * len(wrong) > CHANCE)


def copies(view: View, rows: np.ndarray) -> Int64[np.ndarray, " n"] | None:
    """Find for each of some rows the wanted row that it repeats.

    Returns: None if not all of them repeat one.
    """
    if not 1 <= len(rows) <= MOST_ROWS or len(view.found) < 2 or view.width < NARROW:
        return None
    mix = mixture(view)
    wanted = mix.keys(view.wanted, np.arange(len(view.wanted)))
    tried = rows[:: max(1, len(rows) // TRIED)]
    if not met(view, tried, nearest(mix.keys(view.found, tried), wanted)).all():
        return None
    chosen = nearest(mix.keys(view.found, rows), wanted)
    return chosen if np.all(chosen != rows) and met(view, rows, chosen).all() else None


def met(view: View, rows: np.ndarray, chosen: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Whether each found row is the one chosen for it, within tolerance, or ten times nearer than before."""
    result = np.empty(len(rows), dtype=np.bool_)
    step = max(1, SLICE_ELEMENTS // view.width)
    for first in range(0, len(rows), step):
        here, there = rows[first : first + step], chosen[first : first + step]
        error = np.abs(view.found[here] - view.wanted[there])
        limit = view.tolerance
        if isinstance(limit, np.ndarray):
            limit = np.maximum(limit[here], limit[there])
        within = (error <= limit).reshape(len(here), -1).mean(axis=1) >= 0.95
        square = np.einsum("rhd,rhd->r", error, error)
        result[first : first + step] = within | (100 * square <= view.square_of_row[here])
    return result
