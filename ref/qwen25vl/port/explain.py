"""Section 15 - explaining: which known bug makes the reference as wrong as the port is?

A known bug is planted into the reference, which then computes every part from the port's own numbers. It explains
a part that the port has wrong if it gives the port's number there, within noise. A second bug, beside the first or
hidden by it, is looked for with the first one planted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from qwen25vl.errors import BadInput
from qwen25vl.golden.corpus_read import GoldenCase
from qwen25vl.port.check import Check, readable
from qwen25vl.port.explanation import THRESHOLD, Candidate, Certain, Explanation
from qwen25vl.port.mutants.kills import KillMatrix
from qwen25vl.port.mutants.mutant import Mutant
from qwen25vl.port.mutants.scene import Scene, scene_of
from qwen25vl.port.search import Search
from qwen25vl.port.values import PortValues
from qwen25vl.port.verdicts import CheckReport

SCREENED = 3
"""Wrong cases that every suspect is tried on."""

VERIFIED = 5
"""Further cases that the best suspects are tried on: wrong ones, and right ones that one would make wrong."""


@dataclass(frozen=True, eq=False)
class Explainer:
    """How a port's numbers are explained."""

    check: Check
    """That found them wrong; its model is what bugs are planted into."""
    catalogue: Mapping[str, Mutant]
    """The bugs that are known, by id."""
    matrix: KillMatrix
    """Which case catches which."""
    seconds: float = 40.0
    """How long suspects are tried, the likeliest first."""
    watch: Callable[[str], None] = field(default=lambda bug: None)
    """Told the id of each bug that is tried."""

    def of(self, report: CheckReport, port: PortValues, goldens: Sequence[GoldenCase]) -> Explanation:
        """Explain what a check found wrong.

        Args:
            report: of the check.
            port: what the port computed.
            goldens: the cases that were checked.

        Spec: spec/15-golden-values.md (X34, X35)
        """
        by_id = {golden.id: golden for golden in goldens}
        if report.first_divergence is None or self.check.forced:
            return Explanation((), certain(report))
        wrong = _wrong_cases(report, by_id)
        scenes = self._scenes(wrong, by_id, port, report, most=SCREENED)
        if not scenes:
            return Explanation((), certain(report))
        search = Search(scenes, report, self.catalogue, self.matrix, seconds=self.seconds, watch=self.watch)
        finalists = search.finalists()
        screened = {scene.golden.id for scene in scenes}
        wrong = [case for case in wrong if case not in screened]
        right = [
            kill.case
            for finalist in finalists
            for mutant in finalist.mutants
            for kill in self.matrix.of(mutant.id)
            if kill.case in by_id and kill.case not in wrong and port.by_case.get(kill.case)
        ]
        further = [*wrong[: VERIFIED - 2], *dict.fromkeys(right)]
        more = self._scenes(further, by_id, port, report, most=VERIFIED, known=scenes)
        candidates = search.verified(finalists, more)
        return Explanation(
            candidates=candidates,
            certain=certain(report, ruled_out=search.ruled_out(finalists)),
            cases=tuple(scene.golden.id for scene in (*scenes, *more)),
            tried=len(search.tried),
            told_apart_by=self._told_apart_by(candidates),
            ran_out=search.ran_out,
        )

    def _told_apart_by(self, candidates: Sequence[Candidate]) -> str:
        """Name a case that tells the first two candidates apart, where both explain enough."""
        enough = [one for one in candidates if one.score >= THRESHOLD]
        if len(enough) < 2:
            return ""
        other = [mutant.id for mutant in enough[1].mutants if mutant not in enough[0].mutants]
        own = [mutant.id for mutant in enough[0].mutants if mutant not in enough[1].mutants]
        return self.matrix.told_apart_by(own[0], other[0]) if own and other else ""

    def _scenes(
        self,
        cases: Sequence[str],
        by_id: Mapping[str, GoldenCase],
        port: PortValues,
        report: CheckReport,
        *,
        most: int,
        known: Sequence[Scene] = (),
    ) -> list[Scene]:
        """Set up some cases, in this order; those whose weights are not at hand, or whose numbers lead nowhere,
        are passed over."""
        found: list[Scene] = []
        there = {scene.golden.id for scene in known}
        for case in cases:
            golden = by_id[case]
            lab, _ = self.check.lab(golden)
            if case in there or lab is None:
                continue
            values, _ = readable(port.by_case[case])
            try:
                scene = scene_of(golden, values, lab, policy=self.check.policy, precision=report.precision)
            except BadInput:
                continue
            if scene.wrong or known:
                found.append(scene)
            if len(found) == most:
                break
        return found


def certain(report: CheckReport, *, ruled_out: Sequence[str] = ()) -> Certain:
    """Say what a check found, whatever the bug."""
    first = report.first_divergence
    if first is None:
        return Certain()
    before = []
    for part in report.parts:
        if part is first:
            break
        if part.case == first.case and part.verdict in ("exact", "noise"):
            before.append(part.tap)
    return Certain(
        case=first.case,
        stage=first.tap,
        local=first.local,
        kind=first.kind,
        detail=first.detail,
        ruled_out=tuple(ruled_out),
        right_before=tuple(before),
    )


def _wrong_cases(report: CheckReport, by_id: Mapping[str, GoldenCase]) -> list[str]:
    """List the wrong cases: first the smallest of those that go wrong at one part, for each such part."""
    begins: dict[str, str] = {}
    for part in report.parts:
        if part.verdict == "wrong" and part.name not in report.expected_failures:
            begins.setdefault(part.case, part.tap)
    small = sorted(begins, key=lambda case: _numbers(by_id[case]))
    distinct = {begins[case]: case for case in reversed(small)}
    return [
        *sorted(distinct.values(), key=small.index),
        *(case for case in small if case not in distinct.values()),
    ]


def _numbers(golden: GoldenCase) -> int:
    """Count the numbers of a case."""
    return sum(int(np.prod(entry["shape"])) for entry in golden.parts.entries.values())
