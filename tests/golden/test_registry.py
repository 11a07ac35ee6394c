"""Section 15: every case is one function, whose name is its id, and says what it is for."""

import re
from collections import Counter
from pathlib import Path

import pytest

from qwen25vl.errors import BadInput
from qwen25vl.golden.case import FAMILIES, TIERS, Lab, Part
from qwen25vl.golden.registry import all_cases, case, chosen_cases

CASES = all_cases()

ROOT = Path(__file__).parents[2]


def test_x31_ids_are_unique_and_say_what_breaks():
    assert not [name for name, count in Counter(entry.id for entry in CASES).items() if count > 1]
    for entry in CASES:
        assert re.fullmatch(r"[a-z][a-z0-9_]{9,80}", entry.id), entry.id
        assert entry.id.count("_") >= 2, f"{entry.id} is no statement"


@pytest.mark.parametrize("entry", CASES, ids=lambda entry: entry.id)
def test_x31_a_case_says_what_it_is_about_and_what_it_catches(entry):
    assert entry.family in FAMILIES
    assert entry.tier in TIERS
    assert re.fullmatch(r"[A-Z].*[.]", entry.title), "a title is one sentence"
    assert entry.note
    assert entry.clauses
    assert list((ROOT / "spec").glob(f"{entry.section}-*.md"))
    assert entry.kills or "blind" in entry.flags, "a case catches something, or is a control"


def test_every_family_has_a_case():
    assert {entry.family for entry in CASES} == set(FAMILIES)


def test_x31_the_same_function_is_registered_and_can_be_called():
    @case(family="rope", tier="unit", section="06", clauses=("R1",), kills=("x",), note="why")
    def a_small_case(lab: Lab):
        """Say
        it."""
        yield Part("outputs.x", lab, "1", "x")

    entry = a_small_case.golden_case
    assert (entry.id, entry.title, entry.function) == ("a_small_case", "Say it.", a_small_case)


def test_cases_are_chosen_by_globs_over_ids_and_families():
    assert chosen_cases() == CASES
    windows = chosen_cases(("windows",))
    assert windows
    assert all(entry.family == "windows" for entry in windows)
    one = windows[0]
    assert chosen_cases((one.id[:-2] + "*",))[0] == one
    assert {entry.tier for entry in chosen_cases(tiers=("model",))} == {"model"}
    with pytest.raises(BadInput, match=r"no case matches 'nothing_\*'"):
        chosen_cases((one.id, "nothing_*"))
