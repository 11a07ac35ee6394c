"""Known bugs of the rules that take ids out, and of ties (section 11)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.generate.rules import (
    min_p_scores,
    penalised_scores,
    probabilities,
    rounded_scores,
    tempered_scores,
    top_k_scores,
    top_p_scores,
)
from qwen25vl.generate.settings import GenerationSettings
from qwen25vl.port.mutants.mutant import Swap, known_bug

GONE = np.float32(-np.inf)
"""Score of an id that a rule took out."""


@known_bug(
    "filter-order",
    mechanism="sampling",
    clauses=("G11",),
    symptom="At a temperature other than 1 answers are tamer, or wilder, than with transformers.",
    cause="The temperature comes last, behind the filters, as in llama.cpp's usual order.",
    hidden_by="A temperature of 1, and one filter at a time: top-k alone gives the same in any order.",
    fix="Penalty, temperature, top-k, top-p, min-p; each sees what the one before left.",
)
def filter_order() -> Iterator[Swap]:
    def next_scores(logits: np.ndarray, seen: np.ndarray, *, settings: GenerationSettings) -> Any:
        scores = penalised_scores(rounded_scores(logits), seen, penalty=settings.repetition_penalty)
        if not settings.draws:
            return scores
        scores = top_p_scores(top_k_scores(scores, top_k=settings.top_k), top_p=settings.top_p)
        return tempered_scores(min_p_scores(scores, min_p=settings.min_p), temperature=settings.temperature)

    yield Swap("generate.rules.next_scores", lambda right: next_scores)


@known_bug(
    "top-k-breaks-ties",
    mechanism="sampling",
    clauses=("G8",),
    symptom="None to the eye; the set of ids that may be drawn is smaller than transformers'.",
    cause="The ids of the first k places of a sorted list are kept.",
    hidden_by="Scores that all differ, as those of float32 do; in 16 bits equal scores are common.",
    fix="Take out the scores below the k-th largest; what equals it stays.",
)
def top_k_breaks_ties() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def top_k_scores(scores: np.ndarray, *, top_k: int) -> Any:
            if not 0 < top_k < len(scores):
                return scores
            kept = np.argsort(-scores, kind="stable")[:top_k]
            return np.where(np.isin(np.arange(len(scores)), kept), scores, GONE)

        return top_k_scores

    yield Swap("generate.rules.top_k_scores", by)


@known_bug(
    "top-p-drops-crossing",
    mechanism="sampling",
    clauses=("G9",),
    symptom="Answers are tamer than they should be; a likely id of many is never drawn.",
    cause="Ids are kept while the running sum is at most p, so the one that reaches it is left out.",
    hidden_by="A best id that reaches p alone, which most steps have, where the rule keeps it all the same.",
    fix="Keep the id that crosses p, too: take out the tail that has a probability of 1 - p at most.",
)
def top_p_drops_crossing() -> Iterator[Swap]:
    def top_p_scores(scores: np.ndarray, *, top_p: float) -> np.ndarray:
        ascending = np.argsort(scores, kind="stable")
        from_top = np.cumsum(probabilities(scores)[ascending][::-1])[::-1]
        kept = from_top <= max(top_p, from_top[-1])
        return np.where(np.isin(np.arange(len(scores)), ascending[kept]), scores, GONE)

    yield Swap("generate.rules.top_p_scores", lambda right: top_p_scores)


@known_bug(
    "min-p-absolute",
    mechanism="sampling",
    clauses=("G10",),
    symptom="Where no id is likely, nearly all are taken out.",
    cause="The value is compared with probabilities as it is.",
    hidden_by="Steps whose likeliest id is almost certain.",
    fix="Take out what is less likely than `min_p` times the likeliest.",
)
def min_p_absolute() -> Iterator[Swap]:
    def min_p_scores(scores: np.ndarray, *, min_p: float) -> np.ndarray:
        chances = probabilities(scores)
        return np.where(chances < min(min_p, np.max(chances)), GONE, scores)

    yield Swap("generate.rules.min_p_scores", lambda right: min_p_scores)


@known_bug(
    "tie-takes-another",
    mechanism="sampling",
    clauses=("G1", "G9"),
    symptom="In 16 bits a greedy answer parts from transformers' where two scores are equal.",
    cause="The maximum is searched with `>=`, from the end, or in parallel pieces; a sort is not stable, or "
    "descending where transformers sorts upwards.",
    hidden_by="Scores that all differ. Logits of bfloat16 near 20 are 0.125 apart, so equal ones are no rarity "
    "there.",
    fix="Of equal scores take the lowest id; for top-p sort upwards, of equal scores the lowest id first.",
)
def tie_takes_another() -> Iterator[Swap]:
    def best_id(scores: np.ndarray) -> int:
        return len(scores) - 1 - int(np.argmax(scores[::-1]))

    def top_p_scores(scores: np.ndarray, *, top_p: float) -> np.ndarray:
        descending = np.argsort(-scores, kind="stable")
        chances = probabilities(scores)[descending]
        kept = np.cumsum(chances) - chances < top_p
        return np.where(np.isin(np.arange(len(scores)), descending[kept]), scores, GONE)

    yield Swap("generate.answer.best_id", lambda right: best_id)
    yield Swap("generate.rules.top_p_scores", lambda right: top_p_scores)
