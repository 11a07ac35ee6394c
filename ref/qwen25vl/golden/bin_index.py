"""Section 15 - the index of bare bytes: which array lies where, and can it be had?"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qwen25vl.errors import BadInput
from qwen25vl.golden.parts import PART_DTYPES
from qwen25vl.golden.read import check_schema_version
from qwen25vl.json_file import json_object
from qwen25vl.wording import named, shown

BIN_SCHEMA = "qwen25vl-bin"
"""What the index says it is."""

BIN_VERSION = "1.0.0"
"""Of the format; the major version is raised when an older reader would go wrong."""

BIN_READS = 1
"""The major version that is understood here."""

INDEX = "index.json"
"""The index, in JSON."""

INDEX_TEXT = "index.txt"
"""The index, in lines of words."""

BIN_DTYPES = {**PART_DTYPES, "U64": "<u8", "U32": "<u4", "U16": "<u2", "I16": "<i2", "I8": "|i1"}
"""Every dtype word, and how its bits are held; bfloat16 as the upper half of a float32."""

LARGEST_INDEX_BYTES = 100_000_000
"""A longer index is refused unread; a million tensors have one."""

MOST_BIN_SIDES = 32
"""A shape may have this many numbers."""

LARGEST_BIN_NUMBER = 2**53 - 1
"""Sides, offsets and counts of values beyond this are refused: no file is that long."""


@dataclass(frozen=True)
class BinTensor:
    """One line of an index: where an array lies."""

    name: str
    """Without white space."""
    file: str
    """Relative to the index, below its directory."""
    offset: int
    """Bytes of the file before the array."""
    dtype: str
    """A word of `BIN_DTYPES`."""
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * np.dtype(BIN_DTYPES[self.dtype]).itemsize

    def raw(self, directory: Path) -> np.ndarray:
        """Map the bits of the array, read-only; bfloat16 as uint16. The index was looked through by `read_bin`."""
        if self.nbytes == 0:
            return np.empty(self.shape, dtype=BIN_DTYPES[self.dtype])
        return np.asarray(
            np.memmap(
                directory / self.file,
                dtype=BIN_DTYPES[self.dtype],
                mode="r",
                offset=self.offset,
                shape=self.shape or (1,),
            )
        ).reshape(self.shape)


def index_line(tensor: BinTensor) -> str:
    """Return a tensor's line of `index.txt`."""
    sides = "".join(f" {side}" for side in tensor.shape)
    return f"{tensor.name} {tensor.dtype} {len(tensor.shape)}{sides} {tensor.offset} {tensor.file}\n"


def json_entries(path: Path) -> list[tuple[str, Any]]:
    """Return the entries of a JSON index, each with where it stands.

    Raises:
        BadInput: if it is no such index.
    """
    document = json_object(path, largest_bytes=LARGEST_INDEX_BYTES, remedy="write it again")
    if document.get("schema") != BIN_SCHEMA:
        raise BadInput(
            f"{path}: schema must be {shown(BIN_SCHEMA)}, got {shown(document.get('schema'))}; see the format"
        )
    check_schema_version(document.get("schema_version"), where=path, reads=BIN_READS)
    entries = document.get("tensors")
    if not isinstance(entries, list):
        raise BadInput(f"{path}: tensors must be a list, got {shown(entries)}; write one entry a tensor")
    known = BinTensor.__dataclass_fields__  # what a minor version adds is passed over
    return [
        (
            f"{path}: tensors[{i}]",
            {key: entry[key] for key in known if key in entry} if isinstance(entry, dict) else entry,
        )
        for i, entry in enumerate(entries)
    ]


def text_entries(directory: Path) -> list[tuple[str, Any]]:
    """Return the entries of an index of lines, as those of a JSON index; a line that is none becomes its words.

    Raises:
        BadInput: if there is no such file, or it is too long or not text.
    """
    path = directory / INDEX_TEXT
    try:
        if path.stat().st_size > LARGEST_INDEX_BYTES:
            raise BadInput(f"{path} is larger than {LARGEST_INDEX_BYTES} bytes, which no index is; write it again")
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise BadInput(f"{directory} has neither {INDEX} nor {INDEX_TEXT}; write one of them") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror or error}); check its rights") from None
    except UnicodeDecodeError:
        raise BadInput(
            f"{path} is not text in UTF-8; write a line a tensor, name dtype ndim s0 s1 ... offset file"
        ) from None
    return [(f"{path}: line {i}", _line_entry(line)) for i, line in enumerate(lines, start=1) if line.strip()]


def _line_entry(line: str) -> Any:
    """Return a line of `index.txt` as an entry; as its words, if it is not of that form."""
    words = line.split()
    if len(words) < 3 or not words[2].isdecimal() or len(words[2]) > 2 or len(words) != 5 + int(words[2]):
        return words
    numbers = [int(word) if word.isdecimal() and len(word) <= 16 else -1 for word in words[3:-1]]
    return {"name": words[0], "file": words[-1], "offset": numbers[-1], "dtype": words[1], "shape": numbers[:-1]}


def entry_fault(entry: Any) -> str:
    """Say why an entry cannot be one; nothing if it can."""
    match entry:
        case {"name": str(name), "file": str(), "offset": offset, "dtype": str(dtype), "shape": [*shape]}:
            pass
        case _:
            return (
                "need name, dtype, shape, offset and file (in a line: name dtype ndim s0 s1 ... offset file), got "
                f"{shown(entry)}"
            )
    if name.split() != [name]:
        return f"the name must be one word, got {shown(name)}"
    return array_fault(name, dtype, shape, offset)


def array_fault(name: str, dtype: str, shape: list[Any], offset: Any) -> str:
    """Say why there can be no such array, whatever the file holds; nothing if there can."""
    numbers = [*shape, offset]
    if dtype not in BIN_DTYPES:
        return f"{named(name)} has the dtype {shown(dtype)}; use one of {', '.join(BIN_DTYPES)}"
    if not all(type(number) is int and 0 <= number <= LARGEST_BIN_NUMBER for number in numbers):
        return f"{named(name)} needs sides and an offset that are whole numbers below 2**53, got {shown(numbers)}"
    if len(shape) > MOST_BIN_SIDES or math.prod(side or 1 for side in shape) > LARGEST_BIN_NUMBER:
        return f"{named(name)} has a shape that no file can hold, {shown(shape)}"
    return ""


def place_fault(tensor: BinTensor, directory: Path) -> str:
    """Say why the bytes of a tensor cannot be had; nothing if they can."""
    name, file = named(tensor.name), tensor.file
    if Path(file).is_absolute() or ".." in Path(file).parts or "\0" in file:
        return f"{name} lies in {shown(file)}; name a file in the directory of the index"
    try:
        size = (directory / file).stat().st_size if (directory / file).is_file() else None
    except OSError:  # a name that no file can have
        size = None
    if size is None:
        return f"{name} lies in {named(file)}, which is not there; write it too"
    end = tensor.offset + tensor.nbytes
    if tensor.nbytes and end > size:
        return (
            f"{name}, {tensor.dtype} of shape {list(tensor.shape)}, takes bytes {tensor.offset} to {end}, but "
            f"{named(file)} has {size}; it is cut short, or the shape is wrong"
        )
    return ""
