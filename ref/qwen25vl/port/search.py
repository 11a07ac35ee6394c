"""Section 15 - the search: which bugs, planted alone or together, give what a port computed?"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from qwen25vl.golden.case import TIERS
from qwen25vl.golden.registry import cases_by_id
from qwen25vl.port.explanation import THRESHOLD, Candidate, Reproduced
from qwen25vl.port.mutants.kills import KillMatrix
from qwen25vl.port.mutants.mutant import Mutant
from qwen25vl.port.mutants.scene import Scene
from qwen25vl.port.suspects import suspects
from qwen25vl.port.verdicts import CheckReport

FINALISTS = 5
"""Candidates that are verified, and told of."""

BASES = 2
"""Bugs that explain a part of what is wrong, behind each of which a second one is looked for."""

JOINED = 10
"""Suspects of which every two are planted together, if none alone explains the first wrong part."""


@dataclass(frozen=True)
class Outcome:
    """What bugs, planted, do to one case."""

    scene: Scene
    reproduced: tuple[Reproduced, ...]
    missed: tuple[str, ...]
    contradicted: tuple[str, ...]

    @property
    def score(self) -> float:
        """Of the parts that are wrong in the port or in the mutant, the share that is the same in both."""
        parts = len(self.reproduced) + len(self.missed) + len(self.contradicted)
        return len(self.reproduced) / parts if parts else 1.0


@dataclass(frozen=True)
class Finalist:
    """Bugs that explain something."""

    mutants: tuple[Mutant, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def score(self) -> float:
        """The mean of the cases."""
        return sum(outcome.score for outcome in self.outcomes) / len(self.outcomes)

    @property
    def is_partial(self) -> bool:
        """Whether it leaves something to be explained, and contradicts nothing."""
        return any(one.missed for one in self.outcomes) and not any(one.contradicted for one in self.outcomes)


@dataclass(eq=False)
class Search:
    """Tries bugs on wrong cases."""

    scenes: Sequence[Scene]
    """Wrong cases; the first is the smallest."""
    report: CheckReport
    catalogue: Mapping[str, Mutant]
    matrix: KillMatrix
    seconds: float
    watch: Callable[[str], None]
    tried: dict[frozenset[str], Finalist] = field(default_factory=dict)
    """What was planted, by ids, and what it explained."""
    ran_out: bool = False
    """Whether suspects were left when the time was up."""

    def __post_init__(self) -> None:
        """Start the clock."""
        self._deadline = time.monotonic() + self.seconds

    def finalists(self) -> list[Finalist]:
        """Try single bugs, the likeliest first, until one explains enough; then second ones behind the best where
        something is left; and if nothing explains the first wrong part, every two of the likeliest. (X34, X35)"""
        self._try_groups(())
        singles = [one for one in self._ranked() if one.is_partial]
        for base in singles[:BASES]:
            if self._ranked()[0].is_partial:
                self._try_groups(base.mutants)
        self._try_in_place_of(singles)
        if not self._ranked():
            likely = [mutant for group in self._suspects(()) for mutant in group][:JOINED]
            for pair in combinations(likely, 2):
                self._try(pair, needs=self._left(()))
        return self._ranked()[:FINALISTS]

    def verified(self, finalists: Sequence[Finalist], more: Sequence[Scene]) -> tuple[Candidate, ...]:
        """Try the finalists on further cases, and tell what speaks for each; the best first.

        A further case that is right counts only against a bug.
        """
        found = []
        for finalist in finalists:
            outcomes = list(finalist.outcomes)
            for scene in more:
                outcome = _outcome(scene, scene.trial(finalist.mutants))
                if scene.wrong or outcome.contradicted:
                    outcomes.append(outcome)
            found.append(self._candidate(Finalist(finalist.mutants, tuple(outcomes))))
        return tuple(sorted(found, key=lambda candidate: (-candidate.score, len(candidate.mutants))))

    def ruled_out(self, finalists: Sequence[Finalist]) -> tuple[str, ...]:
        """List the single bugs that were tried and do not give the first wrong part."""
        kept = {mutant.id for finalist in finalists for mutant in finalist.mutants}
        return tuple(bug for bugs in self.tried if len(bugs) == 1 for bug in bugs if bug not in kept)

    def _suspects(self, base: tuple[Mutant, ...]) -> tuple[list[Mutant], ...]:
        """Group the bugs that may explain the first part that is left, behind what is planted already."""
        where, part = self._left(base)
        scene = self.scenes[where]
        kind = self._kind(scene, part)
        groups = suspects(scene, part, kind, catalogue=self.catalogue, matrix=self.matrix)
        return tuple([mutant for mutant in group if mutant not in base] for group in groups)

    def _left(self, base: tuple[Mutant, ...]) -> tuple[int, str]:
        """Return the first part that is left to be explained, and the number of its case."""
        for i, scene in enumerate(self.scenes):
            left = self.tried[_key(base)].outcomes[i].missed if base else tuple(scene.wrong)
            if left:
                return i, left[0]
        raise ValueError("nothing is left to be explained")

    def _kind(self, scene: Scene, part: str) -> str:
        """Say what the error of a part looks like."""
        verdicts = (v for v in self.report.parts if v.case == scene.golden.id and v.tap == part)
        return next((verdict.kind for verdict in verdicts), "other")

    def _try_groups(self, base: tuple[Mutant, ...]) -> None:
        """Plant one suspect after another beside what is planted already, as long as there is time."""
        left = self._left(base)
        for group in self._suspects(base):
            for mutant in group:
                self._try((*base, mutant), needs=left)
            best = self._ranked()
            if best and best[0].score >= THRESHOLD and (not base or len(best[0].mutants) > len(base)):
                return

    def _try_in_place_of(self, singles: Sequence[Finalist]) -> None:
        """Where a pair explains most, try it with each bug that alone explains as much as its first one."""
        best = self._ranked()[:1]
        if not best or len(best[0].mutants) == 1:
            return
        first, second = best[0].mutants
        alone = self.tried.get(_key((first,)))
        for one in singles:
            if alone is not None and one is not alone and alone.outcomes and one.score == alone.score:
                self._try((*one.mutants, second), needs=self._left(one.mutants))

    def _try(self, mutants: tuple[Mutant, ...], *, needs: tuple[int, str]) -> None:
        """Plant bugs, which need to explain a part of a case; on the others only if they explain it."""
        self.ran_out = self.ran_out or time.monotonic() > self._deadline
        if _key(mutants) in self.tried or self.ran_out:
            return
        self.watch(mutants[-1].id)
        where, part = needs
        offs = self.scenes[where].trial(mutants, needs=part)
        self.tried[_key(mutants)] = Finalist(mutants, ())
        if offs:
            all_offs = [offs if i == where else scene.trial(mutants) for i, scene in enumerate(self.scenes)]
            outcomes = tuple(_outcome(*pair) for pair in zip(self.scenes, all_offs, strict=True))
            self.tried[_key(mutants)] = Finalist(mutants, outcomes)

    def _ranked(self) -> list[Finalist]:
        """Return what explains anything, the best first; of two as good, the smaller one, then the likelier one.

        A pair that is no better than one of its bugs alone is left out.
        """
        useful = [one for one in self.tried.values() if one.outcomes and not self._is_idle(one)]
        return sorted(useful, key=lambda one: (-one.score, len(one.mutants)))

    def _is_idle(self, finalist: Finalist) -> bool:
        """Whether one of a pair's bugs explains as much alone."""
        alone = (self.tried.get(_key((mutant,))) for mutant in finalist.mutants)
        return len(finalist.mutants) > 1 and any(
            one is not None and one.outcomes and one.score >= finalist.score for one in alone
        )

    def _candidate(self, finalist: Finalist) -> Candidate:
        """Put together what is told of bugs."""
        kills = [kill.case for mutant in finalist.mutants[:1] for kill in self.matrix.of(mutant.id)]
        return Candidate(
            mutants=finalist.mutants,
            score=finalist.score,
            reproduced=tuple(one for outcome in finalist.outcomes for one in outcome.reproduced),
            is_thin=_is_thin(finalist),
            missed=tuple(_named("missed", finalist)),
            contradicted=tuple(_named("contradicted", finalist)),
            twins=tuple(twin for mutant in finalist.mutants for twin in self.matrix.twins.get(mutant.id, ())),
            shown_by=min(kills, key=lambda case: TIERS.index(cases_by_id()[case].tier)) if kills else "",
        )


