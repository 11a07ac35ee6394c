"""Section 15 - the bench: how far is one part of a port off, and what does its error look like?"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from qwen25vl.config import Config
from qwen25vl.golden.case import Run
from qwen25vl.golden.corpus_read import GoldenCase
from qwen25vl.golden.deviation import Deviation, deviation
from qwen25vl.golden.noise import held
from qwen25vl.port.error_shape import error_shape
from qwen25vl.port.error_view import Layout
from qwen25vl.port.layout import layout_of, patches_of_rows
from qwen25vl.port.part_shape import misfit
from qwen25vl.port.policy import Limits, Policy
from qwen25vl.port.stages import Stage
from qwen25vl.port.units import Floor, assumed_floor, measured_floor, smallest_rms, units
from qwen25vl.port.verdicts import Evidence, PartVerdict, Verdict
from qwen25vl.precision import PRECISIONS
from qwen25vl.tap_names import tap_name

FEW_INHERITED = 3
"""So many inherited errors of a case get their shape told; of the others the first one tells enough."""

WHOLE_NUMBERS_APART = 0.25
"""Whole numbers are equal or not; anything between 0 and 1 says so."""


@dataclass(frozen=True)
class Measured:
    """A part beside what it should be."""

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
    policy: Policy
    precision: str
    mode: str
    """Which of the golden's noises counts: `free`, or `stage` if the port was given each stage's golden inputs."""
    inherited: list[str] = field(default_factory=list)
    """Parts whose inherited error was described."""

    def verdict(self, part_id: str) -> PartVerdict:
        """Judge a part that the port gives."""
        found, stage = self.values[part_id], self.alone.get(part_id)
        wanted = self.golden.parts.get(part_id)
        right = wanted if wanted is not None else None if stage is None else stage.wanted
        if right is None:
            detail = "no golden has such a part, and no stage of the model computes it"
            return self.said(part_id, "suspicious", "other", detail)
        refusal = misfit(found, right)
        if refusal:
            return self.said(part_id, "wrong", "other", refusal, local=True)
        if right.dtype.kind != "f":
            return self._whole_numbers(part_id, found, right, stage)
        return self._floats(part_id, found, wanted, stage)

    def said(self, part_id: str, verdict: Verdict, kind: str, detail: str, **more: Any) -> PartVerdict:
        """Put a verdict together."""
        return PartVerdict(self.golden.id, part_id, verdict, kind, detail, self._section(part_id), **more)

    def evidence(self, verdict: PartVerdict) -> Evidence:
        """Gather the numbers behind a verdict that something is wrong."""
        part_id, found = verdict.tap, self.values[verdict.tap]
        stage = self.alone.get(part_id) if verdict.local else None
        wanted = np.array(self.golden.parts[part_id] if stage is None else stage.wanted)
        floor = WHOLE_NUMBERS_APART
        if wanted.dtype.kind == "f":
            noise = self._floor(part_id, wanted) if stage is None else self._stage_floor(part_id, stage)
            floor = max(noise.rms, smallest_rms(wanted, precision=self.precision))
        grids: list[list[int]] = []
        patches, picture = None, "inputs.pictures.00.resized"
        if self.run is not None and self.config is not None:
            grids = [*self.run.inputs.image_grids.tolist(), *self.run.inputs.video_grids.tolist()]
            patches = patches_of_rows(self.run, self.config, part_id)
        return Evidence(
            case=self.golden.id,
            tap=part_id,
            dims=self._dims(part_id),
            found=found.astype(np.float64),
            wanted=wanted.astype(np.float64),
            floor=floor,
            is_local=stage is not None,
            frame_grid=(grids[0][0], grids[0][1], grids[0][2]) if grids else None,
            patch_of_row=patches,
            picture=np.array(self.golden.parts[picture]) if picture in self.golden.parts else None,
        )

    def _whole_numbers(
        self, part_id: str, found: np.ndarray, right: np.ndarray, stage: Stage | None
    ) -> PartVerdict:
        """Judge integers, bytes and truth values: equal or wrong. (X8)"""
        if np.array_equal(found, right):
            return self.said(part_id, "exact", "noise", "", noise_units=0.0, max_abs=0.0, rel_l2=0.0)
        if part_id.endswith("answer.ids") and self._is_near_tie(part_id, found):
            return self.said(part_id, "noise", "noise", "the two best scores are closer than their noise")
        local = True if stage is None else not np.array_equal(found, stage.wanted)
        return self._off(part_id, "wrong", right, tolerance=WHOLE_NUMBERS_APART, local=local)

    def _floats(
        self, part_id: str, found: np.ndarray, wanted: np.ndarray | None, stage: Stage | None
    ) -> PartVerdict:
        """Judge floating point: how many times the noise is it off, as it ran and by itself?"""
        limits = self._limits(part_id)
        free = None if wanted is None else self._measured(part_id, wanted, self._floor(part_id, wanted))
        alone = None if stage is None else self._measured(part_id, stage.wanted, self._stage_floor(part_id, stage))
        verdict = self._graded(part_id, found, wanted, free=free, alone=alone, limits=limits)
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
        limits: Limits,
    ) -> PartVerdict:
        """Give the verdict: by itself first, since an error that is inherited is another part's."""
        if wanted is not None and np.array_equal(found, held(wanted, PRECISIONS[self.precision]), equal_nan=True):
            return self.said(part_id, "exact", "noise", "", max_abs=0.0, rel_l2=0.0)
        candidates = ((alone, True), (free, False if alone is not None else self._by_itself()))
        grades: tuple[tuple[float, Verdict], ...] = ((limits.wrong, "wrong"), (limits.suspicious, "suspicious"))
        for limit, verdict in grades:
            for measured, local in candidates:
                if measured is not None and measured.units > limit:
                    smallest = smallest_rms(measured.wanted, precision=self.precision)
                    tolerance = limits.wrong * max(measured.floor.rms, smallest)
                    return self._off(part_id, verdict, measured.wanted, tolerance=tolerance, local=local)
        nearest = alone if free is None else free
        assert nearest is not None
        local = None if alone is None else False
        return self.said(part_id, "noise", "noise", "", local=local, **_measures(nearest.apart))

    def _off(
        self, part_id: str, verdict: Verdict, wanted: np.ndarray, *, tolerance: float, local: bool | None
    ) -> PartVerdict:
        """Say what an error looks like; of many inherited ones, of the first few."""
        found, dims, kind, detail = self.values[part_id], self._dims(part_id), "other", "inherited"
        if local is not False or len(self.inherited) < FEW_INHERITED:
            shape = error_shape(
                found.astype(np.float64),
                wanted.astype(np.float64),
                part=part_id,
                dims=dims,
                tolerance=tolerance,
                layout=layout_of(part_id, self.layouts),
            )
            kind, detail = shape.kind, shape.detail
            if kind == "noise":
                kind, detail = "other", "no element is far off, but together they are more than noise"
        if local is False:
            self.inherited.append(part_id)
        apart = deviation(found, wanted, dims=dims)
        return self.said(part_id, verdict, kind, detail, local=local, **_measures(apart))

    def _measured(self, part_id: str, wanted: np.ndarray, floor: Floor) -> Measured:
        """Hold a part beside what it should be."""
        apart = deviation(self.values[part_id], wanted, dims=self._dims(part_id))
        return Measured(wanted, floor, apart, units(apart, floor, wanted, precision=self.precision))

    def _floor(self, part_id: str, wanted: np.ndarray) -> Floor:
        """Return the noise floor of a part as the golden has it, or an assumed one."""
        entry = self.golden.noise.get(part_id, {}).get(self.precision, {}).get(self.mode)
        return measured_floor(entry) or self._assumed(part_id, wanted)

    def _stage_floor(self, part_id: str, stage: Stage) -> Floor:
        """Return the noise floor of a stage that was computed from the port's inputs."""
        return stage.floor or self._assumed(part_id, stage.wanted)

    def _assumed(self, part_id: str, wanted: np.ndarray) -> Floor:
        """Return the floor of a part whose noise was not measured."""
        return assumed_floor(wanted, roundoffs=self._limits(part_id).floor, precision=self.precision)

    def _limits(self, part_id: str) -> Limits:
        """Return the limits of a part."""
        return self.policy.limits(part_id, precision=self.precision)

    def _by_itself(self) -> bool | None:
        """Say whether what no run computes is wrong by itself: it is, if its case gives all its inputs."""
        return None if self.golden.manifest["tier"] == "model" else True

    def _dims(self, part_id: str) -> str:
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

    def _is_near_tie(self, part_id: str, found: np.ndarray) -> bool:
        """Say whether an answer leaves the golden's where two scores are closer than their noise. (X29)"""
        scores_id = part_id.removesuffix("ids") + "logits"
        if scores_id not in self.golden.parts:
            return False
        ids, scores = self.golden.parts[part_id], self.golden.parts[scores_id]
        step = int(np.argmax(found != ids))
        if not 0 <= found[step] < scores.shape[1]:
            return False
        noise = self._floor(scores_id, scores).max_abs * self._limits(scores_id).suspicious
        return bool(scores[step].max() - scores[step][found[step]] <= 2 * noise)


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
