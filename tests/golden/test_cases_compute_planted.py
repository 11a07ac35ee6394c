"""Each case catches what it claims to catch: the bug is planted into the reference, and a part must differ."""

from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest

import planted_language
import qwen25vl
from case_parts import changed, parts_of_case
from planted_pairs import CASES, NOT_PLANTED, PAIRS, PLANTS
from qwen25vl.golden.case import Lab


@cache
def lab() -> Lab:
    return Lab(qwen25vl.load("tiny", precision="float64"))


@cache
def truth(case_id: str) -> Mapping[str, np.ndarray]:
    return parts_of_case(CASES[case_id], lab())


def test_every_bug_that_a_case_claims_is_planted_or_excused():
    assert sorted({bug for _, bug in PAIRS} - set(PLANTS)) == []
    assert sorted(set(PLANTS) - {bug for _, bug in PAIRS}) == []
    assert all(bug in {bug for case in CASES.values() for bug in case.kills} for bug in NOT_PLANTED)


@pytest.mark.parametrize(("case_id", "bug"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_a_planted_bug_changes_the_parts_of_a_case(case_id: str, bug: str, monkeypatch: pytest.MonkeyPatch):
    wanted = truth(case_id)
    found = parts_of_case(CASES[case_id], PLANTS[bug](monkeypatch, lab()))
    seen = [name for name in changed(found, wanted) if not name.startswith("inputs.")]
    assert seen, f"{case_id} does not see {bug} in what it computes"


BLIND = [
    ("one_window_hides_window_mistakes", bug)
    for bug in (
        "order-for-inverse",
        "no-window-order",
        "no-window-mask",
        "full-blocks-windowed",
        "segments-swapped",
    )
] + [
    ("one_colour_hides_the_order_of_patches", bug)
    for bug in (
        "raster-patches",
        "order-for-inverse",
        "frame-pair-swapped",
        "patch-transposed",
    )
]


@pytest.mark.parametrize(("case_id", "bug"), BLIND, ids=["-".join(pair) for pair in BLIND])
def test_a_control_is_as_blind_as_it_says(case_id: str, bug: str, monkeypatch: pytest.MonkeyPatch):
    wanted = truth(case_id)
    assert changed(parts_of_case(CASES[case_id], PLANTS[bug](monkeypatch, lab())), wanted) == []


def test_the_second_walk_over_positions_is_right_where_its_rules_are(monkeypatch: pytest.MonkeyPatch):
    """So the bugs that are planted by it are what differs, not the walk."""
    passes = [name for name, case in CASES.items() if case.tier == "model"]
    wanted = {name: truth(name) for name in passes}  # before anything is planted
    walk = planted_language.walked()(monkeypatch, lab())
    for name in passes:
        assert changed(parts_of_case(CASES[name], walk), wanted[name]) == [], name


def test_an_untied_head_that_reads_the_embedding_is_seen(monkeypatch: pytest.MonkeyPatch):
    untied, case = Lab(qwen25vl.load("tiny-untied", precision="float64")), CASES["head_gives_every_row_a_score"]
    wanted = parts_of_case(case, untied)
    assert changed(parts_of_case(case, PLANTS["head-not-tied"](monkeypatch, untied)), wanted) == ["logits"]
