"""Section 15 - streaming: how is a safetensors file written while its tensors are still being computed?

The header stands first and names every tensor, so room for it is kept free: the format lets a header end in
spaces. Each tensor is written once and forgotten; memory does not grow with the file.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

TYPE_NAMES = {"float64": "F64", "float32": "F32", "int64": "I64", "uint8": "U8", "bool": "BOOL"}
"""The format's name of each NumPy type that goldens use."""

HEADER_BYTES_PER_TENSOR = 320
"""Room kept for each tensor's line of the header: ids are at most 40 characters long."""


@dataclass
class TensorWriter:
    """An open safetensors file. Leave it through `with`: the header is written at the end.

    Args:
        path: the file to write; the caller renames it when all is done.
        most: how many tensors may come.
    """

    path: Path
    most: int
    file: IO[bytes] = field(init=False, repr=False)
    header: dict[str, Any] = field(init=False, default_factory=dict)
    end: int = field(init=False, default=0)
    """Bytes of data so far."""

    def __enter__(self) -> "TensorWriter":
        """Open the file and leave room for the header."""
        self.room = (self.most + 1) * HEADER_BYTES_PER_TENSOR // 8 * 8
        self.file = self.path.open("wb")
        self.file.write(self.room.to_bytes(8, "little") + b" " * self.room)
        return self

    def add(self, name: str, array: np.ndarray) -> dict[str, Any]:
        """Write one tensor.

        Returns:
            What a manifest says about it: type, shape, hash of the bytes, and statistics.
        """
        data = np.ascontiguousarray(array)
        content = data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes()
        kind = TYPE_NAMES[data.dtype.name]
        self.header[name] = {
            "dtype": kind,
            "shape": list(array.shape),
            "data_offsets": [self.end, self.end + len(content)],
        }
        self.end += len(content)
        self.file.write(content)
        return {
            "file": self.path.name,
            "dtype": kind,
            "shape": list(array.shape),
            "sha256": hashlib.sha256(content).hexdigest(),
            "exact": kind in ("I64", "U8", "BOOL"),
            **statistics(array),
        }

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the header into its room and close the file."""
        text = json.dumps(self.header, separators=(",", ":")).encode()
        if len(text) > self.room:
            self.file.close()
            raise ValueError(f"the header of {len(self.header)} tensors needs {len(text)} bytes, not {self.room}")
        self.file.seek(8)
        self.file.write(text)
        self.file.close()


def statistics(array: np.ndarray) -> dict[str, float]:
    """Smallest, largest and mean value and root mean square, of a tensor that is not empty."""
    if array.size == 0:
        return {}
    wide = array.astype(np.float64)
    return {
        "min": float(wide.min()),
        "max": float(wide.max()),
        "mean": float(wide.mean()),
        "rms": float(np.sqrt(np.mean(np.square(wide)))),
    }
