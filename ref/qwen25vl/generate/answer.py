"""Section 11 - the answer: which token follows, and when does it end?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from qwen25vl.generate.draw import drawn_id, uniform_number
from qwen25vl.generate.rules import next_scores, occurred_ids
from qwen25vl.generate.settings import GenerationSettings
from qwen25vl.language.cache import Cache
from qwen25vl.model import Network, decode_step, vocabulary_scores


@dataclass(frozen=True, eq=False)
class Step:
    """One decoded token, and what it was chosen by."""

    id: int
    logits: Float[np.ndarray, " V"]
    """The model's own scores."""
    scores: Float32[np.ndarray, " V"]
    """The same behind the rules; -inf where a rule took an id out."""
    logprob: float
    """Natural logarithm of the token's probability under a softmax of the logits, before all rules."""
    is_stop: bool
    is_last: bool
    """No step follows, because of a stop id or of the limit."""
    text: str = ""
    """The characters that this token completes; filled in by `streamed_steps`."""


def answer_steps(
    last_hidden: Float[np.ndarray, " E"],
    cache: Cache,
    prompt_ids: Int64[np.ndarray, " L"],
    network: Network,
    *,
    delta: int,
    settings: GenerationSettings,
    stop_ids: tuple[int, ...],
    max_new_tokens: int,
    seed: int = 0,
    sequence: int = 0,
) -> Iterator[Step]:
    """Decode token by token behind a prompt that was run; end at a stop id or at the limit.

    Args:
        last_hidden: the prompt's last hidden state, behind the final norm.
        cache: the prompt's. It is not changed: several answers may start from one.
        prompt_ids: the prompt's, vision pads included; the repetition penalty wants them.
        delta: of this prompt: a token at index i of the sequence has position i + delta.
        stop_ids: ids that end the answer; the stop itself is the last step.
        max_new_tokens: the most steps that are made.
        seed, sequence: of the numbers that the draws use; see `uniform_number`.

    Spec: spec/11-generation.md (G1 to G4, G16, G19)
    """
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
    hidden = last_hidden[np.newaxis]
    answer: list[int] = []
    for count in range(max_new_tokens):
        logits = vocabulary_scores(hidden, network)[0]
        seen = occurred_ids(prompt_ids, np.array(answer, dtype=np.int64))
        scores = next_scores(logits, seen, settings=settings)
        if settings.draws:
            chosen = drawn_id(scores, u=uniform_number(seed=seed, sequence=sequence, step=count))
        else:
            chosen = best_id(scores)  # (G1)
        is_stop = chosen in stop_ids  # (G2)
        is_last = is_stop or count == max_new_tokens - 1  # (G3)
        logprob = float(network.ops.log_probabilities(logits)[chosen])  # (G19) of the logits, not of the scores
        yield Step(chosen, logits, scores, logprob, is_stop, is_last)
        if is_last:
            return
        answer.append(chosen)
        hidden, cache = decode_step(np.array([chosen]), cache, network, delta=delta)  # (G4)


def best_id(scores: Float32[np.ndarray, " V"]) -> int:
    """Return the id with the largest score; of equal scores, the lowest id.

    Spec: spec/11-generation.md (G1)
    """
    return int(np.argmax(scores))  # (G1)
