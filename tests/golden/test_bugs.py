"""Section 15: every known bug is caught by a case, and no case claims one that is not known."""

import re

import pytest

from qwen25vl.golden.bugs import BUGS
from qwen25vl.golden.registry import all_cases


@pytest.fixture(scope="module")
def killers():
    """Which cases claim to catch each bug."""
    found = {bug: [] for bug in BUGS}
    for entry in all_cases():
        for bug in entry.kills:
            found.setdefault(bug, []).append(entry.id)
    return found


def test_no_case_claims_a_bug_that_has_no_entry(killers):
    assert {bug: cases for bug, cases in killers.items() if bug not in BUGS} == {}


def test_every_bug_is_caught_by_a_case(killers):
    assert [bug for bug, cases in killers.items() if not cases] == []


def test_no_case_claims_a_bug_twice_and_what_claims_none_is_a_control():
    for entry in all_cases():
        assert len(set(entry.kills)) == len(entry.kills), entry.id
        assert entry.kills or "blind" in entry.flags, f"{entry.id} catches nothing and is no control"


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_has_a_readable_id_and_one_sentence(bug):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", bug)
    assert re.fullmatch(r"[A-Z1/].*[a-z0-9]\.", BUGS[bug]), BUGS[bug]
    assert "http" not in BUGS[bug]


def test_no_two_bugs_say_the_same():
    assert len(set(BUGS.values())) == len(BUGS)
