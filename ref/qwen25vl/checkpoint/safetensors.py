"""Section 01 - the safetensors format: which arrays lie in a file, and where?"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from qwen25vl.errors import BadInput

STORED_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""Every dtype that is read, and how its bits are held (little-endian). NumPy has no bfloat16."""

LENGTH_BYTES = 8
"""A file begins with the length of its header: an unsigned little-endian integer of this many bytes."""

LONGEST_HEADER_BYTES = 100_000_000
"""Longer headers are refused, as the safetensors library does: they are a sign of a file of another kind."""


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """One tensor of a file. Nothing of it is in memory until `widened` or `rows` reads it.

    `dtype` is the file's word (F64, F32, F16, BF16); `raw` is a read-only view of the memory-mapped file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    raw: np.ndarray

    def widened(self, dtype: np.dtype[np.floating]) -> Float[np.ndarray, "..."]:
        """The whole tensor as float32 or float64.

        Returns:  a read-only array of `shape`; it aliases the file when the file already holds that dtype.
        Raises:   ValueError: `dtype` is neither float32 nor float64.
        Rounding: (C16) none, but for F64 read as float32, which is rounded once, to nearest even.
        """
        return _widened(self.raw, self.dtype, dtype)

    def rows(
        self, ids: Integer[np.ndarray, "*ids"], dtype: np.dtype[np.floating]
    ) -> Float[np.ndarray, "*ids width"]:
        """Rows of a matrix, in the order of `ids`; only these are read and widened.

        Args:     ids: indices into the first axis, from 0; repeats are allowed, negative ones are not.
        Returns:  a new read-only array, one row for each id.
        Raises:   BadInput: an id outside the matrix. ValueError: not a matrix, or `dtype` as in `widened`.
        Spec:     spec/01-config-checkpoint.md (C17)
        """
        if len(self.shape) != 2:
            raise ValueError(f"rows need a matrix, but {self.name} has shape {list(self.shape)}")
        outside = ids[(ids < 0) | (ids >= self.shape[0])]  # (C17)
        if outside.size:
            raise BadInput(f"{self.name} has rows 0 to {self.shape[0] - 1}, but row {outside[0]} was asked for")
        return _widened(self.raw[ids], self.dtype, dtype)


def open_file(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file, by name, in the order of its header.

        file = length (8 bytes) | header (JSON, `length` bytes) | data

    The header maps a name to its `dtype`, `shape` and `data_offsets` [begin, end), counted from the start of
    the data. Every byte of the data belongs to exactly one tensor. The header alone is read here.

    Args:     path: a `.safetensors` file.
    Raises:   BadInput: the file is missing, cut, malformed, or holds a dtype that is not read; it is named.
    Source:   the safetensors format description, github.com/huggingface/safetensors, README
    Spec:     spec/01-config-checkpoint.md (C12, C13, C14, C15)
    """
    if not path.is_file():
        raise BadInput(f"{path} does not exist or is not a file")
    header, data_start = _header(path)
    entries = [_entry(path, name, entry) for name, entry in header.items() if name != "__metadata__"]
    _check_extents(path, entries, data_bytes=path.stat().st_size - data_start)
    data = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))[data_start:]  # (C12)
    return {
        name: StoredTensor(name, dtype, shape, data[begin:end].view(STORED_TYPES[dtype]).reshape(shape))
        for name, dtype, shape, begin, end in entries
    }


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header's JSON object, and the byte of the file at which the data starts. (C13)"""
    file_bytes = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(LENGTH_BYTES)
        if prefix == b"version ":
            raise BadInput(
                f"{path} is a Git LFS pointer, not the file that it stands for; download the file itself"
            )
        if len(prefix) < LENGTH_BYTES:
            raise BadInput(f"{path} has {file_bytes} bytes, too few for a safetensors file; download it again")
        length = int.from_bytes(prefix, "little")
        if length > min(file_bytes - LENGTH_BYTES, LONGEST_HEADER_BYTES):
            raise BadInput(
                f"{path} promises a header of {length} bytes but has {file_bytes} bytes in all; "
                "it is cut short, or not a safetensors file"
            )
        text = file.read(length)
    try:
        header = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} has a malformed header ({error}); download it again") from None
    if not isinstance(header, dict):
        raise BadInput(f"{path} has a malformed header (not a JSON object); download it again")
    return header, LENGTH_BYTES + length


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, refused if it has a key twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands there twice")
    return found


def _entry(path: Path, name: str, entry: Any) -> tuple[str, str, tuple[int, ...], int, int]:
    """Name, dtype, shape, begin and end of one tensor, its size checked."""
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [begin, end]} if all(
            type(number) is int and number >= 0 for number in (*shape, begin, end)
        ):
            pass
        case _:
            raise BadInput(f"{path}: the header's entry of {name} must hold a dtype, a shape and two data_offsets")
    if dtype not in STORED_TYPES:  # (C15)
        raise BadInput(
            f"{path}: {name} is stored as {dtype}; only {', '.join(STORED_TYPES)} are read, and quantised "
            "checkpoints are not supported"
        )
    want_bytes = math.prod(shape) * np.dtype(STORED_TYPES[dtype]).itemsize
    if end - begin != want_bytes:  # (C14)
        raise BadInput(
            f"{path}: {name}, {dtype} of shape {shape}, takes {want_bytes} bytes, but its data_offsets "
            f"[{begin}, {end}] span {end - begin}"
        )
    return name, dtype, tuple(shape), begin, end


def _check_extents(
    path: Path, entries: list[tuple[str, str, tuple[int, ...], int, int]], *, data_bytes: int
) -> None:
    """Refuse tensors that overlap, leave a gap, or do not end where the file does. (C14)"""
    covered = 0
    for name, _, _, begin, end in sorted(entries, key=lambda entry: entry[3:]):
        if begin != covered:
            fault = "overlaps the tensor before it" if begin < covered else "leaves a gap before it"
            raise BadInput(f"{path}: {name} begins at byte {begin} of the data, not at {covered}: it {fault}")
        covered = end
    if covered != data_bytes:
        fault = "it is cut short; download it again" if covered > data_bytes else "bytes are left over at its end"
        raise BadInput(f"{path} has {data_bytes} bytes of data, but its tensors take {covered}: {fault}")


def _widened(raw: np.ndarray, stored: str, dtype: np.dtype[np.floating]) -> np.ndarray:
    """`raw` bits of the type `stored`, as float32 or float64. (C16)"""
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"tensors are read as float32 or float64, not as {dtype}")
    if stored == "BF16":  # the upper half of a float32
        raw = np.left_shift(raw, 16, dtype=np.uint32).view(np.float32)
    with np.errstate(all="ignore"):  # NaN, infinity and F64 beyond float32 pass through as the casts define
        wide = raw.astype(dtype, copy=False).view()
    wide.flags.writeable = False
    return wide
