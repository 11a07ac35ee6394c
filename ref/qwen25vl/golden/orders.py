"""Section 15 - orders: in which other ways may a correct port add up and round?

A port is held against the float64 truth, and may be as far off as rounding makes it. How far that is gets
measured: by runs of the reference that add up in other orders, and that round fewer results.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.ops import Ops, reference_ops
from qwen25vl.precision import FLOAT64, Precision
from qwen25vl.rounding import as_it_is

ORDERS = ("given", "reversed", "pieces", "fused")
"""`given`: as the reference does. `reversed`: every sum from its last term to its first. `pieces`: sums over
pieces of `PIECE` terms, one added to the next, as a plain loop or a narrow tile does. `fused`: each function
without rounding inside, and its result rounded once, as kernels do that keep their insides in registers."""

PIECE = 8
"""Terms of a piece: as many float32 numbers as a register of 256 bits holds."""


def ordered_ops(precision: Precision, order: str) -> Ops:
    """Make the functions of a precision that add up in one of the `ORDERS`.

    Spec: spec/15-golden-values.md (X24)
    """
    plain = reference_ops(precision)
    if order == "given":
        return plain
    if order == "reversed":
        return replace(plain, **_reversed(plain))
    if order == "pieces":
        return replace(plain, linear=_in_pieces(precision, plain))
    if order == "fused":
        return replace(plain, **_fused(precision))
    raise ValueError(f"need an order of {ORDERS}, got {order!r}")


def _reversed(plain: Ops) -> dict[str, Any]:
    """Give every sum its terms from the last to the first: the same functions on turned arrays."""

    def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
        return plain.linear(x[:, ::-1], weight[:, ::-1], bias)

    def rms_norm(x: np.ndarray, weight: np.ndarray, *, eps: float) -> np.ndarray:
        return plain.rms_norm(x[:, ::-1], weight[::-1], eps=eps)[:, ::-1]

    def attention(
        q: np.ndarray,
        k: np.ndarray,
        v: np.ndarray,
        *,
        allowed: np.ndarray | None = None,
        probs: np.ndarray | None = None,
    ) -> np.ndarray:
        return plain.attention(
            q[..., ::-1],
            k[::-1, :, ::-1],
            v[::-1, :, ::-1],
            allowed=None if allowed is None else allowed[:, ::-1],
            probs=None if probs is None else probs[:, :, ::-1],
        )[..., ::-1]

    return {"linear": linear, "rms_norm": rms_norm, "attention": attention}


def _in_pieces(precision: Precision, plain: Ops) -> Callable[..., np.ndarray]:
    """Add up piece by piece."""

    def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
        total = np.zeros((len(x), len(weight)), dtype=x.dtype)
        with np.errstate(over=precision.on_overflow, invalid=precision.on_overflow):
            for first in range(0, x.shape[1], PIECE):
                piece = slice(first, first + PIECE)
                total += x[:, piece] @ weight[:, piece].T
            return precision.rounded(total if bias is None else total + bias)

    return linear


def _fused(precision: Precision) -> dict[str, Any]:
    """Compute each function in float64 and round its result once; `silu` goes into the product unrounded."""
    wide = reference_ops(replace(FLOAT64, hidden_score=precision.hidden_score, on_overflow=precision.on_overflow))

    def fused(name: str, *, held: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
        function = getattr(wide, name)

        def computed(*arrays: np.ndarray | None, probs: np.ndarray | None = None, **settings: Any) -> np.ndarray:
            if probs is not None:
                settings["probs"] = np.empty(probs.shape, dtype=np.float64)
            result = function(*[None if a is None else a.astype(np.float64) for a in arrays], **settings)
            if probs is not None:
                probs[:] = held(settings["probs"])
            return held(result)

        return computed

    names = ("linear", "rms_norm", "rotated", "rotated_in_steps", "attention", "gelu", "added", "multiplied")
    found = {name: fused(name, held=precision.held) for name in names}
    return found | {"silu": fused("silu", held=replace(precision, rounded=as_it_is).held)}
