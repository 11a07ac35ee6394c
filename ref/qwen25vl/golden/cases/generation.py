"""Section 15 - cases of the answer: which id is taken, when does it end, what is its probability?"""

from collections.abc import Iterator

import numpy as np

from qwen25vl.generate.answer import Step, answer_steps
from qwen25vl.generate.settings import GREEDY, GenerationSettings
from qwen25vl.golden.case import Lab, Part, Run, count_part
from qwen25vl.golden.cases.vision_scenes import said
from qwen25vl.golden.cases.vision_taps import tap_part
from qwen25vl.golden.draws import drawn
from qwen25vl.golden.execute import given_parts
from qwen25vl.golden.registry import case
from qwen25vl.language.cache import Cache, empty_cache
from qwen25vl.model import prefill

SHAPED = GenerationSettings(do_sample=True, temperature=0.5, top_k=3, repetition_penalty=1.5)
"""Rules that change scores."""

UNUSED_STOP = 5
"""An id, first of the stop ids, that the answer does not hold: a test makes sure."""


def only_step(
    lab: Lab, hidden: np.ndarray, seen: np.ndarray, settings: GenerationSettings, *, seed: int = 0
) -> Step:
    """Take one step behind a hidden state, without a prompt's keys: no pass follows that would need them."""
    text = lab.config.text
    cache = empty_cache(
        layers=text.num_hidden_layers,
        kv_heads=text.num_key_value_heads,
        head_dim=text.head_dim,
        dtype=lab.ops.precision.dtype,
    )
    found = steps_behind(lab, hidden, cache, seen, delta=0, settings=settings, stop_ids=(), limit=1, seed=seed)
    return found[0]


def steps_behind(
    lab: Lab,
    hidden: np.ndarray,
    cache: Cache,
    seen: np.ndarray,
    *,
    delta: int,
    settings: GenerationSettings,
    stop_ids: tuple[int, ...],
    limit: int,
    seed: int = 0,
) -> list[Step]:
    """Decode behind a prompt that was run; arguments as in `answer_steps`."""
    return [
        *answer_steps(
            hidden,
            cache,
            seen,
            lab.model.network,
            delta=delta,
            settings=settings,
            stop_ids=stop_ids,
            max_new_tokens=limit,
            seed=seed,
        )
    ]


@case(
    family="generation",
    tier="block",
    section="11",
    clauses=("G1", "G2", "G3"),
    kills=("second-stop-ignored",),
    note="The second of two stop ids is one that the answer gives on its way: it must be the last. With a list of "
    "one, or where the first stop wins, a port that reads only the first passes. The checkpoint's own list stands "
    "beside.",
    flags=("long",),
)
def second_stop_id_ends_an_answer(lab: Lab) -> Iterator[Part | Run]:
    """Decode an answer twice: to its limit, and with a stop id that it gives before."""
    inputs = lab.prepare([said("Where?")])
    yield from given_parts(Run(inputs))
    hidden, cache = prefill(inputs, lab.model.network)

    def decoded(*stop_ids: int) -> list[Step]:
        return steps_behind(
            lab,
            hidden[-1],
            cache,
            inputs.ids[0],
            delta=int(inputs.delta[0]),
            settings=GREEDY,
            stop_ids=stop_ids,
            limit=5,
        )

    free = [step.id for step in decoded()]
    stop_id = max(free[:-1], key=free.index)  # the one that comes first at the latest step
    stopped = decoded(UNUSED_STOP, stop_id)
    yield count_part("inputs.stop_ids", [UNUSED_STOP, stop_id], "stops", "ids that end the second answer")
    yield count_part("outputs.unstopped_ids", free, "steps", "the answer without a stop id")
    yield count_part(
        "outputs.ids", [step.id for step in stopped], "steps", "the answer with them, the stop included"
    )
    yield count_part("outputs.checkpoint_stop_ids", lab.model.stop_ids, "stops", "what the checkpoint stops at")


@case(
    family="generation",
    tier="unit",
    section="11",
    clauses=("G1",),
    kills=("tie-takes-another", "greedy-drawn"),
    note="A hidden state of zeros gives every id the same score. Real scores are never equal, until 16 bits make "
    "them.",
)
def equal_scores_take_the_lowest_id(lab: Lab) -> Iterator[Part | Run]:
    """Take a greedy step where all scores are equal."""
    hidden = np.zeros(lab.config.text.hidden_size)
    yield Part("inputs.hidden", hidden, "E", "hidden state behind the final norm")
    step = only_step(lab, lab.held(hidden), np.array([], dtype=np.int64), GREEDY)
    yield tap_part("logits", step.logits[np.newaxis])
    yield count_part("outputs.id", step.id, "1", "the id that is taken")


@case(
    family="generation",
    tier="block",
    section="11",
    clauses=("G5", "G6", "G7", "G8", "G16", "G17", "G19"),
    kills=("logprob-behind-rules", "draw-differs"),
    note="Penalty, temperature and top-k change the scores; the log-probability stays that of the model. Greedy "
    "decoding without a penalty cannot tell.",
)
def logprob_is_of_the_models_own_scores(lab: Lab) -> Iterator[Part | Run]:
    """Draw one id with rules that change its chance, and report the model's."""
    hidden, seen = drawn(551, (lab.config.text.hidden_size,)), np.array([3, 9, 9, 14], dtype=np.int64)
    yield Part("inputs.hidden", hidden, "E", "hidden state behind the final norm")
    yield Part("inputs.seen_ids", seen, "n", "ids of the sequence so far")
    yield settings_part(SHAPED)
    yield count_part("inputs.seed", 7, "1", "of the draws")
    step = only_step(lab, lab.held(hidden), seen, SHAPED, seed=7)
    yield tap_part("logits", step.logits[np.newaxis])
    yield Part("outputs.scores", step.scores, "V", "scores behind the rules")
    yield count_part("outputs.id", step.id, "1", "the id that is drawn")
    yield Part(
        "outputs.logprob", np.array([step.logprob]), "1", "natural logarithm of the model's probability of it"
    )


def settings_part(settings: GenerationSettings) -> Part:
    """Make a part of the five numbers that shape scores."""
    numbers = (
        settings.repetition_penalty,
        settings.temperature,
        settings.top_k,
        settings.top_p,
        settings.min_p,
    )
    words = "repetition penalty, temperature, top-k, top-p, min-p"
    return Part("inputs.settings", np.array(numbers, dtype=np.float64), "5", words)
