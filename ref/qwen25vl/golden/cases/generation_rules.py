"""Section 15 - cases of the rules: what do penalty, temperature and the three filters make of scores?"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from qwen25vl.generate.overrides import chosen_settings
from qwen25vl.generate.rules import (
    min_p_scores,
    next_scores,
    occurred_ids,
    penalised_scores,
    probabilities,
    tempered_scores,
    top_k_scores,
    top_p_scores,
)
from qwen25vl.generate.settings import GenerationSettings
from qwen25vl.golden.case import Lab, Part, Run, count_part
from qwen25vl.golden.cases.generation import settings_part
from qwen25vl.golden.draws import drawn
from qwen25vl.golden.registry import case

PROMPT, ANSWER = (2, 5, 5, 7, 11, 11, 11), (3, 5)
"""Ids of a sequence: some stand in the prompt alone, some twice."""

ALL_RULES = GenerationSettings(
    do_sample=True, temperature=1.5, top_k=10, top_p=0.75, min_p=0.25, repetition_penalty=1.25
)
"""Every rule at once; each takes out something that the others leave."""


def drawn_scores(seed: int, *, bits: int = 7) -> np.ndarray:
    """Draw 24 scores between -4 and 4; with few bits some of them are equal."""
    return (drawn(seed, (24,), bits=bits) * 4).astype(np.float32)


@case(
    family="generation",
    tier="unit",
    section="11",
    clauses=("G5", "G6"),
    kills=("penalty-without-prompt", "penalty-on-negative", "penalty-repeated"),
    note="Ids of the prompt alone, ids that occur three times, scores on both sides of zero. Where all scores are "
    "positive, or nothing repeats, half of the mistakes give the same.",
)
def penalty_counts_the_prompt_once(lab: Lab) -> Iterator[Part | Run]:
    """Penalise the ids of a prompt and of an answer."""
    scores = drawn_scores(561)
    yield Part("inputs.logits", scores, "V", "the model's scores")
    yield count_part("inputs.prompt_ids", PROMPT, "L", "ids of the prompt")
    yield count_part("inputs.answer_ids", ANSWER, "n", "ids decoded so far")
    settings = GenerationSettings(repetition_penalty=1.25)
    yield settings_part(settings)
    seen = occurred_ids(np.array(PROMPT), np.array(ANSWER))
    found = next_scores(scores, seen, settings=settings)
    yield Part("outputs.scores", found, "V", "scores behind the penalty")


@case(
    family="generation",
    tier="unit",
    section="11",
    clauses=("G8",),
    kills=("top-k-breaks-ties",),
    note="The scores are multiples of a half, and several equal the fifth best: they all stay. Distinct scores "
    "hide it.",
)
def top_k_keeps_what_equals_the_last(lab: Lab) -> Iterator[Part | Run]:
    """Keep the five best scores of 24, and their equals."""
    scores = drawn_scores(563, bits=3)
    yield Part("inputs.scores", scores, "V", "scores in front of the rule")
    yield count_part("inputs.top_k", 5, "1", "how many are kept at least")
    yield Part("outputs.scores", top_k_scores(scores, top_k=5), "V", "scores behind it; -inf where taken out")


@case(
    family="generation",
    tier="unit",
    section="11",
    clauses=("G9",),
    kills=("top-p-drops-crossing", "tie-takes-another"),
    note="The limit falls inside a group of equal scores, of which the lowest ids go first, and the id that "
    "crosses the limit stays.",
)
def top_p_keeps_the_id_that_crosses(lab: Lab) -> Iterator[Part | Run]:
    """Take out the tail of a distribution with equal scores in it."""
    scores = drawn_scores(563, bits=2)
    yield Part("inputs.scores", scores, "V", "scores in front of the rule")
    yield Part("inputs.top_p", np.array([0.75]), "1", "least probability that is kept")
    yield Part("outputs.probabilities", probabilities(scores), "V", "softmax of the scores, in float64")
    yield Part("outputs.scores", top_p_scores(scores, top_p=0.75), "V", "scores behind it; -inf where taken out")


@case(
    family="generation",
    tier="unit",
    section="11",
    clauses=("G10",),
    kills=("min-p-absolute",),
    note="The limit is 1/16 of the likeliest id's probability, and six ids reach it; only four have a probability "
    "of 1/16. The two rules agree where the likeliest id is almost certain.",
)
def min_p_is_a_part_of_the_likeliest(lab: Lab) -> Iterator[Part | Run]:
    """Take out ids much less likely than the likeliest."""
    scores = drawn_scores(564)
    yield Part("inputs.scores", scores, "V", "scores in front of the rule")
    yield Part("inputs.min_p", np.array([0.0625]), "1", "part of the largest probability")
    yield Part("outputs.scores", min_p_scores(scores, min_p=0.0625), "V", "scores behind it; -inf where taken out")


@case(
    family="generation",
    tier="unit",
    section="11",
    clauses=("G5", "G6", "G7", "G8", "G9", "G10", "G11"),
    kills=("filter-order", "penalty-without-prompt"),
    note="All rules at once, with the scores behind each: every rule takes out ids that the others leave, and "
    "another order gives another set. One rule at a time shows no order.",
)
def rules_follow_each_other_in_one_order(lab: Lab) -> Iterator[Part | Run]:
    """Apply all rules, one behind the other."""
    logits, seen = drawn_scores(572), occurred_ids(np.array(PROMPT), np.array(ANSWER))
    yield Part("inputs.logits", logits, "V", "the model's scores")
    yield count_part("inputs.seen_ids", PROMPT + ANSWER, "n", "ids of the sequence so far")
    yield settings_part(ALL_RULES)
    scores = penalised_scores(logits, seen, penalty=ALL_RULES.repetition_penalty)
    yield Part("outputs.penalised", scores, "V", "behind the penalty")
    scores = tempered_scores(scores, temperature=ALL_RULES.temperature)
    yield Part("outputs.tempered", scores, "V", "behind the temperature")
    scores = top_k_scores(scores, top_k=ALL_RULES.top_k)
    yield Part("outputs.top_k", scores, "V", "behind top-k")
    scores = top_p_scores(scores, top_p=ALL_RULES.top_p)
    yield Part("outputs.top_p", scores, "V", "behind top-p")
    yield Part("outputs.scores", next_scores(logits, seen, settings=ALL_RULES), "V", "behind min-p, the last")


@case(
    family="generation",
    tier="unit",
    section="11",
    clauses=("G12", "G15"),
    kills=("generation-config-ignored",),
    note="The released file asks for a penalty and a temperature, and says nothing of top-k, which makes it 50: "
    "of 64 scores 14 are taken out. Greedy decoding by a caller's own settings never reads the file.",
)
def checkpoint_asks_for_rules_of_its_own(lab: Lab) -> Iterator[Part | Run]:
    """Shape scores as the checkpoint's generation_config.json asks for it."""
    scores, seen = (drawn(573, (64,)) * 4).astype(np.float32), np.array(PROMPT + ANSWER)
    yield Part("inputs.logits", scores, "V", "the model's scores")
    yield count_part("inputs.seen_ids", seen, "n", "ids of the sequence so far")
    settings = chosen_settings(replace(lab.model.settings, unsupported=()))
    yield count_part("outputs.do_sample", settings.do_sample, "1", "whether ids are drawn, 1 or 0")
    yield replace(settings_part(settings), id="outputs.settings")
    yield Part("outputs.scores", next_scores(scores, seen, settings=settings), "V", "scores behind the rules")
