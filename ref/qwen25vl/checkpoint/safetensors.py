"""Section 01 - the safetensors format: which arrays lie in a file, and where?"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from qwen25vl.checkpoint.safetensors_header import safetensors_header
from qwen25vl.errors import BadInput
from qwen25vl.rounding import widened_bfloat16
from qwen25vl.wording import named

STORED_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""Every dtype that is read, and how its bits are held (little-endian). NumPy has no bfloat16."""

INFINITY_BITS = {"F64": 0x7FF0_0000_0000_0000, "F32": 0x7F80_0000, "F16": 0x7C00, "BF16": 0x7F80}
"""The bits of plus infinity, read as an integer: from here on, the sign set aside, a value is infinite or NaN."""

LARGEST_OFFSET = 2**53 - 1
"""Sides and offsets beyond this are refused: no file is that long, and JSON readers lose their last digits."""

MOST_SIDES = 8
"""A shape may have this many numbers; the model's longest have 5."""

VALUES_AT_ONCE = 1 << 20
"""Values that are widened at a time where only a few of them are wanted."""

LONGEST_HEADER_BYTES = 10_000_000
"""Longer headers are refused unread. The 72B has 1353 tensors; in one file their header would take 200 kB."""


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """One tensor of a file. Nothing of it is in memory until `widened` or `rows` reads it.

    `dtype` is the file's word (F64, F32, F16, BF16); `raw` is a read-only view of the memory-mapped file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    raw: np.ndarray
    allow_nan: bool = True
    """False: what is read is looked at, and an infinity or a NaN in it is refused. `open_checkpoint` sets it."""

    def widened(self, dtype: np.dtype[np.floating]) -> Float[np.ndarray, "..."]:
        """The whole tensor as float32 or float64.

        Returns:  a read-only array of `shape`; it aliases the file when the file already holds that dtype.
        Raises:   BadInput: a value is infinite or NaN, unless these are allowed (C28).
                  ValueError: `dtype` is neither float32 nor float64.
        Rounding: (C16) none, but for F64 read as float32, which is rounded once, to nearest even.
        """
        if not self.allow_nan and _has_nonfinite(self.raw, self.dtype):  # (C28)
            raise BadInput(_nonfinite_sentence(self.raw, self.dtype, name=self.name))
        return _widened(self.raw, self.dtype, dtype)

    def rows(
        self, ids: Integer[np.ndarray, "*ids"], dtype: np.dtype[np.floating]
    ) -> Float[np.ndarray, "*ids width"]:
        """Rows of a matrix, in the order of `ids`; only these are read and widened.

        Args:     ids: indices into the first axis, from 0; repeats are allowed, negative ones are not.
        Returns:  a new read-only array, one row for each id.
        Raises:   BadInput: an id outside the matrix, or a value in these rows as in `widened`.
                  ValueError: not a matrix, or `dtype` as in `widened`.
        Spec:     spec/01-config-checkpoint.md (C17, C28)
        """
        if len(self.shape) != 2:
            raise ValueError(f"rows need a matrix, but {self.name} has shape {list(self.shape)}")
        outside = ids[(ids < 0) | (ids >= self.shape[0])]  # (C17)
        if outside.size:
            raise BadInput(f"{self.name} has rows 0 to {self.shape[0] - 1}, but row {outside[0]} was asked for")
        rows = self.raw[ids]
        if not self.allow_nan and _has_nonfinite(rows, self.dtype):  # (C28)
            bad = next(i for i in ids.ravel().tolist() if _has_nonfinite(self.raw[i], self.dtype))
            raise BadInput(_nonfinite_sentence(self.raw[bad], self.dtype, name=f"row {bad} of {self.name}"))
        return _widened(rows, self.dtype, dtype)


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
        raise BadInput(f"{path} does not exist or is not a file; check the path")
    try:
        return _opened(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror or error}); check it and its rights") from error


def _opened(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a file that exists."""
    header, data_start = safetensors_header(
        path, longest_bytes=LONGEST_HEADER_BYTES, remedy="download it again"
    )  # (C13)
    entries = [_entry(path, name, entry) for name, entry in header.items() if name != "__metadata__"]
    _check_extents(path, entries, data_bytes=path.stat().st_size - data_start)
    data = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))[data_start:]  # (C12)
    return {
        name: StoredTensor(name, dtype, shape, data[begin:end].view(STORED_TYPES[dtype]).reshape(shape))
        for name, dtype, shape, begin, end in entries
    }


