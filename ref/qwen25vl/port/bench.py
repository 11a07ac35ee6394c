"""Section 15 - the bench: how far is one part of a port off, and what does its error look like?"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from qwen25vl.config import Config
from qwen25vl.golden.case import Run
from qwen25vl.golden.corpus_read import GoldenCase
from qwen25vl.golden.deviation import Deviation, deviation
from qwen25vl.port.error_shape import error_shape
from qwen25vl.port.error_view import Layout
from qwen25vl.port.extent import Extent
from qwen25vl.port.floors import Floors
from qwen25vl.port.layout import layout_of
from qwen25vl.port.part_shape import is_whole, misfit
from qwen25vl.port.stages import Stage
from qwen25vl.port.units import Floor, differing_share, units
from qwen25vl.port.verdicts import PartVerdict, Verdict
from qwen25vl.precision import PRECISIONS
from qwen25vl.tap_names import tap_name

FEW_INHERITED = 3
"""So many inherited errors of a case get their shape told; of the others the first one tells enough."""

FORMAT_SHARE = 0.02
"""So many numbers of a 16-bit format may differ: sums in another order round another way next to a tie."""

WHOLE_NUMBERS_APART = 0.25
"""Whole numbers are equal or not; anything between 0 and 1 says so."""


@dataclass(frozen=True)
class Measured:
    """A part beside what it should be."""

    found: np.ndarray
    wanted: np.ndarray
    floor: Floor
    apart: Deviation
    units: float


@dataclass(frozen=True, eq=False)
class Bench:
    """One case, its golden values, and what a port gives for it."""

    golden: GoldenCase
    values: Mapping[str, np.ndarray]
    alone: Mapping[str, Stage]
    """Each tap, computed from the port's own inputs."""
    run: Run | None
    layouts: Mapping[str, Layout]
    config: Config | None
    floors: Floors
    extent: Extent = field(default_factory=Extent)
    """Which rows are compared."""
    inherited: list[str] = field(default_factory=list)
    """Parts whose inherited error was described."""

    def knows(self, part_id: str) -> bool:
        """Whether there is anything to hold a part against: a golden value, or a stage that computes it."""
        return part_id in self.golden.parts or part_id in self.alone

    def verdict(self, part_id: str) -> PartVerdict:
        """Judge a part that the port gives."""
        found, wanted, alone = self.sides(part_id)
        right = wanted if wanted is not None else alone
        assert right is not None, part_id
        if part_id in self.extent.ties:
            return self.said(
                part_id, "noise", "noise", "from a step on whose two best scores are as good as equal"
            )
        refusal = misfit(found, right)
        if refusal:
            return self.said(part_id, "wrong", "other", refusal, local=self._by_itself())
        if right.dtype.kind != "f":
            return self._whole_numbers(part_id, found, right, alone)
        if self.format(part_id):
            return self._formatted(part_id, found, right)
        return self._floats(part_id, found, wanted, alone)

    def said(self, part_id: str, verdict: Verdict, kind: str, detail: str, **more: Any) -> PartVerdict:
        """Put a verdict together."""
        return PartVerdict(self.golden.id, part_id, verdict, kind, detail, self._section(part_id), **more)

    def _whole_numbers(
        self, part_id: str, found: np.ndarray, right: np.ndarray, alone: np.ndarray | None
    ) -> PartVerdict:
        """Judge integers, bytes and truth values: equal or wrong. (X8)"""
        if np.array_equal(found, right):
            return self.said(part_id, "exact", "noise", "", noise_units=0.0, max_abs=0.0, rel_l2=0.0)
        local = self._by_itself() if alone is None else not np.array_equal(found, alone)
        apart = deviation(found, right, dims=self.dims(part_id))
        return self._off(part_id, "wrong", found, right, apart=apart, tolerance=WHOLE_NUMBERS_APART, local=local)

    def _formatted(self, part_id: str, found: np.ndarray, right: np.ndarray) -> PartVerdict:
        """Judge numbers of a 16-bit format by the share that is not equal: they show its rounding. (X32)"""
        if np.array_equal(found, right, equal_nan=True):
            return self.said(part_id, "exact", "noise", "", noise_units=0.0, max_abs=0.0, rel_l2=0.0)
        share, name = differing_share(found, right), self.format(part_id)
        detail = f"{share:.1%} of the numbers are not those of {name}, rounded where upstream rounds"
        verdict: Verdict = "noise" if share <= FORMAT_SHARE else "wrong"
        kind, local = ("noise", None) if verdict == "noise" else ("other", self._by_itself())
        apart = deviation(found, right, dims=self.dims(part_id))
        return self.said(part_id, verdict, kind, detail, local=local, **_measures(apart))

    def _floats(
        self, part_id: str, found: np.ndarray, wanted: np.ndarray | None, right_alone: np.ndarray | None
    ) -> PartVerdict:
        """Judge floating point: how many times the noise is it off, as it ran and by itself?"""
        free, alone = None, None
        if wanted is not None:
            in_range = np.where(np.isfinite(found), found, wanted) if self.floors.overflows(part_id) else found
            free = self._measured(part_id, in_range, wanted, self.floors.of(part_id, wanted))
        if right_alone is not None:
            floor = self.floors.of_stage(part_id, self.alone[part_id], right_alone)
            alone = self._measured(part_id, found, right_alone, floor)
        verdict = self._graded(part_id, found, wanted, free=free, alone=alone)
        return replace(
            verdict,
            noise_units=None if free is None else _finite(free.units),
            local_units=None if alone is None else _finite(alone.units),
        )

    def _graded(
        self,
        part_id: str,
        found: np.ndarray,
        wanted: np.ndarray | None,
        *,
        free: Measured | None,
        alone: Measured | None,
    ) -> PartVerdict:
        """Give the verdict: by itself first, since an error that is inherited is another part's."""
        precision = PRECISIONS[self.floors.precision]
        if wanted is not None and np.array_equal(found, precision.held(wanted), equal_nan=True):
            return self.said(part_id, "exact", "noise", "", max_abs=0.0, rel_l2=0.0)
        limits = self.floors.limits(part_id)
        inherits = self._by_itself() if alone is None else None if alone.units > limits.suspicious else False
        candidates = ((alone, True), (free, inherits))
        grades: tuple[tuple[float, Verdict], ...] = ((limits.wrong, "wrong"), (limits.suspicious, "suspicious"))
        for limit, verdict in grades:
            for measured, local in candidates:
                if measured is not None and measured.units > limit:
                    tolerance = limits.wrong * self.floors.element(measured.floor, measured.wanted)
                    return self._off(
                        part_id,
                        verdict,
                        measured.found,
                        measured.wanted,
                        apart=measured.apart,
                        tolerance=tolerance,
                        local=local,
                    )
        nearest = alone if free is None else free
        assert nearest is not None
        local = None if alone is None else False
        return self.said(part_id, "noise", "noise", "", local=local, **_measures(nearest.apart))

    def _off(
        self,
        part_id: str,
        verdict: Verdict,
        found: np.ndarray,
        wanted: np.ndarray,
        *,
        apart: Deviation,
        tolerance: float,
        local: bool | None,
    ) -> PartVerdict:
        """Say what an error looks like; of many inherited ones, of the first few."""
        kind, detail = "other", "inherited"
        if local is not False or len(self.inherited) < FEW_INHERITED:
            shape = error_shape(
                found.astype(np.float64),
                wanted.astype(np.float64),
                part=part_id,
                dims=self.dims(part_id),
                tolerance=tolerance,
                layout=layout_of(part_id, self.layouts),
            )
            kind, detail = shape.kind, shape.detail
            if kind == "noise":
                kind, detail = "other", "no element is far off, but together they are more than noise"
        if local is False:
            self.inherited.append(part_id)
        return self.said(part_id, verdict, kind, detail, local=local, **_measures(apart))

    def sides(self, part_id: str) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Return the port's part, the golden's, and what its stage should be, as far as they are compared."""
        golden, stage = self.golden.parts.get(part_id), self.alone.get(part_id)
        wanted = None if golden is None else self.extent.of_golden(part_id, golden)
        alone = None if stage is None else self.extent.of_golden(part_id, stage.wanted)
        right = wanted if wanted is not None else alone
        return self.found(part_id, right), wanted, alone

    def found(self, part_id: str, right: np.ndarray | None) -> np.ndarray:
        """Return the port's part as far as it is compared; whole numbers as such, if it should be of them."""
        found = self.extent.of_port(part_id, self.values[part_id])
        if right is not None and right.dtype.kind == "i" and found.dtype.kind == "f" and is_whole(found):
            return found.astype(np.int64)
        return found

    def _measured(self, part_id: str, found: np.ndarray, wanted: np.ndarray, floor: Floor) -> Measured:
        """Hold a part beside what it should be."""
        apart = deviation(found, wanted, dims=self.dims(part_id))
        return Measured(found, wanted, floor, apart, units(apart, floor, wanted, precision=self.floors.precision))

    def format(self, part_id: str) -> str:
        """Return the 16-bit format whose rounding a part shows, "" for most. (X32)"""
        return str(self.golden.parts.entries[part_id].get("format", "")) if part_id in self.golden.parts else ""

    def _by_itself(self) -> bool | None:
        """Say whether what no run computes is wrong by itself: it is, if the golden gave it all its inputs."""
        return None if self.golden.manifest["tier"] == "model" and self.floors.mode != "stage" else True

    def dims(self, part_id: str) -> str:
        """Return the words of a part's shape."""
        if part_id in self.golden.parts:
            return str(self.golden.parts.entries[part_id]["dims"])
        return tap_name(part_id).shape

    def _section(self, part_id: str) -> str:
        """Return the page of a part: the golden's, the tap's, or the case's."""
        if part_id in self.golden.parts:
            return str(self.golden.parts.entries[part_id]["section"])
        try:
            return tap_name(part_id).section
        except KeyError:
            return str(self.golden.manifest["section"])


def _measures(apart: Deviation) -> dict[str, Any]:
    """Return what a verdict says of a deviation."""
    return {
        "max_abs": _finite(apart.max_abs),
        "at": apart.at,
        "rel_l2": _finite(apart.rel_l2),
        "worst_token": apart.worst_row,
        "worst_token_cosine": apart.worst_row_cosine,
    }


def _finite(value: float) -> float | None:
    """Return a number that JSON can say."""
    return value if np.isfinite(value) else None