def _key(mutants: tuple[Mutant, ...]) -> frozenset[str]:
    """Name what is planted, whatever the order."""
    return frozenset(mutant.id for mutant in mutants)


def _is_thin(finalist: Finalist) -> bool:
    """Whether a candidate rests on too little: neither on a run of the model, nor on two cases of which one runs a
    block of it, nor on three. (X34)"""
    tiers = [outcome.scene.golden.manifest["tier"] for outcome in finalist.outcomes if outcome.reproduced]
    return "model" not in tiers and len(tiers) < (2 if "block" in tiers else 3)


def _named(what: str, finalist: Finalist) -> Iterator[str]:
    """Name parts with their cases."""
    for outcome in finalist.outcomes:
        for part in getattr(outcome, what):
            yield f"{outcome.scene.golden.id}/{part}"


def _outcome(scene: Scene, offs: Mapping[str, float]) -> Outcome:
    """Compare what a port has wrong and right with what a mutant makes of it."""
    same = [part for part in scene.wrong if part in offs and scene.reproduces(part, offs[part])]
    return Outcome(
        scene=scene,
        reproduced=tuple(Reproduced(scene.golden.id, part, scene.wrong[part], offs[part]) for part in same),
        missed=tuple(part for part in scene.wrong if part not in same),
        contradicted=tuple(part for part in scene.right if part not in offs or scene.differs(part, offs[part])),
    )
