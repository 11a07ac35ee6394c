"""The worked examples: a port in C and one in JavaScript are right, and a fault planted in them is found."""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from qwen25vl.cli.main import main
from qwen25vl.golden.corpus_read import open_goldens
from qwen25vl.port.program import program_dumps, run_program

EXAMPLES = Path(__file__).parents[1] / "examples"

SKIPPED = {
    "side_of_a_window_is_given_in_pixels",
    "whole_blocks_move_and_come_back",
    "vision_markers_are_one_id_each",
}
"""Cases of the corpus below that the examples do not do: those of windows and positions without a grid, and one of
another family."""

FIRST_WRONG = {1: "vision.window_order", 2: "language.positions"}
"""What each planted fault makes wrong first."""

SEES = {1: "two_windows_side_by_side", 2: "time_at_three_halves_is_cut_last"}
"""The first case that sees it."""

BLIND = {
    1: ["square_of_448_pixels_hides_the_inverse"],
    2: ["time_at_two_frames_per_second_hides_the_order_of_steps", "text_alone_counts_on_all_three_axes"],
}
"""Cases that are there to show that they do not."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """The cases of windows and positions, and one of another family, as bare bytes."""
    out = tmp_path_factory.mktemp("corpora") / "a corpus"
    chosen = ["--cases=windows", "--cases=positions", "--cases=vision_markers_*"]
    assert main(["golden", str(out), *chosen, "--export", "bin", "--noise", "none", "--blas", "--json"]) == 0
    return out


def program(language: str, tmp_path: Path, *, fault: int = 0) -> str:
    """Build an example in a directory of its own, and return the command that runs it."""
    here = tmp_path / "an example"
    shutil.copytree(EXAMPLES / language, here)
    if language == "js":
        node = shutil.which("node")
        if node is None:
            pytest.skip("needs node")
        environment = [f"FAULT={fault}"] if fault else []
        return shlex.join(["env", *environment, node, str(here / "port.mjs"), "{case}", "{out}"])
    if shutil.which("make") is None or shutil.which(os.environ.get("CC", "cc")) is None:
        pytest.skip("needs make and a C compiler")
    built = subprocess.run(
        ["make", "-B", *([f"FAULT=-DFAULT={fault}"] if fault else [])],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr  # warnings are errors there
    return shlex.join([str(here / "port"), "{case}", "{out}"])


def checked(command: str, corpus: Path, capsys, *options: str) -> tuple[int, dict]:
    """Check a program, and return the exit code and what `--json` prints."""
    capsys.readouterr()
    code = main(["check", "--program", command, "--golden", str(corpus), "--json", *options])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("language", ["c", "js"])
def test_an_example_gives_every_part_of_every_case_that_it_does(language, corpus, tmp_path):
    command = program(language, tmp_path)
    goldens, problems = open_goldens(corpus)
    assert not problems
    found = program_dumps(run_program(command, cases=[golden.directory for golden in goldens], workdir=tmp_path))
    assert found.problems == ()
    assert set(found.skipped) == SKIPPED
    for golden in goldens:
        if golden.id in SKIPPED:
            continue
        dump = found.dumps[golden.id]
        assert set(dump.names) == set(golden.parts) - set(golden.given)
        for part in dump.names:
            np.testing.assert_array_equal(dump.read(part), golden.parts[part], err_msg=f"{golden.id} {part}")


@pytest.mark.parametrize("language", ["c", "js"])
def test_an_example_passes_the_check(language, corpus, tmp_path, capsys):
    code, report = checked(program(language, tmp_path), corpus, capsys)
    assert (code, report["verdict"], report["problems"]) == (0, "pass", [])
    assert {part["verdict"] for part in report["taps"]} == {"exact"}


@pytest.mark.parametrize("fault", [1, 2])
@pytest.mark.parametrize("language", ["c", "js"])
def test_a_planted_fault_is_found_where_it_is_and_the_controls_do_not_see_it(
    language, fault, corpus, tmp_path, capsys
):
    code, report = checked(program(language, tmp_path, fault=fault), corpus, capsys)
    assert (code, report["verdict"]) == (1, "fail")
    first = report["first_divergence"]
    assert (first["case"], first["tap"]) == (SEES[fault], FIRST_WRONG[fault])
    wrong = {(part["case"], part["tap"]) for part in report["taps"] if part["verdict"] == "wrong"}
    assert {tap for _, tap in wrong} <= {FIRST_WRONG[fault], "outputs.delta"}
    assert not {case for case, _ in wrong} & set(BLIND[fault])


def test_an_order_taken_for_its_inverse_is_called_a_permutation(corpus, tmp_path, capsys):
    _, report = checked(program("c", tmp_path, fault=1), corpus, capsys)
    assert report["first_divergence"]["kind"] == "permutation"


@pytest.mark.parametrize("language", ["c", "js"])
def test_an_example_says_what_it_misses(language, tmp_path):
    command = program(language, tmp_path)
    (tmp_path / "bare_case").mkdir()
    (result,) = run_program(command, cases=[tmp_path / "bare_case"], workdir=tmp_path / "an example")
    assert "exit code 1" in result.problem
    assert "index" in result.problem


def test_a_case_in_a_directory_of_another_name_is_still_that_case(corpus, tmp_path, capsys):
    shutil.copytree(corpus / SEES[1], tmp_path / "renamed")
    code, report = checked(program("c", tmp_path), tmp_path / "renamed", capsys)
    assert (code, report["verdict"]) == (0, "pass")
    assert {part["case"] for part in report["taps"]} == {SEES[1]}
