"""Section 15 - errors of the values: clipped, negated, scaled by one factor, or moved by one number?"""

import math
from collections.abc import Iterator

import numpy as np

from qwen25vl.port.error_view import Claim, View
from qwen25vl.port.error_words import number

TELLING = 4
"""A claim of one number needs at least so many elements that it could be wrong about."""

NAMED_WITHIN = 1e-3
"""A factor is given its name if it is so near, relatively, or if the tolerance does not tell the two apart."""

BFLOAT16_LARGEST = 3.3895313892515355e38
FLOAT32_LARGEST = 3.4028234663852886e38
FLOAT16_LARGEST = 65504.0
LARGEST = {FLOAT16_LARGEST: "float16", BFLOAT16_LARGEST: "bfloat16", FLOAT32_LARGEST: "float32", 255.0: "uint8"}
"""The largest finite number of types that ports use."""


def value_claims(view: View) -> Iterator[Claim]:
    """Yield what can be said with one or two numbers about all elements, the simplest first."""
    yield from clipped(view)
    if not np.any(view.wanted[view.sample] != view.wanted[view.sample[:1], :1, :1]):
        yield from moved_by_one_number(view)  # of a constant, a factor says less than a difference
        return
    yield from scaled(view)
    yield from moved_by_one_number(view)
    yield from scaled_and_moved(view)


def clipped(view: View) -> Iterator[Claim]:
    """Yield the claim that values end at a bound which the wanted ones pass: at the found array's own extremes."""
    low, high = float(view.found.min()), float(view.found.max())
    if low == high:
        return
    below = bool(view.wanted.min() < low) and _held(view, low, beyond=-1)
    above = bool(view.wanted.max() > high) and _held(view, high, beyond=1)
    if not below and not above:
        return
    bounds = (low if below else -np.inf, high if above else np.inf)
    if below and above:
        text = f"values are clipped to {number(low)} to {number(high)}"
    else:
        text = f"values {'below' if below else 'above'} {number(low if below else high)} are clipped to it"
    ends = [LARGEST[abs(bound)] for bound in bounds if abs(bound) in LARGEST]
    text += f", where {ends[0]} ends" if ends else ""
    yield Claim("saturation", text, lambda rows: np.clip(view.wanted[rows], *bounds))


def _held(view: View, bound: float, *, beyond: int) -> bool:
    """Whether values stand on a bound that the wanted ones pass: two, or one if a type ends there."""
    on = view.found == bound
    passed = int(np.count_nonzero((view.wanted[on] - bound) * beyond > 0))
    return passed >= (1 if abs(bound) in LARGEST else 2)


def scaled(view: View) -> Iterator[Claim]:
    """Yield the claims that one factor divides found from wanted: named factors first, then the best one."""
    factor = best_factor(view)
    if factor is None:
        return
    telling = np.abs(view.wanted[view.sample] * (factor - 1)) > _limit(view)
    if np.count_nonzero(telling) < TELLING:
        return
    if abs(factor + 1) < NAMED_WITHIN:
        yield Claim("sign", "every value has the wrong sign", lambda rows: -view.wanted[rows])
    named = named_factors(view)
    blur = float(np.max(_limit(view))) / float(np.abs(view.wanted[view.sample]).max())
    for value in sorted(named, key=lambda value: abs(factor - value)):
        if abs(factor - value) <= max(NAMED_WITHIN * abs(value), blur):
            yield _scaled(view, value, f": {named[value]}" if named[value] else "")
    yield _scaled(view, factor, "")


def _scaled(view: View, factor: float, name: str) -> Claim:
    """Claim one factor for all elements."""
    text = f"every value is {number(factor)} {'of' if abs(factor) < 1 else 'times'} the wanted one{name}"
    return Claim("scale", text, lambda rows: view.wanted[rows] * factor, slack=max(1.0, abs(factor)))


def best_factor(view: View) -> float | None:
    """Return the factor of least squares, of the sample's elements that agree with the middle factor.

    Returns: None if there is no factor but 0, or nothing to find one from.
    """
    found, wanted = view.found[view.sample], view.wanted[view.sample]
    large = np.abs(wanted) > max(float(np.median(np.abs(wanted))) / 2, 0.0)
    if not large.any():
        return None
    middle = float(np.median(found[large] / wanted[large]))
    agrees = large & (np.abs(found - middle * wanted) <= 0.1 * np.abs(middle * wanted) + 3 * _limit(view))
    over = float(np.vdot(wanted[agrees], wanted[agrees]))
    factor = float(np.vdot(found[agrees], wanted[agrees])) / over if over > 0 else middle
    return factor if factor and math.isfinite(factor) else None


def named_factors(view: View) -> dict[float, str]:
    """Return factors that ports get wrong, and what they are."""
    d, width = view.found.shape[2], view.width
    named = {2.0**power: "" for power in range(-4, 5) if power} | {255.0: "", 127.5: ""}
    named |= {1 / 255: "1/255", 1 / 127.5: "1/127.5", math.log2(math.e): "log2 of e", math.log(2): "ln 2"}
    for size, letter in ((width, "the width of a row"), (d, "the width of a head" if width > d else "")):
        if size > 4 and letter:
            named |= {
                math.sqrt(size): f"sqrt({size}), {size} being {letter}",
                1 / math.sqrt(size): f"1/sqrt({size}), {size} being {letter}",
                float(size): f"{letter}",
                1 / size: f"1/{size}, {size} being {letter}",
            }
    return named


def moved_by_one_number(view: View) -> Iterator[Claim]:
    """Yield the claim that one number was added to all elements."""
    if view.found.size < TELLING:
        return
    step = float(np.median(view.found[view.sample] - view.wanted[view.sample]))
    text = f"every value is {number(abs(step))} too {'large' if step > 0 else 'small'}"
    yield Claim("offset", text, lambda rows: view.wanted[rows] + step)


def scaled_and_moved(view: View) -> Iterator[Claim]:
    """Yield the claim that one factor and one number lie between wanted and found."""
    found, wanted = view.found[view.sample], view.wanted[view.sample]
    if wanted.size < 2 * TELLING or len(np.unique(wanted[:8])) < TELLING:
        return
    centred = wanted - wanted.mean()
    factor = float(np.vdot(centred, found)) / float(np.vdot(centred, centred))
    step = float(found.mean() - factor * wanted.mean())
    if not abs(factor) > NAMED_WITHIN:
        return  # that would call a constant a scale
    added = f"{'plus' if step > 0 else 'minus'} {number(abs(step))}"
    text = f"every value is {number(factor)} times the wanted one {added}"
    yield Claim("scale", text, lambda rows: view.wanted[rows] * factor + step, slack=max(1.0, abs(factor)))


def _limit(view: View) -> float | np.ndarray:
    """Return the tolerance of the sample."""
    return view.tolerance[view.sample] if isinstance(view.tolerance, np.ndarray) else view.tolerance
