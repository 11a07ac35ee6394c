"""Section 15: upstream with a known bug planted is told from upstream, in float32 and bfloat16."""

import functools
from types import MappingProxyType

import numpy as np
import pytest

import upstream_bugs
import upstream_bugs_vision
from qwen25vl.config import TINY
from qwen25vl.golden.bugs import BUGS
from qwen25vl.golden.noise import LIGHT_NOISE
from qwen25vl.golden.registry import cases_by_id
from qwen25vl.golden.restore import restored_run
from qwen25vl.port.hf import capture
from qwen25vl.port.judge import Judge
from qwen25vl.port.policy import read_policy
from qwen25vl.tap_names import data_order
from small_goldens import written
from upstream_bugs import OUTSIDE, UPSTREAM, known_bug, recorded
from upstream_positions import walked
from upstream_seen import IN_BFLOAT16, MIXED, ODD, SEEN

POLICY = read_policy()
FORMATS = ("float32", "bfloat16")
USED = sorted({case for case, _ in SEEN.values()})

REWRITTEN = {
    "attention under a mask": upstream_bugs_vision.masked_attention(),
    "norm": upstream_bugs_vision.other_norm(),
    "merger": upstream_bugs_vision.merger(lambda self, x, D: self.ln_q(x)),
}
"""What bugs are planted with, and nothing wrong in it."""


@pytest.fixture(scope="module")
def golden():
    """A case with its insides and the noise of both formats, written once."""
    return functools.cache(lambda name: written(cases_by_id()[name], taps="insides", plan=LIGHT_NOISE))


@functools.cache
def right_taps(case, precision):
    return recorded(None, case, precision=precision)


def wrong_taps(case, dump, precision, *, until=None, right=MappingProxyType({})):
    """Taps that are wrong, as far as one, without those that are right to the bit.

    What lies behind is not looked at: an error is described, which takes its time.
    """
    names = sorted(dump, key=data_order)
    names = names[: None if until is None else names.index(until) + 1]
    taps = {name: dump[name] for name in names if not np.array_equal(dump[name], right.get(name))}
    verdicts, _ = Judge(POLICY, precision, lab=None, declares=taps.__contains__).verdicts(case, taps)
    return [verdict.tap for verdict in verdicts if verdict.verdict == "wrong"]


def test_names_are_those_of_known_bugs_or_of_none():
    assert {known_bug(name) for name in UPSTREAM} <= set(BUGS)
    assert not set(OUTSIDE) & set(BUGS)
    assert set(SEEN) == set(UPSTREAM) | set(OUTSIDE)


@pytest.mark.oracle
@pytest.mark.parametrize("precision", FORMATS)
def test_plain_hooks_hear_what_a_capture_does(precision, golden):
    run = restored_run(golden(MIXED).parts, golden(MIXED).manifest)
    heard, captured = (
        recorded(None, run, precision=precision),
        capture(upstream_bugs.upstream_model(precision), run.inputs),
    )
    assert set(heard) == set(captured)
    for name, array in captured.items():
        np.testing.assert_array_equal(heard[name], array, err_msg=name)


@pytest.mark.oracle
@pytest.mark.parametrize("precision", FORMATS)
@pytest.mark.parametrize("name", USED)
def test_nothing_is_wrong_where_nothing_is_planted(name, precision, golden):
    assert wrong_taps(golden(name), right_taps(golden(name), precision), precision) == []


@pytest.mark.oracle
@pytest.mark.parametrize("name", REWRITTEN)
def test_nothing_is_wrong_in_what_bugs_are_planted_with(name, golden, monkeypatch):
    monkeypatch.setattr(upstream_bugs, "UPSTREAM", {"none": REWRITTEN[name]})
    assert wrong_taps(golden(ODD), recorded("none", golden(ODD)), "float32") == []


@pytest.mark.oracle
def test_what_was_patched_is_taken_back(golden):
    before = recorded(None, golden(ODD))
    for name in ("norm-gain-plus-one", "patch-weight-layout", "layers-exchanged", "order-for-inverse"):
        recorded(name, golden(ODD))
    for name, array in recorded(None, golden(ODD)).items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


@pytest.mark.parametrize("name", USED)
def test_positions_walked_without_a_bug_are_right(name, golden):
    run = restored_run(golden(name).parts, golden(name).manifest)
    np.testing.assert_array_equal(walked(run.inputs, TINY), run.inputs.positions[:, 0])


@pytest.mark.oracle
@pytest.mark.parametrize("precision", FORMATS)
@pytest.mark.parametrize("name", SEEN)
def test_a_planted_bug_is_wrong_at_its_tap_first(name, precision, golden):
    case, tap = SEEN[name]
    first = IN_BFLOAT16.get(name, tap) if precision == "bfloat16" else tap
    right = right_taps(golden(case), precision)
    dump = recorded(name, golden(case), precision=precision)
    found = wrong_taps(golden(case), dump, precision, until=first, right=right)
    assert found == ([] if first is None else [first])


@pytest.mark.oracle
def test_a_dump_has_what_was_given_if_asked_for(golden):
    plain, whole = (recorded("channel-order", golden(ODD), given=given) for given in (False, True))
    assert {name for name in whole if name not in plain} == {
        f"inputs.{name}" for name in ("ids", "positions", "image_rows", "image_grids")
    }
    assert wrong_taps(golden(ODD), whole, "float32", until="inputs.image_rows") == ["inputs.image_rows"]
