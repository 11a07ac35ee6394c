"""Dumps of wrong ports, made by the reference with a bug, and what is said of them."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from qwen25vl.golden.case import Lab
from qwen25vl.golden.corpus_read import GoldenCase
from qwen25vl.golden.noise import NoisePlan
from qwen25vl.golden.orders import ordered_ops
from qwen25vl.golden.registry import cases_by_id
from qwen25vl.port.check import Check, weights_of
from qwen25vl.port.explain import Explainer
from qwen25vl.port.explanation import Explanation
from qwen25vl.port.mutants.catalogue import every_mutant
from qwen25vl.port.mutants.kills import FORMATS, kill_matrix
from qwen25vl.port.mutants.matrix import computed_parts
from qwen25vl.port.mutants.mutant import Mutant
from qwen25vl.port.mutants.planting import planted
from qwen25vl.port.mutants.running import parts_of_case
from qwen25vl.port.policy import read_policy
from qwen25vl.port.values import PortValues
from qwen25vl.precision import PRECISIONS
from small_goldens import lab, written

CASES = cases_by_id()
"""Every case by its id."""

EVERY: Mapping[str, Mutant] = every_mutant()
"""All that can be planted."""


@functools.cache
def golden(case_id: str) -> GoldenCase:
    """A case of the corpus, with the noise of two formats."""
    return written(CASES[case_id], plan=NoisePlan(precisions=FORMATS, modes=("free",)))


def port_lab(precision: str) -> Lab:
    """A port in a precision."""
    return lab().with_ops(ordered_ops(PRECISIONS[precision], "given"))


def dumped(
    case_ids: Sequence[str], mutants: Sequence[Mutant], *, precision: str
) -> dict[str, dict[str, np.ndarray]]:
    """What a port with these bugs records of some cases; of a case that it breaks on, nothing."""
    found = {}
    for case_id in case_ids:
        with np.errstate(all="ignore"), planted(tuple(mutants), port_lab(precision)) as wrong:
            try:
                found[case_id] = computed_parts(parts_of_case(CASES[case_id], wrong.lab))
            except Exception:  # whatever breaks, a port records nothing then
                continue
    return found


def explained(
    values: Mapping[str, Mapping[str, np.ndarray]],
    *,
    precision: str,
    without: Sequence[str] = (),
    goldens: Sequence[GoldenCase] | None = None,
    seconds: float = 600.0,
) -> Explanation:
    """Check a dump and explain it, as the command does; `without` leaves bugs out of the catalogue.

    The goldens are those of the corpus, unless others are given.
    """
    goldens = [golden(case_id) for case_id in values] if goldens is None else goldens
    port = PortValues("dump", values, precision, (), declares=lambda part: False)
    model = lab().model
    check = Check(read_policy(None), model, weights_of(model), precision=precision)
    report = check.of(port, goldens, golden_name="corpus")
    catalogue = {bug: mutant for bug, mutant in EVERY.items() if bug not in without}
    return Explainer(check, catalogue, kill_matrix(), seconds=seconds).of(report, port, goldens)
