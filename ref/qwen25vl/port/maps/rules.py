"""Section 15 - rules of a map: how is a part made of the tensors that a port dumped?

A map is a list of rules. Each says by regular expressions which dumped tensors a part is made of, and how.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from qwen25vl.errors import BadInput
from qwen25vl.port.maps.template import filled
from qwen25vl.tap_names import IN_PARTS, OTHER_PARTS, tap_name

Make = Callable[[Sequence[np.ndarray]], np.ndarray]
"""Turns the dumped arrays of a part, in the order of its sources, into the part's array."""


@dataclass(frozen=True)
class Mapped:
    """One part that a dump holds, and how to get it."""

    part: str
    sources: tuple[str, ...]
    """Names in the dump, without the case."""
    make: Make


@dataclass(frozen=True)
class Rule:
    """How one part, or one part of every block, is made."""

    part: str
    """Its id; `{1:02d}` is the number that group 1 of a source found, `{1}` its text."""
    sources: tuple[re.Pattern[str], ...]
    """Each fits the whole name of a dumped tensor. The part needs one tensor for each."""
    make: Make
    source: str = ""
    """The tensors' names, for people; `NN` stands for the number of a block."""
    how: str = ""
    """What `make` does, for people; empty if nothing."""
    declared: bool = True
    """Whether a dump without the part lacks something; false where only some settings make it visible."""

    def part_of(self, name: str) -> tuple[str, int] | None:
        """Return the part that a dumped name belongs to and which of its sources it is; None if it does not."""
        for place, pattern in enumerate(self.sources):
            found = pattern.fullmatch(name)
            if found is not None:
                part = filled(self.part, found)
                return (part, place) if part is not None and is_part(part) else None
        return None


@dataclass(frozen=True)
class NameMap:
    """What the names of a dump mean. Names that are ids of ours mean themselves in every map.

    A name may stand behind `rows.NN.` and `chunks.NN.`, and its part then does: a batch is dumped prompt by
    prompt, without padding, and a prompt in pieces piece by piece.
    """

    name: str
    rules: tuple[Rule, ...] = ()
    """Where two rules make the same part, the first that finds its tensors counts."""
    declared: Callable[[str], bool] = lambda part: False
    """Whether a dump should have a part, by its id without `rows.NN.` and `chunks.NN.`."""

    def mapped(self, names: Sequence[str]) -> tuple[list[Mapped], list[str]]:
        """Find the parts that a dump's names stand for, and the names that nothing fits."""
        parts = {name: Mapped(name, (name,), itself) for name in names if is_part(name)}
        known = set(parts)
        split = [(name, *_split(name)) for name in names]
        for rule in self.rules:
            found: dict[str, dict[int, str]] = {}
            for name, prefix, plain in split:
                fit = _fit(rule, prefix, plain)
                if fit is not None:
                    known.add(name)
                    found.setdefault(fit[0], {}).setdefault(fit[1], name)
            for part, places in found.items():
                if len(places) == len(rule.sources):
                    sources = tuple(places[i] for i in range(len(places)))
                    parts.setdefault(part, Mapped(part, sources, _told(rule.make, part, sources, self.name)))
        return list(parts.values()), [name for name in names if name not in known]

    def declares(self, part_id: str) -> bool:
        """Whether a dump under this map should have the part: hooks of some ports never see some taps."""
        return self.declared(IN_PARTS.sub("", part_id, count=1))


def _split(name: str) -> tuple[str, str]:
    """Return what tells prompt and piece, and the rest of a name."""
    before = IN_PARTS.match(name)
    prefix = before[0] if before else ""
    return prefix, name.removeprefix(prefix)


def _fit(rule: Rule, prefix: str, plain: str) -> tuple[str, int] | None:
    """`part_of` of a name behind a prefix, which stands before the part, too."""
    fit = rule.part_of(plain)
    if fit is None or (prefix and fit[0].startswith("inputs.")):  # a batch's inputs are one part for all prompts
        return None
    return prefix + fit[0], fit[1]


def declared_by(rules: Sequence[Rule]) -> Callable[[str], bool]:
    """Return what says whether a part is declared by a rule of a table whose numbers are those of blocks."""
    globs = {re.sub(r"\{.*?\}", "[0-9][0-9]", rule.part) for rule in rules if rule.declared}

    def declared(part: str) -> bool:
        return any(fnmatchcase(part, glob) for glob in globs)

    return declared


def _told(make: Make, part: str, sources: Sequence[str], where: str) -> Make:
    """Return `make`, whose refusals say which tensor of the dump does not fit."""

    def made(arrays: Sequence[np.ndarray]) -> np.ndarray:
        try:
            return make(arrays)
        except ValueError as error:
            shapes = ", ".join(f"{name} {list(x.shape)}" for name, x in zip(sources, arrays, strict=True))
            raise BadInput(f"the map {where} cannot make {part} of {shapes}: {error}") from None

    return made


def is_part(name: str) -> bool:
    """Whether a name is an id of ours: a tap's, or one of what is given, computed or answered."""
    if IN_PARTS.sub("", name, count=1).startswith(tuple(OTHER_PARTS)):
        return True
    try:
        tap_name(name)
    except KeyError:
        return False
    return True


def itself(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Take a dumped array as it is."""
    return arrays[0]
