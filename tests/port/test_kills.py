"""Section 15: the checker finds every bug that a computing case claims to catch, in float32 and in bfloat16.

Cases that run long are left out here; that their bugs change their parts is tested with the cases.
"""

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from case_parts import parts_of_case
from planted_pairs import CASES, PAIRS, PLANTS
from qwen25vl.golden.case import Lab
from qwen25vl.golden.corpus_read import open_goldens
from qwen25vl.golden.manifest import about_model
from qwen25vl.golden.noise import NoisePlan, write_noise
from qwen25vl.golden.orders import ordered_ops
from qwen25vl.golden.write_case import write_case
from qwen25vl.port.judge import Judge
from qwen25vl.port.policy import read_policy
from qwen25vl.precision import PRECISIONS
from small_goldens import lab

FORMATS = ("float32", "bfloat16")

LOST_IN_NOISE = {
    ("silu_survives_large_arguments", "gelu-for-silu", "bfloat16"),
    ("merger_norms_patches_and_joins_four", "gelu-tanh", "bfloat16"),
}
"""Pairs that a format cannot see in the case, measured; another case catches the bug in that format."""


@functools.cache
def golden(case_id):
    """A case with the noise of the formats."""
    folder = Path(tempfile.mkdtemp(prefix="qwen25vl-test-")) / case_id
    folder.mkdir()
    case = CASES[case_id]
    about = about_model(lab().model, name="tiny", arithmetic="blas")
    manifest, run = write_case(folder, case, lab(), taps=case.taps, about=about)
    plan = NoisePlan(precisions=FORMATS, modes=("free",))
    write_noise(folder, case, lab(), run=run, manifest=manifest, plan=plan)
    return open_goldens(folder)[0][0]


@functools.cache
def port(precision) -> Lab:
    """A port in a precision; what a planted bug makes wider than that is narrowed where it is rounded."""
    chosen = PRECISIONS[precision]
    narrowing = replace(chosen, rounded=lambda array: chosen.rounded(array.astype(chosen.dtype)))
    return lab().with_ops(ordered_ops(narrowing, "given"))


def wrong_parts(case_id, values, *, precision):
    """The parts of a port that are wrong."""
    computed = {name: array for name, array in values.items() if not name.startswith("inputs.")}
    judge = Judge(read_policy(), precision, lab(), declares=lambda part: False)
    return [verdict.tap for verdict in judge.verdicts(golden(case_id), computed)[0] if verdict.verdict == "wrong"]


@pytest.mark.parametrize("precision", FORMATS)
@pytest.mark.parametrize(
    "case_id", sorted({case_id for case_id, _ in PAIRS if "long" not in CASES[case_id].flags})
)
def test_every_bug_that_a_case_claims_is_found_and_a_right_port_passes(case_id, precision):
    with np.errstate(all="ignore"):
        assert wrong_parts(case_id, parts_of_case(CASES[case_id], port(precision)), precision=precision) == []
        missed = set()
        for bug in [bug for other, bug in PAIRS if other == case_id]:
            with pytest.MonkeyPatch.context() as patch:
                values = parts_of_case(CASES[case_id], PLANTS[bug](patch, port(precision)))
            if not wrong_parts(case_id, values, precision=precision):
                missed.add((case_id, bug, precision))
    assert missed == {pair for pair in LOST_IN_NOISE if pair[0] == case_id and pair[2] == precision}


def test_what_one_case_cannot_see_in_a_format_another_can():
    for case_id, bug, _ in LOST_IN_NOISE:
        assert [other for other, its in PAIRS if its == bug and other != case_id]
