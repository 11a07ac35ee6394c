"""Section 15: a golden's directory is written whole or not at all, and replaces nothing but a golden."""

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen25vl.errors import BadInput
from qwen25vl.golden.folder import FILES, MANIFEST, SCHEMA, check_replaceable, replacing


def names_in(directory: Path) -> list[str]:
    """What a directory holds, hidden files too."""
    return sorted(path.name for path in directory.iterdir())


CONTENT = [name for name in FILES if name != MANIFEST]
"""The files of a golden beside its manifest."""


def fill(folder: Path, mark: str) -> None:
    """Write what passes for a golden."""
    for name in CONTENT:
        (folder / name).write_text(mark)
    (folder / MANIFEST).write_text(json.dumps({"schema": SCHEMA, "mark": mark}))


def marks(out: Path) -> set[str]:
    """The marks in a golden's files: one, if they come from one run."""
    found = {(out / name).read_text() for name in CONTENT}
    return found | {json.loads((out / MANIFEST).read_text())["mark"]}


def written(out: Path, mark: str, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Write a golden; something may happen before it is done."""
    with replacing(out) as folder:
        fill(folder, mark)
        meanwhile()


def raised(error: type[BaseException]) -> None:
    """Raise an error where only an expression fits."""
    raise error


def test_x1_a_golden_appears_when_it_is_complete(tmp_path):
    out = tmp_path / "golden"
    with replacing(out) as folder:
        fill(folder, "new")
        assert not out.exists()
        assert folder.is_relative_to(tmp_path)  # one file system: a rename, not a copy
    assert marks(out) == {"new"}
    assert names_in(tmp_path) == ["golden"]


def test_x1_an_older_golden_stays_until_the_new_one_is_complete(tmp_path):
    out = tmp_path / "golden"
    written(out, "old")
    with replacing(out) as folder:
        fill(folder, "new")
        assert marks(out) == {"old"}
    assert marks(out) == {"new"}
    assert names_in(tmp_path) == ["golden"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ZeroDivisionError, BrokenPipeError])
@pytest.mark.parametrize("has_older", [True, False])
def test_x1_whatever_happens_nothing_half_written_is_left(tmp_path, error, has_older):
    out = tmp_path / "golden"
    if has_older:
        written(out, "old")
    want = BadInput if issubclass(error, OSError) else error
    with pytest.raises(want):
        written(out, "new", meanwhile=lambda: raised(error))
    assert names_in(tmp_path) == (["golden"] if has_older else [])
    assert not has_older or marks(out) == {"old"}


@pytest.mark.parametrize("failing", [1, 2])  # moving the older one aside, moving the new one in
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EACCES, "Permission denied")])
def test_x1_if_a_move_fails_the_older_golden_is_where_it_was(tmp_path, monkeypatch, failing, error):
    out = tmp_path / "golden"
    written(out, "old")
    calls = []
    rename = Path.rename

    def failing_rename(self, target):
        calls.append(self)
        if len(calls) == failing:
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing_rename)
    with pytest.raises(BadInput if isinstance(error, OSError) else KeyboardInterrupt):
        written(out, "new")
    assert marks(out) == {"old"}
    assert names_in(tmp_path) == ["golden"]


def test_x1_the_only_golden_is_not_thrown_away_when_it_cannot_be_moved_back(tmp_path, monkeypatch):
    out = tmp_path / "golden"
    written(out, "old")
    rename = Path.rename

    def one_way(self, target):
        if Path(target) == out:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", one_way)
    with pytest.raises(BadInput, match="Input/output error"):
        written(out, "new")
    (older,) = tmp_path.glob(".qwen25vl-golden-*/older")
    assert marks(older) == {"old"}


def test_x1_runs_at_the_same_time_do_not_mix(tmp_path):
    out = tmp_path / "golden"
    faults = []
    ready = threading.Barrier(6)

    def run(mark):
        try:
            ready.wait()
            for _ in range(20):
                written(out, mark)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=(f"run {i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(marks(out)) == 1
    assert names_in(tmp_path) == ["golden"]


def test_directories_above_are_made_and_taken_back_if_nothing_came_of_it(tmp_path):
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a" / "b" / "golden"):
        raise KeyboardInterrupt
    assert names_in(tmp_path) == []
    written(tmp_path / "a" / "b" / "golden", "new")
    assert marks(tmp_path / "a" / "b" / "golden") == {"new"}


def test_the_directory_has_the_rights_that_the_user_wants(tmp_path):
    before = os.umask(0o027)
    try:
        written(tmp_path / "golden", "new")
    finally:
        os.umask(before)
    assert (tmp_path / "golden").stat().st_mode & 0o777 == 0o750


def test_a_relative_path_stays_relative_to_where_the_run_began(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(Path("golden"), "new")
    assert names_in(tmp_path) == ["golden"]


# ------------------------------------------------------------------------------------- refusals


def a_file(out):
    out.write_text("mine")


def a_foreign_directory(out):
    out.mkdir()
    (out / "thesis.txt").write_text("mine")


def a_foreign_manifest(out):
    out.mkdir()
    (out / MANIFEST).write_text('{"name": "a web page"}')


def a_damaged_manifest(out):
    out.mkdir()
    (out / MANIFEST).write_text('{"schema": ')


def a_golden_with_notes(out):
    written(out, "old")
    (out / "notes.txt").write_text("mine")


def a_link_to_a_golden(out):
    written(out.with_name("elsewhere"), "old")
    out.symlink_to("elsewhere")


def a_link_to_nothing(out):
    out.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (a_file, "exists and is no directory that can be read"),
        (a_foreign_directory, "not a golden of an earlier run; choose another directory"),
        (a_foreign_manifest, "not a golden of an earlier run"),
        (a_damaged_manifest, "not a golden of an earlier run"),
        (a_golden_with_notes, "holds 'notes.txt' beside a golden"),
        (a_link_to_a_golden, "is a symbolic link"),
        (a_link_to_nothing, "is a symbolic link"),
    ],
)
@pytest.mark.parametrize("meanwhile", [False, True])
def test_x6_anything_but_a_golden_is_refused_and_left_as_it_is(tmp_path, made, says, meanwhile):
    out = tmp_path / "golden"
    if meanwhile:  # it was free when the run began
        with pytest.raises(BadInput, match=says):
            written(out, "new", meanwhile=lambda: made(out))
    else:
        made(out)
        with pytest.raises(BadInput, match=says):
            check_replaceable(out)
        with pytest.raises(BadInput, match=says), replacing(out):
            pytest.fail("the run has begun")
    assert out.is_symlink() or out.exists()
    for path in tmp_path.rglob("*.txt"):
        assert path.read_text() == "mine"
    assert not list(tmp_path.glob(".qwen*"))


def test_x6_nothing_and_an_empty_directory_and_a_golden_may_be_replaced(tmp_path):
    out = tmp_path / "golden"
    check_replaceable(out)
    out.mkdir()
    check_replaceable(out)
    written(out, "new")
    check_replaceable(out)
    assert marks(out) == {"new"}


@pytest.mark.parametrize("where", [".", "inner", "/"])
def test_x6_the_current_directory_is_not_pulled_away_from_under_the_user(tmp_path, monkeypatch, where):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    out = Path(where) if where != "inner" else tmp_path / "inner"
    with pytest.raises(BadInput, match=r"current directory|not a golden"):
        check_replaceable(out)


@pytest.mark.parametrize("out", ["file/golden", "file/a/golden"])
def test_a_parent_that_is_a_file_is_refused(tmp_path, out):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match="Not a directory"):
        written(tmp_path / out, "new")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_parent_that_nobody_may_write_to_is_refused_before_the_run(tmp_path, monkeypatch):
    def mkdtemp(**where):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path))

    monkeypatch.setattr("tempfile.mkdtemp", mkdtemp)  # the tests may run as root, whom nothing is forbidden
    says = r"golden' \(Permission denied\); make room or choose another"
    with pytest.raises(BadInput, match=says), replacing(tmp_path / "golden"):
        pytest.fail("the run has begun")
    assert names_in(tmp_path) == []
