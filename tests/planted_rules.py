"""Known bugs of the rules of generation and of the 16-bit formats, planted into the reference."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import qwen25vl.generate.answer as answer
import qwen25vl.golden.cases.generation as generation
import qwen25vl.golden.cases.generation_draws as draws
import qwen25vl.golden.cases.generation_rules as rules
import qwen25vl.golden.cases.precision as formats
import qwen25vl.golden.cases.precision_range as precision_range
import qwen25vl.golden.cases.precision_rounding as precision_rounding
from planted_vision import PLAIN, Plant, both, patched, with_ops
from qwen25vl.generate.rules import (
    min_p_scores,
    next_scores,
    probabilities,
    tempered_scores,
    top_k_scores,
    top_p_scores,
)
from qwen25vl.golden.case import Lab
from qwen25vl.layers.activations import log_probabilities
from qwen25vl.ops import Ops, reference_ops
from qwen25vl.precision import FLOAT16

NOTHING = np.float32(-np.inf)
"""Score of an id that was taken out."""


def penalty_by(change: Callable[[np.ndarray, np.ndarray, float], np.ndarray]) -> Plant:
    """Penalise in another way: `change(scores, seen, penalty)`."""

    def wrong(right: Callable[..., Any]) -> Callable[..., Any]:
        def scores(
            logits: np.ndarray, seen: np.ndarray, *, settings: Any = None, penalty: float = 1.0
        ) -> np.ndarray:
            if settings is None:
                return change(logits, seen, penalty)
            plain = replace(settings, repetition_penalty=1.0)
            return right(change(logits, seen, settings.repetition_penalty), seen, settings=plain)

        return scores

    return patched((rules, "next_scores"), (rules, "penalised_scores"), by=wrong)


def of_the_answer(scores: np.ndarray, seen: np.ndarray, penalty: float) -> np.ndarray:
    return rules_penalised(scores, seen[len(rules.PROMPT) :], penalty)


def rules_penalised(scores: np.ndarray, seen: np.ndarray, penalty: float) -> np.ndarray:
    return next_scores(
        scores, seen, settings=replace(rules.ALL_RULES, do_sample=False, repetition_penalty=penalty)
    )


def each_occurrence(scores: np.ndarray, seen: np.ndarray, penalty: float) -> np.ndarray:
    for i in seen:
        scores = rules_penalised(scores, np.array([i]), penalty)
    return scores


def always_divided(scores: np.ndarray, seen: np.ndarray, penalty: float) -> np.ndarray:
    changed = scores.copy()
    changed[np.unique(seen)] /= np.float32(penalty)
    return changed


def other_order(logits: np.ndarray, seen: np.ndarray, *, settings: Any) -> np.ndarray:
    """Top-p in front of the temperature."""
    scores = top_p_scores(rules_penalised(logits, seen, settings.repetition_penalty), top_p=settings.top_p)
    scores = tempered_scores(scores, temperature=settings.temperature)
    return min_p_scores(top_k_scores(scores, top_k=settings.top_k), min_p=settings.min_p)


def exactly_k(scores: np.ndarray, *, top_k: int) -> np.ndarray:
    kept = np.argsort(-scores, kind="stable")[:top_k]
    return np.where(np.isin(np.arange(len(scores)), kept), scores, NOTHING)


def nucleus(scores: np.ndarray, *, top_p: float, ties: int = 1, crossing: bool = True) -> np.ndarray:
    """Keep the best ids whose mass reaches p; of equal scores, `ties` -1 lets the highest id go first."""
    ascending = np.lexsort((ties * np.arange(len(scores)), scores))
    mass = np.cumsum(probabilities(scores)[ascending])
    gone = mass <= 1 - top_p
    if not crossing:
        gone[np.argmin(gone)] = True
    kept = np.isin(np.arange(len(scores)), ascending[~gone])
    return np.where(kept, scores, NOTHING)


def highest_of_equals(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Lab:
    right = answer.next_scores

    def scores(logits: np.ndarray, seen: np.ndarray, *, settings: Any) -> np.ndarray:
        found = right(logits, seen, settings=settings)
        return found + 1e-6 * np.arange(len(found), dtype=np.float32)

    monkeypatch.setattr(answer, "next_scores", scores)
    monkeypatch.setattr(rules, "top_p_scores", lambda s, *, top_p: nucleus(s, top_p=top_p, ties=-1))
    return lab


def one_stream(*, seed: int, sequence: int, step: int) -> float:
    """Seed one generator and run on."""
    return (draws.splitmix64(seed, index=4 * sequence + step) >> 11) * 2.0**-53


def at_the_border(scores: np.ndarray, *, u: float) -> int:
    """Take the id in front of the one that exceeds the number."""
    mass = np.cumsum(np.exp(scores.astype(np.float64) - np.max(scores)))
    return int(np.searchsorted(mass, u * mass[-1], side="left"))


def behind_rules(_: pytest.MonkeyPatch, lab: Lab) -> Lab:
    def log_of_scores(logits: np.ndarray) -> np.ndarray:
        scores = next_scores(logits, np.array([3, 9, 9, 14]), settings=generation.SHAPED)
        with np.errstate(divide="ignore"):
            return log_probabilities(np.where(np.isfinite(scores), scores, -1e30))

    return lab.with_ops(replace(lab.ops, log_probabilities=log_of_scores))


# --------------------------------------------------------------------------------------- formats


def cut(x: np.ndarray) -> np.ndarray:
    return (x.view(np.uint32) & 0xFFFF0000).view(np.float32)


def without_subnormals(x: np.ndarray) -> np.ndarray:
    rounded = FLOAT16.rounded(x)
    return np.where(np.abs(rounded) < 2.0**-14, np.float32(0), rounded)


def clamped(x: np.ndarray) -> np.ndarray:
    return np.clip(FLOAT16.rounded(x), np.float32(-65504), np.float32(65504))


def other_formats(change: Callable[[Ops], Ops]) -> Plant:
    """Change the functions of both 16-bit formats."""

    def plant(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Lab:
        for module in (precision_range, precision_rounding):
            monkeypatch.setattr(module, "FORMATS", tuple(change(ops) for ops in module.FORMATS))
        return lab

    return plant


def norm_once(ops: Ops) -> Ops:
    wide = PLAIN.rms_norm
    return replace(ops, rms_norm=lambda x, weight, *, eps: ops.precision.rounded(wide(x, weight, eps=eps)))


def rotation_exchanged(ops: Ops) -> Ops:
    return replace(ops, rotated=ops.rotated_in_steps, rotated_in_steps=ops.rotated)


def softmax_narrow(ops: Ops) -> Ops:
    """Exponentials and their sum are rounded, too."""
    rounded = ops.precision.rounded

    def attention(
        q: np.ndarray, k: np.ndarray, v: np.ndarray, *, allowed: np.ndarray, probs: np.ndarray
    ) -> np.ndarray:
        mixed = np.empty_like(q)
        for n in range(q.shape[1]):
            scores = rounded(rounded(q[:, n] @ k[:, 0].T) * np.float32(1 / np.sqrt(q.shape[2])))
            scores = np.where(allowed, scores, NOTHING)
            weights = rounded(np.exp(rounded(scores - scores.max(axis=-1, keepdims=True))))
            probs[n] = rounded(weights / rounded(weights.sum(axis=-1, keepdims=True, dtype=np.float32)))
            mixed[:, n] = rounded(probs[n] @ v[:, 0])
        return mixed

    return replace(ops, attention=attention)


def attention_unrounded(ops: Ops) -> Ops:
    """Nothing is rounded but the result."""
    return replace(
        ops, attention=lambda *qkv, **settings: ops.precision.rounded(PLAIN.attention(*qkv, **settings))
    )


def sums_in_float16(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.add.accumulate(x[:, np.newaxis].astype(np.float16) * weight.astype(np.float16), axis=-1)[
            ..., -1
        ].astype(x.dtype)


PLANTS: dict[str, Plant] = {
    "second-stop-ignored": patched(
        (generation, "answer_steps"),
        by=lambda right: lambda *a, stop_ids, **s: right(*a, stop_ids=stop_ids[:1], **s),
    ),
    "penalty-without-prompt": penalty_by(of_the_answer),
    "penalty-on-negative": penalty_by(always_divided),
    "penalty-repeated": penalty_by(each_occurrence),
    "filter-order": patched((rules, "next_scores"), by=lambda right: other_order),
    "top-k-breaks-ties": patched((rules, "top_k_scores"), by=lambda right: exactly_k),
    "top-p-drops-crossing": patched(
        (rules, "top_p_scores"), by=lambda right: lambda s, *, top_p: nucleus(s, top_p=top_p, crossing=False)
    ),
    "min-p-absolute": patched(
        (rules, "min_p_scores"),
        by=lambda right: lambda s, *, min_p: np.where(probabilities(s) < min_p, NOTHING, s),
    ),
    "tie-takes-another": highest_of_equals,
    "draw-differs": both(
        patched((draws, "uniform_number"), (answer, "uniform_number"), by=lambda right: one_stream),
        patched((draws, "drawn_id"), by=lambda right: at_the_border),
    ),
    "logprob-behind-rules": behind_rules,
    "bfloat16-truncated": patched((formats, "to_bfloat16"), by=lambda right: cut),
    "float16-subnormals-lost": patched((formats, "to_float16"), by=lambda right: without_subnormals),
    "float16-overflow-clamped": both(
        patched((formats, "to_float16"), by=lambda right: clamped),
        lambda monkeypatch, lab: (
            monkeypatch.setattr(
                precision_range, "FORMATS", (reference_ops(replace(FLOAT16, rounded=clamped)),) * 1
            ),
            lab,
        )[1],
    ),
    "norm-rounds-once": other_formats(norm_once),
    "rotation-rounds-elsewhere": other_formats(rotation_exchanged),
    "softmax-in-16-bits": other_formats(softmax_narrow),
    "attention-rounds-elsewhere": other_formats(attention_unrounded),
    "mlp-overflows": with_ops(linear=lambda x, weight, bias=None: sums_in_float16(x, weight)),
}
"""Each known bug of generation and of number formats."""
