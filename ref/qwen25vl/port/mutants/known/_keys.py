"""Section 15 - what a wrong decoder remembers of each cached key: its position, its angle, or its picture."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.ops import Ops
from qwen25vl.port.mutants.mutant import Swap


def key_memory() -> tuple[Callable[..., np.ndarray], Callable[[np.ndarray, np.ndarray], None]]:
    """Make a memory of one array for each key: `known(keys, otherwise=...)` and `keep(keys, arrays)`.

    Keys are known by the array that owns their numbers, for a shorter cache is a view of a longer one.
    """
    kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def known(keys: np.ndarray, *, otherwise: np.ndarray) -> np.ndarray:
        owner = keys if keys.base is None else keys.base
        if id(owner) not in kept:
            return np.repeat(otherwise[np.newaxis], len(keys), axis=0)
        return kept[id(owner)][1][: len(keys)]

    def keep(keys: np.ndarray, arrays: np.ndarray) -> None:
        kept[id(keys)] = keys, arrays  # held, so that no other array gets its id

    return known, keep


def masked_by_marks(
    marks: Callable[[int], np.ndarray],
    rule: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    *,
    otherwise: np.ndarray,
) -> Swap:
    """Let marks that every key keeps decide what a query sees.

    Args:
        marks: gives the marks of so many new tokens, [L].
        rule: makes the mask from the right one and the marks of keys [T] and of queries [L, 1].
        otherwise: mark of a key that nothing is known of.
    """
    known, keep = key_memory()

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def decoder_attention(
            x: np.ndarray,
            cos: np.ndarray,
            sin: np.ndarray,
            past_keys: np.ndarray,
            *rest: Any,
            ops: Ops,
            **settings: Any,
        ) -> Any:
            new = marks(len(x))
            every = np.concatenate([known(past_keys, otherwise=otherwise), new])

            def attention(*qkv: np.ndarray, allowed: np.ndarray, **s: Any) -> np.ndarray:
                return ops.attention(*qkv, allowed=rule(allowed, every, new[:, np.newaxis]), **s)

            other = replace(ops, attention=attention)
            out, keys, values = right(x, cos, sin, past_keys, *rest, ops=other, **settings)
            keep(keys, every)
            return out, keys, values

        return decoder_attention

    return Swap("language.attention.decoder_attention", by)
