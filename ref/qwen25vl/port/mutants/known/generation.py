"""Known bugs of decoding: settings, the end of an answer, the penalty, and the draw (section 11)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.generate.draw import MASK, splitmix64
from qwen25vl.generate.settings import GenerationSettings
from qwen25vl.layers.activations import log_probabilities
from qwen25vl.port.mutants.mutant import Swap, known_bug


@known_bug(
    "second-stop-ignored",
    mechanism="sampling",
    clauses=("G2",),
    symptom="Now and then an answer runs on behind its end, into another turn or up to the limit.",
    cause="The end is read from config.json, which has one id, or a converter keeps the first of the list.",
    hidden_by="Answers that end with the first id, `<|im_end|>`, which is nearly every one.",
    fix="End at every id of `eos_token_id` in generation_config.json: two in the releases, 151645 and 151643.",
    threads=("NVIDIA-NeMo/Megatron-Bridge#5246",),
)
def second_stop_ignored() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, stop_ids, **settings: right(*arguments, stop_ids=stop_ids[:1], **settings)

    yield Swap("generate.answer.answer_steps", by)


@known_bug(
    "greedy-drawn",
    mechanism="sampling",
    clauses=("G1",),
    symptom="Two runs that should be equal are not, and an answer compared with a greedy one parts from it early.",
    cause="There is one path for all: the best score is asked for by top-k with k = 1, or `do_sample` is not read "
    "at all and the default temperature of 1 holds.",
    hidden_by="Answers whose every token is nearly certain.",
    fix="Where nothing is to be drawn, take the largest score, in front of temperature and filters.",
    threads=("tenstorrent/tt-metal#47822", "tenstorrent/tt-metal#48037"),
)
def greedy_drawn() -> Iterator[Swap]:
    yield Swap(
        "generate.settings.GenerationSettings.draws", lambda right: lambda settings: settings.temperature > 0
    )


@known_bug(
    "generation-config-ignored",
    mechanism="sampling",
    clauses=("G12", "G15"),
    symptom="Answers repeat themselves more, or part from another stack's after some tokens, with equal logits.",
    cause="generation_config.json is not read: the penalty of 1.05 and the temperature of the release are "
    "missing, and so is the `top_k` of 50 that transformers adds by itself.",
    hidden_by="Greedy decoding by the caller's own settings, and short answers.",
    fix="Begin with what the checkpoint's file says; a caller's value takes the place of that one alone.",
    threads=("vllm-project/vllm#10408", "PrimeIntellect-ai/prime-rl#886"),
)
def generation_config_ignored() -> Iterator[Swap]:
    yield Swap(
        "generate.overrides.chosen_settings",
        lambda right: lambda checkpoint, **given: right(GenerationSettings(), **given),
    )


# --------------------------------------------------------------------------------------- the penalty


@known_bug(
    "penalty-without-prompt",
    mechanism="sampling",
    clauses=("G6",),
    symptom="Answers part from transformers' after a few tokens, or do not end.",
    cause="The rule is given the tokens decoded so far and not those of the prompt.",
    hidden_by="Greedy decoding with a penalty of 1, and answers that share no id with their prompt. The stop id "
    "itself stands in the prompt, at the end of each turn.",
    fix="Penalise what stands in the prompt, vision pads included, and what was decoded.",
    threads=("lmstudio-ai/mlx-engine#27", "Blaizzy/mlx-vlm#109"),
)
def penalty_without_prompt() -> Iterator[Swap]:
    yield Swap("generate.rules.occurred_ids", lambda right: lambda prompt_ids, answer_ids: answer_ids)


@known_bug(
    "penalty-on-negative",
    mechanism="sampling",
    clauses=("G6",),
    symptom="Words that have occurred become likelier where their scores are negative; answers go round.",
    cause="Every score is divided by the penalty, as in the paper that it comes from.",
    hidden_by="Scores above zero, which the best ones usually are.",
    fix="Divide a score of 0 or more, multiply a negative one.",
)
def penalty_on_negative() -> Iterator[Swap]:
    def penalised(scores: np.ndarray, seen: np.ndarray, *, penalty: float) -> np.ndarray:
        changed = scores.copy()
        changed[np.unique(seen)] /= np.float32(penalty)
        return changed

    yield Swap("generate.rules.penalised_scores", lambda right: penalised)


@known_bug(
    "penalty-repeated",
    mechanism="sampling",
    clauses=("G6",),
    symptom="Common words, line breaks and the stop id vanish from long answers.",
    cause="A loop over the sequence changes a score each time that its id comes up.",
    hidden_by="Sequences in which no id occurs twice. Vision pads occur most, and no answer needs them.",
    fix="Take each id once, however often it occurred.",
)
def penalty_repeated() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def penalised(scores: np.ndarray, seen: np.ndarray, *, penalty: float) -> Any:
            for i in range(len(seen)):
                scores = right(scores, seen[i : i + 1], penalty=penalty)
            return scores

        return penalised

    yield Swap("generate.rules.penalised_scores", by)


# ---------------------------------------------------------------------------------- draw, probability


@known_bug(
    "logprob-behind-rules",
    mechanism="sampling",
    clauses=("G19",),
    symptom="Log-probabilities are too near to 0, and change with temperature and penalty.",
    cause="They are taken of the scores that the id was drawn by, which are at hand.",
    hidden_by="Greedy decoding without a penalty, where both are one.",
    fix="A softmax of the model's own logits, before any rule.",
)
def logprob_behind_rules() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def answer_steps(*arguments: Any, **settings: Any) -> Iterator[Any]:
            for step in right(*arguments, **settings):
                yield replace(step, logprob=float(log_probabilities(step.scores)[step.id]))

        return answer_steps

    yield Swap("generate.answer.answer_steps", by)


@known_bug(
    "draw-differs",
    mechanism="sampling",
    clauses=("G16", "G17", "G18"),
    symptom="A seed gives another answer than the reference, and an id that was taken out can be drawn.",
    cause="Answers are seeded by seed, seed + 1, seed + 2; the id is the first whose running sum reaches the "
    "number instead of exceeding it.",
    hidden_by="A comparison of distributions over many draws.",
    fix="Start answer s from output s of the seed's generator; take the first id whose running sum exceeds the "
    "number.",
)
def draw_differs() -> Iterator[Swap]:
    def uniform_number(*, seed: int, sequence: int, step: int) -> float:
        return (splitmix64((seed + sequence) & MASK, index=step) >> 11) * 2.0**-53

    def drawn_id(scores: np.ndarray, *, u: float) -> int:
        mass = np.cumsum(np.exp(scores.astype(np.float64) - np.max(scores)))
        return int(np.searchsorted(mass, u * mass[-1], side="left"))

    yield Swap("generate.draw.uniform_number", lambda right: uniform_number)
    yield Swap("generate.draw.drawn_id", lambda right: drawn_id)
