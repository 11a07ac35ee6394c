"""Section 00 - operations: the small functions and the precision that a run uses, as one value.

A composed function takes `ops` and calls `ops.linear`, never the function by its own name. So a kernel,
a mutant or a counting wrapper is put in by building another value; there is no global switch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qwen25vl.layers.activations import gelu, silu
from qwen25vl.layers.attention import attention
from qwen25vl.layers.linear import linear
from qwen25vl.layers.norm import rms_norm
from qwen25vl.layers.rotary import rotated
from qwen25vl.precision import FLOAT32, Precision

Array = np.ndarray


@dataclass(frozen=True)
class Ops:
    """What a composed function computes with. See each function of `layers` for its contract."""

    precision: Precision = FLOAT32
    linear: Callable[..., Array] = linear
    rms_norm: Callable[..., Array] = rms_norm
    rotated: Callable[..., Array] = rotated
    attention: Callable[..., Array] = attention
    silu: Callable[[Array], Array] = silu
    gelu: Callable[[Array], Array] = gelu


REFERENCE = Ops()
"""Plain NumPy in float32. `dataclasses.replace(REFERENCE, precision=FLOAT64)` is the oracle."""
