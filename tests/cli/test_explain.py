"""`qwen25vl explain`, and the explanation behind a failing check."""

import json

import numpy as np
import pytest

from explain_dumps import EVERY, dumped, golden
from qwen25vl.cli.main import main
from qwen25vl.port.explanation import THRESHOLD

CASE = "odd_grid_restores_the_order_of_rows"


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    """A dump of a port that takes the window order for its inverse."""
    return written(tmp_path_factory.mktemp("dump") / "dump.npz", "order-for-inverse")


def written(path, *bugs, case=CASE):
    values = dumped([case], [EVERY[bug] for bug in bugs], precision="float32")[case]
    np.savez(path, **{name: array for name, array in values.items() if not name.startswith("inputs.")})
    return path


def directory(case=CASE):
    return str(golden(case).directory)


def test_the_bug_is_named_with_its_evidence_and_its_remedy(dump, capsys):
    assert main(["explain", str(dump), "--golden", directory()]) == 0
    said = capsys.readouterr().out
    assert said.startswith("EXPLAINED: order-for-inverse.")
    for word in ("cause", "mend", "hidden by", "happened", "Evidence", "vision.out", "Certain", "wrong by itself"):
        assert word in said


def test_one_json_object_has_all_that_was_promised(dump, capsys):
    assert main(["explain", str(dump), "--golden", directory(), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["candidates"][0]["bug"] == "order-for-inverse"
    assert {"mechanism", "clause", "score", "taps_explained"} <= said["candidates"][0].keys()
    assert said["threshold"] == THRESHOLD
    assert said["confident"] is True
    assert {"stage", "local", "kind", "ruled_out"} <= said["certain"].keys()


def test_a_failing_check_ends_with_the_explanation(dump, capsys):
    assert main(["check", str(dump), "--golden", directory()]) == 1
    said = capsys.readouterr().out
    assert said.startswith("FAIL")
    assert "EXPLAINED: order-for-inverse." in said
    assert main(["check", str(dump), "--golden", directory(), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["explanation"]["confident"] is True


def test_a_check_does_not_explain_where_nobody_wants_it(dump, capsys):
    assert main(["check", str(dump), "--golden", directory(), "--no-explain"]) == 1
    assert "EXPLAINED" not in capsys.readouterr().out


def test_a_right_port_has_nothing_to_explain(tmp_path, capsys):
    path = written(tmp_path / "right.npz")
    assert main(["explain", str(path), "--golden", directory()]) == 0
    assert capsys.readouterr().out.startswith("NOTHING TO EXPLAIN")
    assert main(["check", str(path), "--golden", directory(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["explanation"] is None


def test_what_nobody_knows_is_not_named_and_ends_with_1(tmp_path, capsys):
    values = dumped([CASE], [], precision="float32")[CASE]
    values = {name: array for name, array in values.items() if not name.startswith("inputs.")}
    values["language.blocks.01.resid_post"] = values["language.blocks.01.resid_post"] * np.float32(1.25)
    np.savez(tmp_path / "dump.npz", **values)
    assert main(["explain", str(tmp_path / "dump.npz"), "--golden", directory()]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("NOT EXPLAINED")
    assert "language.blocks.01.resid_post is wrong by itself" in said
    assert "ruled out" in said


def test_two_bugs_are_named_together(tmp_path, capsys):
    path = written(tmp_path / "dump.npz", "order-for-inverse", "kv-heads-tiled")
    assert main(["explain", str(path), "--golden", directory(), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["candidates"][0]["bug"].split(" + ")) == {
        "order-for-inverse",
        "kv-heads-tiled",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.npz"], "nothing.npz"),
        (["{dump}", "--seconds", "0"], "above 0"),
        (["{dump}", "--filter", "nothing*"], "'nothing*'"),
        (["{dump}", "--map", "nothing"], "nothing"),
        (["{dump}", "--model", "tiny-untied"], "tiny-untied"),
        ([], "DUMP"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, words, dump, capsys):
    given = [one.format(dump=dump) for one in arguments]
    try:
        code = main(["explain", *given, "--golden", directory()])
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    said = capsys.readouterr()
    assert not said.out
    assert len(said.err.strip().splitlines()) == 1
    assert words in said.err


def test_a_part_that_cannot_be_read_is_a_note_and_the_rest_is_explained(tmp_path, dump, capsys):
    values = dict(np.load(dump))
    values["no.such.part"] = np.zeros(3)
    np.savez(tmp_path / "dump.npz", **values)
    assert main(["explain", str(tmp_path / "dump.npz"), "--golden", directory()]) == 0
    assert capsys.readouterr().out.startswith("EXPLAINED")
