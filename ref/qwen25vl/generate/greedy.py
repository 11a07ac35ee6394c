"""Section 11 - greedy decoding: which token follows, and when does it end?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from qwen25vl.inputs import Inputs
from qwen25vl.model import Network, decode_step, prefill, vocabulary_scores
from qwen25vl.tap import SILENT, Tap


@dataclass(frozen=True, eq=False)
class Step:
    """One decoded token, and the scores it was chosen by."""

    id: int
    logits: Float[np.ndarray, " V"]
    logprob: float
    """Natural logarithm of the token's probability under a softmax of the scores."""
    is_stop: bool


def greedy_steps(
    inputs: Inputs,
    network: Network,
    *,
    stop_ids: tuple[int, ...],
    max_new_tokens: int,
    tap: Tap = SILENT,
) -> Iterator[Step]:
    """Decode token by token, the best-scored each time; end at a stop id or at the limit.

    Args:
        inputs: one prompt.
        stop_ids: ids that end the answer; the stop itself is the last step.
        max_new_tokens: the most steps that are made.
        tap: listens to the prompt's pass, not to the steps.

    Spec: spec/11-generation.md (G1 to G4)
    """
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
    hidden, cache = prefill(inputs, network, tap=tap)
    delta = int(inputs.delta[0])  # (G4) of this prompt; nothing is remembered from an earlier one
    for count in range(1, max_new_tokens + 1):
        logits = vocabulary_scores(hidden[-1:], network)[0]
        best = int(np.argmax(logits))  # (G1) of equal scores, the lowest id
        yield Step(best, logits, float(_log_softmax(logits)[best]), best in stop_ids)
        if best in stop_ids or count == max_new_tokens:  # (G2, G3)
            return
        hidden, cache = decode_step(np.array([best]), cache, network, delta=delta)


def _log_softmax(scores: Float[np.ndarray, " V"]) -> Float[np.ndarray, " V"]:
    """Turn scores into logarithms of probabilities, in float64."""
    shifted = scores.astype(np.float64) - np.max(scores)
    return shifted - np.log(np.sum(np.exp(shifted)))
