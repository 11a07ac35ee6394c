"""Section 15 - explanation: what may be wrong with a port, and what is certain?"""

from dataclasses import dataclass
from typing import Any

from qwen25vl.port.mutants.mutant import Mutant

THRESHOLD = 0.9
"""From this score on a candidate may be called the bug: measured, see spec/measured/diagnosis.md."""

CLEAR_LEAD = 0.05
"""A candidate is called the bug only if no other comes this close to it."""


@dataclass(frozen=True)
class Reproduced:
    """A part that a port has wrong and a mutant has the same."""

    case: str
    part: str
    reference_units: float
    """How far the port is off the right reference, in units of noise."""
    mutant_units: float
    """How far off the mutant."""

    @property
    def json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "case": self.case,
            "tap": self.part,
            "reference_units": _said(self.reference_units),
            "mutant_units": _said(self.mutant_units),
        }


@dataclass(frozen=True)
class Candidate:
    """A known bug, or several at once, and what speaks for it."""

    mutants: tuple[Mutant, ...]
    score: float
    """Of the parts that are wrong, or that the bug would make wrong, the share that it reproduces: 1 explains
    everything and contradicts nothing. The mean of the cases that were tried."""
    reproduced: tuple[Reproduced, ...]
    missed: tuple[str, ...]
    """`CASE/PART` of what is wrong and is not explained."""
    contradicted: tuple[str, ...]
    """`CASE/PART` of what the bug would make wrong, and the port has right."""
    twins: tuple[str, ...] = ()
    """Bugs that no case can tell from it."""
    is_thin: bool = False
    """Whether all that it reproduces is of a case or two that run single functions: another bug might, too."""
    shown_by: str = ""
    """A case that shows it, of those that run least."""

    @property
    def id(self) -> str:
        """Ids of its bugs, joined by a plus sign."""
        return " + ".join(mutant.id for mutant in self.mutants)

    @property
    def bug(self) -> str:
        """The same without the ways of the bugs."""
        return " + ".join(mutant.bug for mutant in self.mutants)

    def is_akin(self, other: "Candidate") -> bool:
        """Whether one has all the bugs of the other, and perhaps more."""
        ours, theirs = ({mutant.id for mutant in one.mutants} for one in (self, other))
        return ours <= theirs or theirs <= ours

    @property
    def json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "bug": self.bug,
            "way": self.id,
            "title": " ".join(mutant.title for mutant in self.mutants),
            "mechanism": " + ".join(mutant.mechanism for mutant in self.mutants),
            "clause": ", ".join(clause for mutant in self.mutants for clause in mutant.clauses),
            "score": round(self.score, 4),
            "thin": self.is_thin,
            "taps_explained": [one.json for one in self.reproduced],
            "taps_missed": list(self.missed),
            "taps_contradicted": list(self.contradicted),
            "twins": list(self.twins),
            "cause": " ".join(mutant.cause for mutant in self.mutants),
            "fix": " ".join(mutant.fix for mutant in self.mutants),
            "case": self.shown_by,
            "threads": [thread for mutant in self.mutants for thread in mutant.threads],
        }


@dataclass(frozen=True)
class Certain:
    """What can be said whether or not the bug is known."""

    case: str = ""
    stage: str = ""
    """The first part that is wrong, "" if none is."""
    local: bool | None = None
    """Whether it is wrong by itself."""
    kind: str = "noise"
    """What its error looks like."""
    detail: str = ""
    ruled_out: tuple[str, ...] = ()
    """Ids of bugs that were tried and do not reproduce it."""
    right_before: tuple[str, ...] = ()
    """Parts of the same case that come before it and are right."""

    @property
    def json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "case": self.case,
            "stage": self.stage,
            "local": self.local,
            "kind": self.kind,
            "detail": self.detail,
            "ruled_out": list(self.ruled_out),
            "right_before": list(self.right_before),
        }


@dataclass(frozen=True)
class Explanation:
    """What is said of a port's numbers."""

    candidates: tuple[Candidate, ...]
    """The best first; none if nothing is wrong, or nothing reproduces a part of it."""
    certain: Certain
    cases: tuple[str, ...] = ()
    """Ids of the cases that were looked at."""
    tried: int = 0
    """How many bugs were planted."""
    told_apart_by: str = ""
    """A case that tells the first two candidates apart, if both explain enough."""
    ran_out: bool = False
    """Whether suspects were left when the time was up: then another one may explain as much."""

    @property
    def confident(self) -> bool:
        """Whether the first candidate may be called the bug."""
        if not self.candidates or self.candidates[0].score < THRESHOLD or self.ran_out:
            return False
        first, *others = self.candidates
        if first.is_thin:
            return False
        rivals = [one for one in others if not first.is_akin(one) and one.bug not in (first.bug, *first.twins)]
        return not rivals or first.score - rivals[0].score >= CLEAR_LEAD

    @property
    def json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "candidates": [candidate.json for candidate in self.candidates],
            "threshold": THRESHOLD,
            "confident": self.confident,
            "certain": self.certain.json,
            "cases": list(self.cases),
            "tried": self.tried,
            "told_apart_by": self.told_apart_by,
            "ran_out": self.ran_out,
        }


def _said(units: float) -> float | None:
    """Return units as JSON can say them; None where whole numbers differ."""
    return float(f"{units:.3g}") if units < float("inf") else None
