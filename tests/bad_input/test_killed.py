"""A golden whose run is killed, or has no room left: the older one stays, and the next run cleans up."""

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import qwen25vl
from qwen25vl.golden.folder import INTEGERS, MANIFEST

ROOT = Path(qwen25vl.__file__).parents[1]

KILLED_AT = """
import os, signal, sys
from pathlib import Path

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

{moment}
sys.exit(main(sys.argv[1:]))
"""

MOMENTS = {
    "before anything is written": "deadly(folder.tempfile, 'mkdtemp', 1, before=True)",
    "with a workshop of no name": "deadly(folder.tempfile, 'mkdtemp', 1, before=False)",
    "with its first tensor": "deadly(stream.TensorWriter, 'add', 1, before=False)",
    "among its tensors": "deadly(stream.TensorWriter, 'add', 7, before=True)",
    "before the older golden is moved aside": "deadly(Path, 'rename', 1, before=True)",
    "between the two moves": "deadly(Path, 'rename', 1, before=False)",
    "when the new golden is in place": "deadly(Path, 'rename', 2, before=False)",
    "when it has cleared up": "deadly(folder.shutil, 'rmtree', 1, before=False)",
}
"""Where a run is killed, and the statement that does it."""


FILES = ("inputs.safetensors", "taps.safetensors", "answer.safetensors", INTEGERS, MANIFEST)
"""What the golden of a prompt consists of, without noise."""

QUICK = ("--blas", "--noise", "none")


def golden(out: Path, *, steps: int, moment: str = "", **options) -> subprocess.CompletedProcess:
    """Write a small golden in a process that may be killed at a moment."""
    script = textwrap.dedent(KILLED_AT).format(moment=moment)
    command = [
        sys.executable,
        "-c",
        script,
        "golden",
        out,
        "x",
        "--taps",
        "stages",
        "--max-new-tokens",
        steps,
        *QUICK,
    ]
    return subprocess.run(
        list(map(str, command)),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def steps_of(out: Path) -> int:
    """How long a golden's answer is; it is whole, and nothing is beside it."""
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    return len(json.loads((out / MANIFEST).read_text())["generation"]["answers"][0]["ids"])


@pytest.mark.parametrize("moment", MOMENTS)
def test_x15_a_killed_run_leaves_the_older_golden_and_the_next_one_cleans_up(tmp_path, moment):
    out = tmp_path / "golden"
    assert golden(out, steps=1).returncode == 0
    (tmp_path / ".qwen25vl-golden-mine").mkdir()
    (tmp_path / ".qwen25vl-golden-mine" / "notes.txt").write_text("no workshop of a run to `out`")
    assert golden(out, steps=2, moment=MOMENTS[moment]).returncode == -signal.SIGKILL
    if moment == "between the two moves":
        assert not out.exists()
        assert len(list(tmp_path.glob(".qwen25vl-golden-*/older"))) == 1
    else:
        assert steps_of(out) == (2 if moment.startswith("when") else 1)

    # a run that fails for another reason has first put the older golden back
    if moment == "between the two moves":
        ended = golden(out, steps=3, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50)))
        assert ended.returncode == 2
        assert steps_of(out) == 1
    assert golden(out, steps=3).returncode == 0
    assert steps_of(out) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"golden", ".qwen25vl-golden-mine"}


def test_x15_a_killed_run_where_nothing_was_leaves_nothing_to_see(tmp_path):
    out = tmp_path / "golden"
    assert golden(out, steps=1, moment=MOMENTS["among its tensors"]).returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []
    assert golden(out, steps=1).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["golden"]


def test_x15_a_run_that_is_alive_is_not_cleared_up(tmp_path):
    """Another process has a workshop for the same golden, and holds its lock."""
    out = tmp_path / "golden"
    wait = "from pathlib import Path; import sys; from qwen25vl.golden.folder import replacing\n"
    wait += "with replacing(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", wait, str(out)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert other.stdout.readline() == b"in\n"
        assert golden(out, steps=1).returncode == 0
        assert len(list(tmp_path.glob(".qwen25vl-golden-*"))) == 1
    finally:
        other.kill()
        other.communicate()
    assert golden(out, steps=1).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["golden"]


@pytest.mark.parametrize(("room_bytes", "has_older"), [(0, False), (50, True), (20_000, False), (200_000, True)])
def test_x1_a_run_without_room_says_so_and_leaves_what_was_there(tmp_path, room_bytes, has_older):
    """The system's own refusal: no file of this process may be longer."""
    out = tmp_path / "made" / "golden"
    if has_older:
        assert golden(out, steps=1).returncode == 0
    limit = (room_bytes, room_bytes)
    ended = golden(out, steps=2, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == (
        f"qwen25vl golden: cannot write the golden to {str(out)!r} (File too large); make room or choose another "
        "directory\n"
    )
    if has_older:
        assert steps_of(out) == 1
        assert [path.name for path in out.parent.iterdir()] == ["golden"]
    else:
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [("run", "x", "--max-new-tokens", "1"), ("names",), ("names", "--json")])
def test_output_that_finds_no_room_is_one_sentence(arguments):
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "qwen25vl.cli.main", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""},  # as for most users
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stderr == (
        f"qwen25vl {arguments[0]}: cannot write the output (No space left on device); make room for it\n"
    )
