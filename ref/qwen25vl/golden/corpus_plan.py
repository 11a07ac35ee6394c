"""Section 15 - the plan of a corpus: how large will each case be, and which share falls to which machine?"""

from collections.abc import Sequence
from dataclasses import dataclass

from qwen25vl.golden.case import Case, Lab, Part, Run
from qwen25vl.golden.estimate import expected_bytes, expected_ids

SMALL_CASE_BYTES = 1_000_000
"""What a case without a run is taken for, unseen: with tiny, the largest of them has 0.94 MB."""


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
        nbytes += expected_bytes(run, config=lab.config, dtype=lab.ops.precision.dtype, taps=taps)
        count += len(expected_ids(run, config=lab.config, taps=taps))
    return PlannedCase(case, taps, nbytes, count)


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
