"""Section 15 - tensors of a dump: what is known of an array before it is read, and how is it read?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qwen25vl.golden.bin_index import BIN_DTYPES
from qwen25vl.golden.parts import widened

WORDS = {np.dtype(held).newbyteorder("="): word for word, held in BIN_DTYPES.items() if word != "BF16"}
"""The word of each NumPy type. NumPy has no bfloat16."""

BFLOAT16_BYTES = np.dtype("V2")
"""What NumPy makes of bfloat16 arrays of other libraries when it saves them: two bytes without a meaning."""


@dataclass(frozen=True)
class DumpTensor:
    """One array of a dump. Nothing of it is in memory."""

    dtype: str
    """F64, F32, F16, BF16, I64, ... BOOL."""
    shape: tuple[int, ...]
    load: Callable[[], np.ndarray]
    """Reads its bits; bfloat16 as two bytes a value. May raise what a damaged file makes it raise."""

    def values(self) -> np.ndarray:
        """Read the array, in the machine's byte order; bfloat16 and float16 widened to float32, which is exact."""
        raw = self.load().reshape(self.shape)
        if self.dtype == "BF16":
            raw = raw.view("<u2")
        raw = widened(raw, self.dtype)
        native = raw.astype(raw.dtype.newbyteorder("="), copy=False)
        return np.require(native, requirements="A")  # a foreign file may hold it at an odd place


def dtype_word(dtype: np.dtype[np.generic]) -> str | None:
    """Return the word of a NumPy type; None if dumps cannot hold it: texts, objects, records, complex numbers."""
    if dtype.newbyteorder("=") == BFLOAT16_BYTES:
        return "BF16"
    return WORDS.get(dtype.newbyteorder("="))
