"""Section 15 - precision of a dump: in which format did a port compute, as its numbers show?

What a dump is stored in says little: many a port widens bfloat16 to float32 before it saves. Numbers that were
rounded to a format lie on its grid.
"""

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from qwen25vl.port.dump_tensor import DumpTensor
from qwen25vl.precision import BFLOAT16, FLOAT16, FLOAT32, FLOAT64
from qwen25vl.rounding import to_bfloat16, to_float16

BY_WORD = {"BF16": BFLOAT16.name, "F16": FLOAT16.name, "F32": FLOAT32.name, "F64": FLOAT64.name}
"""The format that each dtype stands for, unless the numbers show a coarser one."""

HOLDS = (
    (BFLOAT16.name, (BFLOAT16.name,)),
    (FLOAT16.name, (FLOAT16.name,)),
    (FLOAT32.name, (FLOAT32.name, BFLOAT16.name, FLOAT16.name)),
    (FLOAT64.name, (FLOAT64.name, FLOAT32.name, BFLOAT16.name, FLOAT16.name)),
)
"""Each format, and the formats whose numbers it holds; the coarsest first."""

COARSER: dict[str, tuple[tuple[str, int], ...]] = {
    FLOAT32.name: ((BFLOAT16.name, 8), (FLOAT16.name, 11)),
    FLOAT64.name: ((BFLOAT16.name, 8), (FLOAT16.name, 11), (FLOAT32.name, 24)),
}
"""Formats whose numbers another may hold, and their significant bits."""

FEWEST_VALUES = 16
"""So many values that are not 0 tell a format. Chance puts a float32 number on bfloat16's grid once in 65,536."""

LEAST_SHARE_OF_LAST_BITS = 0.25
"""Of rounded numbers half have 1 as their last bit. Of small whole numbers, or of 1, 0.5 and 0, few or none have:
they lie on every grid and tell nothing."""

LOOKED_AT = 1 << 16
"""Values that are looked at first; only where all of them lie on a coarser grid, the others are."""

MOST_TENSORS = 200
"""So many tensors are asked, evenly spread over the dump."""


def port_precision(tensors: Iterable[DumpTensor]) -> str:
    """Say in which format a port computed: the coarsest that holds most of the tensors of fractions.

    Args:
        tensors: of the port's results. Whole numbers are passed over; so is a tensor that cannot be read.

    Returns:
        A name of `PRECISIONS`; `float64`, the strictest, if no tensor tells anything.
    """
    asked = [tensor for tensor in tensors if tensor.dtype in BY_WORD and np.prod(tensor.shape) > 0]
    chosen = {i * len(asked) // MOST_TENSORS for i in range(MOST_TENSORS)} if len(asked) > MOST_TENSORS else None
    votes: Counter[str] = Counter()
    by_word: Counter[str] = Counter()
    for i, tensor in enumerate(asked):
        if chosen is None or i in chosen:
            votes.update(_format_of(tensor))
            by_word[BY_WORD[tensor.dtype]] += 1
    votes = votes or by_word
    for name, held in HOLDS:
        if 2 * sum(votes[other] for other in held) > sum(votes.values()):
            return name
    return FLOAT64.name


def _format_of(tensor: DumpTensor) -> tuple[str, ...]:
    """Return the format of a tensor's numbers; nothing if they tell none, or cannot be read."""
    stored = BY_WORD[tensor.dtype]
    if stored not in COARSER:
        return (stored,)
    try:
        flat = tensor.values().reshape(-1)
    except Exception:  # whoever needs the tensor is told what is wrong with it
        return ()
    for name, bits in COARSER[stored]:
        if _lies_on(flat[:LOOKED_AT], name) and all(
            _lies_on(flat[at : at + LOOKED_AT], name) for at in range(LOOKED_AT, flat.size, LOOKED_AT)
        ):
            return (name,) if _tells(flat[:LOOKED_AT], bits) else ()
    return (stored,)


def _lies_on(values: np.ndarray, name: str) -> bool:
    """Whether every number is one of a format; infinity and NaN are numbers of all."""
    with np.errstate(all="ignore"):  # what is beyond the format becomes infinite, and differs
        narrow = values.astype(np.float32)
        rounded = ROUNDED[name](narrow)
    return np.array_equal(rounded.astype(values.dtype), values, equal_nan=True)


def _tells(values: np.ndarray, bits: int) -> bool:
    """Whether enough numbers use the last of a format's significant bits."""
    fractions, _ = np.frexp(values[np.isfinite(values) & (values != 0)].astype(np.float64))
    odd = np.mod(np.abs(fractions) * 2.0**bits, 2.0) == 1.0
    return bool(odd.size >= FEWEST_VALUES and odd.mean() >= LEAST_SHARE_OF_LAST_BITS)


def _as_float32(values: np.ndarray) -> np.ndarray:
    """Return float32 as it is."""
    return values


ROUNDED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    BFLOAT16.name: to_bfloat16,
    FLOAT16.name: to_float16,
    FLOAT32.name: _as_float32,
}
"""What rounds float32 numbers to each of the coarser formats."""
