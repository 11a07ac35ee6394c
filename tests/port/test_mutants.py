"""Section 15: a known bug is planted from outside, runs where it claims to, and leaves nothing behind."""

import functools
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import qwen25vl
import qwen25vl.vision.encoder as encoder
import qwen25vl.vision.windows as windows
from case_parts import changed
from qwen25vl.checkpoint.weights import Weights
from qwen25vl.golden.bugs import BUGS
from qwen25vl.golden.case import Lab
from qwen25vl.golden.registry import cases_by_id
from qwen25vl.ops import reference_ops
from qwen25vl.port.mutants.catalogue import every_mutant, known_mutants
from qwen25vl.port.mutants.kills import kill_matrix
from qwen25vl.port.mutants.matrix import target_of
from qwen25vl.port.mutants.mutant import MECHANISMS, Mutant, NumberSwap, OpsSwap, Swap
from qwen25vl.port.mutants.planting import planted
from qwen25vl.port.mutants.running import parts_of_case
from qwen25vl.port.mutants.systematic import systematic_mutants
from qwen25vl.precision import FLOAT64
from small_goldens import lab

CASES = cases_by_id()
SPEC = Path(__file__).parents[2] / "spec"
CLAUSES = set(re.findall(r"\*\*\(([A-Z]\d+)\)\*\*", "".join(page.read_text() for page in SPEC.glob("[0-9]*.md"))))

ON_LARGE_CHECKPOINTS = {
    ("checkerboard_drives_activations_far", "norm-overflows"),
    ("checkerboard_drives_activations_far", "mlp-overflows"),
}
"""Activations of `tiny` stay far inside the range of float16."""

PAIRS = [
    (case.id, bug)
    for case in CASES.values()
    for bug in case.kills
    if bug in known_mutants() and (case.id, bug) not in ON_LARGE_CHECKPOINTS
]


@functools.cache
def right_parts(case_id):
    return parts_of_case(CASES[case_id], lab())


@pytest.mark.parametrize(("case_id", "bug"), PAIRS)
def test_x33_a_planted_bug_runs_and_the_case_that_claims_it_gives_other_numbers(case_id, bug):
    with np.errstate(all="ignore"), planted((known_mutants()[bug],), lab()) as wrong:
        found = parts_of_case(CASES[case_id], wrong.lab)
    assert sum(wrong.calls.values()) > 0
    assert changed(found, right_parts(case_id))


@pytest.mark.parametrize("way", [bug for bug, mutant in known_mutants().items() if mutant.bug != bug])
def test_x33_another_way_to_a_bug_runs_and_a_case_gives_other_numbers(way):
    case_id = kill_matrix().of(way)[0].case
    with np.errstate(all="ignore"), planted((known_mutants()[way],), lab()) as wrong:
        found = parts_of_case(CASES[case_id], wrong.lab)
    assert sum(wrong.calls.values()) > 0
    assert changed(found, right_parts(case_id))


@pytest.mark.parametrize("bug", BUGS)
def test_x33_every_function_that_a_bug_exchanges_runs_in_some_case_that_claims_it(bug):
    mutant, seen = known_mutants()[bug], set()
    wanted = {target_of(swap) for swap in mutant.swaps()}
    for case_id in [case_id for case_id, its in PAIRS if its == bug]:
        with np.errstate(all="ignore"), planted((mutant,), lab()) as wrong:
            parts_of_case(CASES[case_id], wrong.lab)
        seen |= {name for name, count in wrong.calls.items() if count}
        if seen == wanted:
            return
    assert seen == wanted


BLIND = {
    "one_window_hides_window_mistakes": (
        "order-for-inverse",
        "no-window-order",
        "no-window-mask",
        "full-blocks-windowed",
        "segments-swapped",
    ),
    "one_colour_hides_the_order_of_patches": (
        "raster-patches",
        "order-for-inverse",
        "frame-pair-swapped",
        "patch-transposed",
    ),
}
"""Controls, and what they are known to hide."""


@pytest.mark.parametrize(("case_id", "bug"), [(case_id, bug) for case_id in BLIND for bug in BLIND[case_id]])
def test_a_control_is_as_blind_as_it_says(case_id, bug):
    with np.errstate(all="ignore"), planted((known_mutants()[bug],), lab()) as wrong:
        assert changed(parts_of_case(CASES[case_id], wrong.lab), right_parts(case_id)) == []


def test_an_untied_head_that_reads_the_embedding_is_seen():
    untied, case = Lab(qwen25vl.load("tiny-untied", precision="float64")), CASES["head_gives_every_row_a_score"]
    right = parts_of_case(case, untied)
    with planted((known_mutants()["head-not-tied"],), untied) as wrong:
        assert changed(parts_of_case(case, wrong.lab), right) == ["logits"]


def test_x33_every_known_bug_can_be_planted():
    assert [bug for bug in BUGS if bug not in known_mutants()] == []
    assert {mutant.bug for mutant in known_mutants().values()} == set(BUGS)
    assert len(known_mutants()) >= 60


