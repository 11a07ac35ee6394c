"""Section 15: the bug of a port is named if it is known, and never with confidence if it is not."""

from dataclasses import replace

import numpy as np
import pytest

import small_goldens
from explain_dumps import CASES, EVERY, dumped, explained, golden, port_lab
from qwen25vl.golden.execute import carried_out
from qwen25vl.port.explanation import THRESHOLD, Candidate, Certain, Explanation
from qwen25vl.port.mutants.again import prepared_again
from qwen25vl.port.mutants.kills import kill_matrix
from qwen25vl.port.mutants.planting import planted
from qwen25vl.port.mutants.running import parts_of_case
from qwen25vl.tap import Tap

PICTURE = "odd_grid_restores_the_order_of_rows"
"""A small case of the whole model."""

KNOWN = (
    "order-for-inverse",
    "causal-vision",
    "vision-rope-axes",
    "merge-order",
    "kv-heads-tiled",
    "sections-interleaved",
    "norm-gain-plus-one",
)
"""Bugs that this case catches, in both towers."""

PAIRS = (
    ("order-for-inverse", "sections-interleaved"),
    ("vision-rope-axes", "kv-heads-tiled"),
    ("merge-order", "causal-vision"),
    ("grid-transposed-positions", "interleaved-channels"),
    ("channel-order", "raster-patches"),
)
"""Two bugs that ports have had together; the last two pairs meet in one stage."""


def ids(explanation):
    return [candidate.id for candidate in explanation.candidates]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("bug", KNOWN)
def test_x34_a_known_bug_is_named_with_what_it_reproduces(bug, precision):
    found = explained(dumped([PICTURE], [EVERY[bug]], precision=precision), precision=precision)
    assert found.confident
    first = found.candidates[0]
    assert first.id == bug
    assert first.score >= THRESHOLD
    assert first.reproduced
    assert not first.contradicted
    assert all(one.reference_units > 6 * one.mutant_units for one in first.reproduced)
    assert kill_matrix().case(bug, first.shown_by)


@pytest.mark.parametrize("pair", PAIRS, ids=" + ".join)
def test_x35_two_bugs_are_named_together(pair):
    found = explained(dumped([PICTURE], [EVERY[bug] for bug in pair], precision="float32"), precision="float32")
    assert set(ids(found)[0].split(" + ")) == set(pair)
    assert found.confident


def test_x35_two_pairs_that_explain_the_same_are_told_without_confidence():
    case_id = "fast_clip_keeps_its_rows_apart"  # at 4 frames a second, cut seconds are none: time stands still
    pair = [EVERY["seconds-truncated-first"], EVERY["kv-heads-tiled"]]
    found = explained(dumped([case_id], pair, precision="float32"), precision="float32")
    assert not found.confident
    best = {frozenset(one.id.split(" + ")) for one in found.candidates if one.score == found.candidates[0].score}
    assert best >= {
        frozenset(("seconds-truncated-first", "kv-heads-tiled")),
        frozenset(("video-time-constant", "kv-heads-tiled")),
    }
    assert found.told_apart_by


def test_x34_a_right_port_has_nothing_to_explain():
    for precision in ("float32", "bfloat16"):
        found = explained({PICTURE: right_parts(precision)}, precision=precision)
        assert found == Explanation((), Certain())
        assert not found.confident


def right_parts(precision):
    values = parts_of_case(CASES[PICTURE], port_lab(precision))
    return {name: array for name, array in values.items() if not name.startswith("inputs.pictures")}


@pytest.mark.parametrize("share", [0.3, 3.0])
def test_x34_rounding_noise_in_one_part_is_nothing_or_not_named(share):
    values = right_parts("float32")
    noise = np.random.default_rng(1).normal(size=values["vision.merger.out"].shape)
    floor = golden(PICTURE).noise["vision.merger.out"]["float32"]["free"]["rms"]
    values["vision.merger.out"] = (values["vision.merger.out"] + share * 20 * floor * noise).astype(np.float32)
    assert not explained({PICTURE: values}, precision="float32").confident


@pytest.mark.parametrize("bug", KNOWN[:3])
def test_x35_a_bug_that_is_not_in_the_catalogue_is_not_named_another(bug):
    twins = kill_matrix().twins.get(bug, ())
    values = dumped([PICTURE], [EVERY[bug]], precision="float32")
    found = explained(values, precision="float32", without=(bug, *twins))
    assert not found.confident, ids(found)
    assert found.certain.stage
    assert found.certain.case == PICTURE


