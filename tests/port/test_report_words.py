"""Words of a check: numbers, sentences and advice."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from port.report_samples import FAULT, empty_report, failed_report, passed_report
from qwen25vl.port.error_shape import KINDS
from qwen25vl.port.report_words import (
    HINTS,
    SECTIONS,
    advice,
    answer_text,
    local_text,
    number_text,
    plain,
    plain_report,
    section_text,
    units_text,
)
from qwen25vl.port.verdicts import CheckReport, PartVerdict

SPEC = Path(__file__).parents[2] / "spec"


def report_of(*parts: PartVerdict, problems: tuple[str, ...] = ()) -> CheckReport:
    return CheckReport("dump", "golden", "tiny", "float32", parts, problems)


@pytest.mark.parametrize(
    ("units", "text"),
    [
        (None, "–"),
        (0.0, "0x"),
        (0.01, "<0.1x"),
        (0.8, "0.8x"),
        (9.94, "9.9x"),
        (9.96, "10x"),
        (12.3, "12x"),
        (9999.4, "9999x"),
        (9999.6, "1e4x"),
        (312_000.0, "3e5x"),
        (1e300, "1e300x"),
        (math.inf, "infx"),
        (math.nan, "NaN"),
    ],
)
def test_units_are_said_shortly(units, text):
    assert units_text(units) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0, "0"), (0.5, "5.00e-01"), (math.nan, "nan"), (-2e-7, "-2.00e-07")]
)
def test_numbers_have_three_digits(value, text):
    assert number_text(value) == text


def test_every_page_of_the_specification_is_named_by_its_file_and_title():
    pages = {path.name[:2]: path for path in SPEC.glob("[0-9][0-9]-*.md")}
    assert {number: file for number, (file, _) in SECTIONS.items()} == {n: path.name for n, path in pages.items()}
    for number, (_, title) in SECTIONS.items():
        first_line = pages[number].read_text(encoding="utf-8").splitlines()[0]
        assert first_line.partition(" ")[2].partition(" ")[2] == title


def test_every_hint_is_for_a_kind_of_error():
    assert set(HINTS) <= set(KINDS)


def test_a_section_that_is_on_no_page_is_named_as_it_is():
    assert section_text("06") == "Section 06, 2-D rotary embedding: spec/06-rotary-2d.md"
    assert section_text("99") == "Section 99"
    assert section_text("") == ""


def test_signs_that_cannot_be_printed_are_escaped():
    assert plain("a\x1b[31m\nb\u202e\ud800 ü") == "a\\x1b[31m\\nb\\u202e\\ud800 ü"


def test_a_report_made_plain_has_the_same_verdict_and_known_failures():
    part = PartVerdict("a\nb", "c\x00d", "wrong", "other")
    report = replace(report_of(part), expected_failures=("a\nb/c\x00d",))
    made = plain_report(report)
    assert made.verdict == report.verdict == "pass"
    assert made.expected_failures == ("a\\nb/c\\x00d",)
    assert made.parts[0].tap == "c\\x00d"


def test_the_answer_names_the_first_wrong_number_its_look_and_whose_fault_it_is():
    said = answer_text(failed_report())
    assert said == (
        f"The first wrong number is {FAULT} of case main_job, only channels 5 to 9 of each head: the width band; "
        "wrong by itself: it is also wrong when computed again from the port's own numbers."
    )


@pytest.mark.parametrize(
    ("local", "words"),
    [(True, "by itself: it is also"), (False, "inherited: it is right"), (None, "was not judged")],
)
def test_the_answer_says_whether_the_fault_is_local(local, words):
    report = report_of(PartVerdict("case", "logits", "wrong", "other", local=local))
    assert words in answer_text(report)


def test_the_answer_of_a_good_dump_counts_what_is_exact_and_what_is_noise():
    assert answer_text(passed_report()) == (
        "Nothing is wrong; of 152 parts in 1 case, 4 equal to the bit and 148 within rounding noise."
    )


def test_the_answer_of_a_doubtful_dump_says_what_is_doubtful():
    parts = [PartVerdict("c", "logits", verdict, "other") for verdict in ("exact", "suspicious", "wrong")]
    report = replace(
        report_of(parts[0], parts[1], replace(parts[2], tap="vision.out")), expected_failures=("c/vision.out",)
    )
    assert answer_text(report).endswith("1 equal to the bit. But 1 part suspicious and 1 failure expected.")


def test_the_answer_of_an_incomplete_dump_counts_what_is_missing_and_not_what_is_known_to():
    parts = [PartVerdict("c", tap, "missing", "other") for tap in ("logits", "vision.out")]
    report = replace(report_of(*parts, problems=("broken",)), expected_failures=("c/logits",))
    assert answer_text(report) == (
        "Nothing that was compared, in 1 case, is wrong; 1 part of 2 missing and 1 problem."
    )


def test_an_empty_check_does_not_claim_that_anything_is_right():
    assert "nothing was compared" in answer_text(empty_report())
    assert advice(empty_report()) == [
        "Compare the names in the dump with `qwen25vl names`; a map of names may be needed."
    ]


@pytest.mark.parametrize(
    ("verdict", "local", "text"),
    [("wrong", True, "local"), ("wrong", False, "inherited"), ("wrong", None, ""), ("noise", False, "")],
)
def test_only_what_is_off_is_local_or_inherited(verdict, local, text):
    assert local_text(PartVerdict("c", "t", verdict, "other", local=local)) == text


def test_advice_sends_to_what_is_missing_before_the_first_wrong_number():
    parts = [PartVerdict("c", f"vision.blocks.0{i}.resid_post", "missing", "other") for i in range(2)]
    wrong = PartVerdict("c", "vision.out", "wrong", "permutation", section="08", local=False)
    steps = advice(report_of(*parts, wrong))
    assert steps[0].startswith("Dump 2 parts that lie before vision.out")
    assert steps[1] == HINTS["permutation"]
    assert "spec/08-merger.md" in steps[2]
    assert steps[3].startswith("Mend vision.out first")


def test_advice_on_an_inherited_error_sends_to_what_comes_before():
    steps = advice(report_of(PartVerdict("c", "vision.out", "wrong", "other", local=False)))
    assert steps[0] == "Look before vision.out: it is right for what it was given, so its inputs are wrong."


def test_a_good_dump_needs_nothing_done():
    assert advice(passed_report()) == ["Nothing: the port is right, as far as these cases can tell."]


def test_what_is_suspicious_is_advised_to_be_looked_at():
    assert "suspicious" in advice(report_of(PartVerdict("c", "t", "suspicious", "other")))[0]
