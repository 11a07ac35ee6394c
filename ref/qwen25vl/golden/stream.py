"""Section 15 - streaming: how is a safetensors file written while its tensors are still being computed?

The header stands first and names every tensor, so room for it is kept free: the format lets a header end in
spaces. Each tensor is written once and forgotten; memory does not grow with the file.
"""

import contextlib
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

TYPE_NAMES = {"float64": "F64", "float32": "F32", "int64": "I64", "uint8": "U8", "bool": "BOOL"}
"""The format's name of each NumPy type that goldens use."""

EXACT_TYPES = ("I64", "U8", "BOOL")
"""Types whose values a port must meet to the bit."""

HEADER_BYTES_PER_TENSOR = 320
"""Room kept for each tensor's line of the header: an id of 100 characters and 8 sides of 10 digits fit."""


@dataclass
class TensorWriter:
    """An open safetensors file. Leave it through `with`: the header is written at the end.

    Args:
        path: the file to write; the caller renames it when all is done.
        most: how many tensors may come.

    Spec: spec/15-golden-values.md (X7)
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
        try:
            self.file.write(self.room.to_bytes(8, "little") + b" " * self.room)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def add(self, name: str, array: np.ndarray) -> dict[str, Any]:
        """Write one tensor, row-major and little-endian, whatever the array's own layout.

        Returns:
            What a manifest says about it: file, type, shape, hash of the bytes, and statistics.

        Raises:
            ValueError: if the name was used before, or goldens do not use the type.
        """
        if name in self.header or array.dtype.name not in TYPE_NAMES:
            raise ValueError(f"need a new name and a type of {list(TYPE_NAMES)}, got {name!r} {array.dtype}")
        kind = TYPE_NAMES[array.dtype.name]
        flat = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(-1)
        content = flat.view(np.uint8).data  # the bytes, not a copy of them
        self.file.write(content)
        self.header[name] = {
            "dtype": kind,
            "shape": list(array.shape),
            "data_offsets": [self.end, self.end + content.nbytes],
        }
        self.end += content.nbytes
        return {
            "file": self.path.name,
            "dtype": kind,
            "shape": list(array.shape),
            "sha256": hashlib.sha256(content).hexdigest(),  # (X8)
            "exact": kind in EXACT_TYPES,
            **statistics(array),
        }

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the header into its room and close the file; after an error, close it only."""
        if error is not None:
            with contextlib.suppress(OSError):  # the error on its way says why
                self.file.close()
            return
        with self.file:
            text = json.dumps(self.header, separators=(",", ":")).encode()
            if len(text) > self.room:
                raise ValueError(
                    f"the header of {len(self.header)} tensors needs {len(text)} bytes, not {self.room}"
                )
            self.file.seek(8)
            self.file.write(text)


def statistics(array: np.ndarray) -> dict[str, float]:
    """Smallest, largest and mean value and root mean square, of the values that are finite.

    Returns:
        `min`, `max`, `mean`, `rms` (none of them if there is no finite value), and `nonfinite`, the number
        of infinities and NaN, where there are any.

    Spec: spec/15-golden-values.md (X9)
    """
    wide = array.astype(np.float64, copy=False)
    finite = wide[np.isfinite(wide)]
    found = {} if finite.size == wide.size else {"nonfinite": float(wide.size - finite.size)}
    if finite.size == 0:
        return found
    peak = max(float(np.max(np.abs(finite))), np.finfo(np.float64).tiny)
    unit = finite / peak  # at most 1, so that no sum overflows
    return {
        "min": float(finite.min()),
        "max": float(finite.max()),
        "mean": peak * float(unit.mean()),
        "rms": peak * float(np.sqrt(np.mean(np.square(unit)))),
        **found,
    }