def test_x35_what_is_certain_is_told_of_a_bug_that_nobody_knows():
    values = right_parts("float32")
    gate = values["language.blocks.01.resid_post"]
    values["language.blocks.01.resid_post"] = gate * np.float32(1.25)
    found = explained({PICTURE: values}, precision="float32")
    assert not found.confident
    assert (found.certain.stage, found.certain.local, found.certain.kind) == (
        "language.blocks.01.resid_post",
        True,
        "scale",
    )
    assert found.certain.right_before[-1] == "language.blocks.01.mlp.out"
    assert found.certain.ruled_out


def test_x34_stages_alone_are_enough():
    values = dumped([PICTURE], [EVERY["kv-heads-tiled"]], precision="float32")[PICTURE]
    blocks = {name: array for name, array in values.items() if name.endswith("resid_post")}
    found = explained({PICTURE: blocks}, precision="float32")
    assert ids(found)[0] == "kv-heads-tiled"
    assert found.confident


@pytest.mark.parametrize("bug", ["channel-order", "grid-transposed-positions", "kv-heads-tiled"])
def test_x34_the_golden_of_a_prompt_that_somebody_gave_does_as_well(bug):
    given, seen = small_goldens.golden("picture"), {}
    with np.errstate(all="ignore"), planted((EVERY[bug],), port_lab("float32")) as wrong:
        run = prepared_again(given, wrong.lab)
        carried_out(run, wrong.lab.model, tap=Tap("insides", sink=lambda name, array: seen.update({name: array})))
    found = explained({given.id: seen}, precision="float32", goldens=[given])
    assert ids(found)[0] == bug
    assert found.confident


def test_the_object_of_an_explanation_has_the_fields_that_were_promised():
    found = explained(dumped([PICTURE], [EVERY["order-for-inverse"]], precision="float32"), precision="float32")
    said = found.json
    assert {"candidates", "threshold", "confident", "certain"} <= said.keys()
    assert {"bug", "mechanism", "clause", "score", "taps_explained"} <= said["candidates"][0].keys()
    assert {"stage", "local", "kind", "ruled_out"} <= said["certain"].keys()
    assert said["threshold"] == THRESHOLD


# ---------------------------------------------------------------------- when a candidate is called the bug


def candidate(bug, score, *, twins=()):
    return Candidate((EVERY[bug],), score, (), (), (), twins)


@pytest.mark.parametrize(
    ("scores", "confident"),
    [((1.0, 0.5), True), ((0.89, 0.1), False), ((1.0, 1.0), False), ((1.0, 0.97), False), ((), False)],
)
def test_x35_only_a_clear_lead_above_the_threshold_counts(scores, confident):
    bugs = ("silu-is-relu", "silu-is-tanh")
    found = Explanation(
        tuple(candidate(bug, score) for bug, score in zip(bugs, scores, strict=False)), Certain(stage="logits")
    )
    assert found.confident == confident


def test_x34_two_small_cases_are_no_evidence_and_three_are():
    cases = [
        "two_windows_side_by_side",
        "odd_grid_leaves_partial_windows",
        "pictures_of_two_sizes_stand_alone",
    ]
    values = dumped(cases, [EVERY["order-for-inverse"]], precision="float32")
    for count, confident in ((1, False), (2, False), (3, True)):
        some = {case: values[case] for case in cases[:count]}
        found = explained(some, precision="float32")
        assert found.candidates[0].id == "order-for-inverse"
        assert (found.candidates[0].is_thin, found.confident) == (not confident, confident)


def test_x34_what_ran_out_of_time_is_not_sure():
    values = dumped([PICTURE], [EVERY["order-for-inverse"]], precision="float32")
    found = explained(values, precision="float32", seconds=1e-9)
    assert (found.ran_out, found.confident, found.candidates) == (True, False, ())
    assert not Explanation((candidate("silu-is-relu", 1.0),), Certain(stage="logits"), ran_out=True).confident


def test_x35_a_twin_is_no_rival_and_a_pair_that_has_the_bug_neither():
    first = candidate("silu-is-relu", 1.0, twins=("silu-is-tanh",))
    twin, both = candidate("silu-is-tanh", 1.0), replace(first, mutants=(*first.mutants, EVERY["gelu-is-relu"]))
    assert Explanation((first, both, twin), Certain(stage="logits")).confident
