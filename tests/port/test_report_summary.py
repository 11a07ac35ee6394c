"""Summary of a check: cases, stages, kinds of missing parts."""

from dataclasses import replace
from itertools import pairwise

import pytest

from port.report_samples import FAULT, failed_report, passed_report
from qwen25vl.port.report_summary import (
    AFTER,
    BEFORE,
    STATES,
    MissingKind,
    around_divergence,
    block_count,
    case_summaries,
    missing_kinds,
    stage_of,
    stage_summaries,
    state_of,
)
from qwen25vl.port.verdicts import CheckReport, PartVerdict
from qwen25vl.tap_names import TAP_NAMES


def report_of(*parts: PartVerdict, known: tuple[str, ...] = ()) -> CheckReport:
    return CheckReport("dump", "golden", "tiny", "float32", parts, expected_failures=known)


@pytest.mark.parametrize(
    ("tap", "stage"),
    [
        ("inputs.pictures.00.rgb", "media"),
        ("inputs.clips.00.indices", "media"),
        ("inputs.image_rows", "media"),
        ("inputs.video_grids", "media"),
        ("inputs.second_per_grid", "media"),
        ("inputs.ids", "ids"),
        ("inputs.positions", "positions"),
        ("inputs.delta", "positions"),
        ("vision.blocks.07.attn.q_rope", "vision.07"),
        ("language.blocks.79.norm1", "language.79"),
        ("rows.01.chunks.12.language.blocks.03.resid_post", "language.03"),
        ("chunks.00.language.rope.cos", "positions"),
        ("rows.00.logits", "logits"),
        ("vision.out", "merger"),
        ("answer.ids", "answer"),
        ("outputs.size", "other"),
        ("vision.outside", "other"),
        ("logits_of_another", "other"),
        ("", "other"),
    ],
)
def test_every_id_belongs_to_a_stage(tap, stage):
    assert stage_of(tap) == stage


@pytest.mark.parametrize("name", [row.id.replace("NN", "00") for row in TAP_NAMES])
def test_no_tap_of_the_table_is_left_over(name):
    assert stage_of(name) != "other"


def test_cases_are_counted_in_the_order_of_the_report():
    right, wrong = case_summaries(failed_report())
    assert (right.case, wrong.case) == ("main_job_right", "main_job")
    assert right.first_wrong is None
    assert wrong.first_wrong == failed_report().first_divergence
    assert sum(right.counts.values()) + sum(wrong.counts.values()) == len(failed_report().parts)
    numbers = [number for case in (right, wrong) for number, _ in case.parts]
    assert numbers == list(range(len(failed_report().parts)))


def test_what_is_known_to_fail_is_not_the_first_wrong_of_its_case():
    parts = [PartVerdict("c", tap, "wrong", "other") for tap in ("vision.out", "logits")]
    (case,) = case_summaries(report_of(*parts, known=("c/vision.out",)))
    assert case.first_wrong == parts[1]
    assert state_of(report_of(*parts, known=("c/vision.out",)), parts[0]) == "expected"


def test_a_stage_shows_the_worst_of_its_parts_and_the_first_of_those():
    verdicts = ("exact", "noise", "wrong", "suspicious", "wrong")
    parts = [PartVerdict("c", f"vision.blocks.01.{i}", verdict, "other") for i, verdict in enumerate(verdicts)]
    stage = stage_summaries(report_of(*parts))["vision.01"]
    assert (stage.state, stage.count, stage.bad, stage.shown) == ("wrong", 5, 2, 2)


@pytest.mark.parametrize(("better", "worse"), list(pairwise(STATES)))
def test_a_worse_state_hides_a_better_one(better, worse):
    made = [
        PartVerdict("c", f"vision.merger.{state}", "wrong" if state == "expected" else state, "other")
        for state in (worse, better)
    ]
    known = tuple(f"c/{part.tap}" for part in made if part.tap.endswith("expected"))
    assert stage_summaries(report_of(*made, known=known))["merger"].state == worse


def test_blocks_are_counted_as_far_as_the_parts_tell():
    stages = stage_summaries(passed_report())
    assert (block_count(stages, "vision"), block_count(stages, "language"), block_count([], "vision")) == (5, 4, 0)


def test_the_neighbourhood_is_of_the_same_case_and_ends_with_it():
    report = failed_report()
    around = around_divergence(report)
    assert len(around) == BEFORE + 1 + AFTER
    assert around[BEFORE].tap == FAULT
    assert {part.case for part in around} == {"main_job"}
    first = PartVerdict("c", "logits", "wrong", "other")
    assert around_divergence(report_of(PartVerdict("b", "x", "noise", "noise"), first)) == [first]
    assert around_divergence(passed_report()) == []


def test_missing_parts_are_grouped_by_kind():
    taps = [f"vision.blocks.{i:02d}.attn.probs" for i in range(32)] + ["rows.03.logits", "vision.out"]
    parts = [PartVerdict(case, tap, "missing", "other") for case in ("a", "b") for tap in taps]
    there = replace(parts[0], verdict="noise")
    assert missing_kinds(report_of(there, *parts[1:])) == [
        MissingKind("vision.blocks.NN.attn.probs", missing=63, expected=64, cases=2),
        MissingKind("rows.NN.logits", missing=2, expected=2, cases=2),
        MissingKind("vision.out", missing=2, expected=2, cases=2),
    ]
