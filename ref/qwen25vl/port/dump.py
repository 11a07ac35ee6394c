"""Section 15 - dumps: what did a port compute, in whatever form it was saved?

    dump.safetensors, dump.npz        named arrays; behind CASE/ if there are several cases
    DIR/CASE.safetensors, .npz        one file a case
    DIR/.../NAME.npy                  one file an array; its path below DIR is its name
    DIR/index.json or index.txt       bare bytes, see qwen25vl.golden.bin_format
    DIR/CASE/...                      any of these, a directory a case
    a golden, or a corpus             a dump too

What cannot be read is told and passed over: the rest may show where the port goes wrong.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from qwen25vl.errors import BadInput
from qwen25vl.golden.bin_format import read_bin
from qwen25vl.golden.bin_index import INDEX, INDEX_TEXT
from qwen25vl.golden.folder import MANIFEST, TENSOR_FILES
from qwen25vl.port.dump_numpy import DAMAGE, NPY, npy_tensor, npz_tensors
from qwen25vl.port.dump_safetensors import safetensors_tensors
from qwen25vl.port.dump_tensor import DumpTensor
from qwen25vl.wording import named

FILES_OF_TENSORS = {".safetensors": safetensors_tensors, ".npz": npz_tensors}
"""Files that hold several arrays by name, and what reads them."""

Found = tuple[dict[str, DumpTensor], tuple[str, ...]]
"""Tensors by name, and sentences about what cannot be read."""


@dataclass(frozen=True, eq=False)
class Dump:
    """What a port computed; an array is read when it is asked for."""

    name: str
    """What it is called in a report: its path."""
    tensors: Mapping[str, DumpTensor]
    problems: tuple[str, ...] = ()
    """One sentence for each tensor or file that cannot be read."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its arrays, in the order of the dump."""
        return tuple(self.tensors)

    def dtype(self, name: str) -> str:
        """Return the stored dtype: F64, F32, F16, BF16, I64, I32, ... BOOL."""
        return self.tensors[name].dtype

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the stored shape."""
        return self.tensors[name].shape

    def read(self, name: str) -> np.ndarray:
        """Read an array, as a rule read-only and mapped; bfloat16 and float16 are widened to float32.

        Raises:
            BadInput: if it turns out to be damaged.
            KeyError: if there is none of that name.
        """
        tensor = self.tensors[name]
        try:
            return tensor.values()
        except DAMAGE as error:
            raise BadInput(f"{self.name}: {named(name)} cannot be read ({error}); write it again") from error


def open_dump(path: Path) -> Dump:
    """Open what a port computed.

    Args:
        path: a file or a directory, of any of the forms above.

    Raises:
        BadInput: if nothing of it can be read.

    Spec: spec/15-golden-values.md (X23), of the form `bin`
    """
    if not path.exists():
        raise BadInput(f"{path} does not exist; give the file or the directory that the port wrote")
    tensors, problems = _directory(path) if path.is_dir() else _file(path)
    if not tensors and problems:
        more = f" (and {len(problems) - 1} more like this)" if len(problems) > 1 else ""
        raise BadInput(f"nothing of the dump can be read: {problems[0]}{more}")
    if not tensors:
        raise BadInput(
            f"{path} holds no array; write .safetensors, .npz or .npy files, or {INDEX} and its data, into it"
        )
    return Dump(str(path), tensors, problems)


def joined_dump(name: str, dumps: Mapping[str, Dump]) -> Dump:
    """Make one dump of one dump a case.

    Args:
        name: of the whole.
        dumps: by case id; their names may have the prefix of the case or none.
    """
    tensors = {
        f"{case}/{part.removeprefix(f'{case}/')}": tensor
        for case, dump in dumps.items()
        for part, tensor in dump.tensors.items()
    }
    return Dump(name, tensors, tuple(problem for dump in dumps.values() for problem in dump.problems))


def located(name: str) -> tuple[str | None, str]:
    """Split the name of a tensor into its case, None if it names none, and the name of its part."""
    case, slash, part = name.partition("/")
    return (case, part) if case and slash and part else (None, name)


def _file(path: Path) -> Found:
    """Look at a single file."""
    if path.name in (INDEX, INDEX_TEXT):
        return _bin(path.parent)
    try:
        if path.suffix == NPY:
            return {path.stem: npy_tensor(path)}, ()
        if path.suffix in FILES_OF_TENSORS:
            return FILES_OF_TENSORS[path.suffix](path)
    except BadInput as refusal:
        return {}, (str(refusal),)
    raise BadInput(
        f"{path} is no dump by its name; give .safetensors, .npz, .npy, {INDEX}, or a directory of them"
    )


def _bin(directory: Path) -> Found:
    """Look at a directory of bare bytes."""
    try:
        tensors, problems = read_bin(directory)
    except BadInput as refusal:
        return {}, (str(refusal),)
    found = {lies.name: DumpTensor(lies.dtype, lies.shape, partial(lies.raw, directory)) for lies in tensors}
    return found, problems


def _directory(path: Path, *, is_case: bool = False, above: frozenset[Path] = frozenset()) -> Found:
    """Look at a directory.

    Args:
        path: of the directory.
        is_case: whether it stands in a dump, so that its name is that of a case.
        above: the directories that it was reached through, without links.
    """
    here = path.resolve()
    if here in above:  # two such links in one place would double the work at every level
        return {}, (f"{path} is a link to a directory above it, and was passed over; take it away",)
    if (path / INDEX).is_file() or (path / INDEX_TEXT).is_file():
        return _bin(path)
    tensors: dict[str, DumpTensor] = {}
    problems: list[str] = []
    for prefix, (found, faults) in _pieces(path, is_case=is_case, above=above | {here}):
        problems += faults
        for name, tensor in found.items():
            if prefix + name in tensors:
                problems.append(
                    f"{path}: {named(prefix + name)} stands in two files, and the first counts; keep one"
                )
            tensors.setdefault(prefix + name, tensor)
    return tensors, tuple(problems)


def _pieces(path: Path, *, is_case: bool, above: frozenset[Path]) -> Iterator[tuple[str, Found]]:
    """Go through what a directory holds: a prefix of names, and what was found."""
    try:
        entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        yield "", ({}, (f"{path} cannot be read ({error.strerror or error}); check its rights",))
        return
    golden = [entry for entry in entries if entry.name in TENSOR_FILES]
    if golden and (path / MANIFEST).is_file():
        yield from (("", _file(entry)) for entry in golden)
        return
    for entry in entries:
        if entry.is_dir():
            yield f"{entry.name}/", _directory(entry, is_case=True, above=above)
        elif entry.suffix == NPY:
            yield "", _file(entry)
        elif entry.suffix in FILES_OF_TENSORS:
            yield ("" if is_case else f"{entry.stem}/"), _file(entry)
