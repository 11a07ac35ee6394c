"""Which parts of a golden case another run of it changes."""

import re
from collections.abc import Mapping

import numpy as np

from qwen25vl.golden.case import Case, Lab, Run

VISIBLE = 1e-6
"""A relative difference that nobody takes for the rounding of float64: what a planted bug must reach."""

TO_THE_BIT = re.compile(r"^outputs\.(bfloat16|float16)\.")
"""Parts that are in one format whatever the precision of the run."""


def run_of(case: Case, lab: Lab) -> Run:
    """Return the run that a case of a whole pass yields."""
    (run,) = (item for item in case.function(lab) if isinstance(item, Run))
    return run


def changed(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> list[str]:
    """List the parts that differ visibly, in the order of the case; those of one side alone, too."""
    names = [*wanted, *(name for name in found if name not in wanted)]
    return [name for name in names if name not in found or name not in wanted or _differs(found, wanted, name)]


def _differs(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], name: str) -> bool:
    """Whether one part differs."""
    ours, theirs = found[name], wanted[name]
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return True
    if ours.dtype.kind != "f" or TO_THE_BIT.match(name):
        return not np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0, np.abs(ours - theirs))
    if not np.isfinite(apart).all():
        return True
    scale = np.max(np.abs(theirs), where=np.isfinite(theirs), initial=0)
    return bool(np.max(apart, initial=0) > VISIBLE * max(scale, VISIBLE))
