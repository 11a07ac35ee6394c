"""Section 15 - the registry: which cases are there, and which does a glob choose?"""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

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
    return tuple(sorted(marked(cases, MARK), key=lambda entry: FAMILIES.index(entry.family)))


def marked(package: ModuleType, mark: str) -> Iterator[Any]:
    """Give the entries that functions of a package's modules hold in an attribute, module after module.

    Args:
        package: whose modules are imported.
        mark: name of the attribute. A function counts in the module that defines it.
    """
    for name in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
        module = importlib.import_module(f"{package.__name__}.{name}")
        for value in vars(module).values():
            if getattr(value, "__module__", None) == module.__name__ and hasattr(value, mark):
                yield getattr(value, mark)


@cache
def cases_by_id() -> Mapping[str, Case]:
    """Give every case by its id, in the order of `all_cases`."""
    return {entry.id: entry for entry in all_cases()}


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
