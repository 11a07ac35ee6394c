"""Section 15: a dump is held against a corpus; what cannot be judged is told, and the rest is judged."""

from dataclasses import replace

import numpy as np
import pytest

from planted_faults import FAULTS, ported
from qwen25vl.golden.restore import restored_run
from qwen25vl.port.check import Check, weights_of
from qwen25vl.port.policy import read_policy
from qwen25vl.port.values import PortValues
from qwen25vl.port.verdicts import PartVerdict
from qwen25vl.port.xfails import Xfails
from small_goldens import golden, lab

WORDS, BATCH = "words", "batch"


def values(name, *, fault=None):
    case = golden(name)
    run = restored_run(case.parts, case.manifest)
    return ported(run, lab(), precision="float32", fault=FAULTS[fault] if fault else None)


def port(**by_case):
    return PortValues(
        name="dump", by_case=by_case, precision="float32", problems=(), declares=lambda part: "answer" not in part
    )


def checked(found, *cases, **options):
    check = Check(policy=read_policy(), model=lab().model, hashes=weights_of(lab().model), **options)
    return check.of(found, [golden(name) for name in cases], golden_name="corpus")


def test_a_right_dump_passes():
    report = checked(port(words=values(WORDS), batch=values(BATCH)), WORDS, BATCH)
    assert (report.verdict, report.first_divergence, report.problems) == ("pass", None, ())
    assert [part.case for part in report.parts] == sorted([part.case for part in report.parts], reverse=True)
    assert report.json["taps"][0]["case"] == WORDS


def test_the_first_wrong_part_of_all_cases_is_named():
    wrong = values(WORDS, fault="logits scaled")
    report = checked(port(words=wrong, batch=values(BATCH)), WORDS, BATCH)
    assert report.verdict == "fail"
    assert report.json["first_divergence"] == {"case": WORDS, "tap": "logits", "kind": "scale", "local": True}
    assert [shown.tap for shown in report.evidence] == ["logits"]


def test_a_dump_without_a_case_is_incomplete_and_says_which():
    report = checked(port(words=values(WORDS)), WORDS, BATCH)
    assert report.verdict == "incomplete"
    assert "nothing for 1 of 2 cases (batch)" in report.problems[0]
    skipped = replace(port(words=values(WORDS)), skipped=(BATCH,))
    report = checked(skipped, WORDS, BATCH)
    assert report.verdict == "pass"
    assert "does not do 1 of 2 cases" in report.notes[0]


def test_nothing_compared_is_not_a_pass():
    assert checked(replace(port(), skipped=(WORDS,)), WORDS).verdict == "incomplete"


def test_problems_of_the_dump_make_it_incomplete():
    assert (
        checked(replace(port(words=values(WORDS)), problems=("a file is damaged",)), WORDS).verdict == "incomplete"
    )
    assert checked(replace(port(words=values(WORDS)), notes=("more than asked",)), WORDS).verdict == "pass"


def test_fail_fast_ends_behind_the_first_case_that_is_wrong():
    wrong = values(WORDS, fault="logits scaled")
    report = checked(port(words=wrong, batch=values(BATCH)), WORDS, BATCH, fail_fast=True)
    assert {part.case for part in report.parts} == {WORDS}


def test_x30_expected_failures_do_not_count_and_lines_out_of_date_are_told():
    wrong = port(words=values(WORDS, fault="logits scaled"))
    report = checked(wrong, WORDS, xfails=Xfails("known.txt", ("words/logits",)))
    assert (report.verdict, report.expected_failures) == ("pass", ("words/logits",))
    report = checked(wrong, WORDS, xfails=Xfails("known.txt", ("words/logits", "words/language.norm.out")))
    assert report.verdict == "incomplete"
    assert "words/language.norm.out" in report.problems[0]


def test_other_weights_are_told_and_the_free_run_is_judged():
    check = Check(policy=read_policy(), model=lab().model, hashes=frozenset({"0" * 64}))
    report = check.of(port(words=values(WORDS)), [golden(WORDS)], golden_name="corpus")
    assert report.verdict == "pass"
    assert "no stage was judged alone" in report.notes[0]
    assert {part.local for part in report.parts} == {None}


@pytest.mark.parametrize(("precision", "verdict"), [(None, "pass"), ("bfloat16", "pass"), ("float64", "fail")])
def test_the_precision_decides_what_is_noise(precision, verdict):
    assert checked(port(words=values(WORDS)), WORDS, precision=precision).verdict == verdict


def test_a_report_is_strict_json():
    import json

    wrong = values(WORDS)
    wrong["logits"] = np.full_like(wrong["logits"], np.nan)
    report = checked(port(words=wrong), WORDS)
    assert json.loads(json.dumps(report.json, allow_nan=False))["first_divergence"]["kind"] == "nan"


def test_a_part_that_nothing_knows_is_told_and_not_judged():
    more = {**values(WORDS), "language.blocks.99.mlp.act": np.zeros((2, 2), dtype=np.float32)}
    report = checked(port(words=more), WORDS)
    assert report.verdict == "pass"
    assert "language.blocks.99.mlp.act" in report.notes[0]
    assert not [part for part in report.parts if "99" in part.tap]


def test_several_stages_that_are_suspicious_by_themselves_are_no_pass():
    doubtful = [
        PartVerdict(WORDS, f"language.blocks.0{i}.mlp.out", "suspicious", "other", local=True) for i in range(3)
    ]
    one = checked(port(words=values(WORDS)), WORDS)
    assert replace(one, parts=(*one.parts, *doubtful[:2])).verdict == "pass"
    assert replace(one, parts=(*one.parts, *doubtful)).verdict == "incomplete"


def test_fail_fast_does_not_end_at_what_is_known_to_fail():
    known = Xfails("known.txt", ("words/logits",))
    found = port(words=values(WORDS, fault="logits scaled"), batch=values(BATCH))
    report = checked(found, WORDS, BATCH, fail_fast=True, xfails=known)
    assert {part.case for part in report.parts} == {WORDS, BATCH}
