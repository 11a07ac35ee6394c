"""The golden cases as tests need them: a lab on `tiny`, and the parts of one case by their ids."""

import numpy as np

from qwen25vl.api import load
from qwen25vl.golden.case import Lab, Part
from qwen25vl.golden.registry import cases_by_id

CASES = cases_by_id()
"""Every case by its id."""


def tiny_lab(precision: str = "float64") -> Lab:
    """Make a lab of the bundled checkpoint."""
    return Lab(load("tiny", precision=precision))


def case_parts(name: str, lab: Lab) -> list[Part]:
    """Run a case that runs no model."""
    parts = list(CASES[name].function(lab))
    assert all(isinstance(part, Part) for part in parts)
    return parts


def case_arrays(name: str, lab: Lab) -> dict[str, np.ndarray]:
    """Run a case that runs no model, and give its arrays by id."""
    return {part.id: part.array for part in case_parts(name, lab)}


def text_of(array: np.ndarray) -> str:
    """Read a part that is a text."""
    return array.tobytes().decode()


def kills_of(*families: str) -> list[tuple[str, str]]:
    """List what the cases of these families claim to catch: pairs of case and bug."""
    return [(entry.id, bug) for entry in CASES.values() if entry.family in families for bug in entry.kills]