def test_x33_every_mechanism_has_a_bug():
    assert {mutant.mechanism for mutant in every_mutant().values()} == set(MECHANISMS)


@pytest.mark.parametrize("bug", every_mutant())
def test_an_entry_says_what_a_porter_wants_to_know(bug):
    mutant = every_mutant()[bug]
    assert mutant.id == bug
    for text in (mutant.title, mutant.symptom, mutant.cause, mutant.hidden_by, mutant.fix):
        assert re.fullmatch(r"\S.*[.?)`]", text, re.DOTALL), text
        assert "—" not in text
        assert "http" not in text
    assert mutant.clauses
    assert set(mutant.clauses) <= CLAUSES
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", thread) for thread in mutant.threads)
    assert all(re.search(r"\d", why) for why in mutant.unseen.values())


def test_systematic_faults_have_ids_of_their_own():
    assert not set(systematic_mutants()) & set(known_mutants())
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", bug) for bug in systematic_mutants())


# ------------------------------------------------------------------------------------------ planting


def bindings():
    """Every function of the package, wherever a module or one of its classes holds it."""
    modules = [module for name, module in sys.modules.items() if name.startswith("qwen25vl")]
    owners = modules + [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    return {
        (owner.__name__, name): id(value)
        for owner in owners
        if str(getattr(owner, "__module__", "qwen25vl")).startswith("qwen25vl")
        for name, value in vars(owner).items()
        if callable(value) or isinstance(value, property)
    }


def wrong_order(right):
    return lambda order: order


def mutant_of(*swaps):
    return Mutant("given", "", "", (), "", "", "", "", swaps=lambda: iter(swaps))


def test_x33_a_function_is_exchanged_wherever_it_is_called_and_put_back():
    before = bindings()
    right = windows.inverse_order
    with planted((mutant_of(Swap("vision.windows.inverse_order", wrong_order)),), lab()) as there:
        assert encoder.inverse_order is windows.inverse_order is not right
        assert encoder.inverse_order(np.array([1, 2, 0])).tolist() == [1, 2, 0]
        assert there.calls == {"vision.windows.inverse_order": 1}
    assert encoder.inverse_order is right
    assert bindings() == before


def test_x33_everything_is_put_back_when_something_fails():
    before = bindings()
    with (
        pytest.raises(ZeroDivisionError),
        planted(tuple(every_mutant().values()), lab()),
    ):
        raise ZeroDivisionError
    assert bindings() == before


def test_x33_every_mutant_alone_leaves_nothing_behind():
    before = bindings()
    for mutant in every_mutant().values():
        with planted((mutant,), lab()):
            pass
    assert bindings() == before


def test_x33_a_method_is_exchanged_on_its_class():
    def zeros(right):
        return lambda weights, name: np.zeros_like(right(weights, name))

    weights = lab().model.network.weights
    with planted((mutant_of(Swap("checkpoint.weights.Weights.__getitem__", zeros)),), lab()):
        assert not weights["model.norm.weight"].any()
    assert weights["model.norm.weight"].any()
    assert "__getitem__" in vars(Weights)


def test_x33_a_small_function_is_exchanged_in_the_lab_and_in_every_other_set_of_them():
    def doubled(right):
        return lambda x, y: 2 * right.added(x, y)

    one = np.ones((1, 1))
    with planted((mutant_of(OpsSwap("added", doubled)),), lab()) as there:
        assert there.lab.ops.added(one, one) == 4
        assert lab().with_ops(reference_ops(FLOAT64)).ops.added(one, one) == 2  # made by a name bound here
        assert sys.modules["qwen25vl.golden.orders"].ordered_ops(FLOAT64, "given").added(one, one) == 4
    assert sys.modules["qwen25vl.golden.orders"].ordered_ops(FLOAT64, "given").added(one, one) == 2


def test_x33_a_number_of_the_config_changes_for_the_network_alone():
    with planted((mutant_of(NumberSwap("text.rope_theta", lambda theta: theta / 10)),), lab()) as there:
        assert there.lab.config.text.rope_theta == lab().config.text.rope_theta / 10
        assert there.lab.processor.config.text.rope_theta == lab().config.text.rope_theta


def test_x33_two_bugs_are_planted_one_on_the_other():
    def plus_one(right):
        return lambda x, y: right.added(x, y) + 1

    swaps = OpsSwap("added", plus_one), OpsSwap("added", plus_one)
    one = np.ones((1, 1))
    with planted((mutant_of(swaps[0]), mutant_of(swaps[1])), lab()) as there:
        assert there.lab.ops.added(one, one) == 4


def test_without_a_mutant_nothing_changes():
    with planted((), lab()) as there:
        assert there.lab is lab()


def test_a_target_that_there_is_not_is_an_error():
    mutant = mutant_of(Swap("vision.windows.no", wrong_order))
    with pytest.raises((AttributeError, KeyError)), planted((mutant,), lab()):
        pass
