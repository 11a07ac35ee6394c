"""Section 15 - bands: which axis do some channels of a head turn with, and how are channels called?"""

from itertools import combinations

import numpy as np

from qwen25vl.port.error_view import View
from qwen25vl.port.error_words import listed, numbered

AXES = ("time", "height", "width")
"""The axes of a position, in the order of `3 L` and of MRoPE's sections."""

COVERED = 0.5
"""Channels are said to lie in a band if they are at least this share of it."""


def bands(view: View) -> dict[str, np.ndarray]:
    """Return the channels of each axis in a head, by name: `the height band`.

    Channel j turns with channel j + d/2, so each band lies in both halves. The vision tower has no time:
    a quarter of the channels, row by row, turns with the height, the next with the width.
    """
    d = view.found.shape[2]
    if view.words == ("3", "L"):
        return {name: np.array([axis]) for axis, name in enumerate(AXES)}
    sections: tuple[int, ...] | None = view.layout.sections
    if "vision." in view.part and d % 4 == 0:
        sections = (0, d // 4, d // 4)
    if "d" not in view.words or sections is None or 2 * sum(sections) != d:
        return {}
    ends = np.cumsum((0, *sections))
    halves = {
        f"the {name} band": np.arange(ends[axis], ends[axis + 1])
        for axis, name in enumerate(AXES)
        if sections[axis]
    }
    return {name: np.concatenate([half, half + d // 2]) for name, half in halves.items()}


def band_of(view: View, channels: np.ndarray) -> str | None:
    """Name what some channels are: a band, two bands, a half, most of one of these; None if nothing fits.

    Of the bands that hold all the channels, the smallest counts, if the channels are half of it or more.
    """
    d = view.found.shape[2]
    known = bands(view)
    named = {listed(names): np.concatenate([known[n] for n in names]) for names in _groups(list(known))}
    if d % 2 == 0 and d > 2:
        named |= {"the first half": np.arange(d // 2), "the second half": np.arange(d // 2, d)}
        named |= {"every even channel": np.arange(0, d, 2), "every odd channel": np.arange(1, d, 2)}
    for name, held in sorted(named.items(), key=lambda item: len(item[1])):
        if len(channels) >= COVERED * len(held) and np.isin(channels, held).all():
            return name if len(channels) == len(held) else f"inside {name}"
    return None


def _groups(names: list[str]) -> list[tuple[str, ...]]:
    """Return every choice of some names, not of all."""
    return [group for size in range(1, len(names)) for group in combinations(names, size)]


def channels_told(view: View, channels: np.ndarray) -> str:
    """Return channels of a head in words: `channels 10 to 19 and 50 to 59 of each head, the height band`."""
    name = band_of(view, channels)
    if view.words == ("3", "L"):
        return name or listed([AXES[int(c)] for c in channels])
    of_head = " of each head" if view.found.shape[1] > 1 else ""
    return numbered("channel", channels) + of_head + (f" ({name})" if name else "")


def heads_told(view: View, heads: np.ndarray) -> str:
    """Return heads in words: `head 3 of 12`."""
    noun = "key head" if view.words[1:2] == ("K",) else "head"
    return f"{numbered(noun, heads)} of {view.found.shape[1]}"
