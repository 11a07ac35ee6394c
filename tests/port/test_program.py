"""Section 15: a program is run case by case, and whatever it does, one sentence says what came of it."""

import os
import shlex
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from qwen25vl.errors import BadInput
from qwen25vl.golden.bin_format import write_bin
from qwen25vl.port.program import ProgramResult, program_dumps, run_program


@pytest.fixture
def cases(tmp_path):
    """Two directories of cases; what is in them is the program's business."""
    directories = [tmp_path / "corpus with blanks" / name for name in ("first_case", "second_case")]
    for directory in directories:
        directory.mkdir(parents=True)
        (directory / "note.txt").write_text(directory.name)
    return directories


@pytest.fixture
def run(tmp_path, cases):
    """Return a function that runs a shell script on every case; `$1` is the case, `$2` the output, `$3` the id."""

    def results(script: str, **options) -> list[ProgramResult]:
        workdir = tmp_path / "work dir"
        workdir.mkdir()
        template = f"sh -c {shlex.quote(script)} port {{case}} {{out}} {{id}}"
        return list(run_program(template, cases=cases, workdir=workdir, **options))

    return results


@pytest.fixture
def numbers(tmp_path):
    """An npz file with one part, for programs to copy."""
    path = tmp_path / "numbers.npz"
    np.savez(path, **{"outputs.place": np.arange(6)})
    return shlex.quote(str(path))


def problem(results):
    """The one problem of a case, which no other case shares."""
    assert [result.case for result in results] == ["first_case", "second_case"]
    assert results[0].dump is None
    assert not results[0].skipped
    return results[0].problem


ONLY_FIRST = '[ "$3" = first_case ] || exit 77; '
"""Begins a script that does the first case alone."""


def test_a_program_is_given_the_case_and_an_empty_directory_and_its_dump_is_found(run, cases, numbers):
    results = run(f'[ -z "$(ls -A "$2")" ] && [ "$(cat "$1/note.txt")" = "$3" ] && cp {numbers} "$2/dump.npz"')
    assert [result.problem for result in results] == ["", ""]
    for result, case in zip(results, cases, strict=True):
        assert result.case == case.name
        np.testing.assert_array_equal(result.dump.read("outputs.place"), np.arange(6))
    assert results[0].dump.name != results[1].dump.name


def test_paths_with_quotes_and_braces_reach_the_program_as_they_are(tmp_path, numbers):
    case = tmp_path / "it's {out} {id}" / "one_case"
    case.mkdir(parents=True)
    workdir = tmp_path / 'a "work" dir'
    workdir.mkdir()
    script = f'cd "$1" && cp {numbers} "$2/x.npz"'
    (result,) = run_program(f"sh -c {shlex.quote(script)} port {{case}} {{out}}", cases=[case], workdir=workdir)
    assert result.problem == ""


def test_a_relative_case_is_given_as_an_absolute_path(tmp_path, monkeypatch, cases, numbers):
    monkeypatch.chdir(tmp_path)
    script = f'case "$1" in /*) cp {numbers} "$2/x.npz";; esac'
    template = f"sh -c {shlex.quote(script)} port {{case}} {{out}}"
    relative = [case.relative_to(tmp_path) for case in cases]
    Path("w").mkdir()
    results = list(run_program(template, cases=relative, workdir=Path("w")))
    assert [result.problem for result in results] == ["", ""]


def test_a_bin_directory_is_a_dump(run, tmp_path):
    (tmp_path / "made").mkdir()
    write_bin(tmp_path / "made", [("outputs.place", "I64", np.arange(3))])
    results = run(f'cp {shlex.quote(str(tmp_path / "made"))}/* "$2"')
    assert results[1].dump.names == ("outputs.place",)


def test_a_directory_below_the_output_is_a_dump(run, tmp_path):
    (tmp_path / "made").mkdir()
    write_bin(tmp_path / "made", [("outputs.place", "I64", np.arange(3))])
    results = run(f'cp -r {shlex.quote(str(tmp_path / "made"))} "$2/bin"')
    assert results[0].dump.names == ("outputs.place",)


def test_npy_files_are_a_dump(run, tmp_path):
    np.save(tmp_path / "outputs.place.npy", np.arange(3))
    results = run(f'cp {shlex.quote(str(tmp_path / "outputs.place.npy"))} "$2"')
    assert results[0].dump.names == ("outputs.place",)


def test_a_program_without_a_dump_has_a_problem_and_the_next_case_is_run(run, numbers):
    results = run(f'[ "$3" = first_case ] || cp {numbers} "$2/x.npz"')
    assert "ended well but left no dump" in problem(results)
    assert results[1].dump is not None


def test_two_dumps_are_one_too_many(run, numbers):
    results = run(ONLY_FIRST + f'cp {numbers} "$2/x.npz"; cp {numbers} "$2/y.npz"')
    assert "more than one" in problem(results)


