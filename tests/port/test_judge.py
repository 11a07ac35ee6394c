"""Section 15: a right port passes; a wrong one fails where it went wrong, and by itself only there."""

from dataclasses import replace

import numpy as np
import pytest

from planted_faults import FAULTS, ported
from qwen25vl.golden.restore import restored_run
from qwen25vl.port.judge import Judge
from qwen25vl.port.policy import Policy, read_policy
from small_goldens import golden, lab

PROMPTS = ("picture", "video", "words", "batch")


def judged(name, values, *, precision, **options):
    """What the judge says of a port's values."""
    verdicts, evidence = Judge(read_policy(), precision, lab(), **options).verdicts(golden(name), values)
    return {verdict.tap: verdict for verdict in verdicts}, evidence


def computed(name, *, precision, fault=None):
    case = golden(name)
    return ported(restored_run(case.parts, case.manifest), lab(), precision=precision, fault=fault)


@pytest.mark.parametrize("name", PROMPTS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_x25_x27_a_right_port_is_exact_or_noise_everywhere(name, precision):
    verdicts, evidence = judged(name, computed(name, precision=precision), precision=precision)
    assert {verdict.verdict for verdict in verdicts.values()} <= {"exact", "noise"}
    assert max(verdict.local_units or 0 for verdict in verdicts.values()) <= 1.01
    assert not evidence


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_x27_a_planted_fault_is_found_at_its_tap_and_by_itself_nowhere_else(fault, precision):
    planted = FAULTS[fault]
    name = "video" if planted.needs_video else "picture"
    verdicts, evidence = judged(name, computed(name, precision=precision, fault=planted), precision=precision)
    wrong = [verdict for verdict in verdicts.values() if verdict.verdict == "wrong"]
    if precision in planted.blind:  # lost in the noise of this case; the case `kills` of a unit tier sees it
        assert not wrong
        return
    assert wrong[0].tap == planted.tap
    assert wrong[0].local is True
    assert [verdict.tap for verdict in wrong if verdict.local is not False] == [planted.tap]
    assert wrong[0].kind in planted.kinds, wrong[0].detail
    assert evidence[0].tap == planted.tap


def test_x27_the_second_of_two_faults_is_found_behind_the_first():
    first, second = FAULTS["window order not inverted"], FAULTS["logits scaled"]
    values = computed("picture", precision="float32", fault=first)
    values["logits"] = second.wrong(values["logits"], values, lab().config)
    verdicts, _ = judged("picture", values, precision="float32")
    by_itself = [tap for tap, verdict in verdicts.items() if verdict.verdict == "wrong" and verdict.local]
    assert by_itself == ["vision.out", "logits"]


def test_a_port_that_reports_the_end_alone_is_wrong_there():
    values = computed("picture", precision="float32", fault=FAULTS["key heads dealt out"])
    verdicts, _ = judged("picture", {"logits": values["logits"]}, precision="float32", declares=lambda part: False)
    assert verdicts["logits"].verdict == "wrong"
    assert verdicts["logits"].local is True
    assert len(verdicts) == 1


def test_without_weights_nothing_is_judged_alone():
    values = computed("picture", precision="float32", fault=FAULTS["window order not inverted"])
    found, _ = Judge(read_policy(), "float32", None).verdicts(golden("picture"), values)
    wrong = [verdict for verdict in found if verdict.verdict == "wrong"]
    assert wrong[0].tap == "vision.out"
    assert {verdict.local for verdict in wrong} == {None}


def test_x28_what_the_map_declares_and_the_dump_lacks_is_missing_and_inputs_never_are():
    values = computed("words", precision="float32")
    del values["language.norm.out"]
    verdicts, _ = judged("words", values, precision="float32")
    assert [tap for tap, verdict in verdicts.items() if verdict.verdict == "missing"] == ["language.norm.out"]
    verdicts, _ = judged("words", values, precision="float32", declares=lambda part: "norm.out" not in part)
    assert "language.norm.out" not in verdicts


def test_x8_x28_whole_numbers_are_equal_or_wrong():
    values = computed("words", precision="float32")
    values["language.positions"] = values["language.positions"] + 1
    verdicts, _ = judged("words", values, precision="float32")
    assert (verdicts["language.positions"].verdict, verdicts["language.positions"].kind) == ("wrong", "offset")
    values["language.positions"] = (values["language.positions"] - 1).astype(np.float32)
    verdicts, _ = judged("words", values, precision="float32")
    assert verdicts["language.positions"].verdict == "exact"


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda logits: logits[:-1], "shape"),
        (lambda logits: logits.astype(np.int64), "int64, expected floating point"),
    ],
)
def test_what_cannot_be_the_part_is_wrong_and_the_rest_is_judged(change, detail):
    values = computed("words", precision="float32")
    values["logits"] = change(values["logits"])
    verdicts, _ = judged("words", values, precision="float32")
    assert verdicts["logits"].verdict == "wrong"
    assert detail in verdicts["logits"].detail
    assert verdicts["language.norm.out"].verdict == "noise"


def test_nan_is_named_and_what_follows_is_judged_by_what_should_have_been_there():
    values = computed("words", precision="float32")
    values["language.blocks.01.mlp.act"] = np.where(
        np.arange(len(values["logits"]))[:, np.newaxis] >= 3, np.nan, values["language.blocks.01.mlp.act"]
    )
    verdicts, _ = judged("words", values, precision="float32")
    wrong = [verdict for verdict in verdicts.values() if verdict.verdict == "wrong"]
    assert [(verdict.tap, verdict.kind) for verdict in wrong] == [("language.blocks.01.mlp.act", "nan")]
    assert wrong[0].noise_units is None


def test_a_part_that_nothing_knows_is_suspicious():
    values = {"language.blocks.99.mlp.act": np.zeros((2, 2))}
    verdicts, _ = judged("words", values, precision="float32", declares=lambda part: False)
    assert verdicts["language.blocks.99.mlp.act"].verdict == "suspicious"


def test_forced_stages_are_held_against_the_noise_of_one_stage():
    case = golden("words")
    run = restored_run(case.parts, case.manifest)
    values = ported(run, lab(), precision="bfloat16", forced=case.parts)
    verdicts, _ = judged("words", values, precision="bfloat16", forced=True)
    assert {verdict.verdict for verdict in verdicts.values()} <= {"exact", "noise"}
    values["logits"] = values["logits"] * 1.02
    verdicts, _ = judged("words", values, precision="bfloat16", forced=True)
    assert verdicts["logits"].verdict == "wrong"


@pytest.mark.parametrize("step", [0, 2])
def test_x29_an_answer_may_leave_the_goldens_only_where_two_scores_are_close(step):
    case = golden("words", answer_tokens=4)
    ids, scores = np.array(case.parts["answer.ids"]), np.array(case.parts["answer.logits"])
    second = int(np.argsort(scores[step])[-2])
    values = {"answer.ids": np.where(np.arange(len(ids)) == step, second, ids)}
    judge = Judge(read_policy(), "float32", lab(), declares=lambda part: False)
    (verdict,), _ = judge.verdicts(case, values)
    assert verdict.verdict == "wrong"
    loose = Policy(
        (*read_policy().tables, {"override": [{"part": "answer.logits", "suspicious": 1e9, "wrong": 2e9}]})
    )
    (verdict,), _ = replace(judge, policy=loose).verdicts(case, values)
    assert verdict.verdict == "noise"
