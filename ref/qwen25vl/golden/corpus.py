"""Section 15 - the corpus: how are all cases written, one directory each, and listed when they are complete?"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen25vl.errors import BadInput
from qwen25vl.golden.case import Case, Lab
from qwen25vl.golden.corpus_case import CaseWriter, LabRecipe
from qwen25vl.golden.corpus_list import corpus_list, write_list
from qwen25vl.golden.corpus_place import (
    case_directories,
    check_corpus_place,
    clear_up_corpus,
    is_broken,
    remove_case,
)
from qwen25vl.golden.corpus_plan import PlannedCase
from qwen25vl.golden.corpus_processes import written_by_processes
from qwen25vl.golden.corpus_read import CORPUS
from qwen25vl.golden.corpus_resume import CorpusSettings, finished_manifest
from qwen25vl.golden.export import write_export
from qwen25vl.golden.read import read_manifest
from qwen25vl.golden.registry import all_cases


@dataclass(frozen=True)
class WrittenCorpus:
    """What a run made of a corpus."""

    listed: dict[str, Any]
    """What `corpus.json` holds."""
    written: tuple[str, ...]
    """Ids of cases that were written."""
    kept: tuple[str, ...]
    """Ids of those that an earlier run had finished with the same settings."""
    removed: tuple[str, ...]
    """Ids of those that are no longer, or were made with other settings and are not among the planned."""


def write_corpus(
    out: Path,
    planned: Sequence[PlannedCase],
    recipe: LabRecipe,
    *,
    settings: CorpusSettings,
    exports: tuple[str, ...] = (),
    jobs: int = 1,
    lab: Lab | None = None,
    may_remove: bool = False,
    watch: Callable[[str], None] = lambda case_id: None,
) -> WrittenCorpus:
    """Write cases into the directory of a corpus, and list them when all are complete.

    A case is there as a whole or not at all. What an earlier run has finished is kept, if its settings were the
    same and its files are undamaged: so a run that was stopped goes on where it was. Cases that are not in
    `planned` stay, if they fit; what no longer fits is removed. Without a `corpus.json` the corpus is not whole.

    Args:
        out: directory of the corpus; made if it lacks.
        planned: what is to be there, see `planned_cases`.
        recipe: how the checkpoint is opened.
        settings: what all cases have in common.
        exports: forms that every case is written in, too.
        jobs: processes that write; 1 writes in this one.
        lab: of the recipe, if it is open already.
        may_remove: whether cases may go that are not in `planned` and do not fit.
        watch: told the id of each case that is done.

    Raises:
        BadInput: if `out` holds anything else, or cases that would have to go, or if a case cannot be computed or
            written.

    Spec: spec/15-golden-values.md (X1, X6, X15, X22)
    """
    known = {case.id: case for case in (*all_cases(), *(one.case for one in planned))}
    wanted_taps = {case.id: settings.taps or case.taps for case in known.values()}
    wanted_taps |= {one.case.id: one.taps for one in planned}
    check_corpus_place(out, known=known)
    writer = CaseWriter(out, settings, exports)
    with _written_in(out):
        out.mkdir(parents=True, exist_ok=True)
        clear_up_corpus(out)
        kept = _finished(out, known, wanted_taps, settings=settings, verify=True)
        todo = [one for one in planned if one.case.id not in kept]
        fresh = {one.case.id for one in todo}
        removed = [path for path in case_directories(out) if path.name not in {*kept, *fresh}]
        if not may_remove:
            _check_removed(out, [path.name for path in removed if path.name in known])
        if todo or removed:
            (out / CORPUS).unlink(missing_ok=True)  # (X22) what it lists is about to change
        for directory in (*removed, *(out / case_id for case_id in fresh if is_broken(out / case_id))):
            remove_case(directory)
        for case_id in kept:
            for form in exports:
                write_export(out / case_id, read_manifest(out / case_id), form=form)
        if jobs > 1 and len(todo) > 1:
            written_by_processes(writer, todo, recipe, jobs=jobs, watch=watch)
        else:
            _write_here(writer, todo, recipe, lab=lab, watch=watch)
        complete = _finished(out, known, wanted_taps, settings=settings, verify=False)  # another run's, too
        listed = corpus_list(out, complete, settings=settings)
        write_list(out, listed)
    return WrittenCorpus(
        listed,
        written=tuple(one.case.id for one in todo),
        kept=tuple(kept),
        removed=tuple(path.name for path in removed),
    )


def _finished(
    out: Path, known: Mapping[str, Case], taps: Mapping[str, str], *, settings: CorpusSettings, verify: bool
) -> list[str]:
    """List the cases that are there and fit, in the order of all cases."""
    there = {path.name for path in case_directories(out)}
    return [
        case.id
        for case in known.values()
        if case.id in there
        and finished_manifest(out / case.id, case, taps=taps[case.id], settings=settings, verify=verify)
    ]


def _check_removed(out: Path, ids: Sequence[str]) -> None:
    """Refuse to take away cases that nobody has asked to write again. (X22)"""
    if ids:
        raise BadInput(
            f"{str(out)!r} holds what was made with other settings and is not chosen now (cases: {len(ids)}, the "
            f"first is {ids[0]}); choose another directory, or add --yes to remove it"
        )


def _write_here(
    writer: CaseWriter,
    todo: Sequence[PlannedCase],
    recipe: LabRecipe,
    *,
    lab: Lab | None,
    watch: Callable[[str], None],
) -> None:
    """Write cases in this process, one after the other."""
    if todo and lab is None:
        lab = recipe.lab()
    for one in todo:
        assert lab is not None
        writer.write(one, lab)
        watch(one.case.id)


@contextlib.contextmanager
def _written_in(out: Path) -> Iterator[None]:
    """Turn what the system refuses into a sentence."""
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"cannot write the corpus to {str(out)!r} ({error.strerror or error}); make room or choose another "
            "directory"
        ) from error
