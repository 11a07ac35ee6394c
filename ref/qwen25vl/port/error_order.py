"""Section 15 - errors of order: do rows or whole axes only stand in other places?"""

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from qwen25vl.port.error_match import copies, matching, met
from qwen25vl.port.error_order_names import order_told
from qwen25vl.port.error_view import Claim, View, rows_first
from qwen25vl.port.error_words import counted, few, listed, numbered, runs

MOST_STEPS = 4
"""Places by which rows are tried to be shifted."""

DRAWN = 1024
"""Elements by which an order of axes is tried before the array is laid out in it."""


def exchanged_axes(view: View, found: np.ndarray, wanted: np.ndarray) -> Iterator[Claim]:
    """Yield the claims that the values lie in memory in another order of axes.

    Args:
        view: the error.
        found: the found array in its own shape.
        wanted: the wanted array in its own shape.
    """
    words = view.words or tuple(f"axis {axis}" for axis in range(found.ndim))
    own = f"[{', '.join(words)}]"
    for axes in permutations(range(found.ndim)) if 2 <= found.ndim <= 4 else ():
        long = [axis for axis in axes if found.shape[axis] > 1]
        if long == sorted(long):
            continue  # the same order in memory
        shape = tuple(found.shape[axis] for axis in axes)
        order = f"[{', '.join(words[axis] for axis in axes)}]"
        moved = [axis for axis in range(found.ndim) if axes[axis] != axis]
        if shape == found.shape and len(moved) == 2:
            text = f"axes {words[moved[0]]} and {words[moved[1]]} are exchanged"
        else:
            text = f"the values of {own} lie in the order {order}"
        yield from _axes_claim(view, found, wanted, wanted.transpose(axes), text)
        if shape != found.shape:
            text = f"the values of {own} were read as if they lay in the order {order}"
            yield from _axes_claim(view, found, wanted, wanted.reshape(shape).transpose(np.argsort(axes)), text)


def _axes_claim(
    view: View, found: np.ndarray, wanted: np.ndarray, moved: np.ndarray, text: str
) -> Iterator[Claim]:
    """Yield the claim, unless elements drawn at random speak against it."""
    drawn = np.random.default_rng(0).integers(0, found.size, DRAWN)
    here, own, there = (a[np.unravel_index(drawn, a.shape)] for a in (found, wanted, moved))
    before = np.abs(here - own)
    after = np.abs(here - there)
    most = np.max(view.tolerance)
    wrong = before > most
    smaller = np.any(wrong) and np.median(after[wrong]) <= np.median(before[wrong]) / 5
    if not smaller and np.count_nonzero(after > most) > DRAWN // 10:
        return
    laid = rows_first(moved.reshape(found.shape), view.words)
    yield Claim("transposition", text, lambda rows: laid[rows], lambda _, rows: np.full_like(laid[rows], most))


def inverted_order(view: View, found: np.ndarray, wanted: np.ndarray) -> Iterator[Claim]:
    """Yield the claim that a list of places is the inverse of the wanted one: places for items, or the reverse."""
    if found.ndim != 1:
        return
    places = np.arange(found.size)
    if not all(np.array_equal(np.sort(array), places) for array in (found, wanted)):
        return
    inverse = np.argsort(wanted)
    moved = few(np.flatnonzero(view.wrong_of_row))
    text = f"{counted(view.wrong, 'value')} differ: the permutation is the inverse of the wanted one"
    yield Claim("permutation", text, lambda rows: rows_first(inverse, ())[rows].astype(np.float64), rows=moved)


def moved_rows(view: View) -> Iterator[Claim]:
    """Yield the claims that rows stand in other places: in an order that has a name, else as they were matched."""
    order = matching(view)
    if order is None:
        return
    for likely in (*_likely_orders(view, order), order):  # of equal rows, matching takes any
        if met(view, view.sample, likely[view.sample]).all():
            yield _rows_claim(view, likely)


def _rows_claim(view: View, order: np.ndarray) -> Claim:
    """Claim that the rows stand in this order."""
    kind, text = _rows_told(view, order)
    return Claim(
        kind,
        text,
        lambda rows: view.wanted[order[rows]],
        lambda array, rows: array[order[rows]],
        rows=few(np.flatnonzero(order != np.arange(len(order)))),
    )


def _likely_orders(view: View, matched: np.ndarray) -> Iterator[np.ndarray]:
    """Yield orders that have a name: of all rows, or of the vision tokens among them."""
    places = np.arange(len(matched))
    groups = [places]
    if view.layout.vision_rows is not None:
        groups.append(np.flatnonzero(view.layout.vision_rows))
    for group in groups:
        inner = np.searchsorted(group, matched[group])
        count = max(len(group), 1)
        step = np.bincount((inner - np.arange(len(group))) % count, minlength=1).argmax()
        rotated = (np.arange(len(group)) + step) % count
        for special in (*_window_orders(view, len(group)).values(), np.arange(len(group))[::-1], rotated):
            likely = places.copy()
            likely[group] = group[special]
            if np.any(likely != places):
                yield likely


