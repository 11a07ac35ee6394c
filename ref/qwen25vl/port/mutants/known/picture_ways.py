"""Another way in which the tokens of a picture see each other: by the run of their pads (section 10)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.config import Config
from qwen25vl.port.mutants.known._keys import masked_by_marks
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

    def marks(count: int) -> np.ndarray:
        return latest[0] if latest and len(latest[0]) == count else np.full(count, TEXT)

    def rule(allowed: np.ndarray, keys: np.ndarray, queries: np.ndarray) -> np.ndarray:
        return allowed | ((keys == queries) & (keys != TEXT))

    yield Swap("language.embed.embedded_tokens", embedded)
    yield Swap("language.mrope.mrope_rotation", taken)
    yield masked_by_marks(marks, rule, otherwise=np.array(TEXT))
