"""Section 15 - taps: how does a caller see an intermediate value?

A composed function reports each intermediate to the tap it was given: `tap("attn.q", q)`. A tap keeps
what its pattern matches, or hands it to a sink. `SILENT` matches nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import numpy as np

from qwen25vl.tap_names import IN_PARTS, LEVELS, level_of


@dataclass(frozen=True)
class Tap:
    """A listener for intermediate values; afterwards `tap["vision.blocks.07.attn.q_rope"]` is the array.

    Args:
        pattern: a glob over whole ids, or one of the levels `stages`, `insides`, `all`. What `rows.NN.` and
            `chunks.NN.` put before an id may be left out of a glob.
        sink: called with id and array instead of keeping the array; it must not change or retain it
            longer than it needs. If it returns an array of the same shape, the run goes on with that one:
            so a run is driven by another run's numbers, stage by stage.
        scope: put before every id; set by `at`.
    """

    pattern: str = "*"
    sink: Callable[[str, np.ndarray], np.ndarray | None] | None = None
    scope: str = ""
    kept: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def at(self, scope: str) -> "Tap":
        """Return the same listener for a part: `tap.at("blocks.07")("attn.q", q)`."""
        return replace(self, scope=f"{self.scope}{scope}.") if self.pattern else self

    def wants(self, name: str) -> bool:
        """Say whether `name` would be kept: for values that cost something to make."""
        full = self.scope + name
        if self.pattern in LEVELS:
            return LEVELS.index(level_of(full)) <= LEVELS.index(self.pattern)
        plain = IN_PARTS.sub("", full, count=1)
        return fnmatchcase(full, self.pattern) or fnmatchcase(plain, self.pattern)

    def __call__(self, name: str, array: np.ndarray) -> np.ndarray:
        """Report one value, which nobody may change afterwards, and return the one to go on with."""
        if not self.pattern or not self.wants(name):
            return array
        full = self.scope + name
        if self.sink is None:
            self.kept[full] = array
            return array
        other = self.sink(full, array)
        if other is None:
            return array
        if other.shape != array.shape:
            raise ValueError(f"{full} has shape {array.shape}, its replacement {other.shape}")
        return other

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the kept array of a whole id."""
        if name not in self.kept:
            raise KeyError(f"no tap {name!r} was kept (pattern {self.pattern!r}, {len(self.kept)} kept)")
        return self.kept[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the kept ids, in the order in which they were computed."""
        return iter(self.kept)

    def __len__(self) -> int:
        """Count the kept ids."""
        return len(self.kept)


SILENT = Tap(pattern="")
"""Nobody listens."""