def _rows_told(view: View, order: np.ndarray) -> tuple[str, str]:
    """Name a permutation of rows; if it moves vision tokens only, as one of these."""
    moved = np.flatnonzero(order != np.arange(len(order)))
    vision = view.layout.vision_rows
    if vision is None or not np.all(vision[moved]) or np.all(vision):
        return order_told(order, noun=view.noun, blocks=_row_blocks(view), orders=_window_orders(view, len(order)))
    places = np.flatnonzero(vision)
    among = np.searchsorted(places, order[places])
    kind, text = order_told(among, noun=view.noun, blocks={}, orders=_window_orders(view, len(places)))
    return kind, f"among the vision {view.noun}s, counted by themselves, {text}"


def shifted_rows(view: View) -> Iterator[Claim]:
    """Yield the claims that all rows stand some places too late or too early, with new ones at the end."""
    rows, total = np.arange(len(view.found)), len(view.found)
    tried = view.sample[view.wrong_of_row[view.sample] > 0]
    for step in (sign * places for places in range(1, min(MOST_STEPS, total // 4) + 1) for sign in (-1, 1)):
        source = rows + step
        inside = (source >= 0) & (source < total)
        kept = tried[inside[tried]]
        if len(kept) and met(view, kept, source[kept]).all():
            yield _shifted(view, np.where(inside, source, -1), step)


def _shifted(view: View, order: np.ndarray, step: int) -> Claim:
    """Claim that rows stand elsewhere; where `order` is negative, a row is new and not spoken of."""
    new = np.flatnonzero(order < 0)
    side = "late" if step < 0 else "early"
    text = f"every {view.noun} stands {counted(abs(step), 'place')} too {side}"
    known = (order >= 0)[:, np.newaxis, np.newaxis]
    return Claim(
        "permutation",
        f"{text}; {numbered(view.noun, new)} {'is' if len(new) == 1 else 'are'} new",
        lambda rows: np.where(known[rows], view.wanted[order[rows]], view.found[rows]),
        lambda array, rows: array[order[rows]],
    )


def _row_blocks(view: View) -> dict[int, str]:
    """Return lengths of blocks of rows that have a name."""
    blocks = {}
    if view.layout.merge_unit and "P" in view.words[:1]:
        blocks[view.layout.merge_unit] = "merged token"
    frames = view.layout.frame_of_row
    if frames is not None:
        lengths = np.diff(np.flatnonzero(np.diff(frames, prepend=frames[0] - 1, append=frames[-1] + 1)))
        if len(lengths) > 1 and np.all(lengths == lengths[0]):
            blocks[int(lengths[0])] = "frame"
    return blocks


def _window_orders(view: View, count: int) -> dict[str, np.ndarray]:
    """Return the permutations of so many rows that come of a wrong window order, by what they are."""
    order = view.layout.window_order
    if order is None or count % max(len(order), 1):
        return {}
    order = np.asarray(order, dtype=np.int64)
    unit = count // len(order)
    if unit not in (1, view.layout.merge_unit):
        return {}
    order = (order[:, np.newaxis] * unit + np.arange(unit)).reshape(-1)
    inverse = np.argsort(order)
    noun = f"{view.noun}s"
    return {
        f"the {noun} stand in window order, seen from the wanted one": order,
        f"the {noun} stand in the inverse of the window order, seen from the wanted one": inverse,
        f"the {noun} went through the window order twice: its inverse was wanted the second time": order[order],
        f"the {noun} went through the inverse of the window order twice: the order was wanted": inverse[inverse],
    }


def copied_rows(view: View) -> Iterator[Claim]:
    """Yield the claim that the wrong rows repeat what other rows should hold."""
    wrong = np.flatnonzero(view.wrong_of_row)
    source = copies(view, wrong)
    if source is None:
        return
    order = np.arange(len(view.found))
    order[wrong] = source
    yield Claim(
        "other",
        copies_told(wrong, source, noun=view.noun),
        lambda rows: view.wanted[order[rows]],
        lambda array, rows: array[order[rows]],
        rows=few(wrong),
    )


def copies_told(rows: np.ndarray, source: np.ndarray, *, noun: str) -> str:
    """Say what rows repeat."""
    step = source - rows
    if len(rows) > 2 and len(runs(rows)) == 1 and np.all(step == step[0]):
        side = "late" if step[0] < 0 else "early"
        return f"{numbered(noun, rows)} stand {counted(abs(int(step[0])), 'place')} too {side}"
    if np.all(source == source[0]):
        return f"{numbered(noun, rows)} hold{'s' * (len(rows) == 1)} what {noun} {source[0]} should"
    told = [f"{noun} {row} what {noun} {of} should" for row, of in zip(rows[:3], source[:3], strict=True)]
    return f"{counted(len(rows), noun)} hold{'s' * (len(rows) == 1)} the values of others: {listed(told)}"
