"""Section 15 - summary of a check: how does each case, each stage and each kind of missing part stand?"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from qwen25vl.port.verdicts import CheckReport, PartVerdict
from qwen25vl.tap_names import IN_PARTS

STATES = ("exact", "noise", "expected", "missing", "suspicious", "wrong")
"""A verdict, or `expected` for what is known to fail; in the order of concern, worst last."""

VERDICTS = ("exact", "noise", "suspicious", "wrong", "missing")
"""The columns of a table of cases."""

BEFORE, AFTER = 5, 10
"""Parts that are shown around the first wrong one."""

STAGE_OF = (
    (r"inputs\.(pictures|clips|image|video|second)", "media"),
    (r"inputs\.ids$", "ids"),
    (r"inputs\.(positions|delta)|language\.(positions|rope)", "positions"),
    (r"vision\.patch_embed\.", "patch_embed"),
    (r"vision\.(window_|frame_|rope\.)", "windows"),
    (r"vision\.(merger\.|out$)", "merger"),
    (r"language\.embed\.", "embed"),
    (r"language\.norm\.", "norm"),
    (r"logits$", "logits"),
    (r"answer\.", "answer"),
)
"""How the ids of a stage begin; what is in none is a block, or `other`."""

BLOCK = re.compile(r"(vision|language)\.blocks\.(\d{1,3})\.")
"""The id of a part of a block."""


@dataclass(frozen=True)
class CaseSummary:
    """How one case stands."""

    case: str
    parts: tuple[tuple[int, PartVerdict], ...]
    """Its parts in data-flow order, each with its number in the report."""
    counts: dict[str, int]
    """How many have each verdict."""
    first_wrong: PartVerdict | None
    """The first that is wrong and not known to be."""


@dataclass(frozen=True)
class StageSummary:
    """How one stage of the model stands, over all cases."""

    state: str
    """The worst of `STATES`."""
    count: int
    """Parts that were looked at."""
    bad: int
    """Those of them in that worst state."""
    shown: int
    """Number in the report of the part to look at: the first in that worst state."""


@dataclass(frozen=True)
class MissingKind:
    """Missing parts whose ids differ in numbers only."""

    kind: str
    """The id with `NN` for every number."""
    missing: int
    expected: int
    """How many there are, missing or not."""
    cases: int


def state_of(report: CheckReport, part: PartVerdict) -> str:
    """Return the verdict of a part, or `expected` if it is known to fail."""
    return "expected" if part.name in report.expected_failures else part.verdict


def case_summaries(report: CheckReport) -> list[CaseSummary]:
    """Count verdicts case by case, in the order of the report."""
    members: dict[str, list[tuple[int, PartVerdict]]] = defaultdict(list)
    for number, part in enumerate(report.parts):
        members[part.case].append((number, part))
    known = set(report.expected_failures)
    return [
        CaseSummary(
            case=case,
            parts=tuple(parts),
            counts=dict(Counter(part.verdict for _, part in parts)),
            first_wrong=next(
                (part for _, part in parts if part.verdict == "wrong" and part.name not in known), None
            ),
        )
        for case, parts in members.items()
    ]


def stage_of(tap: str) -> str:
    """Return the stage that a part belongs to: `media`, `vision.07`, `merger`, `language.00`, `other` ..."""
    plain = IN_PARTS.sub("", tap, count=1)
    block = BLOCK.match(plain)
    if block is not None:
        return f"{block[1]}.{int(block[2]):02d}"
    return next((stage for begins, stage in STAGE_OF if re.match(begins, plain)), "other")


def stage_summaries(report: CheckReport) -> dict[str, StageSummary]:
    """Return the worst state of each stage that has parts, over all cases."""
    members: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, part in enumerate(report.parts):
        members[stage_of(part.tap)].append((number, state_of(report, part)))
    found = {}
    for stage, parts in members.items():
        worst = max((state for _, state in parts), key=STATES.index)
        these = [number for number, state in parts if state == worst]
        found[stage] = StageSummary(state=worst, count=len(parts), bad=len(these), shown=these[0])
    return found


def block_count(stages: Iterable[str], tower: str) -> int:
    """Return how many blocks a tower has, as far as the parts tell."""
    return max((int(stage.split(".")[1]) + 1 for stage in stages if stage.startswith(f"{tower}.")), default=0)


def around_divergence(report: CheckReport) -> list[PartVerdict]:
    """List the parts of the same case around the first wrong one, it included; none if nothing is wrong."""
    first = report.first_divergence
    if first is None:
        return []
    same = [part for part in report.parts if part.case == first.case]
    at = same.index(first)
    return same[max(0, at - BEFORE) : at + AFTER + 1]


def missing_kinds(report: CheckReport) -> list[MissingKind]:
    """Group what is missing by kind, in the order of the report."""
    kinds = [re.sub(r"(?<=\.)\d+(?=\.|$)", "NN", part.tap) for part in report.parts]
    expected = Counter(kinds)
    missing: Counter[str] = Counter()
    cases: dict[str, set[str]] = defaultdict(set)
    for kind, part in zip(kinds, report.parts, strict=True):
        if part.verdict == "missing":
            missing[kind] += 1
            cases[kind].add(part.case)
    return [
        MissingKind(kind=kind, missing=count, expected=expected[kind], cases=len(cases[kind]))
        for kind, count in missing.items()
    ]
