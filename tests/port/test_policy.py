"""Section 15: the limits stand in a table; what comes later in it wins, and a user's file comes last."""

import pytest

from qwen25vl.errors import BadInput
from qwen25vl.port.policy import OP_ENDS, TOLERANCES, op_of, read_policy
from qwen25vl.tap_names import TAP_NAMES


def test_x26_a_default_then_the_function_then_the_precision_then_an_override(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        "[default]\nwrong = 100\nsuspicious = 50\n[op.norm]\nwrong = 90\n[precision.bfloat16]\nwrong = 80\n"
        "[[override]]\npart = '.*blocks\\.00\\.norm1'\nprecision = 'bfloat16'\nwrong = 70\n"
        "[[override]]\npart = 'logits'\nsuspicious = 1\n"
    )
    policy = read_policy(file)
    assert policy.limits("vision.blocks.00.attn.q", precision="float32").wrong == 100
    assert policy.limits("vision.blocks.00.norm1", precision="float32").wrong == 90
    assert policy.limits("vision.blocks.01.norm1", precision="bfloat16").wrong == 80
    assert policy.limits("vision.blocks.00.norm1", precision="bfloat16").wrong == 70
    assert policy.limits("logits", precision="float64").suspicious == 1
    assert policy.limits("logits", precision="float64").wrong == 100


def test_x26_the_own_table_gives_every_tap_limits_in_order():
    policy = read_policy()
    for row in TAP_NAMES:
        for precision in ("float64", "float32", "bfloat16", "float16"):
            limits = policy.limits(row.id.replace("NN", "00"), precision=precision)
            assert 1 < limits.suspicious < limits.wrong < 100
            assert limits.floor >= 1


def test_every_function_of_the_table_has_taps():
    ids = [row.id.replace("NN", "03") for row in TAP_NAMES] + ["inputs.image_rows"]
    assert {op_of(part) for part in ids} == {*OP_ENDS, "linear"}
    assert op_of("rows.01.chunks.00.language.blocks.00.attn.q_rope") == "rotation"
    assert op_of("language.norm.out") == "norm"
    assert op_of("answer.logits") == "linear"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[default", "TOML"),
        ("[other]\nwrong = 1", "'other' is unknown"),
        ("[default]\nwrong = -1", "must be a positive number, got -1"),
        ("[default]\nwrong = true", "must be a positive number"),
        ("[default]\nwrong = inf", "must be a positive number"),
        ("[default]\nright = 1", "'right' is unknown"),
        ("[op.conv]\nwrong = 1", r"\[op.conv\] is unknown"),
        ("[precision.int8]\nwrong = 1", r"\[precision.int8\] is unknown"),
        ("[[override]]\nwrong = 1", "needs `part`"),
        ("[[override]]\npart = '('\nwrong = 1", "needs `part`"),
        ("[[override]]\npart = 'x'\nprecision = 'int8'", "precision must be one of"),
        ("default = 3", "must be a table, got 3"),
    ],
)
def test_a_file_that_is_no_table_of_limits_is_refused(tmp_path, text, sentence):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(BadInput, match=sentence):
        read_policy(file)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"gone\.toml"):
        read_policy(tmp_path / "gone.toml")


def test_the_own_table_says_what_its_words_mean():
    text = TOLERANCES.read_text(encoding="utf-8")
    for word in ("suspicious", "wrong", "floor"):
        assert f"#   {word}" in text
