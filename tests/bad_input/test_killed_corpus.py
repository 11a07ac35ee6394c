"""A corpus whose run is killed, stopped or has no room left: what is finished stays, and the next run goes on."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import qwen25vl
from qwen25vl.golden.corpus_read import CORPUS, open_goldens

ROOT = Path(qwen25vl.__file__).parents[1]

CASES = ("two_windows_side_by_side", "head_gives_every_row_a_score", "answer_goes_on_behind_a_picture")

KILLED_AT = """
import os, signal, sys
from pathlib import Path

import qwen25vl.golden.corpus_place as place
import qwen25vl.golden.export as export
import qwen25vl.golden.folder as folder
import qwen25vl.golden.stream as stream
from qwen25vl.cli.main import main

calls = 0

def deadly(place, name, call, *, before):
    function = getattr(place, name)

    def wrapped(*args, **kwargs):
        global calls
        calls += 1
        if calls == call and before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(place, name, wrapped)

if __name__ == "__main__":
    {moment}
    sys.exit(main(sys.argv[1:]))
"""

MOMENTS = {
    "with a workshop of no name": "deadly(folder.tempfile, 'mkdtemp', 2, before=False)",
    "among the tensors of a case": "deadly(stream.TensorWriter, 'add', 5, before=True)",
    "when an export is in place": "deadly(Path, 'rename', 1, before=False)",
    # behind that of its export, and one that finds no older golden to move aside
    "before a case is put in place": "deadly(Path, 'rename', 3, before=True)",
    "when a case is in place": "deadly(Path, 'rename', 3, before=False)",
    "among the exports": "deadly(export, 'remove_path', 5, before=False)",
    "before the list is put in place": "deadly(Path, 'replace', 1, before=True)",
    "when the list is in place": "deadly(Path, 'replace', 1, before=False)",
}
"""Where a run is killed, and the statement that does it."""


def script(moment: str = "pass") -> str:
    return textwrap.dedent(KILLED_AT).format(moment=moment)


def arguments(out: Path, *more: object) -> list[str]:
    """Return a command line that writes a small corpus."""
    chosen = [word for case in CASES for word in ("--cases", case)]
    words = ["golden", out, *chosen, "--blas", "--noise", "none", "--export", "npz", *more]
    return [str(word) for word in words]


def ended(out: Path, *more: object, moment: str = "pass", **options) -> subprocess.CompletedProcess:
    """Write a small corpus in a process that may be killed at a moment."""
    return subprocess.run(
        [sys.executable, "-c", script(moment), *arguments(out, *more)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def started(folder: Path, out: Path, *more: object) -> subprocess.Popen:
    """Start a run in a session of its own; from a file, as processes are spawned anew from it."""
    (folder / "run.py").write_text(script())
    return subprocess.Popen(
        [sys.executable, folder / "run.py", *arguments(out, *more)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def contents(out: Path) -> dict[str, bytes]:
    """Read every file, hidden ones too."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an undisturbed run writes."""
    out = tmp_path_factory.mktemp("whole") / "c"
    assert ended(out).returncode == 0
    return contents(out)


def check_interrupted(out: Path, whole: dict[str, bytes]) -> None:
    """Whatever case is there is complete, and a list is there only if all cases are."""
    if not out.exists():
        return
    if (out / CORPUS).exists():
        assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == {*CASES, CORPUS}
    for case in [path.name for path in out.iterdir() if path.name in CASES]:
        (golden,), problems = open_goldens(out / case, verify=True)
        assert (golden.id, problems) == (case, ())
        content = (out / case / "manifest.json").read_bytes()
        assert content == whole[f"{case}/manifest.json"]


def check_resumed(out: Path, whole: dict[str, bytes]) -> None:
    """The next run makes it what an undisturbed one would have written, and keeps what was finished."""
    finished = {path.name for path in out.iterdir() if path.name in CASES} if out.exists() else set()
    run = ended(out, "--json")
    assert run.returncode == 0, run.stderr
    assert set(json.loads(run.stdout)["kept"]) == finished
    assert contents(out) == whole
    assert {path.name for path in out.iterdir()} == {*CASES, CORPUS}


@pytest.mark.parametrize("moment", MOMENTS)
def test_x22_a_killed_run_leaves_complete_cases_and_the_next_one_goes_on(tmp_path, whole, moment):
    out = tmp_path / "c"
    assert ended(out, moment=MOMENTS[moment]).returncode == -signal.SIGKILL
    check_interrupted(out, whole)
    check_resumed(out, whole)


