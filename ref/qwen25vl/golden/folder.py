"""Section 15 - the folder: how is a golden written whole, or not at all?"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from qwen25vl.errors import BadInput

MANIFEST = "manifest.json"
"""The file that makes a directory a golden."""

TENSOR_FILES = ("inputs.safetensors", "taps.safetensors", "outputs.safetensors", "answer.safetensors")
"""The files that hold parts; a golden has those that it has parts for."""

NOISE = "noise.json"
"""How far off a correct port may be: measured."""

INTEGERS = "integers.json"
"""Whole numbers and texts once more, to read without a library."""

FILES = (*TENSOR_FILES, MANIFEST, NOISE, INTEGERS)
"""Everything that a golden may consist of."""

EXPORTED = ("bin", "parts.npz")
"""What an export puts beside."""

SCHEMA = "qwen25vl-golden"
"""What a manifest says it is."""

WORKSHOP = ".qwen25vl-golden-"
"""How the hidden directory beside `out` begins in which a golden is put together; a random end makes it unique."""

OWNER = "owner"
"""The file in it that holds the name of `out`."""

OLDER = "older"
"""What an older golden is called there, until its successor is in place."""


def check_replaceable(out: Path) -> None:
    """Refuse to replace anything but an older golden or an empty directory.

    Raises:
        BadInput: if `out` is a file, a link, the current directory or above it, a mount point, or a directory
            that holds anything that is not part of a golden.

    Spec: spec/15-golden-values.md (X6)
    """
    with _alone(out.absolute().parent):
        _check_golden(out, name=str(out))
    if out.exists() and (os.path.ismount(out) or Path.cwd().is_relative_to(out.resolve())):
        raise BadInput(
            f"{str(out)!r} is the current directory or above it, or a mount point, and cannot be replaced; name a "
            "directory inside it"
        )


@contextlib.contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Lend an empty folder; when the block ends well, it takes the place of `out`. (X1)

    Whatever happens, nothing half-written is left, and an older golden stays until the new one is complete. What a
    killed run could not take away, the next one does (X15).
    Two runs may write to one `out`: each has a folder of its own, and the one that ends last is kept.

    Args:
        out: directory to write; directories above it are made where they are missing.

    Raises:
        BadInput: as `check_replaceable`, and if anything cannot be written.
    """
    check_replaceable(out)  # (X6)
    parent = out.absolute().parent
    missing = [path for path in (parent, *parent.parents) if not path.exists()]
    workshop = None
    with contextlib.ExitStack() as stack:
        try:
            parent.mkdir(parents=True, exist_ok=True)
            with _alone(parent):
                clear_up(out)  # (X15)
                workshop = Path(tempfile.mkdtemp(prefix=WORKSHOP, dir=parent))
                stack.enter_context(_alone(workshop))  # as long as this run lives, nobody clears it up
                (workshop / OWNER).write_text(out.name, encoding="utf-8", errors="surrogateescape")
            new = workshop / "new"
            new.mkdir()  # with the rights that the user's mask gives; the workshop has its owner's only
            yield new
            _put_in_place(new, out, workshop=workshop)
        except OSError as error:
            raise BadInput(
                f"cannot write the golden to {str(out)!r} ({error.strerror or error}); make room or choose "
                "another directory"
            ) from error
        finally:
            if workshop is not None and not os.path.lexists(workshop / OLDER):
                shutil.rmtree(workshop, ignore_errors=True)
            with contextlib.suppress(OSError):  # not empty: the golden is there, or another run's
                for path in missing:
                    path.rmdir()


def clear_up(out: Path) -> None:
    """Take away what runs left behind that were killed while they wrote to `out`. (X15)

    Such a workshop is known by its lock, which the system has taken back. If the run was killed between its two
    moves, the older golden is in there, and goes back to its place.
    """
    for workshop in out.absolute().parent.glob(WORKSHOP + "*"):
        with contextlib.suppress(ImportError, OSError, ValueError), contextlib.ExitStack() as stack:
            import fcntl  # not on Windows: there nothing is cleared up

            handle = os.open(workshop, os.O_RDONLY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: its run is alive
            if not any(workshop.iterdir()):
                workshop.rmdir()  # killed before it wrote whose it is
            if (workshop / OWNER).read_text(encoding="utf-8", errors="surrogateescape") != out.name:
                continue
            if os.path.lexists(workshop / OLDER) and not os.path.lexists(out):
                (workshop / OLDER).rename(out)
            shutil.rmtree(workshop, ignore_errors=True)


def _put_in_place(new: Path, out: Path, *, workshop: Path) -> None:
    """Move what is there aside and the new golden in; if that fails, move the old one back. (X1)"""
    older = workshop / OLDER
    with _alone(out.absolute().parent):
        try:
            with contextlib.suppress(FileNotFoundError):
                out.rename(older)
            _check_golden(older, name=str(out))  # (X6) again: it may have come there meanwhile
            new.rename(out)
        finally:
            if os.path.lexists(older):  # if this move fails too, the workshop stays: it holds the only golden
                older.rename(workshop / "replaced" if os.path.lexists(out) else out)


@contextlib.contextmanager
def _alone(parent: Path) -> Iterator[None]:
    """Let one run at a time look at, or move, what stands in a directory.

    The system takes the lock back if a run dies. Where there are no such locks, runs do without.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ImportError, OSError):
            import fcntl  # not on Windows

            handle = os.open(parent, os.O_RDONLY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _check_golden(path: Path, *, name: str) -> None:
    """Refuse what is there, unless it is a golden, an empty directory or nothing; (X6)."""
    if path.is_symlink():
        raise BadInput(f"{name!r} is a symbolic link; give the directory itself, or another one")
    try:
        files = {entry.name for entry in path.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        raise BadInput(
            f"{name!r} exists and is no directory that can be read ({error.strerror}); choose another name"
        ) from error
    if files and not _is_golden(path / MANIFEST):
        raise BadInput(f"{name!r} exists and is not a golden of an earlier run; choose another directory")
    foreign = sorted(files.difference(FILES, EXPORTED))
    if foreign:
        raise BadInput(f"{name!r} holds {foreign[0]!r} beside a golden; move it away, or choose another directory")


def _is_golden(path: Path) -> bool:
    """Say whether a file is a manifest of ours."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("schema") == SCHEMA
