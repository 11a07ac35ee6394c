"""Another way in which the tokens of a picture see each other: by the run of their pads (section 10)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.config import Config
from qwen25vl.ops import Ops
from qwen25vl.port.mutants.known._keys import key_memory
from qwen25vl.port.mutants.known.decoder import picture_sees_itself
from qwen25vl.port.mutants.mutant import Swap, other_way

TEXT = 0
"""The run of a token that is no pad."""


def runs_of_pads(ids: np.ndarray, config: Config) -> np.ndarray:
    """Number the runs of pads from 1 on, [L]; all other tokens are `TEXT`."""
    pads = np.isin(ids, [config.image_token_id, config.video_token_id])
    begins = pads & ~np.concatenate([[False], pads[:-1]])
    return np.where(pads, np.cumsum(begins), TEXT)


@other_way(picture_sees_itself, "all-frames")
def run_of_pads_sees_itself() -> Iterator[Swap]:
    """Pads that are neighbours see each other, those of a clip's other frames included."""
    known, keep = key_memory()
    ahead: list[np.ndarray] = []
    latest: list[np.ndarray] = []

    def embedded(right: Callable[..., Any]) -> Callable[..., Any]:
        def embedded_tokens(ids: np.ndarray, *rest: Any, config: Config) -> Any:
            ahead[:] = [runs_of_pads(ids, config)]
            return right(ids, *rest, config=config)

        return embedded_tokens

    def taken(right: Callable[..., Any]) -> Callable[..., Any]:
        def mrope_rotation(positions: np.ndarray, **settings: Any) -> Any:
            count = positions.shape[-1]
            runs = ahead[0] if ahead else np.empty(0, np.int64)
            latest[:] = [runs[:count] if len(runs) >= count else np.full(count, TEXT)]
            ahead[:] = [runs[count:]]
            return right(positions, **settings)

        return mrope_rotation

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
            new = latest[0] if latest and len(latest[0]) == len(x) else np.full(len(x), TEXT)
            runs = np.concatenate([known(past_keys, otherwise=np.array(TEXT)), new])
            together = (runs == new[:, np.newaxis]) & (runs != TEXT)

            def attention(*qkv: np.ndarray, allowed: np.ndarray, **s: Any) -> np.ndarray:
                return ops.attention(*qkv, allowed=allowed | together, **s)

            out, keys, values = right(
                x, cos, sin, past_keys, *rest, ops=replace(ops, attention=attention), **settings
            )
            keep(keys, runs)
            return out, keys, values

        return decoder_attention

    yield Swap("language.embed.embedded_tokens", embedded)
    yield Swap("language.mrope.mrope_rotation", taken)
    yield Swap("language.attention.decoder_attention", by)
