"""Section 15: a right port passes; a wrong one fails where it went wrong, and by itself only there."""

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from planted_faults import FAULTS, Fault, ported, tanh_gelu
from qwen25vl.golden.case import Part
from qwen25vl.golden.orders import ordered_ops
from qwen25vl.golden.parts import GoldenParts
from qwen25vl.golden.registry import all_cases
from qwen25vl.golden.restore import restored_run
from qwen25vl.ops import reference_ops
from qwen25vl.port.judge import Judge
from qwen25vl.port.policy import read_policy
from qwen25vl.precision import PRECISIONS
from small_goldens import golden, lab, written

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
    if precision in planted.blind:  # lost in the noise of this run: the next test says what sees it
        assert not wrong
        return
    assert wrong[0].tap == planted.tap
    assert wrong[0].local is True
    assert [verdict.tap for verdict in wrong if verdict.local is not False] == [planted.tap]
    assert wrong[0].kind in planted.kinds, wrong[0].detail
    assert evidence[0].tap == planted.tap


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_the_gelu_by_tanh_is_seen_in_every_precision_where_results_are_small(precision):
    case = written_unit(next(entry for entry in all_cases() if entry.id == "gelu_is_not_its_approximation"))
    x = np.array(case.parts["inputs.negative"])
    name, chosen = "outputs.gelu_of_negative", PRECISIONS[precision]
    judge = Judge(read_policy(), precision, lab(), declares=lambda part: False)
    exact = reference_ops(chosen).gelu(chosen.rounded(x.astype(chosen.dtype)))
    by_tanh = chosen.rounded(tanh_gelu(x, {"vision.merger.hidden": x}, None).astype(chosen.dtype))
    for values, right in ((exact, True), (by_tanh, False)):
        (said,), _ = judge.verdicts(case, {name: values})
        assert (said.verdict in ("exact", "noise")) == right, said.noise_units
        assert said.verdict in ("exact", "noise", "wrong")


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
        (lambda logits: logits.astype(np.int64), "whole numbers, expected floating point"),
    ],
)
def test_what_cannot_be_the_part_is_wrong_and_the_rest_is_judged(change, detail):
    values = computed("words", precision="float32")
    values["logits"] = change(values["logits"])
    verdicts, _ = judged("words", values, precision="float32")
    assert verdicts["logits"].verdict == "wrong"
    assert detail in verdicts["logits"].detail
    assert verdicts["language.norm.out"].verdict == "noise"


def test_x27_nan_is_named_where_it_begins_and_inherited_from_there_on():
    def spoilt(act, seen, config):
        return np.where(np.arange(len(act))[:, np.newaxis] >= 3, np.nan, act)

    case = golden("words")
    fault = Fault("language.blocks.01.mlp.act", spoilt, ("nan",))
    with np.errstate(all="ignore"):
        values = ported(restored_run(case.parts, case.manifest), lab(), precision="float32", fault=fault)
    verdicts, _ = judged("words", values, precision="float32")
    wrong = [verdict for verdict in verdicts.values() if verdict.verdict == "wrong"]
    assert (wrong[0].tap, wrong[0].kind, wrong[0].noise_units) == (fault.tap, "nan", None)
    assert [verdict.tap for verdict in wrong if verdict.local is not False] == [fault.tap]
    assert wrong[-1].tap == "logits"


def test_x27_a_port_is_driven_by_its_own_pixel_rows():
    values = computed("picture", precision="float32")
    case = golden("picture")
    run = restored_run(case.parts, case.manifest)
    brighter = replace(run, inputs=replace(run.inputs, image_rows=run.inputs.image_rows * np.float32(1.02)))
    values = ported(brighter, lab(), precision="float32")
    values["inputs.image_rows"] = brighter.inputs.image_rows
    verdicts, _ = judged("picture", values, precision="float32")
    assert verdicts["inputs.image_rows"].verdict == "wrong"
    assert verdicts["vision.patch_embed.out"].verdict == "wrong"
    assert verdicts["vision.patch_embed.out"].local is False


@pytest.mark.parametrize("reports_mixed", [True, False])
def test_x27_what_hangs_on_an_earlier_prompt_is_not_charged_to_a_stage(reports_mixed):
    """The fault is in both prompts; the keys and values of the first are not reported."""
    case = golden("later")
    run = restored_run(case.parts, case.manifest)
    fault = FAULTS["mean subtracted in the norm"]
    values = ported(run, lab(), precision="float32", fault=fault, also_before=True)
    if not reports_mixed:
        values = {name: array for name, array in values.items() if not name.endswith("mixed")}
    verdicts, _ = judged("later", values, precision="float32", declares=lambda part: False)
    by_itself = [tap for tap, verdict in verdicts.items() if verdict.verdict == "wrong" and verdict.local]
    assert by_itself == [fault.tap]
    right, _ = judged("later", computed("later", precision="float32"), precision="float32")
    assert {verdict.verdict for verdict in right.values()} <= {"exact", "noise"}


@pytest.mark.parametrize("shape", ["flat", "row"])
def test_x28_the_scores_of_the_last_token_are_enough(shape):
    values = computed("words", precision="float32")
    last = values["logits"][-1]
    values["logits"] = last if shape == "flat" else last[np.newaxis]
    verdicts, _ = judged("words", values, precision="float32")
    assert verdicts["logits"].verdict == "noise"
    values["logits"] = values["logits"] * 2
    verdicts, _ = judged("words", values, precision="float32")
    assert (verdicts["logits"].verdict, verdicts["logits"].local) == ("wrong", True)


