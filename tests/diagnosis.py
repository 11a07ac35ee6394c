"""How often an explanation is right: wrong ports of which the bug is known, and what is said of them."""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from explain_dumps import CASES, EVERY, dumped, explained, golden
from qwen25vl.golden.orders import ordered_ops
from qwen25vl.golden.registry import all_cases
from qwen25vl.golden.restore import restored_run
from qwen25vl.port.explanation import Explanation
from qwen25vl.port.hf import capture
from qwen25vl.port.mutants.kills import FORMATS, kill_matrix
from qwen25vl.port.mutants.matrix import computed_parts
from qwen25vl.port.mutants.mutant import OTHER_WAY
from qwen25vl.port.mutants.running import parts_of_case
from qwen25vl.precision import PRECISIONS
from small_goldens import lab
from upstream_bugs import OUTSIDE, UPSTREAM, known_bug, recorded, upstream_model
from upstream_seen import SEEN

SOURCES = {
    "upstream": "known bugs, planted into transformers by patching its modules",
    "outside": "bugs that the catalogue lacks, planted into transformers",
    "right": "correct ports: transformers by eager and sdpa attention, the reference in other orders of addition",
    "reference": "known bugs and systematic faults, planted into the reference",
    "left out": "every third of these in float32, left out of the catalogue with its twins and other ways",
}
"""Where a dump comes from."""

MOST_CASES = 2
"""Cases of one dump of the reference."""

SAME = {"bias-forgotten": ("no-bias-visual-blocks-n-attn-qkv",)}
"""What else is the truth: upstream has one layer for queries, keys and values, whose bias is forgotten."""

Values = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Question:
    """A dump whose bug is known."""

    source: str
    name: str
    """Of what was planted; "" of a right port."""
    bug: str
    """Its id in the catalogue, "" if it has none there."""
    case: str
    """Or several, a comma between them."""
    precision: str


@dataclass(frozen=True)
class Answer:
    """What was said of it."""

    question: Question
    first: str
    """The best candidate."""
    score: float
    rank: int
    """Of the true bug among the candidates, 1 for the first; 0 if it is not among them."""
    confident: bool
    stage: str
    """The first wrong part."""

    @property
    def is_wrongly_confident(self) -> bool:
        """Whether another bug than the true one was named."""
        return self.confident and self.rank != 1

    @property
    def row(self) -> dict[str, object]:
        """An entry of the file of results."""
        found = asdict(self.question) | asdict(self)
        del found["question"]
        return found | {"score": round(self.score, 3)}


def questions(source: str) -> Iterator[Question]:
    """Give the dumps of a source."""
    if source == "upstream":
        for name in UPSTREAM:
            case, _ = SEEN[name]
            for precision in FORMATS:
                yield Question(source, name, known_bug(name), case, precision)
    elif source == "outside":
        for name in OUTSIDE:
            for precision in FORMATS:
                yield Question(source, name, "", SEEN[name][0], precision)
    elif source == "right":
        for case in sorted({case for case, _ in SEEN.values()}):
            for precision in FORMATS:
                for name in ("eager", "sdpa", "reversed", "fused"):
                    yield Question(source, name, "", case, precision)
    else:
        yield from _of_the_matrix(source)


def _of_the_matrix(source: str) -> Iterator[Question]:
    """Take each bug in the smallest cases that show it in each precision."""
    small = {case.id: i for i, case in enumerate(sorted(all_cases(), key=lambda case: case.tier == "model"))}
    for bug in [*EVERY] if source == "reference" else [*EVERY][::3]:
        for precision in FORMATS if source == "reference" else FORMATS[:1]:
            cases = [
                kill.case for kill in kill_matrix().of(bug) if precision in kill.units and kill.kind != "stops"
            ]
            if cases:
                chosen = sorted(cases, key=small.__getitem__)[:MOST_CASES]
                yield Question(source, bug, EVERY[bug].bug, ",".join(chosen), precision)


def answer(question: Question) -> Answer:
    """Explain a dump."""
    bug, twins = question.bug, kill_matrix().twins.get(question.bug, ())
    ways = [one for one, mutant in EVERY.items() if mutant.bug == bug]
    without = (*ways, *twins) if question.source == "left out" else ()
    found = explained(_values(question), precision=question.precision, without=without)
    return Answer(
        question,
        first=found.candidates[0].id if found.candidates else "",
        score=found.candidates[0].score if found.candidates else 0.0,
        rank=0 if question.source == "left out" else _rank(found, bug),
        confident=found.confident,
        stage=found.certain.stage,
    )


def _rank(found: Explanation, bug: str) -> int:
    """Return the place of a bug, or of a twin of it, among the candidates; 0 if it has none."""
    alike = {bug, *SAME.get(bug, ()), *(twin.partition(OTHER_WAY)[0] for twin in kill_matrix().twins.get(bug, ()))}
    places = (i for i, candidate in enumerate(found.candidates, 1) if candidate.bug in alike)
    return next(places, 0) if bug else 0


def _values(question: Question) -> Values:
    """Make the dump."""
    case = question.case
    if question.source in ("reference", "left out"):
        return dumped(case.split(","), [EVERY[question.name]], precision=question.precision)
    if question.source != "right":
        return {case: recorded(question.name, golden(case), precision=question.precision)}
    if question.name in ("eager", "sdpa"):
        return {case: _right(case, question.precision, question.name)}
    other = lab().with_ops(ordered_ops(PRECISIONS[question.precision], question.name))
    return {case: computed_parts(parts_of_case(CASES[case], other))}


def _right(case: str, precision: str, attention: str) -> Mapping[str, np.ndarray]:
    """Record upstream without a bug."""
    run = restored_run(golden(case).parts, golden(case).manifest)
    assert run is not None
    model = copy.deepcopy(upstream_model(precision))
    model.set_attn_implementation(attention)
    return dict(capture(model, run.inputs, taps="insides"))


def read_results(path: Path) -> list[Answer]:
    """Read the answers that were published."""
    rows = json.loads(path.read_text(encoding="utf-8"))["dumps"]
    names = [field.name for field in fields(Question)]
    return [Answer(Question(*(row.pop(name) for name in names)), **row) for row in rows]


def counted(answers: list[Answer]) -> dict[str, int]:
    """Count what was right and what was not."""
    return {
        "dumps": len(answers),
        "true bug first": sum(one.rank == 1 for one in answers),
        "among the first three": sum(1 <= one.rank <= 3 for one in answers),
        "named with confidence": sum(one.confident and one.rank == 1 for one in answers),
        "wrong with confidence": sum(one.is_wrongly_confident for one in answers),
        "not seen": sum(not one.stage for one in answers),
    }
