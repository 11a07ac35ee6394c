"""Section 15 - the catalogue: which known bugs can be planted?"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

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
    for name in sorted(info.name for info in pkgutil.iter_modules(known.__path__)):
        for value in vars(importlib.import_module(f"{known.__name__}.{name}")).values():
            entry = getattr(value, MARK, None)
            if not isinstance(entry, Mutant) or not value.__module__.endswith(f".{name}"):
                continue
            if entry.id in found:
                raise ValueError(f"two mutants are called {entry.id}")
            found[entry.id] = entry
    return dict(sorted(found.items(), key=lambda item: MECHANISMS.index(item[1].mechanism)))


@cache
def every_mutant() -> Mapping[str, Mutant]:
    """Give the known bugs, then the systematic faults."""
    return {**known_mutants(), **systematic_mutants()}