def test_rubbish_is_named_for_what_it_is(run):
    results = run(ONLY_FIRST + 'echo rubbish > "$2/x.npz"')
    assert problem(results).startswith("first_case: what the program wrote cannot be used: ")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ('rm -r "$2"', "cannot be looked at"),
        ('mkfifo "$2/x.npz"', "left no dump"),
        ('mkdir "$2/y" && mkfifo "$2/y/x.npy"', "left no dump"),
        ('ln -s /nowhere/x.npz "$2"', "left no dump"),
        ('echo text > "$2/readme.txt"', "cannot be used"),
    ],
)
def test_an_output_that_holds_no_dump_is_a_problem_of_its_case(run, script, reason):
    assert reason in problem(run(ONLY_FIRST + script, timeout_s=20.0))


def test_a_failure_quotes_the_end_of_what_was_said(run):
    results = run(ONLY_FIRST + "seq 100000 >&2; printf 'out of\\tluck \\033[31m\\377' >&2; exit 3")
    sentence = problem(results)
    assert "first_case: the program failed with exit code 3; it said: ... " in sentence
    assert "out of luck" in sentence
    assert sentence.isprintable()
    assert len(sentence) < 500


def test_a_failure_counts_though_a_dump_was_written(run, numbers):
    results = run(ONLY_FIRST + f'cp {numbers} "$2/x.npz"; exit 1')
    assert "exit code 1" in problem(results)


def test_a_signal_is_named(run):
    assert "was ended by SIGSEGV" in problem(run(ONLY_FIRST + "kill -s SEGV $$"))


def test_exit_code_77_skips_a_case(run, numbers):
    gathered = program_dumps(run(f'cp {numbers} "$2/x.npz"; [ "$3" = first_case ] || exit 77'))
    assert list(gathered.dumps) == ["first_case"]
    assert gathered.skipped == ("second_case",)
    assert gathered.problems == ()


def test_a_program_that_hangs_is_stopped_with_its_children(run, tmp_path):
    pids = tmp_path / "pids"
    begun = time.monotonic()
    script = ONLY_FIRST + f"sleep 300 & echo $! > {shlex.quote(str(pids))}; echo waiting; sleep 300"
    results = run(script, timeout_s=0.5)
    assert time.monotonic() - begun < 20
    assert "took longer than 0.5 s" in problem(results)
    assert "it said: waiting" in problem(results)
    assert is_gone(int(pids.read_text()))


def test_a_child_that_a_program_leaves_behind_is_ended(run, numbers, tmp_path):
    pids = tmp_path / "pids"
    script = ONLY_FIRST + f'sleep 300 & echo $! > {shlex.quote(str(pids))}; cp {numbers} "$2/x.npz"'
    begun = time.monotonic()
    results = run(script)
    assert time.monotonic() - begun < 20
    assert results[0].problem == ""
    assert is_gone(int(pids.read_text()))


def test_ctrl_c_ends_the_program(tmp_path, cases):
    workdir, pids = tmp_path / "w", tmp_path / "pids"
    workdir.mkdir()
    script = f"echo $$ > {shlex.quote(str(pids))}; sleep 300"
    template = f"sh -c {shlex.quote(script)} port {{case}} {{out}}"

    def interrupt() -> None:
        while not (pids.exists() and pids.read_text().strip()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        list(run_program(template, cases=cases, workdir=workdir))
    assert is_gone(int(pids.read_text()))


def test_a_program_reads_nothing_from_the_terminal(run):
    assert "exit code 5" in problem(run(ONLY_FIRST + 'read line; [ -z "$line" ] && exit 5', timeout_s=20.0))


def test_a_flood_of_output_does_not_stop_a_program(run, numbers):
    results = run(ONLY_FIRST + f'head -c 3000000 /dev/zero; cp {numbers} "$2/x.npz"', timeout_s=30.0)
    assert results[0].dump is not None


def test_every_case_is_announced(run, numbers):
    seen = []
    run(f'cp {numbers} "$2/x.npz"', watch=seen.append)
    assert seen == ["first_case", "second_case"]


def test_a_file_that_is_no_program_is_a_problem_of_its_case(tmp_path, cases):
    path = tmp_path / "port"
    path.write_bytes(b"\x00\x01no program")
    path.chmod(0o755)
    workdir = tmp_path / "w"
    workdir.mkdir()
    results = list(run_program(f"{path} {{case}} {{out}}", cases=cases, workdir=workdir))
    assert "cannot be started" in problem(results)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("", "is empty"),
        ("sh 'x {case} {out}", "close its quotes"),
        ("sh x {case}", "must say where"),
        ("sh x {out}", "must say where"),
        ("./does_not_exist {case} {out}", "there is no program"),
        ("/ {case} {out}", "there is no program"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(tmp_path, cases, template, reason):
    with pytest.raises(BadInput, match=reason):
        next(run_program(template, cases=cases, workdir=tmp_path))


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan")])
def test_a_time_that_is_none_is_refused(tmp_path, cases, timeout_s):
    with pytest.raises(BadInput, match="positive number"):
        next(run_program("sh x {case} {out}", cases=cases, workdir=tmp_path, timeout_s=timeout_s))


def is_gone(pid: int) -> bool:
    """Whether a process has ended, a moment for the system to say so included."""
    for _ in range(200):
        found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if not found.stdout.strip() or found.stdout.startswith("Z"):
            return True
        time.sleep(0.01)
    return False
