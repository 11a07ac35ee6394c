"""Section 15 - parts: how are the arrays of a golden read back?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qwen25vl.checkpoint.safetensors_header import safetensors_header
from qwen25vl.errors import BadInput
from qwen25vl.rounding import widened_bfloat16

PART_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "U8": "|u1",
    "BOOL": "|b1",
}
"""Types of a part, and how its bits are held."""

LONGEST_HEADER_BYTES = 100_000_000
"""Longer headers of goldens and dumps are refused unread; a file of a million tensors has one."""


@dataclass(frozen=True, eq=False)
class GoldenParts(Mapping[str, np.ndarray]):
    """The arrays of one golden by their ids, memory-mapped: what is not looked at is not read."""

    directory: Path
    entries: Mapping[str, dict[str, Any]]
    """The manifest's entries by id."""
    offsets: Mapping[str, int]
    """Where each part's bytes begin in its file."""

    def __getitem__(self, part_id: str) -> np.ndarray:
        """Return a part, read-only; bfloat16 and float16 widened to float32."""
        entry = self.entries[part_id]
        shape, kind = tuple(entry["shape"]), entry["dtype"]
        if 0 in shape:
            return np.empty(shape, dtype=PART_DTYPES[kind])
        raw = np.memmap(
            self.directory / entry["file"],
            dtype=PART_DTYPES[kind],
            mode="r",
            offset=self.offsets[part_id],
            shape=shape,
        )
        return widened(raw, kind)

    def __iter__(self) -> Iterator[str]:
        """Go through the ids in the manifest's order."""
        return iter(self.entries)

    def __len__(self) -> int:
        """Count the parts."""
        return len(self.entries)


def golden_parts(directory: Path, manifest: Mapping[str, Any]) -> GoldenParts:
    """Open the arrays of a golden.

    Args:
        directory: of the golden.
        manifest: its manifest, as `read_manifest` gives it.

    Raises:
        BadInput: if a file does not hold what the manifest says.

    Spec: spec/15-golden-values.md (X7)
    """
    entries = {part["id"]: part for part in manifest["parts"]}
    headers = {
        name: safetensors_header(
            directory / name, longest_bytes=LONGEST_HEADER_BYTES, remedy="write the golden again"
        )
        for name in {part["file"] for part in manifest["parts"]}
    }
    offsets = {}
    for part_id, part in entries.items():
        stored, start = headers[part["file"]]
        found = stored.get(part_id)
        if (
            not isinstance(found, dict)
            or found.get("dtype") != part["dtype"]
            or found.get("shape") != part["shape"]
        ):
            raise BadInput(
                f"{directory / part['file']} does not hold {part_id} as {part['dtype']} {part['shape']}, as its "
                "manifest says; write the golden again"
            )
        offsets[part_id] = start + int(found["data_offsets"][0])
    return GoldenParts(directory=directory, entries=entries, offsets=offsets)


def widened(bits: np.ndarray, dtype: str) -> np.ndarray:
    """Return the numbers of a part from its bits; bfloat16 and float16 widened to float32, which is exact."""
    if dtype == "BF16":
        return widened_bfloat16(bits)
    if dtype == "F16":
        with np.errstate(all="ignore"):  # a signalling NaN becomes a quiet one
            return bits.astype(np.float32)
    return bits
