"""Section 15 - the place of an error: is it confined to some rows, frames, heads or channels?"""

import math
from dataclasses import dataclass

import numpy as np

from qwen25vl.port.error_bands import band_of, channels_told, heads_told
from qwen25vl.port.error_view import View
from qwen25vl.port.error_words import ORDINALS, few, listed, number, numbered, several

FEW = 8
"""So many rows are a few, if they are at most a quarter of all."""

BY_CHANCE = 0.01
"""A place is named only if wrong elements strewn at random would lie in one like it less often than this."""

COVERED = 0.5
"""A group of rows is said to be wrong if at least this share of its rows is."""


@dataclass(frozen=True)
class Place:
    """Where all wrong elements lie."""

    kind: str
    text: str
    rows: np.ndarray
    """Indices of the wrong rows."""
    heads: np.ndarray
    channels: np.ndarray
    columns: tuple[int, ...] = ()
    """Heads, or channels of a head, if it is they that confine the error."""


def place(view: View) -> Place | None:
    """Find the smallest place that holds every wrong element; None if it is everywhere or strewn."""
    rows = np.flatnonzero(view.wrong_of_row)
    heads = np.flatnonzero(view.wrong_of_column.any(axis=1))
    channels = np.flatnonzero(view.wrong_of_column.any(axis=0))
    limits: list[tuple[float, str, str]] = []
    group = _group(view, rows)
    if group is not None:
        limits.append(group)
    if "d" in view.words or view.found.shape[1] > 1:
        limits += _heads(view, heads)
    limits += _channels(view, channels, rows)
    if not limits:
        return None
    if group is None and len(rows) < len(view.found) and len(rows) > 1 and rows[-1] - rows[0] == len(rows) - 1:
        limits.append((1.0, "", numbered(view.noun, rows)))
    _, kind, _ = min(limits)
    columns = {"head": heads, "band": channels}.get(kind, np.arange(0))
    text = f"only {'; only '.join(text for _, _, text in limits)}"
    return Place(kind, text, rows, heads, channels, few(columns))


def _group(view: View, rows: np.ndarray) -> tuple[float, str, str] | None:
    """Name the group that the wrong rows are: padding, frames, one window, kinds of tokens, or a few rows.

    Returns: a rank (small means special), kind, text.
    """
    total, layout = len(view.found), view.layout
    if len(rows) == total:
        return None
    if layout.padding_rows is not None and np.all(layout.padding_rows[rows]):
        return 0.0, "padding", f"{numbered(view.noun, rows)}, which {'is' if len(rows) == 1 else 'are'} padding"
    groups = [g for g in _groups(view, rows) if g[0] * COVERED <= len(rows) and g[0] < total]
    if groups and not len(rows) == 1 < min(groups)[0]:
        size, kind, text = min(groups)
        share = "" if size == len(rows) else f" ({len(rows)} of their {size} {several(view.noun)})"
        return 2 + size / total, kind, text + share
    if _few(view, rows):
        return len(rows) / total, "token", numbered(view.noun, rows) + _told(view, rows)
    return None


def _groups(view: View, rows: np.ndarray) -> list[tuple[int, str, str]]:
    """List the groups that hold all these rows: size, kind, text."""
    layout, groups = view.layout, []
    for known, kind, noun in ((layout.frame_of_row, "frame", "frame"), (layout.window_of_row, "token", "window")):
        if known is not None:
            held = np.unique(known[rows])
            count = len(np.unique(known))
            if len(held) < count and (kind == "frame" or len(held) == 1):
                size = int(np.count_nonzero(np.isin(known, held)))
                groups.append((size, kind, f"the {several(view.noun)} of {numbered(noun, held)} of {count}"))
    if layout.vision_rows is not None:
        vision = np.asarray(layout.vision_rows, dtype=np.bool_)
        if vision[rows].all():
            groups.append((int(vision.sum()), "token", "vision tokens"))
        if not vision[rows].any():
            groups.append((int((~vision).sum()), "token", "text tokens"))
    return groups


def _few(view: View, rows: np.ndarray) -> bool:
    """Whether rows are a few of many, and not just those that strewn elements happen to lie in."""
    total, count = len(view.found), len(rows)
    run = rows[-1] - rows[0] == count - 1
    if count > max(1, min(FEW, total // 4)) and not (run and count <= total // 10):
        return False
    return count == 1 or view.width < 4 or unlikely(count, total, view.wrong)


def _told(view: View, rows: np.ndarray) -> str:
    """Say what a single row is besides its number: first, last, first vision token ..."""
    last = len(view.found) - 1
    if len(rows) > 1:
        return ""
    row = int(rows[0])
    told = ["the first"] if row == 0 else ["the last"] if row == last else []
    if view.layout.vision_rows is not None:
        vision = np.flatnonzero(view.layout.vision_rows)
        if row not in vision:
            told.append("a text token")
        else:
            nth = int(np.searchsorted(vision, row))
            which = "last " if row == vision[-1] else ""
            told.append(f"the {ORDINALS[nth]} vision token" if nth < len(ORDINALS) else f"the {which}vision token")
            if nth >= len(ORDINALS) and not which:
                told[-1] = "a vision token"
    if view.wrong == 1:
        channel = int(np.flatnonzero(view.wrong_of_column.reshape(-1))[0])
        found, wanted = (float(a[row].reshape(-1)[channel]) for a in (view.found, view.wanted))
        told.append(f"a single value, {number(found)} for {number(wanted)}")
    return f", {listed(told)}" if told else ""


def _heads(view: View, heads: np.ndarray) -> list[tuple[float, str, str]]:
    """Name the wrong heads, if they are not all."""
    total = view.found.shape[1]
    if len(heads) == total or not unlikely(len(heads), total, view.wrong):
        return []
    return [(len(heads) / total, "head", heads_told(view, heads))]


def _channels(view: View, channels: np.ndarray, rows: np.ndarray) -> list[tuple[float, str, str]]:
    """Name the wrong channels, if they are not all and lie in a band or in few runs."""
    total = view.found.shape[2]
    one_row = len(rows) == 1 < len(view.found)  # what is wrong in one row says little about channels
    if len(channels) == total or one_row or not unlikely(len(channels), total, view.wrong):
        return []
    gaps = int(np.count_nonzero(np.diff(channels) != 1))
    if band_of(view, channels) is None and (gaps > 3 or 2 * len(channels) > total) and len(channels) > FEW:
        return []
    return [(len(channels) / total, "band", channels_told(view, channels))]


def unlikely(count: int, total: int, wrong: int) -> bool:
    """Whether wrong elements strewn at random would hardly lie in `count` of `total` equal groups only."""
    choices = math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)
    return choices + wrong * math.log(count / total) <= math.log(BY_CHANCE)