def test_x32_numbers_of_a_format_are_compared_by_the_share_that_differs():
    entry = next(entry for entry in all_cases() if entry.id == "norm_rounds_in_front_of_the_gain")
    case = written_unit(entry)
    name = "outputs.bfloat16.norm"
    assert case.parts.entries[name]["format"] == "bfloat16"
    right = np.array(case.parts[name])
    for share, verdict in ((0, "exact"), (0.01, "noise"), (0.1, "wrong")):
        values = right.copy()
        values.reshape(-1)[: int(share * right.size)] *= np.float32(1 + 2.0**-7)  # the next number of bfloat16
        for precision in ("float32", "bfloat16"):
            judge = Judge(read_policy(), precision, lab(), declares=lambda part: False)
            (said,), _ = judge.verdicts(case, {name: values})
            assert said.verdict == verdict, (share, precision)


def test_forced_functions_are_held_against_their_own_noise():
    entry = next(entry for entry in all_cases() if entry.id == "norm_rounds_in_front_of_the_gain")
    case = written_unit(entry)
    name = next(name for name in case.noise if "free" in case.noise[name]["float32"])
    other = lab().with_ops(ordered_ops(PRECISIONS["float32"], "reversed"))
    found = {part.id: part.array for part in entry.function(other) if isinstance(part, Part)}
    judge = Judge(read_policy(), "float32", lab(), declares=lambda part: False, forced=True)
    (said,), _ = judge.verdicts(case, {name: found[name]})
    assert said.verdict in ("exact", "noise")
    assert said.noise_units is None or said.noise_units <= 1.01


@functools.cache
def written_unit(entry):
    """A case of one function, with its noise."""
    return written(entry)


def test_forced_stages_are_held_against_the_noise_of_one_stage():
    case = golden("words")
    run = restored_run(case.parts, case.manifest)
    values = ported(run, lab(), precision="bfloat16", forced=case.parts)
    verdicts, _ = judged("words", values, precision="bfloat16", forced=True)
    assert {verdict.verdict for verdict in verdicts.values()} <= {"exact", "noise"}
    values["logits"] = values["logits"] * 1.02
    verdicts, _ = judged("words", values, precision="bfloat16", forced=True)
    assert verdicts["logits"].verdict == "wrong"


ANSWER = ("answer.ids", "answer.logits", "answer.logprobs")


def answered(step, *, close, follows=True):
    """A golden whose two best scores of a step are close or not, and a port that takes the second."""
    case = golden("words", answer_tokens=4)
    ids, scores = np.array(case.parts["answer.ids"]), np.array(case.parts["answer.logits"])
    second = int(np.argsort(scores[step])[-2])
    if close:
        scores[step, second] = scores[step].max() - 5e-6
    values = {name: np.array(case.parts[name], dtype=np.float32) for name in ANSWER[1:]}
    values["answer.ids"] = np.concatenate([ids[:step], [second, 7]])  # shorter, too
    values["answer.logits"] = scores.astype(np.float32)[: step + 2].copy()
    values["answer.logits"][step + 1 :] = 0  # behind other tokens come other scores
    if follows:
        values["answer.logits"][step, second] = scores[step].max() + 5e-6
    values["answer.logprobs"] = values["answer.logprobs"][: step + 2] * np.where(np.arange(step + 2) < step, 1, 9)
    return replace(case, parts=Parts(case.parts, scores)), values


def Parts(parts, scores):  # noqa: N802 - makes one
    """The parts of a golden with other scores, in files of their own."""
    folder = Path(tempfile.mkdtemp(prefix="qwen25vl-test-"))
    save_file({"x": scores}, folder / "answer.safetensors")
    start = 8 + int.from_bytes((folder / "answer.safetensors").read_bytes()[:8], "little")
    other = SplitParts(parts.directory, parts.entries, {**parts.offsets, "answer.logits": start})
    object.__setattr__(other, "elsewhere", folder)
    return other


class SplitParts(GoldenParts):
    """Takes the scores from another directory."""

    def __getitem__(self, part_id):
        if part_id == "answer.logits":
            return GoldenParts(self.elsewhere, self.entries, self.offsets).__getitem__(part_id)
        return super().__getitem__(part_id)


@pytest.mark.parametrize("step", [0, 2])
@pytest.mark.parametrize(("close", "follows"), [(True, True), (True, False), (False, True), (False, False)])
def test_x29_an_answer_may_leave_the_goldens_only_where_two_scores_are_close_and_its_own_say_so(
    step, close, follows
):
    case, values = answered(step, close=close, follows=follows)
    judge = Judge(read_policy(), "float32", lab(), declares=lambda part: False)
    verdicts = {verdict.tap: verdict for verdict in judge.verdicts(case, values)[0]}
    assert verdicts["answer.ids"].verdict == ("noise" if close and follows else "wrong")
    assert verdicts["answer.logprobs"].verdict in ("exact", "noise")
    assert verdicts["answer.logits"].verdict in (("exact", "noise") if close or not follows else ("wrong",))
