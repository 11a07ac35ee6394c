"""Section 11 - rules: how are the scores of the next token changed before one is chosen?

Scores are float32, as upstream has them whatever the model computes in; probabilities are float64 here (upstream:
float32). An id that a rule takes out has the score -inf.
"""

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from qwen25vl.errors import BadInput
from qwen25vl.generate.settings import GenerationSettings


def next_scores(
    logits: Float[np.ndarray, " V"], seen: Int64[np.ndarray, " n"], *, settings: GenerationSettings
) -> Float32[np.ndarray, " V"]:
    """Return the scores that the next token is chosen by.

    Args:
        logits: the model's, behind the last token.
        seen: the ids of the whole sequence so far: prompt, vision pads and answer.

    Raises:
        BadInput: if the largest logit is no finite number.

    Spec: spec/11-generation.md (G5 to G11)
    """
    scores = rounded_scores(logits)  # (G5)
    scores = penalised_scores(scores, seen, penalty=settings.repetition_penalty)  # (G11) in this order
    if not settings.draws:
        return scores
    scores = tempered_scores(scores, temperature=settings.temperature)
    scores = top_k_scores(scores, top_k=settings.top_k)
    scores = top_p_scores(scores, top_p=settings.top_p)
    return min_p_scores(scores, min_p=settings.min_p)


def occurred_ids(
    prompt_ids: Int64[np.ndarray, " L"], answer_ids: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, " seen"]:
    """Return the ids that the penalty counts: those of the prompt, vision pads included, then those of the answer.

    Spec: spec/11-generation.md (G6)
    """
    return np.concatenate([prompt_ids, answer_ids])  # (G6) the whole sequence


def rounded_scores(logits: Float[np.ndarray, " V"]) -> Float32[np.ndarray, " V"]:
    """Round logits to float32, and refuse those of a run that went wrong."""
    with np.errstate(over="ignore"):
        scores = logits.astype(np.float32)  # (G5)
    largest = np.max(scores)  # NaN where there is one
    if not np.isfinite(largest):
        raise BadInput(
            f"the largest logit is {largest}; weights or activations overflow: check the checkpoint, or take a "
            "wider precision"
        )
    return scores


def penalised_scores(
    scores: Float32[np.ndarray, " V"], seen: Int64[np.ndarray, " n"], *, penalty: float
) -> Float32[np.ndarray, " V"]:
    """Make ids that have occurred less likely: divide a positive score, multiply a negative one.

    Source: transformers 5.23.0 generation/logits_process.py, RepetitionPenaltyLogitsProcessor
    """
    ids = np.unique(seen)  # (G6) each once, however often it occurred
    factor = np.float32(penalty)
    found = scores[ids]
    changed = scores.copy()
    changed[ids] = np.where(found < 0, found * factor, found / factor)  # (G6)
    return changed


def tempered_scores(scores: Float32[np.ndarray, " V"], *, temperature: float) -> Float32[np.ndarray, " V"]:
    """Divide all scores by the temperature."""
    return scores / np.float32(temperature)  # (G7)


def top_k_scores(scores: Float32[np.ndarray, " V"], *, top_k: int) -> Float32[np.ndarray, " V"]:
    """Keep the k best scores, and all that equal the last of them."""
    if not 0 < top_k < len(scores):
        return scores
    worst_kept = np.sort(scores)[-top_k]
    return _without(scores, scores < worst_kept)  # (G8)


def top_p_scores(scores: Float32[np.ndarray, " V"], *, top_p: float) -> Float32[np.ndarray, " V"]:
    """Take out the worst ids that together have a probability of 1 - p at most."""
    if top_p >= 1:
        return scores
    ascending = np.argsort(scores, kind="stable")  # (G9) of equal scores the lowest id first
    mass = np.cumsum(probabilities(scores)[ascending])
    removed = mass <= 1 - top_p
    removed[-1] = False  # (G9) one is kept
    gone = np.zeros(len(scores), dtype=bool)
    gone[ascending] = removed
    return _without(scores, gone)


def min_p_scores(scores: Float32[np.ndarray, " V"], *, min_p: float) -> Float32[np.ndarray, " V"]:
    """Take out the ids less likely than p times the likeliest."""
    chances = probabilities(scores)
    return _without(scores, chances < min_p * np.max(chances))  # (G10)


def probabilities(scores: Float32[np.ndarray, " V"]) -> Float64[np.ndarray, " V"]:
    """Turn scores into probabilities: softmax, in float64."""
    weights = np.exp(scores.astype(np.float64) - np.max(scores))
    return weights / np.sum(weights)


def _without(scores: Float32[np.ndarray, " V"], gone: np.ndarray) -> Float32[np.ndarray, " V"]:
    """Give some ids the score -inf."""
    return np.where(gone, np.float32(-np.inf), scores)
