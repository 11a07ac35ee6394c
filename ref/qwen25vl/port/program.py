"""Section 15 - programs: how is a port in another language run, case by case, whatever it does?

A program is given a case and an empty directory, and writes its dump there. One that fails, hangs or writes
nothing costs its case and no other.
"""

import re
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qwen25vl.errors import BadInput
from qwen25vl.golden.bin_index import INDEX, INDEX_TEXT
from qwen25vl.golden.read import read_manifest
from qwen25vl.port.dump import FILES_OF_TENSORS, Dump, open_dump
from qwen25vl.port.program_process import ending, finished
from qwen25vl.wording import shown

SKIPPED = 77
"""Exit code of a program that does not do this case, as test harnesses have it."""

TIMEOUT_S = 60.0
"""Seconds that a program has for a case, unless told otherwise."""

PLACEHOLDER = re.compile(r"\{(case|out|id)\}")
"""What a command is filled in with: the case's directory, an empty directory for the dump, the case's id."""


@dataclass(frozen=True)
class ProgramResult:
    """What came of one case."""

    case: str
    dump: Dump | None = None
    """What the program wrote, still in its files; None if there is nothing to judge."""
    problem: str = ""
    """A sentence: why there is no dump. Empty if there is one, or the case was skipped."""
    skipped: bool = False
    """Whether the program said that it does not do this case."""


@dataclass(frozen=True)
class ProgramDumps:
    """What came of all cases."""

    dumps: dict[str, Dump]
    """What to judge, by case: see `joined_dump`."""
    problems: tuple[str, ...]
    skipped: tuple[str, ...]
    """Ids of cases that the program does not do."""


def program_dumps(results: Iterable[ProgramResult]) -> ProgramDumps:
    """Gather the results of all cases."""
    found = tuple(results)
    return ProgramDumps(
        dumps={result.case: result.dump for result in found if result.dump is not None},
        problems=tuple(result.problem for result in found if result.problem),
        skipped=tuple(result.case for result in found if result.skipped),
    )


def run_program(
    template: str,
    *,
    cases: Sequence[Path],
    workdir: Path,
    timeout_s: float = TIMEOUT_S,
    watch: Callable[[str], None] = lambda case_id: None,
) -> Iterator[ProgramResult]:
    """Run a program once a case. There is no shell, and no process of its group outlives its case.

    Args:
        template: the command. `{case}` becomes the absolute path of the case's directory, `{out}` that of an empty
            directory, `{id}` the case's id. It is split into words first, so paths may have blanks.
        cases: directories of the cases, see `id_of`; no two may have the same name.
        workdir: an existing directory for what the program writes, one directory a case.
        timeout_s: seconds that a case may take.
        watch: told the id of each case before it is run.

    Raises:
        BadInput: at the first step, if the command cannot be meant: it has no word, does not say where the dump
            goes, or names a program that is not there.
    """
    words = command_words(template)
    if not timeout_s > 0:
        raise BadInput(f"a program cannot be given {timeout_s} seconds; give a positive number, such as 60")
    for case in cases:
        directory = case.absolute()
        case_id = id_of(directory)
        watch(case_id)
        out = workdir.absolute() / directory.name
        out.mkdir()
        command = _filled(words, {"case": str(directory), "out": str(out), "id": case_id})
        yield _result(case_id, command, out, timeout_s=timeout_s)


def id_of(directory: Path) -> str:
    """Return the id of a case: what its manifest says, else the name of its directory."""
    try:
        return str(read_manifest(directory)["id"])
    except BadInput:
        return directory.name


def _filled(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Put values into the places of a command; what they contain is no place again."""
    return [PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in words]


def command_words(template: str) -> list[str]:
    """Split a command into words and look whether it can be meant.

    Raises:
        BadInput: if not.
    """
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise BadInput(
            f"the command {shown(template)} cannot be split into words ({error}); close its quotes"
        ) from error
    if not words:
        raise BadInput("the command is empty; give one such as './my_port {case} {out}'")
    named = set(PLACEHOLDER.findall(" ".join(words[1:])))
    if "out" not in named or not named & {"case", "id"}:
        raise BadInput(
            f"the command {shown(template)} must say where the program finds a case, {{case}}, and where it puts "
            "its dump, {out}, as in './my_port {case} {out}'"
        )
    if shutil.which(words[0]) is None:
        raise BadInput(
            f"there is no program {shown(words[0])} that can be run from this directory; check the path, and "
            "whether the file may be executed"
        )
    return words


def _result(case: str, command: Sequence[str], out: Path, *, timeout_s: float) -> ProgramResult:
    """Run the program on one case and say what came of it."""
    try:
        code, said = finished(command, timeout_s=timeout_s)
    except OSError as error:
        reason = error.strerror or error
        return ProgramResult(case, problem=f"{case}: the program cannot be started ({reason}); start it by hand")
    if code == SKIPPED:
        return ProgramResult(case, skipped=True)
    if code != 0:
        return ProgramResult(case, problem=f"{case}: the program {ending(code, timeout_s=timeout_s)}{said}")
    try:
        place = dump_in(out)
    except OSError as error:  # the directory is gone, or closed
        reason = error.strerror or error
        return ProgramResult(case, problem=f"{case}: what the program left cannot be looked at ({reason}){said}")
    if place is None:
        return ProgramResult(
            case,
            problem=f"{case}: the program ended well but left no dump, or more than one; write one safetensors or "
            f"npz file, npy files, or index.json and its data, below {{out}}{said}",
        )
    try:
        return ProgramResult(case, dump=open_dump(place))
    except BadInput as refusal:
        return ProgramResult(case, problem=f"{case}: what the program wrote cannot be used: {refusal}")


def dump_in(out: Path) -> Path | None:
    """Find the dump that a program wrote: the one file of tensors, or the directory that holds the rest.

    Returns:
        What `open_dump` is to be given; None if there is nothing, several files of which each may be the dump, or
        anything that is neither a file nor a directory: a pipe would be read for ever.

    Raises:
        OSError: if the directory cannot be read.
    """
    if not all(path.is_file() or path.is_dir() for path in out.rglob("*")):
        return None
    if any((out / name).is_file() for name in (INDEX, INDEX_TEXT)):
        return out
    entries = sorted(out.iterdir())
    files = [path for path in entries if path.suffix in FILES_OF_TENSORS]
    if len(files) == 1:
        return files[0]
    if files or not entries:
        return None
    if len(entries) == 1 and entries[0].is_dir():
        return dump_in(entries[0])
    return out
