"""The report for a terminal."""

import re
from dataclasses import replace

import numpy as np
import pytest

from port.report_samples import (
    FAULT,
    empty_report,
    failed_report,
    hostile_report,
    large_report,
    passed_report,
)
from qwen25vl.port.report_text import LEAST_WIDTH, text_report
from qwen25vl.port.verdicts import CheckReport, PartVerdict

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def block(text: str, title: str) -> list[str]:
    """The lines under a title."""
    (found,) = (part for part in text.split("\n\n") if part.startswith(title))
    return found.split("\n")[1:]


def test_the_answer_comes_first_and_is_wrapped_to_the_width():
    text = text_report(failed_report(), colour=False, width=80)
    first = text.split("\n\n")[0]
    assert first.startswith(f"FAIL: The first wrong number is {FAULT} of case main_job,")
    assert "spec/07-windows.md" in first
    assert max(map(len, first.split("\n"))) <= 80


def test_every_case_has_a_line_with_its_counts():
    lines = block(text_report(failed_report(), colour=False, width=100), "Cases")
    assert lines[0].split() == ["case", "exact", "noise", "suspicious", "wrong", "missing", "first", "wrong"]
    assert lines[1].split() == ["main_job_right", "4", "148", "–", "–", "2", "–"]
    counts = [
        sum(part.case == "main_job" and part.verdict == v for part in failed_report().parts)
        for v in ("exact", "noise", "wrong")
    ]
    assert lines[2].split() == ["main_job", str(counts[0]), str(counts[1]), "–", str(counts[2]), "2", FAULT]


def test_the_parts_around_the_first_wrong_one_are_shown_and_it_is_marked():
    lines = block(text_report(failed_report(), colour=False, width=130), "Around")
    assert len(lines) == 1 + 16
    assert [line for line in lines if line.startswith(">")] == [lines[6]]
    assert lines[6].split()[1:4] == ["wrong", lines[6].split()[2], lines[6].split()[2]]
    assert "local" in lines[6]
    assert lines[6].endswith("only channels 5 to 9 of each head: the width band")
    assert "inherited" in lines[8]


def test_a_detail_stands_below_its_part_where_the_terminal_is_narrow():
    lines = block(text_report(failed_report(), colour=False, width=80), "Around")
    at = next(i for i, line in enumerate(lines) if line.startswith(">"))
    assert lines[at].endswith(FAULT)
    assert lines[at + 1].strip() == "only channels 5 to 9 of each head: the width band"


def test_what_is_missing_is_one_line_a_kind():
    parts = [PartVerdict("c", f"vision.blocks.{i:02d}.attn.probs", "missing", "other") for i in range(32)]
    text = text_report(CheckReport("d", "g", "m", "p", tuple(parts)), colour=False, width=80)
    assert block(text, "Missing: 32 parts") == ["  vision.blocks.NN.attn.probs  all  32  in 1 case"]
    said = " ".join(text.split())
    assert said.startswith("INCOMPLETE: Nothing that was compared, in 1 case, is wrong; 32 parts of 32 missing.")


def test_problems_failures_and_advice_are_listed():
    text = text_report(failed_report(), colour=False, width=60)
    assert block(text, "Problems")[0].startswith("  - notes.npy")
    assert block(text, "Expected failures") == ["  - main_job_right/answer.ids"]
    assert any("Mend" in line for line in block(text, "What to do next"))
    assert max(map(len, text.split("\n\n")[-1].split("\n"))) <= 60


def test_a_good_dump_is_said_in_few_lines():
    text = text_report(passed_report(), colour=False, width=100)
    assert text.startswith("PASS: Nothing is wrong")
    assert "Around" not in text
    assert "Missing" not in text
    assert len(text.split("\n")) < 12


def test_an_empty_report_says_that_nothing_was_compared():
    assert "nothing was compared" in text_report(empty_report(), colour=False, width=100)


def test_colours_add_nothing_but_colours():
    for report in (failed_report(), passed_report(), large_report(200)):
        coloured = text_report(report, colour=True, width=90)
        assert "\x1b[" in coloured
        assert COLOUR.sub("", coloured) == text_report(report, colour=False, width=90)


@pytest.mark.parametrize("width", [0, 1, LEAST_WIDTH, 80, 500])
def test_any_width_is_written_to(width):
    text = text_report(failed_report(), colour=False, width=width)
    assert all(line == line.rstrip() for line in text.split("\n"))
    assert FAULT in text


def test_names_of_a_dump_cannot_steer_the_terminal():
    text = text_report(hostile_report("a\x1b[2J\r\n\x07b\ud800"), colour=False, width=80)
    assert all(sign.isprintable() for sign in text.replace("\n", ""))
    assert "\\x1b[2J" in text
    text.encode()


def test_long_lists_are_cut_and_the_rest_is_counted():
    parts = [PartVerdict(f"case{i}", "logits", "wrong" if i == 90 else "noise", "other") for i in range(100)]
    report = replace(
        CheckReport("d", "g", "m", "p", tuple(parts)), problems=tuple(f"problem {i}" for i in range(50))
    )
    text = text_report(report, colour=False, width=80)
    cases = block(text, "Cases")
    assert cases[1].split()[0] == "case90"
    assert cases[-1] == "  ... and 80 cases more"
    assert block(text, "Problems")[-1] == "  ... and 30 more"


def test_numbers_that_are_none_are_said():
    part = PartVerdict("c", "logits", "wrong", "nan", noise_units=float("nan"), local_units=float(np.inf))
    lines = block(text_report(CheckReport("d", "g", "m", "p", (part,)), colour=False, width=80), "Around")
    assert lines[1].split() == [">", "wrong", "NaN", "infx", "logits"]
