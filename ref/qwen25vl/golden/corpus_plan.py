"""Section 15 - the plan of a corpus: how large will each case be, and which share falls to which machine?"""

from collections.abc import Sequence
from dataclasses import dataclass

from qwen25vl.golden.case import Case, Lab, Part, Run
from qwen25vl.golden.estimate import ID_BYTES, LOGPROB_BYTES, expected_taps, input_bytes
from qwen25vl.golden.execute import expected_ids
from qwen25vl.inputs import Inputs
from qwen25vl.tap_names import IN_PARTS

SMALL_CASE_BYTES = 1_000_000
"""What a case without a run is taken for, unseen: with tiny, the largest of them has 0.94 MB."""

COUNTS_BYTES = 16
"""Of each prompt of a batch: how many pictures and videos it has."""


@dataclass(frozen=True)
class PlannedCase:
    """A case that is to be written."""

    case: Case
    taps: str
    """Which taps of its run are written; a level or a glob."""
    nbytes: int
    """What its tensors will take at most, in bytes; a guess for a case without a run."""
    tap_count: int
    """Taps that `taps` selects."""


def planned_cases(cases: Sequence[Case], lab: Lab, *, taps: str | None) -> list[PlannedCase]:
    """Say how large each case will be. Prompts are prepared, nothing is run.

    Args:
        cases: in the order in which they are to be written.
        lab: the checkpoint, in the precision of the goldens.
        taps: which taps of every run; None leaves it to each case.

    Spec: spec/15-golden-values.md (X12)
    """
    return [_planned(case, lab, taps=case.taps if taps is None else taps) for case in cases]


def _planned(case: Case, lab: Lab, *, taps: str) -> PlannedCase:
    """Say how large one case will be."""
    if case.tier != "model":
        return PlannedCase(case, taps, SMALL_CASE_BYTES, 0)
    items = list(case.function(lab))
    nbytes = sum(item.array.nbytes for item in items if isinstance(item, Part))
    count = 0
    for run in (item for item in items if isinstance(item, Run)):
        found, selected = run_bytes(run, lab, taps=taps)
        nbytes, count = nbytes + found, count + selected
    return PlannedCase(case, taps, nbytes, count)


def run_bytes(run: Run, lab: Lab, *, taps: str) -> tuple[int, int]:
    """Count the bytes that a run will fill at most, and the taps that it may have.

    In pieces, a prompt's taps take what they take in one (attention probabilities less); behind an earlier
    prompt they take less.

    Args:
        run: the prompts.
        lab: the checkpoint, in the precision of the golden.
        taps: a level or a glob, as in `Tap`.
    """
    config, dtype = lab.config, lab.ops.precision.dtype
    ids = expected_ids(run, config=config, taps=taps)
    rows = [run.inputs.row(b) for b in range(len(run.inputs.ids))]
    nbytes = sum(_given_bytes(inputs) for inputs in (run.inputs, run.before) if inputs is not None)
    for b, row in enumerate(rows):
        scope = f"rows.{b:02d}." if len(rows) > 1 else ""
        wanted = {IN_PARTS.sub("", name, count=1) for name in ids if name.startswith(scope)}
        nbytes += sum(tap.nbytes for tap in expected_taps(row, config=config, dtype=dtype) if tap.id in wanted)
    step = config.text.vocab_size * dtype.itemsize + ID_BYTES + LOGPROB_BYTES
    return nbytes + len(rows) * run.answer_tokens * step, len(ids)


def _given_bytes(inputs: Inputs) -> int:
    """Count the bytes of what prompts are given; only several of them have a mask and counts of media. (X2)"""
    several = inputs.mask.nbytes + len(inputs.ids) * COUNTS_BYTES if len(inputs.ids) > 1 else 0
    return input_bytes(inputs) + several


def sliced(planned: Sequence[PlannedCase], *, i: int, n: int) -> list[PlannedCase]:
    """Choose one of `n` shares of about the same size: of the largest case first, each goes to the lightest share.

    Args:
        planned: all cases.
        i: number of the share, from 1.
        n: how many there are. Together they are all the cases, and no case is in two.
    """
    shares: list[list[int]] = [[] for _ in range(n)]
    loads = [0] * n
    for k in sorted(range(len(planned)), key=lambda k: -planned[k].nbytes):
        lightest = loads.index(min(loads))
        shares[lightest].append(k)
        loads[lightest] += planned[k].nbytes
    return [planned[k] for k in sorted(shares[i - 1])]
