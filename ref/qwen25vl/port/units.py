"""Section 15 - units: how many times its noise floor is a part off?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qwen25vl.golden.deviation import Deviation

ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
"""Half the distance of two neighbouring numbers, relative to them at most: the unit roundoff of each format."""


@dataclass(frozen=True)
class Floor:
    """What a part may be off by: the noise of correct runs."""

    max_abs: float
    rel_l2: float
    worst_row: float
    rms: float


def measured_floor(entry: Mapping[str, float] | None) -> Floor | None:
    """Return the floor that a file of noise holds; None if its run left the range, or nothing was measured."""
    if not entry or entry.get("overflow") or "max" not in entry:
        return None
    return Floor(
        max_abs=entry["max"], rel_l2=entry["rel_l2"], worst_row=entry.get("worst_token", 0.0), rms=entry["rms"]
    )


def floor_of(runs: list[Deviation]) -> Floor | None:
    """Return the floor that some runs give: the largest of each measure; None if one left its range."""
    if not runs or any(not np.isfinite(run.max_abs) for run in runs):
        return None
    return Floor(
        max_abs=max(run.max_abs for run in runs),
        rel_l2=max(run.rel_l2 for run in runs),
        worst_row=max(run.worst_row_rel_l2 or 0.0 for run in runs),
        rms=max(run.rms for run in runs),
    )


def assumed_floor(wanted: np.ndarray, *, roundoffs: float, precision: str) -> Floor:
    """Return a floor where none was measured: a relative L2 of so many units of roundoff."""
    relative, scale = roundoffs * ROUNDOFF[precision], _rms(wanted)
    return Floor(max_abs=6 * relative * scale, rel_l2=relative, worst_row=4 * relative, rms=relative * scale)


def units(apart: Deviation, floor: Floor, wanted: np.ndarray, *, precision: str) -> float:
    """Return the largest of three ratios: relative L2, largest error, worst row, each over its floor.

    No floor is taken to be below a rounding of the result itself: half a unit of roundoff of the largest value.

    Spec: spec/15-golden-values.md (X25)
    """
    least = ROUNDOFF[precision] / 2
    smallest = max(smallest_rms(wanted, precision=precision), np.finfo(np.float64).tiny)
    ratios = [apart.rel_l2 / max(floor.rel_l2, least), apart.max_abs / max(floor.max_abs, smallest)]
    if apart.worst_row_rel_l2 is not None:
        ratios.append(apart.worst_row_rel_l2 / max(floor.worst_row, least))
    return float(max(ratios))


def smallest_rms(wanted: np.ndarray, *, precision: str) -> float:
    """Return half a unit of roundoff of the largest value: what rounding alone does to it."""
    return ROUNDOFF[precision] / 2 * float(np.max(np.abs(wanted), initial=0.0, where=np.isfinite(wanted)))


def differing_share(found: np.ndarray, right: np.ndarray) -> float:
    """Return the share of numbers that are not equal; two that are none are."""
    return float(np.mean((found != right) & ~(np.isnan(found) & np.isnan(right))))


def _rms(array: np.ndarray) -> float:
    """Root mean square of the finite values."""
    finite = array[np.isfinite(array)].astype(np.float64)
    return float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 0.0
