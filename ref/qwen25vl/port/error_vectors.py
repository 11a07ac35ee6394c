"""Section 15 - errors that are a vector: one sign, factor or difference for each channel, or for each row?"""

from collections.abc import Iterator

import numpy as np

from qwen25vl.port.error_bands import channels_told, heads_told
from qwen25vl.port.error_view import Claim, Index, View
from qwen25vl.port.error_words import few, number

LEAST = 4
"""A vector is fitted only where each of its numbers stands for at least so many elements."""


def sign_claims(view: View) -> Iterator[Claim]:
    """Yield the claim that some channels, not all, have the wrong sign."""
    found, wanted = view.found[view.sample], view.wanted[view.sample]
    same = np.square(found - wanted).sum(axis=0)
    turned = np.square(found + wanted).sum(axis=0)
    negative = (turned < same) & (view.wrong_of_column > 0)  # [H, d]
    if not negative.any() or negative.all():
        return
    signs = np.where(negative, -1.0, 1.0)
    heads, channels = np.flatnonzero(negative.any(axis=1)), np.flatnonzero(negative.any(axis=0))
    alike = np.count_nonzero(negative) == len(heads) * len(channels)
    if not alike:
        text = f"{np.count_nonzero(negative)} channels have the wrong sign"
    elif len(channels) == negative.shape[1]:
        text = f"{heads_told(view, heads)} {'has' if len(heads) == 1 else 'have'} the wrong sign"
    else:
        where = "" if len(heads) == len(negative) else f" in {heads_told(view, heads)}"
        text = f"{channels_told(view, channels)} {'has' if len(channels) == 1 else 'have'} the wrong sign{where}"
    yield Claim("sign", text, lambda rows: view.wanted[rows] * signs, columns=few(channels))


def turned_pairs(view: View) -> Iterator[Claim]:
    """Yield the claim that rotary pairs, channels j and j + d/2, are turned by a wrong angle, one for all heads.

    The lengths of the pairs are right then, so what is wrong is a position, a frequency or the direction.
    """
    heads, d = view.found.shape[1:]
    if not view.part.endswith("_rope") or "d" not in view.words or d % 2 or heads < 2:
        return

    def pairs(array: np.ndarray) -> np.ndarray:
        return array[..., : d // 2] + 1j * array[..., d // 2 :]

    def predicted(rows: Index) -> np.ndarray:
        found, wanted = pairs(view.found[rows]), pairs(view.wanted[rows])
        turn = (found * wanted.conj()).sum(axis=1, keepdims=True)  # [n, 1, d/2]
        size = np.abs(turn)
        turned = wanted * np.where(size > 0, turn / np.where(size > 0, size, 1), 1)
        return np.concatenate([turned.real, turned.imag], axis=-1)

    text = (
        f"channels j and j + {d // 2} have the right length together but a wrong angle, the same in all heads: "
        "turned with another position, frequency or direction"
    )
    yield Claim("other", text, predicted, slack=2.0)


def vector_claims(view: View) -> Iterator[Claim]:
    """Yield what can be said with one number for each channel, or for each row."""
    rows, width = len(view.found), view.width
    if rows >= LEAST and width > 1:
        yield moved_by_a_row(view)
    if width >= LEAST and rows > 1:
        yield moved_row_by_row(view)
    if rows >= LEAST and width > 1:
        yield scaled_by_channel(view)
    if width >= LEAST and rows > 1:
        yield scaled_row_by_row(view)


def moved_by_a_row(view: View) -> Claim:
    """Claim that one vector was added to every row."""
    step = np.median(view.found[view.sample] - view.wanted[view.sample], axis=0)  # [H, d]
    largest = np.unravel_index(int(np.argmax(np.abs(step))), step.shape)
    where = f"channel {largest[1]}" + (f" of head {largest[0]}" if len(step) > 1 else "")
    text = (
        f"every {view.noun} is off by the same vector, a bias missing, doubled or of another layer; "
        f"its largest entry is {number(float(step[largest]))} in {where}"
    )
    return Claim("offset", text, lambda rows: view.wanted[rows] + step, slack=1.5)


def moved_row_by_row(view: View) -> Claim:
    """Claim that in each row one number was added to all elements."""
    of_sample = _row_steps(view, view.sample)
    text = (
        f"in each {view.noun} every value is off by one number, of its own for each {view.noun}: "
        f"{_between(of_sample)}"
    )
    return Claim("offset", text, lambda rows: view.wanted[rows] + _row_steps(view, rows), slack=1.5)


def _row_steps(view: View, rows: Index) -> np.ndarray:
    """Return the middle error of each row."""
    return np.median(view.found[rows] - view.wanted[rows], axis=(1, 2), keepdims=True)


def scaled_by_channel(view: View) -> Claim:
    """Claim one factor for each channel."""
    found, wanted = view.found[view.sample], view.wanted[view.sample]
    factors = _ratios(found, wanted, axis=(0,))[0]  # [H, d]
    text = (
        f"each channel has a factor of its own, {_between(factors)}: a gain missing, doubled or of another layer"
    )
    return Claim("scale", text, lambda rows: view.wanted[rows] * factors, slack=_slack(factors))


def scaled_row_by_row(view: View) -> Claim:
    """Claim one factor for each row."""
    of_sample = _ratios(view.found[view.sample], view.wanted[view.sample], axis=(1, 2))
    text = f"each {view.noun} has a factor of its own, {_between(of_sample)}{_lengths(view)}"
    return Claim(
        "scale",
        text,
        lambda rows: view.wanted[rows] * _ratios(view.found[rows], view.wanted[rows], axis=(1, 2)),
        slack=_slack(of_sample),
    )


def _ratios(found: np.ndarray, wanted: np.ndarray, *, axis: tuple[int, ...]) -> np.ndarray:
    """Return the factors of least squares along axes; 1 where the wanted values are all 0."""
    over = np.square(wanted).sum(axis=axis, keepdims=True)
    return np.where(over > 0, (found * wanted).sum(axis=axis, keepdims=True) / np.where(over > 0, over, 1), 1.0)


def _slack(factors: np.ndarray) -> float:
    """Return how much factors enlarge noise, with room for the noise in the factors."""
    return 1.5 * max(1.0, float(np.median(np.abs(factors))))


def _lengths(view: View) -> str:
    """Say if a normalisation was left out, or is one too many: if one of the two has rows of equal length only."""
    spread = []
    for array in (view.found, view.wanted):
        length = np.sqrt(np.square(array[view.sample]).sum(axis=(1, 2)))
        spread.append(float(length.std()) > 0.01 * float(length.mean()))
    if spread == [True, False]:
        return f"; the wanted {view.noun}s have one length, so a normalisation may be missing"
    if spread == [False, True]:
        return f"; the {view.noun}s found have one length, so there may be a normalisation too many"
    return ""


def _between(numbers: np.ndarray) -> str:
    """Say how far numbers reach."""
    return f"from {number(float(numbers.min()))} to {number(float(numbers.max()))}"
