"""Section 15: the kill matrix says what is true, and every bug and every case has its place in it."""

import json
import os
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from explain_dumps import CASES, EVERY, golden
from qwen25vl.golden.registry import SMOKE, all_cases, chosen_cases
from qwen25vl.plot.kills import kill_picture
from qwen25vl.port.mutants.catalogue import known_mutants
from qwen25vl.port.mutants.kills import FORMATS, KILLS, Kill, KillMatrix, kill_matrix, kills_text
from qwen25vl.port.mutants.matrix import cells_of, matrix_of
from qwen25vl.port.mutants.smoke import smoke_set, uncaught
from qwen25vl.port.policy import read_policy
from small_goldens import lab

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
"""Whether every cell is measured anew; else those of the smoke set, and of functions alone."""

SMOKE_IDS = json.loads(SMOKE.read_text(encoding="ascii"))["cases"]


def assigned():
    """The smallest number of runs that shows everything: for each bug and format, a case of the smoke set."""
    found = defaultdict(set)
    for bug, kills in kill_matrix().kills.items():
        for precision in FORMATS:
            seen = [kill.case for kill in kills if precision in kill.units]
            first = next((case for case in SMOKE_IDS if case in seen), None)
            if first is not None:
                found[first, precision].add(bug)
    return found


ASSIGNED = assigned()


def same(cell, kill):
    """Whether a run of today is what the matrix says; BLAS of another machine rounds otherwise."""
    assert cell.first, (cell.bug, cell.case, cell.precision)
    assert cell.units == pytest.approx(kill.units[cell.precision], rel=0.25), (cell.bug, cell.case)
    if cell.precision == FORMATS[0]:
        assert (cell.first, cell.kind) == (kill.first, kill.kind)


@pytest.mark.parametrize(("case_id", "precision"), sorted(ASSIGNED))
def test_x36_a_case_of_the_smoke_set_catches_what_the_matrix_says(case_id, precision):
    bugs = ASSIGNED[case_id, precision]
    mutants = [EVERY[bug] for bug in EVERY if bug in bugs]
    cells = [
        *cells_of(CASES[case_id], golden(case_id), lab(), mutants, policy=read_policy(None), precision=precision)
    ]
    assert {cell.bug for cell in cells} == bugs
    for cell in cells:
        same(cell, kill_matrix().case(cell.bug, case_id))


@pytest.mark.parametrize("precision", FORMATS)
@pytest.mark.parametrize("case_id", [case.id for case in all_cases() if LONG or case.tier == "unit"])
def test_x36_a_case_catches_what_the_matrix_says_and_nothing_else(case_id, precision):
    cells = cells_of(
        CASES[case_id], golden(case_id), lab(), [*EVERY.values()], policy=read_policy(None), precision=precision
    )
    for cell in cells:
        kill = kill_matrix().case(cell.bug, case_id)
        if kill is None or precision not in kill.units:
            assert not cell.first, (cell.bug, case_id, precision)
        else:
            same(cell, kill)


def test_x36_every_bug_is_caught_in_both_formats_or_says_why_one_cannot_see_it():
    for precision in FORMATS:
        missed = uncaught(kill_matrix(), [*CASES], precision)
        silent = [bug for bug in missed if EVERY[bug].bug == bug and precision not in EVERY[bug].unseen]
        assert silent == []


def test_x36_what_a_format_cannot_see_is_really_not_seen_and_another_format_sees_it():
    for bug, mutant in EVERY.items():
        for precision in mutant.unseen:
            assert bug in uncaught(kill_matrix(), [*CASES], precision), f"{bug} is seen in {precision}"
            assert kill_matrix().of(bug), f"nothing sees {bug}"


def test_x36_every_way_to_a_bug_is_caught():
    assert [bug for bug in EVERY if not kill_matrix().of(bug)] == []


