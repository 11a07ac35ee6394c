"""Section 15: how often a bug is named rightly is published; a sample is measured again, in upstream itself."""

import os
from pathlib import Path

import pytest

from diagnosis import SOURCES, answer, counted, questions, read_results
from qwen25vl.port.explanation import THRESHOLD
from qwen25vl.port.mutants.kills import FORMATS

RESULTS = Path(__file__).parents[2] / "spec" / "measured" / "diagnosis.json"
"""As published."""

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
"""Whether every dump is explained again; else a sample."""

EACH = {"upstream": 6, "outside": 6, "right": 12, "reference": 40, "left out": 40}
"""One of so many dumps of a source is explained again."""


PUBLISHED = {found.question: found for found in read_results(RESULTS)}
"""What the page says, by what was asked."""


def of(source):
    return [found for question, found in PUBLISHED.items() if question.source == source]


@pytest.mark.oracle
def test_x34_the_page_has_every_dump_and_no_other():
    assert [*PUBLISHED] == [question for source in SOURCES for question in questions(source)]


def test_x34_no_right_port_and_no_unknown_bug_is_named_with_confidence():
    for source in ("right", "outside", "left out"):
        assert [found for found in of(source) if found.confident] == []


def test_x34_no_wrong_bug_is_named_with_confidence_for_a_bug_of_upstream():
    assert [found for found in of("upstream") if found.is_wrongly_confident] == []


def test_x34_most_bugs_of_upstream_are_named_and_all_mechanisms_of_a_pass_are_among_them():
    assert len({found.question.bug for found in of("upstream")}) >= 25
    for precision in FORMATS:
        count = counted([one for one in of("upstream") if one.question.precision == precision and one.stage])
        assert count["true bug first"] >= 0.9 * count["dumps"], precision


def test_x34_a_bug_of_the_reference_is_named_or_shares_the_first_place():
    count = counted([one for one in of("reference") if one.stage])
    assert count["among the first three"] >= 0.95 * count["dumps"]
    assert count["wrong with confidence"] == 0


def test_x34_the_page_counts_what_the_file_holds():
    page = RESULTS.with_suffix(".md").read_text(encoding="utf-8")
    for source in SOURCES:
        assert f"| {SOURCES[source]} | " + " | ".join(map(str, counted(of(source)).values())) in page
    assert f"score of {THRESHOLD}" in page


SAMPLE = [
    question
    for source in SOURCES
    for i, question in enumerate(found.question for found in of(source))
    if LONG or i % EACH[source] == 0
]


@pytest.mark.oracle
@pytest.mark.parametrize("question", SAMPLE, ids=lambda q: f"{q.source}-{q.name}-{q.precision}-{q.case}")
def test_x34_a_dump_is_explained_as_the_page_says(question):
    found, wanted = answer(question), PUBLISHED[question]
    assert (found.first, found.rank, found.confident, found.stage) == (
        wanted.first,
        wanted.rank,
        wanted.confident,
        wanted.stage,
    )
    assert found.score == pytest.approx(wanted.score, abs=0.1)