@pytest.mark.parametrize("seed", range(4))
def test_x22_a_run_that_is_killed_again_and_again_gets_there(tmp_path, whole, seed):
    """Among the writing of tensors, at a random one each time; every run but the last is killed."""
    draws, out = random.Random(seed), tmp_path / "c"
    for _ in range(3):
        run = ended(out, moment=f"deadly(stream.TensorWriter, 'add', {draws.randrange(1, 14)}, before=True)")
        check_interrupted(out, whole)
        if run.returncode == 0:
            break
        assert run.returncode == -signal.SIGKILL
    check_resumed(out, whole)


def make_out_of_date(out: Path) -> None:
    """Let a case be one that must be written anew, and that is still a golden."""
    manifest = out / CASES[2] / "manifest.json"
    manifest.write_text(manifest.read_text().replace("schema_version", "version_of_schema"))


def break_manifest(out: Path) -> None:
    """Let nothing tell that a case was one."""
    (out / CASES[0] / "manifest.json").write_text("{")


REPLACED = {
    "among its tensors": (make_out_of_date, "deadly(stream.TensorWriter, 'add', 5, before=True)"),
    # behind the exports of the two cases that are kept, and its own
    "between the two moves": (make_out_of_date, "deadly(Path, 'rename', 4, before=False)"),
    # behind what unfinished exports there might be in each of the three
    "while it is taken away": (break_manifest, "deadly(place, 'remove_path', 4, before=True)"),
}


@pytest.mark.parametrize("moment", REPLACED)
def test_x15_x22_a_run_killed_while_it_replaces_a_case_loses_nothing(tmp_path, whole, moment):
    out, (change, statement) = tmp_path / "c", REPLACED[moment]
    assert ended(out).returncode == 0
    change(out)
    assert ended(out, moment=statement).returncode == -signal.SIGKILL
    assert not (out / CORPUS).exists()
    missing = {"between the two moves": CASES[2], "while it is taken away": CASES[0]}.get(moment)
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == {*CASES} - {missing}
    run = ended(out)
    assert run.returncode == 0, run.stderr
    assert contents(out) == whole


def processes_of(session: int) -> list[int]:
    """List the processes of a session that are alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def wait_until(holds, *, limit_s: float = 60.0) -> bool:
    """Wait until something holds, or for too long."""
    end = time.monotonic() + limit_s
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_x22_processes_end_with_the_one_that_started_them(tmp_path, whole, number):
    out = tmp_path / "c"
    run = started(tmp_path, out, "--jobs", 2)
    assert wait_until(lambda: out.exists() and any(out.glob(".qwen25vl-golden-*/new/*")))
    if number == signal.SIGINT:
        os.killpg(run.pid, number)  # as a terminal does
    else:
        run.kill()
    said, complained = run.communicate(timeout=60)
    assert wait_until(lambda: processes_of(run.pid) == [])
    check_interrupted(out, whole)
    if number == signal.SIGINT:
        assert (run.returncode, said) == (130, "")
        assert complained == "qwen25vl golden: stopped\n"
        assert not list(out.glob(".*"))
    check_resumed(out, whole)


@needs_proc
def test_a_process_that_dies_is_one_sentence_and_the_rest_is_kept(tmp_path, whole):
    out = tmp_path / "c"
    run = started(tmp_path, out, "--jobs", 2)
    assert wait_until(lambda: out.exists() and any(out.glob(".qwen25vl-golden-*/new/*")))
    children = [number for number in processes_of(run.pid) if number != run.pid]
    for child in children:
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, signal.SIGKILL)
    said, complained = run.communicate(timeout=60)
    assert (run.returncode, said) == (2, "")
    assert complained.startswith("qwen25vl golden: the process that wrote ")
    assert complained.endswith("run it again with fewer --jobs: what is finished is kept\n")
    check_interrupted(out, whole)
    check_resumed(out, whole)


@pytest.mark.parametrize("room_bytes", [0, 2000, 20_000])
@pytest.mark.parametrize("jobs", [1, 2])
def test_x1_a_run_without_room_says_so_and_what_was_finished_stays(tmp_path, whole, room_bytes, jobs):
    """The system's own refusal: no file of these processes may be longer."""
    out = tmp_path / "made" / "c"
    limit = (room_bytes, room_bytes)
    run = ended(out, "--jobs", jobs, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"qwen25vl golden: cannot write the golden to '{out}/")
    assert run.stderr.endswith(" (File too large); make room or choose another directory\n")
    assert "\n" not in run.stderr[:-1]
    check_interrupted(out, whole)
    check_resumed(out, whole)
