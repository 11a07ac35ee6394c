"""Other ways to the known bugs of vision attention: masks made from boundaries, and fused rows (section 07)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from qwen25vl.ops import Ops
from qwen25vl.port.mutants.known.segments import lengths_for_starts, starts_in_tokens
from qwen25vl.port.mutants.known.vision import qkv_layout
from qwen25vl.port.mutants.mutant import Swap, other_way
from qwen25vl.tap import Tap

MERGE_UNIT = 4
"""Patches of a merged token."""

LOWEST = float(np.finfo(np.float32).min)
"""What masks add in 32 bits: a row of which nothing may be seen then weighs all alike."""


def masked_by_slices(change: Callable[[np.ndarray], np.ndarray]) -> Iterator[Swap]:
    """Attend over all rows under a mask that is filled slice by slice, between other boundaries."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def vision_attention(
            x: np.ndarray,
            cos: np.ndarray,
            sin: np.ndarray,
            starts: np.ndarray,
            *rest: Any,
            ops: Ops,
            **settings: Any,
        ) -> Any:
            allowed = np.zeros((len(x), len(x)), dtype=bool)
            for first, end in pairwise(change(starts).tolist()):
                allowed[first:end, first:end] = True

            def attention(*qkv: np.ndarray, **s: Any) -> np.ndarray:
                score = max(ops.precision.hidden_score, LOWEST)
                return ops.attention(*qkv, allowed=allowed, **{**s, "hidden_score": score})

            other = replace(ops, attention=attention)
            return right(x, cos, sin, starts[[0, -1]], *rest, ops=other, **settings)

        return vision_attention

    yield Swap("vision.attention.vision_attention", by)


@other_way(starts_in_tokens, "masked")
def mask_in_tokens() -> Iterator[Swap]:
    """A mask of patches is filled between boundaries in merged tokens; most of its rows stay empty."""
    yield from masked_by_slices(lambda starts: starts // MERGE_UNIT)


@other_way(lengths_for_starts, "masked")
def mask_from_lengths() -> Iterator[Swap]:
    """A mask is filled from one length to the next one; most of its rows stay empty."""
    yield from masked_by_slices(np.diff)


@other_way(qkv_layout, "parted-later")
def parted_head_by_head() -> Iterator[Swap]:
    """What the fused layer gives is right, and parted head by head behind it."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def vision_attention(*arrays: Any, num_heads: int, ops: Ops, tap: Tap, **settings: Any) -> Any:
            thirds: list[np.ndarray] = []
            parted: list[np.ndarray] = []

            def reported(name: str, array: np.ndarray) -> np.ndarray:
                found = tap(name, array)
                if name not in ("q", "k", "v"):
                    return found
                thirds.append(found.reshape(len(found), -1))
                if name != "v":
                    return found
                fused = np.concatenate(thirds, axis=1).reshape(len(found), num_heads, 3, -1)
                parted[:] = np.moveaxis(fused, 2, 0)
                return parted.pop()

            def rotated(_: np.ndarray, *angles: np.ndarray) -> np.ndarray:
                return ops.rotated(parted.pop(0), *angles)

            inner = Tap("*" if tap.wants("probs") else "[!p]*", sink=reported)
            return right(*arrays, num_heads=num_heads, ops=replace(ops, rotated=rotated), tap=inner, **settings)

        return vision_attention

    yield Swap("vision.attention.vision_attention", by)
