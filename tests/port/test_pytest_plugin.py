"""Section 15: the checks of a port are test items of its project, one a case; unless asked nothing is loaded."""

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from qwen25vl.cli.main import main
from qwen25vl.golden.corpus_read import open_goldens

REF = Path(__file__).parents[2] / "ref"

CASES = ("two_windows_side_by_side", "text_alone_counts_on_all_three_axes", "head_gives_every_row_a_score")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Three small cases."""
    out = tmp_path_factory.mktemp("corpora") / "corpus"
    chosen = [f"--cases={case}" for case in CASES]
    assert main(["golden", str(out), *chosen, "--noise", "light", "--blas", "--json"]) == 0
    return out


@pytest.fixture
def dump(corpus, tmp_path):
    """Return a function that writes what a right port would dump, changed by a function of names and arrays."""

    def written(change=lambda name, array: array) -> Path:
        arrays = {
            f"{golden.id}/{part}": np.array(golden.parts[part])
            for golden in open_goldens(corpus)[0]
            for part in golden.parts
            if part not in golden.given
        }
        changed = {name: change(name, array) for name, array in arrays.items()}
        np.savez(tmp_path / "dump.npz", **{name: array for name, array in changed.items() if array is not None})
        return tmp_path / "dump.npz"

    return written


@pytest.fixture
def pytest_in(tmp_path):
    """Return a function that runs pytest with the plugin in an empty project, and returns code and output."""
    project = tmp_path / "project"
    project.mkdir()

    def run(*arguments: object, plugin: str = "qwen25vl_pytest") -> tuple[int, str]:
        environment = {**os.environ, "PYTHONPATH": str(REF), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        environment.pop("PYTEST_ADDOPTS", None)
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", plugin, "-p", "no:cacheprovider", *map(str, arguments)],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stdout + ended.stderr

    run.project = project
    return run


def wrong_order(name, array):
    """Reverse the order of windows."""
    return array[::-1] if name.endswith("vision.window_order") else array


def test_each_case_is_an_item_named_by_its_id(pytest_in, corpus, dump):
    code, out = pytest_in("--qwen25vl-golden", corpus, "--qwen25vl-dump", dump(), "-v")
    assert code == 0, out
    for case in CASES:
        assert f"qwen25vl::{case} PASSED" in out
    assert "3 passed" in out


def test_a_wrong_part_fails_its_case_with_the_report_and_no_other(pytest_in, corpus, dump):
    code, out = pytest_in("--qwen25vl-golden", corpus, "--qwen25vl-dump", dump(wrong_order))
    assert code == 1
    assert "1 failed, 2 passed" in out
    assert "FAIL: " in out
    assert "vision.window_order" in out
    assert "Traceback" not in out


def test_a_missing_part_fails_its_case_and_is_called_missing(pytest_in, corpus, dump):
    without = dump(lambda name, array: None if name.endswith("vision.window_order") else array)
    code, out = pytest_in("--qwen25vl-golden", corpus, "--qwen25vl-dump", without)
    assert code == 1
    assert "1 failed, 2 passed" in out
    assert "INCOMPLETE: " in out
    assert "vision.window_order" in out


def test_a_case_of_which_the_dump_has_nothing_is_skipped(pytest_in, corpus, dump):
    without = dump(lambda name, array: None if name.startswith(CASES[1]) else array)
    code, out = pytest_in("--qwen25vl-golden", corpus, "--qwen25vl-dump", without)
    assert code == 0
    assert "2 passed, 1 skipped" in out


def test_what_cannot_be_read_of_a_dump_is_one_failure_of_its_own(pytest_in, corpus, dump):
    path = dump()
    with np.load(path) as arrays:
        np.savez(path, strange_name=np.zeros(3), **arrays)
    code, out = pytest_in("--qwen25vl-golden", corpus, "--qwen25vl-dump", path)
    assert code == 1
    assert "1 failed, 3 passed" in out
    assert "strange_name" in out


def test_a_damaged_golden_is_a_failure_and_the_others_are_checked(pytest_in, corpus, dump, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(corpus, broken)
    (broken / CASES[1] / "manifest.json").write_text("{}")
    code, out = pytest_in("--qwen25vl-golden", broken, "--qwen25vl-dump", dump())
    assert code == 1
    assert "2 passed" in out
    assert f"the case {CASES[1]} cannot be used" in " ".join(out.split())


def test_a_known_failure_is_expected_and_lines_about_others_do_not_matter(pytest_in, corpus, dump, tmp_path):
    (tmp_path / "known.txt").write_text("two_windows_*/vision.window_order  # being mended\nother_case/logits\n")
    xfails = ["--qwen25vl-xfails", tmp_path / "known.txt"]
    code, out = pytest_in("--qwen25vl-golden", corpus, "--qwen25vl-dump", dump(wrong_order), *xfails, "-rx")
    assert code == 0, out
    assert "2 passed, 1 xfailed" in out
    assert "known to be wrong: two_windows_side_by_side/vision.window_order" in out


@pytest.mark.parametrize("form", ["corpus", "case"])
def test_one_case_may_be_given_alone(pytest_in, corpus, dump, form):
    golden = corpus / CASES[0] if form == "case" else corpus
    code, out = pytest_in("--qwen25vl-golden", golden, "--qwen25vl-dump", dump(), "-k", CASES[0], "-v")
    assert code == 0, out
    assert "1 passed" in out


def test_the_cases_stand_beside_the_tests_of_the_project_and_can_be_chosen(pytest_in, corpus, dump):
    (pytest_in.project / "test_own.py").write_text("def test_own(): pass\n")
    options = ["--qwen25vl-golden", corpus, "--qwen25vl-dump", dump()]
    assert "4 passed" in pytest_in(*options)[1]
    assert "3 passed, 1 deselected" in pytest_in(*options, "-k", "qwen25vl")[1]
    assert "1 passed, 3 deselected" in pytest_in(*options, "-k", "not qwen25vl")[1]


def test_a_program_is_run_case_by_case(pytest_in, corpus, dump, tmp_path):
    script = tmp_path / "port.sh"
    first = dump(lambda name, array: array if name.startswith(CASES[0]) else None)
    script.write_text(
        f'case "$3" in {CASES[0]}) cp {shlex.quote(str(first))} "$2/x.npz";; {CASES[1]}) exit 77;;'
        " *) echo out of luck; exit 1;; esac\n"
    )
    command = f"sh {shlex.quote(str(script))} {{case}} {{out}} {{id}}"
    code, out = pytest_in("--qwen25vl-golden", corpus, "--qwen25vl-program", command, "-rs")
    assert code == 1
    assert "1 failed, 1 passed, 1 skipped" in out
    assert "it said: out of luck" in " ".join(out.split())
    assert "the program does not do this case" in out


def test_cases_are_dealt_out_to_several_processes(pytest_in, corpus, dump):
    pytest.importorskip("xdist")
    options = ["--qwen25vl-golden", corpus, "--qwen25vl-dump", dump(wrong_order)]
    code, out = pytest_in("-p", "xdist.plugin", "-n", "2", *options)
    assert code == 1
    assert "1 failed, 2 passed" in out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--qwen25vl-golden", "{corpus}"], "needs either"),
        (["--qwen25vl-golden", "{corpus}", "--qwen25vl-dump", "x", "--qwen25vl-program", "y"], "needs either"),
        (["--qwen25vl-dump", "x.npz"], "give --qwen25vl-golden"),
        (["--qwen25vl-golden", "{corpus}", "--qwen25vl-dump", "absent.npz"], "absent.npz"),
        (["--qwen25vl-golden", "absent", "--qwen25vl-dump", "absent.npz"], "absent"),
        (["--qwen25vl-golden", "{corpus}", "--qwen25vl-program", "./absent {{case}} {{out}}"], "no program"),
        (
            ["--qwen25vl-golden", "{corpus}", "--qwen25vl-dump", "x.npz", "--qwen25vl-map", "gibberish"],
            "gibberish",
        ),
        (["--qwen25vl-golden", "{corpus}", "--qwen25vl-dump", "x", "--qwen25vl-precision", "int8"], "int8"),
        (["--qwen25vl-golden", "{corpus}", "--qwen25vl-dump", "x", "--qwen25vl-timeout", "soon"], "soon"),
    ],
)
def test_options_that_cannot_be_used_are_one_sentence(pytest_in, corpus, arguments, reason):
    code, out = pytest_in(*[argument.format(corpus=corpus) for argument in arguments])
    assert code == 4, out
    assert reason in out
    assert "Traceback" not in out


def test_an_installation_brings_the_plugin_along():
    project = tomllib.loads((REF.parent / "pyproject.toml").read_text(encoding="utf-8"))
    # one name for both: pytest then knows that `-p qwen25vl_pytest` is what an installation has loaded
    assert project["project"]["entry-points"]["pytest11"] == {"qwen25vl_pytest": "qwen25vl_pytest"}
    assert project["tool"]["setuptools"]["py-modules"] == ["qwen25vl_pytest"]
    assert project["tool"]["setuptools"]["package-dir"] == {"": "ref"}


def test_without_its_options_nothing_is_loaded_and_no_project_is_disturbed(pytest_in):
    (pytest_in.project / "test_own.py").write_text(
        "import sys\n"
        "def test_own():\n"
        "    loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "    assert 'qwen25vl_pytest' in loaded\n"
        "    assert not loaded & {'numpy', 'qwen25vl', 'PIL', 'tokenizers'}\n"
    )
    (pytest_in.project / "pytest.ini").write_text(
        "[pytest]\naddopts = --strict-markers --strict-config --qwen25vl-map=hf\nfilterwarnings = error\n"
    )
    code, out = pytest_in("-v")
    assert code == 0, out
    assert "1 passed" in out
    assert "qwen25vl::" not in out
