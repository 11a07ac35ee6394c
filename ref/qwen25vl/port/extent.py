"""Section 15 - extent: which rows of a part can be compared?

An answer that has left the golden's goes on behind other tokens, so what follows says nothing. And a port need
not score every token of a prompt: the last one's scores are enough to go on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from qwen25vl.golden.corpus_read import GoldenCase

TIE = 8.0
"""Two scores are as good as equal when they are closer than so many root mean squares of their noise."""


@dataclass(frozen=True)
class Extent:
    """What of a case's parts is compared."""

    rows: Mapping[str, slice] = field(default_factory=dict)
    """Rows of the golden's part that the port's are held against; of a part that is not here, all."""
    ties: frozenset[str] = frozenset()
    """Ids of answers that leave the golden's where two scores are as good as equal."""

    def of_golden(self, part_id: str, array: np.ndarray) -> np.ndarray:
        """Cut the golden's part, or what a stage should be."""
        rows = self.rows.get(part_id)
        return array if rows is None else array[rows]

    def of_port(self, part_id: str, array: np.ndarray) -> np.ndarray:
        """Cut the port's part likewise; the last token's scores alone get their axis of tokens."""
        rows = self.rows.get(part_id)
        if rows is None:
            return array
        return array.reshape(1, -1) if rows == LAST else array[rows]


LAST = slice(-1, None)
"""The last row alone."""


def extent(
    golden: GoldenCase, values: Mapping[str, np.ndarray], *, noise_rms: Callable[[str, np.ndarray], float]
) -> Extent:
    """Find out what can be compared.

    Args:
        golden: the case.
        values: the port's arrays by part id.
        noise_rms: gives the root mean square of the noise of a part, from its id and its golden values.

    Spec: spec/15-golden-values.md (X28, X29)
    """
    rows, ties = dict[str, slice](), set[str]()
    for part_id in golden.parts:
        if part_id.endswith("logits") and not part_id.endswith("answer.logits") and part_id in values:
            count, width = golden.parts[part_id].shape
            if count > 1 and values[part_id].shape in ((width,), (1, width)):
                rows[part_id] = LAST
        if part_id.endswith("answer.ids") and part_id in values and values[part_id].ndim == 1:
            scope = part_id.removesuffix("ids")
            same = _same_steps(values[part_id], golden.parts[part_id])
            if same is None:
                continue
            scored = len(values.get(f"{scope}logits", golden.parts[f"{scope}logits"]))
            rows[f"{scope}logits"] = slice(0, min(same + 1, scored, len(golden.parts[f"{scope}logits"])))
            rows[f"{scope}logprobs"] = slice(0, same)
            if _is_tie(golden, values, scope=scope, step=same, noise_rms=noise_rms):
                ties.add(part_id)
    return Extent(rows, frozenset(ties))


def _same_steps(port: np.ndarray, golden: np.ndarray) -> int | None:
    """Count the steps before two answers part; None if they never do."""
    count = min(len(port), len(golden))
    apart = np.flatnonzero(port[:count] != golden[:count])
    if len(apart):
        return int(apart[0])
    return None if len(port) == len(golden) else count


def _is_tie(
    golden: GoldenCase,
    values: Mapping[str, np.ndarray],
    *,
    scope: str,
    step: int,
    noise_rms: Callable[[str, np.ndarray], float],
) -> bool:
    """Whether an answer leaves the golden's by rounding: scores are close, its own choose its token. (X29)"""
    port, scores = values[f"{scope}ids"], golden.parts[f"{scope}logits"]
    if step >= min(len(port), len(scores)) or port[step] != int(port[step]):
        return False
    token = int(port[step])
    if not 0 <= token < scores.shape[1]:
        return False
    own = values.get(f"{scope}logits")
    if own is not None and own.ndim == 2 and len(own) > step and int(np.argmax(own[step])) != token:
        return False
    gap = float(np.max(scores[step]) - scores[step][token])
    return gap <= TIE * noise_rms(f"{scope}logits", np.asarray(scores))
