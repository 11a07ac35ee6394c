"""Section 15 - verdicts: what does a check say, of each part and of the whole dump?"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Verdict = Literal["exact", "noise", "suspicious", "wrong", "missing"]
"""Equal to the bit (after rounding to the dump's format); as far off as rounding is; further, but not far enough
to be sure; certainly another number; not in the dump though its map declares it."""

SEVERAL_DOUBTS = 3
"""So many stages suspicious by themselves are more than chance."""


@dataclass(frozen=True)
class PartVerdict:
    """What is said of one part."""

    case: str
    tap: str
    """Its id; a tap's where it is one."""
    verdict: Verdict
    kind: str
    """One of `error_shape.KINDS`; `noise` where it is exact, and `other` where it is missing."""
    detail: str = ""
    """A clause that says what the error looks like, or why nothing could be compared."""
    section: str = ""
    """Page of the specification."""
    noise_units: float | None = None
    """The free-running error over the measured noise floor; 1 is as far off as our own runs. None where there is
    no golden value or no floor."""
    local: bool | None = None
    """True: the stage is wrong by itself, given the port's own inputs; False: it is not, and inherits what came
    before; None: not judged."""
    local_units: float | None = None
    """The error of the stage alone, likewise in units of its own noise."""
    max_abs: float | None = None
    at: tuple[int, ...] | None = None
    """Where the largest error is."""
    rel_l2: float | None = None
    worst_token: int | None = None
    """The row that is furthest off, where the first axis counts rows."""
    worst_token_cosine: float | None = None

    @property
    def name(self) -> str:
        """Case and part."""
        return f"{self.case}/{self.tap}"

    @property
    def json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "case": self.case,
            "tap": self.tap,
            "verdict": self.verdict,
            "kind": self.kind,
            "noise_units": self.noise_units,
            "max_abs": self.max_abs,
            "at": None if self.at is None else list(self.at),
            "rel_l2": self.rel_l2,
            "worst_token": self.worst_token,
            "worst_token_cosine": self.worst_token_cosine,
            "local": self.local,
            "local_units": self.local_units,
            "detail": self.detail,
            "section": self.section,
        }


@dataclass(frozen=True, eq=False)
class Evidence:
    """The numbers behind a verdict that a page shows."""

    case: str
    tap: str
    dims: str
    found: np.ndarray
    """What the port computed; float64."""
    wanted: np.ndarray
    """What it should be; float64, of the same shape."""
    floor: float
    """Root mean square of the noise in it: an error of this size is none."""
    is_local: bool = False
    """Whether `wanted` was computed from the port's own inputs."""
    frame_grid: tuple[int, int, int] | None = None
    """(T, H, W) in patches of the first medium, where rows are patches."""
    patch_of_row: np.ndarray | None = None
    """[P] patch, in the order of the pixel rows, of each row; None where rows are no patches."""
    picture: np.ndarray | None = None
    """[height, width, 3] uint8, as resized, of the first medium."""


@dataclass(frozen=True, eq=False)
class CheckReport:
    """What is said of a dump."""

    dump: str
    golden: str
    model: str
    precision: str
    """The format whose noise the dump is held against."""
    parts: tuple[PartVerdict, ...]
    """In data-flow order, case by case."""
    problems: tuple[str, ...] = ()
    """Sentences about what could not be read or understood."""
    expected_failures: tuple[str, ...] = ()
    """`CASE/PART` of what is known to be wrong, and is."""
    evidence: tuple[Evidence, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()
    """Sentences that the verdict does not depend on."""

    @property
    def first_divergence(self) -> PartVerdict | None:
        """The first part that is wrong; None if none is."""
        return next((part for part in self.parts if self._counts(part) and part.verdict == "wrong"), None)

    @property
    def verdict(self) -> Literal["pass", "fail", "incomplete"]:
        """Fail if anything is wrong; else incomplete if anything is missing or was not compared; else pass.

        Several stages that are suspicious by themselves are no chance: then it is incomplete, too.
        """
        if self.first_divergence is not None:
            return "fail"
        counted = [part for part in self.parts if self._counts(part)]
        missing = any(part.verdict == "missing" for part in counted)
        doubts = sum(part.verdict == "suspicious" and part.local is True for part in counted)
        whole = self.parts and not missing and not self.problems and doubts < SEVERAL_DOUBTS
        return "pass" if whole else "incomplete"

    @property
    def json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        first = self.first_divergence
        return {
            "verdict": self.verdict,
            "dump": self.dump,
            "golden": self.golden,
            "model": self.model,
            "precision": self.precision,
            "first_divergence": None
            if first is None
            else {"case": first.case, "tap": first.tap, "kind": first.kind, "local": first.local},
            "problems": list(self.problems),
            "notes": list(self.notes),
            "expected_failures": list(self.expected_failures),
            "taps": [part.json for part in self.parts],
        }

    def _counts(self, part: PartVerdict) -> bool:
        """Whether a part is not known to be wrong."""
        return part.name not in self.expected_failures
