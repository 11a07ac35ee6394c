"""Section 15 - the fit of a claim: how much of an error does an explanation take away?

A claim explains an error wholly if nearly all elements are noise once it is undone, and in the main if the error
is ten times smaller then. A claim that does neither is not made.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from qwen25vl.port.error_view import Claim, View, slices, wrong_after
from qwen25vl.port.error_words import percent

LEFT_OF_WRONG = 0.05
"""A whole explanation leaves at most this share of the wrong elements wrong ..."""

LEFT_OF_ALL = 0.005
"""... and at most this share of all elements."""

SHRINKS = 10.0
"""An explanation in the main makes the error (root of the sum of squares) at least this many times smaller ..."""

TYPICAL = 0.2
"""... and the middle error of the wrong elements at least 5 times: in a sum of squares few elements count."""


BETTER = 1.5
"""So many times smaller must the error be after a claim, if an earlier and simpler one holds too."""


@dataclass(frozen=True)
class Fit:
    """A claim that holds, and what it leaves."""

    claim: Claim
    wrong: int
    """Elements that are wrong still."""
    shrinks: float
    """How many times smaller the error is."""
    whole: bool

    def told(self, view: View) -> str:
        """Return the claim in words, and what it does not explain."""
        if self.whole and not self.wrong:
            return self.claim.detail
        if self.whole:
            share = percent(self.wrong / view.found.size)
            return f"{self.claim.detail}; {share} of the values have another fault too"
        return f"{self.claim.detail}; that leaves 1/{int(self.shrinks)} of the error, more than noise"


def fit(view: View, claim: Claim) -> Fit | None:
    """Try a claim on the sample of rows, then on all rows.

    Returns: what it leaves, or None if it does not hold.
    """
    typical = _typical(view, claim)
    if typical is None:
        return None
    wrong, square = 0, 0.0
    for index in slices(view):
        error, bad = wrong_after(view, claim, index)
        wrong += int(np.count_nonzero(bad))
        square += float(np.vdot(error, error))
    whole = wrong <= LEFT_OF_WRONG * view.wrong and wrong <= LEFT_OF_ALL * view.found.size
    shrinks = np.sqrt(view.square / square) if square > 0 else np.inf
    if not whole and not (shrinks >= SHRINKS and typical <= TYPICAL):
        return None
    return Fit(claim, wrong, float(shrinks), whole)


def _typical(view: View, claim: Claim) -> float | None:
    """Return how large the middle error of the sample stays, as a share; None if all rows need not be asked."""
    rows = view.sample
    before = np.abs(view.found[rows] - view.wanted[rows])
    error, bad = wrong_after(view, claim, rows)
    error = np.abs(error)
    were_wrong = ~(before <= (view.tolerance if isinstance(view.tolerance, float) else view.tolerance[rows]))
    ratio = float(np.median(error[were_wrong] / before[were_wrong])) if were_wrong.any() else 1.0
    shrunk = np.vdot(error, error) * (SHRINKS / 2) ** 2 <= np.vdot(before, before)
    few = np.count_nonzero(bad) <= 4 * LEFT_OF_WRONG * np.count_nonzero(were_wrong)
    return ratio if few or (shrunk and ratio <= TYPICAL) else None


def fits(view: View, claims: Iterable[Claim], *, best: Fit | None = None) -> tuple[Fit | None, Fit | None]:
    """Return the first claim that explains the error wholly, and the best that explains it in the main.

    Args:
        view: the error.
        claims: in order, the simplest first; none is computed after a whole explanation.
        best: the best of the claims before these. A later one has to be clearly better.
    """
    for claim in claims:
        found = fit(view, claim)
        if found is not None and found.whole:
            return found, best
        if found is not None and (best is None or found.shrinks > BETTER * best.shrinks):
            best = found
    return None, best
