"""Section 15 - the place of a corpus: what stands there, and whose is it?"""

import contextlib
import os
import tempfile
from collections.abc import Collection
from pathlib import Path

from qwen25vl.errors import BadInput
from qwen25vl.golden.corpus_read import CORPUS, CORPUS_SCHEMA
from qwen25vl.golden.export import EXPORTS, UNFINISHED, remove_path
from qwen25vl.golden.folder import FILES, MANIFEST, OWNER, SCHEMA, WORKSHOP, clear_up
from qwen25vl.json_file import parsed_object
from qwen25vl.wording import named

UNFINISHED_CORPUS = ".corpus.json"
"""What the list of a corpus is called while it is written."""

IN_A_CASE = (*FILES, *EXPORTS.values(), UNFINISHED)
"""Everything that the directory of a case may hold."""


def check_corpus_place(out: Path, *, known: Collection[str]) -> None:
    """Refuse to write a corpus where anything stands that is no part of one.

    Args:
        out: directory of the corpus; it may lack or be empty, or hold what an earlier run wrote, ended or not.
        known: ids of all cases there are. A directory of such a name is a case, however damaged.

    Raises:
        BadInput: if it holds anything else, or is a link or a file.

    Spec: spec/15-golden-values.md (X6, X22)
    """
    name = str(out)
    if out.is_symlink():
        raise BadInput(f"{name!r} is a symbolic link; give the directory itself, or another one")
    try:
        entries = sorted(out.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise BadInput(
            f"{name!r} exists and is no directory that can be read ({error.strerror}); choose another name"
        ) from error
    if (out / MANIFEST).exists():
        raise BadInput(
            f"{name!r} is a golden of one prompt; choose another directory for a corpus, or give a prompt to "
            "write that golden again"
        )
    for entry in entries:
        if not _is_ours(entry, known=known):
            raise BadInput(
                f"{name!r} holds {named(entry.name)!r}, which is no part of a corpus of cases; move it away, or "
                "choose another directory"
            )


def case_directories(out: Path) -> list[Path]:
    """List the directories of cases in a place that `check_corpus_place` has accepted."""
    return sorted(path for path in out.iterdir() if path.is_dir() and not path.name.startswith("."))


def clear_up_corpus(out: Path) -> None:
    """Take away what killed runs left in the place of a corpus, and put back what they had moved aside. (X15)"""
    owners = set()
    for workshop in out.glob(WORKSHOP + "*"):
        with contextlib.suppress(OSError):
            owners.add((workshop / OWNER).read_text(encoding="utf-8", errors="surrogateescape"))
    for owner in owners | {CORPUS}:  # whichever is named, workshops that are still empty go, too
        if owner == Path(owner).name:
            clear_up(out / owner)
    for directory in case_directories(out):
        remove_path(directory / UNFINISHED)


def is_broken(directory: Path) -> bool:
    """Say whether a case is there, but so damaged that `replacing` would not take it for a golden."""
    return directory.exists() and _schema(directory / MANIFEST) != SCHEMA


def remove_case(directory: Path) -> None:
    """Take a case away: at once, whatever happens meanwhile, as `replacing` puts one there. (X22)"""
    workshop = Path(tempfile.mkdtemp(prefix=WORKSHOP, dir=directory.parent))
    (workshop / OWNER).write_text(directory.name, encoding="utf-8", errors="surrogateescape")
    directory.rename(workshop / "removed")
    remove_path(workshop)


def _is_ours(path: Path, *, known: Collection[str]) -> bool:
    """Whether an entry of a corpus is one that a run wrote."""
    if path.is_symlink():
        return False
    if path.name == CORPUS:
        return _schema(path) == CORPUS_SCHEMA
    if path.name == UNFINISHED_CORPUS:
        return path.is_file()
    if not path.is_dir():
        return False
    if path.name.startswith(WORKSHOP):
        return True
    if not {entry.name for entry in os.scandir(path)} <= set(IN_A_CASE):
        return False
    return path.name in known or _schema(path / MANIFEST, case=path.name) == SCHEMA


def _schema(path: Path, *, case: str | None = None) -> str | None:
    """Return what a file of JSON says it is, if it is about the case; None if it says nothing."""
    try:
        document = parsed_object(path.read_bytes())
    except (OSError, ValueError):
        return None
    schema = document.get("schema")
    return schema if isinstance(schema, str) and (case is None or document.get("id") == case) else None
