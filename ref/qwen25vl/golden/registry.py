"""Section 15 - the registry: which cases are there, and which does a glob choose?"""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

from qwen25vl.errors import BadInput
from qwen25vl.golden import cases
from qwen25vl.golden.case import FAMILIES, Case, Lab, Part, Run

SMOKE = Path(__file__).with_name("smoke.json")
"""The few cases that catch every known bug: generated, see spec/measured/kill-matrix.md."""

SMOKE_SET = "smoke"
"""What chooses them."""

MARK = "golden_case"
"""Attribute of a case's function that holds its entry."""


def case(
    *,
    family: str,
    tier: Literal["unit", "block", "model"],
    section: str,
    clauses: tuple[str, ...],
    kills: tuple[str, ...],
    note: str = "",
    flags: tuple[str, ...] = (),
    taps: str = "stages",
) -> Callable[[Callable[[Lab], Iterator[Part | Run]]], Callable[[Lab], Iterator[Part | Run]]]:
    """Register a generator function as a case: its name is the id, its docstring the title."""

    def registered(function: Callable[[Lab], Iterator[Part | Run]]) -> Callable[[Lab], Iterator[Part | Run]]:
        entry = Case(
            id=function.__name__,
            title=" ".join((inspect.getdoc(function) or "").split()),
            function=function,
            family=family,
            tier=tier,
            section=section,
            clauses=clauses,
            kills=kills,
            note=note,
            flags=flags,
            taps=taps,
        )
        setattr(function, MARK, entry)
        return function

    return registered


def all_cases() -> tuple[Case, ...]:
    """List every case: by family, then as they stand in their module, module after module."""
    found = [
        entry
        for module in sorted(info.name for info in pkgutil.iter_modules(cases.__path__))
        for value in vars(importlib.import_module(f"{cases.__name__}.{module}")).values()
        if isinstance(entry := getattr(value, MARK, None), Case) and value.__module__.endswith(f".{module}")
    ]
    return tuple(sorted(found, key=lambda entry: FAMILIES.index(entry.family)))


def chosen_cases(globs: tuple[str, ...] = (), *, tiers: tuple[str, ...] = ()) -> tuple[Case, ...]:
    """Choose cases by globs over ids or families; none chooses all.

    Args:
        globs: `odd_*`, `windows`; `smoke` chooses the smoke set.
        tiers: `unit`, `block`, `model`; none allows all.

    Raises:
        BadInput: if a glob matches no case.
    """
    known = [entry for entry in all_cases() if not tiers or entry.tier in tiers]
    if not globs:
        return tuple(known)
    for glob in globs:
        if not any(_matches(entry, glob) for entry in known):
            raise BadInput(
                f"no case matches {glob!r}; give a glob over the ids, such as '*window*', smoke, or a family: "
                f"{', '.join(FAMILIES)} (`qwen25vl golden --list` lists all {len(known)})"
            )
    return tuple(entry for entry in known if any(_matches(entry, glob) for glob in globs))


def _matches(entry: Case, glob: str) -> bool:
    """Whether a glob means a case, its family, or the smoke set that it is in. (X36)"""
    if glob == SMOKE_SET:
        return entry.id in smoke_ids()
    return entry.family == glob or fnmatchcase(entry.id, glob)


@cache
def smoke_ids() -> tuple[str, ...]:
    """List the smoke set: few cases that catch every known bug."""
    return tuple(json.loads(SMOKE.read_text(encoding="ascii"))["cases"])
