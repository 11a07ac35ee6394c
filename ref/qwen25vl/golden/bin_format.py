"""Section 15 - bare bytes: how do arrays lie in a file that a program of 30 lines can read, and write?

    DIR/index.json   {"schema": "qwen25vl-bin", "schema_version": "1.0.0", "tensors": [
                      {"name": ..., "file": ..., "offset": ..., "dtype": ..., "shape": [...]}, ...]}
    DIR/index.txt    the same in lines, one a tensor: name dtype ndim s0 s1 ... offset file
    DIR/data.bin     the numbers: little-endian, row-major, each tensor from a multiple of 8 bytes on

One index is enough to be read; `index.json` counts if there are both.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import IO

import numpy as np

from qwen25vl.golden.bin_index import (
    BIN_DTYPES,
    BIN_SCHEMA,
    BIN_VERSION,
    INDEX,
    INDEX_TEXT,
    BinTensor,
    entry_fault,
    index_line,
    json_entries,
    place_fault,
    text_entries,
)
from qwen25vl.wording import named

DATA = "data.bin"
"""The one file of numbers that is written; a foreign index may name several."""

ALIGNED_BYTES = 8
"""Each tensor is written from a multiple of this on: a C program may point into the file."""


def write_bin(directory: Path, tensors: Iterable[tuple[str, str, np.ndarray]]) -> None:
    """Write arrays as bare bytes, with both indices; each array is forgotten when it is written.

    Args:
        directory: it exists; what is there under the three names is replaced.
        tensors: name, dtype word, array. An array of BF16 or F16 may be widened to float32, or be the raw bits
            (uint16) or float16.

    Raises:
        ValueError: for a name that is empty, holds white space or stands there twice; an unknown dtype; an array
            that does not have the dtype, or does not fit into it without rounding.
        OSError: if it cannot be written.

    Spec: spec/15-golden-values.md (X23)
    """
    index: dict[str, BinTensor] = {}
    with (directory / DATA).open("wb") as file:
        for name, dtype, array in tensors:
            if name.split() != [name] or name in index:
                raise ValueError(f"need a new name without white space, got {name!r}")
            stored = stored_bits(array, dtype)
            index[name] = BinTensor(name, DATA, _aligned(file), dtype, array.shape)
            file.write(stored.reshape(-1).view(np.uint8).data)
    lines = [index_line(tensor) for tensor in index.values()]
    (directory / INDEX_TEXT).write_text("".join(lines), encoding="utf-8", newline="\n")
    listed = {
        "schema": BIN_SCHEMA,
        "schema_version": BIN_VERSION,
        "tensors": [asdict(tensor) for tensor in index.values()],
    }
    text = json.dumps(listed, indent=1) + "\n"
    (directory / INDEX).write_text(text, encoding="ascii", newline="\n")


def stored_bits(array: np.ndarray, dtype: str) -> np.ndarray:
    """Return an array as its bits are stored, row-major and little-endian; aliases it where it is that already.

    Raises:
        ValueError: if the dtype word is unknown, or the array does not fit into it without rounding.
    """
    if dtype not in BIN_DTYPES:
        raise ValueError(f"need a dtype of {list(BIN_DTYPES)}, got {dtype!r}")
    held = np.dtype(BIN_DTYPES[dtype])
    if array.dtype == np.float32 and dtype == "BF16":
        bits = np.ascontiguousarray(array, dtype="<f4").view("<u4")
        if np.any(bits & 0xFFFF):
            raise ValueError("need numbers of bfloat16, got float32 numbers between them")
        return (bits >> 16).astype(held)
    if array.dtype == np.float32 and dtype == "F16":
        with np.errstate(all="ignore"):  # a number beyond float16 is told below
            half = np.ascontiguousarray(array, dtype=held)
        if not np.array_equal(half.astype(np.float32), array, equal_nan=True):
            raise ValueError("need numbers of float16, got float32 numbers between them")
        return half
    if array.dtype.newbyteorder("=") != held.newbyteorder("="):
        raise ValueError(f"need an array of {dtype}, got {array.dtype}")
    return np.ascontiguousarray(array, dtype=held)


def _aligned(file: IO[bytes]) -> int:
    """Fill a file up to where the next array may begin, and return the place."""
    file.write(b"\0" * (-file.tell() % ALIGNED_BYTES))
    return file.tell()


def read_bin(directory: Path) -> tuple[tuple[BinTensor, ...], tuple[str, ...]]:
    """Read the index of a directory; the numbers are not read.

    Returns:
        The tensors that are whole, in the order of the index; and a sentence about each entry that cannot be used:
        it is malformed, has the name of another, or its file is missing or too short.

    Raises:
        BadInput: if there is no index, or it cannot be read as one.

    Spec: spec/15-golden-values.md (X23)
    """
    entries = json_entries(directory / INDEX) if (directory / INDEX).is_file() else text_entries(directory)
    found: dict[str, BinTensor] = {}
    problems: list[str] = []
    for where, entry in entries:
        fault = entry_fault(entry)
        if not fault:
            tensor = BinTensor(**{**entry, "shape": tuple(entry["shape"])})
            fault = place_fault(tensor, directory)
            if tensor.name in found:
                fault = (
                    f"the name {named(tensor.name)} stands there twice, and the first counts; give each its own"
                )
        if fault:
            problems.append(f"{where}: {fault}")
        else:
            found[tensor.name] = tensor
    return tuple(found.values()), tuple(problems)
