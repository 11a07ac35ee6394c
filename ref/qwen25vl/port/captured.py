"""Section 15 - captured taps: what did another implementation compute, and in which type does it lie in a file?"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qwen25vl.errors import BadInput

NARROW = ("bfloat16", "float16")
"""Types whose values are held as float32."""

TYPES: Mapping[str, tuple[str, np.dtype[Any]]] = {
    "bfloat16": ("BF16", np.dtype("<u2")),
    "float16": ("F16", np.dtype("<f2")),
    "float32": ("F32", np.dtype("<f4")),
    "float64": ("F64", np.dtype("<f8")),
    "int64": ("I64", np.dtype("<i8")),
}
"""Names of types in a safetensors file, and how their values are laid down."""


@dataclass(frozen=True, eq=False)
class Captured(Mapping[str, np.ndarray]):
    """Taps by id, in the order of the data."""

    arrays: Mapping[str, np.ndarray]
    dtypes: Mapping[str, str]
    """The type in which the model computed each: `bfloat16`, `float32`, `int64` ..."""

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a tap by its id."""
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the ids."""
        return iter(self.arrays)

    def __len__(self) -> int:
        """Count the taps."""
        return len(self.arrays)


def save_capture(path: Path, captured: Captured) -> None:
    """Write taps to a safetensors file, each in the type in which the model computed it.

    Raises:
        BadInput: if the file cannot be written.
    """
    header: dict[str, dict[str, Any]] = {}
    end = 0
    for name, array in captured.items():
        start, end = end, end + array.size * TYPES[captured.dtypes[name]][1].itemsize
        kind = TYPES[captured.dtypes[name]][0]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    try:
        with path.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name, array in captured.items():
                file.write(_stored(array, captured.dtypes[name]))
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); give the path of a file") from None


def _stored(array: np.ndarray, dtype: str) -> bytes:
    """Return the bytes of an array in its type."""
    if dtype == "bfloat16":  # the upper half of a float32
        array = np.ascontiguousarray(array).view(np.uint32) >> 16
    return array.astype(TYPES[dtype][1]).tobytes()
