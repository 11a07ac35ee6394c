"""Section 00 - operations: the small functions and the precision that a run uses, as one value.

A composed function takes `ops` and calls `ops.linear`, never the function by its own name. So a kernel,
a mutant or a counting wrapper is put in by building another value; there is no global switch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from qwen25vl.layers.activations import gelu, log_probabilities, silu
from qwen25vl.layers.arithmetic import added, multiplied
from qwen25vl.layers.attention import attention
from qwen25vl.layers.linear import linear
from qwen25vl.layers.norm import rms_norm
from qwen25vl.layers.rotary import rotated
from qwen25vl.precision import FLOAT32, Precision

Array = np.ndarray


@dataclass(frozen=True)
class Ops:
    """What a composed function computes with. See each function of `layers` for its contract.

    `reference_ops` makes one whose functions round as its precision does; left out, a function rounds nothing.
    """

    precision: Precision = FLOAT32
    linear: Callable[..., Array] = linear
    rms_norm: Callable[..., Array] = rms_norm
    rotated: Callable[..., Array] = rotated
    """The vision encoder's: rounded once."""
    rotated_in_steps: Callable[..., Array] = rotated
    """The decoder's: its products are rounded, too."""
    attention: Callable[..., Array] = attention
    silu: Callable[[Array], Array] = silu
    gelu: Callable[[Array], Array] = gelu
    added: Callable[[Array, Array], Array] = added
    multiplied: Callable[[Array, Array], Array] = multiplied
    cos: Callable[[Array], Array] = np.cos
    sin: Callable[[Array], Array] = np.sin
    log_probabilities: Callable[[Array], Array] = log_probabilities


REFERENCE = Ops()
"""Plain NumPy in float32."""


def reference_ops(precision: Precision) -> Ops:
    """Give plain NumPy a precision: each function rounds its results as the precision does.

    Spec: spec/00-notation.md (N15, N27)
    """
    overflowing = np.errstate(over=precision.on_overflow, invalid=precision.on_overflow)  # (N27)

    def bound(function: Callable[..., Array], **settings: Any) -> Callable[..., Array]:
        return overflowing(partial(function, rounded=precision.rounded, **settings))  # (N15)

    return Ops(
        precision=precision,
        linear=bound(linear),
        rms_norm=bound(rms_norm),
        rotated=bound(rotated),
        rotated_in_steps=bound(rotated, rounded_products=precision.rounded),
        attention=bound(attention, hidden_score=precision.hidden_score),
        silu=bound(silu),
        gelu=bound(gelu),
        added=bound(added),
        multiplied=bound(multiplied),
    )