def _entry(path: Path, name: str, entry: Any) -> tuple[str, str, tuple[int, ...], int, int]:
    """Name, dtype, shape, begin and end of one tensor, its size checked."""
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [begin, end]} if _are_sizes(
            shape, begin, end
        ):
            pass
        case _:
            raise BadInput(
                f"{path}: the header's entry of {named(name)} must hold a dtype, a shape of at most {MOST_SIDES} "
                "sides and two data_offsets, all of them whole numbers below 2**53; download it again"
            )
    if dtype not in STORED_TYPES:  # (C15)
        raise BadInput(
            f"{path}: {named(name)} is stored as {named(dtype)}; only {', '.join(STORED_TYPES)} are read, and "
            "quantised checkpoints are not supported; take the unquantised release"
        )
    want_bytes = math.prod(shape) * np.dtype(STORED_TYPES[dtype]).itemsize
    if end - begin != want_bytes:  # (C14)
        raise BadInput(
            f"{path}: {named(name)}, {dtype} of shape {shape}, takes {want_bytes} bytes, but its data_offsets "
            f"[{begin}, {end}] span {end - begin}; download it again"
        )
    return name, dtype, tuple(shape), begin, end


def _are_sizes(shape: list[Any], begin: Any, end: Any) -> bool:
    """Whether these are a shape and two offsets that NumPy and other readers can hold; (C29)."""
    sizes = (*shape, begin, end)
    if len(shape) > MOST_SIDES or not all(type(size) is int and 0 <= size <= LARGEST_OFFSET for size in sizes):
        return False
    return math.prod(side or 1 for side in shape) <= LARGEST_OFFSET  # an empty tensor's other sides count too


def _check_extents(
    path: Path, entries: list[tuple[str, str, tuple[int, ...], int, int]], *, data_bytes: int
) -> None:
    """Refuse tensors that overlap, leave a gap, or do not end where the file does. (C14)"""
    covered = 0
    for name, _, _, begin, end in sorted(entries, key=lambda entry: entry[3:]):
        if begin != covered:
            fault = "overlaps the tensor before it" if begin < covered else "leaves a gap before it"
            raise BadInput(
                f"{path}: {named(name)} begins at byte {begin} of the data, not at {covered}: it {fault}; "
                "download it again"
            )
        covered = end
    if covered != data_bytes:
        fault = "it is cut short" if covered > data_bytes else "bytes are left over at its end"
        raise BadInput(
            f"{path} has {data_bytes} bytes of data, but its tensors take {covered}: {fault}; download it again"
        )


def _has_nonfinite(raw: np.ndarray, stored: str) -> bool:
    """Whether a value is infinite or NaN: the largest of the positive patterns, and of the negative ones, says it.

    Measured on a matrix of the 3B, 11008 x 2048 in BF16: 3.6 ms, where widening it takes 33 ms.
    """
    if raw.size == 0:
        return False
    infinity, sign = INFINITY_BITS[stored], 1 << (8 * raw.itemsize - 1)
    largest = raw.view(f"<i{raw.itemsize}").max()  # read as signed, negative values are below all others
    return bool(largest >= infinity or raw.view(f"<u{raw.itemsize}").max() >= sign + infinity)


def _nonfinite_sentence(raw: np.ndarray, stored: str, *, name: str) -> str:
    """Which values are infinite or NaN, and what can be done. (C28)"""
    flat = raw.reshape(-1)
    parts = range(0, flat.size, VALUES_AT_ONCE)
    bad = [~np.isfinite(_widened(flat[at : at + VALUES_AT_ONCE], stored, np.dtype(np.float64))) for at in parts]
    places = np.flatnonzero(np.concatenate(bad))
    first = [int(i) for i in np.unravel_index(places[0], raw.shape)]
    value = _widened(flat[places[:1]], stored, np.dtype(np.float64))[0]
    return (
        f"{name} holds {len(places)} of {flat.size} values that are infinite or NaN, the first, {value}, at "
        f"{first}; the file is damaged or its training failed: take another, or let them pass with allow_nan=True "
        "(--allow-nan)"
    )


def _widened(raw: np.ndarray, stored: str, dtype: np.dtype[np.floating]) -> np.ndarray:
    """`raw` bits of the type `stored`, as float32 or float64. (C16)"""
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"tensors are read as float32 or float64, not as {dtype}")
    if stored == "BF16":
        raw = widened_bfloat16(raw)
    with np.errstate(all="ignore"):  # NaN, infinity and F64 beyond float32 pass through as the casts define
        wide = raw.astype(dtype, copy=False).view()
    wide.flags.writeable = False
    return wide