def test_x36_the_matrix_knows_every_bug_and_no_other():
    assert [*kill_matrix().kills] == [*EVERY]


def test_x36_every_case_catches_something_alone_or_says_why_it_is_there():
    assert [case.id for case in all_cases() if not kill_matrix().alone(case.id) and not case.note] == []


def test_x36_what_a_case_claims_it_catches_in_one_format_at_least():
    claimed = [(case.id, bug) for case in all_cases() for bug in case.kills if bug in known_mutants()]
    assert [pair for pair in claimed if kill_matrix().case(pair[1], pair[0]) is None] == []


def test_x36_the_smoke_set_catches_all_that_every_case_catches():
    for precision in FORMATS:
        assert uncaught(kill_matrix(), SMOKE_IDS, precision) == uncaught(kill_matrix(), [*CASES], precision)
    assert [case.id for case in chosen_cases(("smoke",))] == SMOKE_IDS


def test_x36_no_case_of_the_smoke_set_can_be_left_out():
    for case in SMOKE_IDS:
        others = [other for other in SMOKE_IDS if other != case]
        assert any(
            uncaught(kill_matrix(), others, precision) != uncaught(kill_matrix(), SMOKE_IDS, precision)
            for precision in FORMATS
        ), case


def test_the_file_of_the_matrix_is_written_as_it_is_read():
    assert kills_text(kill_matrix()) == KILLS.read_text(encoding="ascii")


# ------------------------------------------------------------------------------ small matrices by hand


def kill(case, **units):
    return Kill(case, "logits", "other", units)


def test_the_smoke_set_takes_the_case_that_catches_most_and_then_the_smaller_one():
    matrix = KillMatrix(
        {
            "a": (kill("wide", float32=20.0), kill("small", float32=20.0)),
            "b": (kill("wide", float32=20.0),),
            "c": (kill("large", bfloat16=20.0), kill("small", bfloat16=20.0)),
        },
        {},
    )
    assert smoke_set(matrix, {"wide": 9, "large": 9, "small": 1}) == ["wide", "small"]


def test_the_smoke_set_drops_a_case_that_later_ones_make_superfluous():
    bugs = {"a": "ox", "b": "ox", "c": "oy", "d": "oy", "e": "x", "f": "y"}
    names = {"o": "often", "x": "one", "y": "other"}
    matrix = KillMatrix(
        {bug: tuple(kill(names[sign], float32=20.0) for sign in signs) for bug, signs in bugs.items()}, {}
    )
    assert smoke_set(matrix, {"often": 1, "one": 5, "other": 5}) == ["one", "other"]


def test_a_bug_that_one_case_sees_in_one_format_alone_counts_for_that_case():
    matrix = KillMatrix({"a": (kill("one", float32=20.0, bfloat16=9.0), kill("two", float32=20.0))}, {})
    assert matrix.alone("one") == ("a",)
    assert matrix.alone("two") == ()
    assert uncaught(matrix, ["two"], "bfloat16") == ["a"]


def test_bugs_of_the_same_numbers_in_every_case_are_twins():
    mutants = [EVERY["silu-is-relu"], EVERY["silu-is-tanh"]]
    case_id = next(case for case in SMOKE_IDS if kill_matrix().case("silu-is-relu", case))
    policy, case = read_policy(None), CASES[case_id]
    cells = [*cells_of(case, golden(case_id), lab(), mutants, policy=policy, precision="float32")]
    assert not matrix_of(cells, [mutant.id for mutant in mutants]).twins
    doubled = [*cells, replace(cells[0], bug="again")]
    assert matrix_of(doubled, ["silu-is-relu", "silu-is-tanh", "again"]).twins["again"] == ("silu-is-relu",)


def test_a_picture_of_a_matrix_needs_groups_for_every_row_and_column():
    with pytest.raises(ValueError, match="must add up"):
        kill_picture(np.zeros((3, 2)), groups=[("one", 2)], families=[("two", 2)])
