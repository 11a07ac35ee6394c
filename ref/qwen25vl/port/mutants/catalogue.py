"""Section 15 - the catalogue: which known bugs can be planted?"""

from collections.abc import Mapping
from functools import cache

from qwen25vl.golden.registry import marked
from qwen25vl.port.mutants import known
from qwen25vl.port.mutants.mutant import MARK, MECHANISMS, Mutant
from qwen25vl.port.mutants.systematic import systematic_mutants


@cache
def known_mutants() -> Mapping[str, Mutant]:
    """Give every known bug by its id: by mechanism, then as they stand in their module.

    Raises:
        ValueError: if two have one id.
    """
    found: dict[str, Mutant] = {}
    for entry in marked(known, MARK):
        if entry.id in found:
            raise ValueError(f"two mutants are called {entry.id}")
        found[entry.id] = entry
    return dict(sorted(found.items(), key=lambda item: MECHANISMS.index(item[1].mechanism)))


@cache
def every_mutant() -> Mapping[str, Mutant]:
    """Give the known bugs, then the systematic faults."""
    return {**known_mutants(), **systematic_mutants()}
