"""One answer: what each step is chosen by, and whole answers against upstream's own."""

import numpy as np
import pytest

from networks import UNEVEN, random_network, still_and_clip, with_tensor
from qwen25vl.checkpoint.weights import Weights
from qwen25vl.generate.answer import answer_steps
from qwen25vl.generate.draw import drawn_id, uniform_number
from qwen25vl.generate.rules import next_scores
from qwen25vl.generate.settings import GREEDY, GenerationSettings
from qwen25vl.model import Network, prefill
from strategies import made_inputs

NEVER = (UNEVEN.text.vocab_size,)
"""An id that no step can give."""

WARM = GenerationSettings(do_sample=True, temperature=2.0, top_k=0)
PENALISED = GenerationSettings(repetition_penalty=1.6)


def decoded(settings, *, network=None, inputs=None, most=8, stop_ids=NEVER, **numbers):
    """All steps."""
    network = random_network(UNEVEN) if network is None else network
    inputs = still_and_clip() if inputs is None else inputs
    hidden, cache = prefill(inputs, network)
    return list(
        answer_steps(
            hidden[-1],
            cache,
            inputs.ids[0],
            network,
            delta=int(inputs.delta[0]),
            settings=settings,
            stop_ids=stop_ids,
            max_new_tokens=most,
            **numbers,
        )
    )


def ids_of(steps):
    return [step.id for step in steps]


def picture_prompt():
    """Without video, where upstream's positions deviate."""
    return made_inputs(UNEVEN, [20, 5, *[8] * 12, 6, 21, 22], [(1, 6, 8)], [], [], np.random.default_rng(1))


def test_g1_of_scores_that_are_equal_in_float32_the_lowest_id_is_taken():
    # Row 7 is larger than row 4, by less than float32 holds. The sign of their channel decides whether they win.
    head = np.zeros((UNEVEN.text.vocab_size, UNEVEN.text.hidden_size))
    head[4, 0], head[7, 0], head[12, 0], head[9, 0] = 1, 1 + 1e-12, -1, -1 - 1e-12
    steps = decoded(GREEDY, network=with_tensor(random_network(UNEVEN), "lm_head.weight", head))
    for step in steps:
        assert step.logits[4] != step.logits[7]
        assert step.scores[4] == step.scores[7]
        assert step.id == (4 if step.logits[4] > 0 else 9)


def test_g6_the_penalty_counts_the_prompt_its_vision_pads_and_the_answer():
    inputs = still_and_clip()
    seen = inputs.ids[0].tolist()
    assert {UNEVEN.image_token_id, UNEVEN.video_token_id} < set(seen)
    for step in decoded(PENALISED):
        np.testing.assert_array_equal(step.scores, next_scores(step.logits, np.array(seen), settings=PENALISED))
        changed = np.flatnonzero(step.scores != step.logits.astype(np.float32))
        assert set(changed.tolist()) == set(seen)
        assert step.id == np.argmax(step.scores)
        seen.append(step.id)


def test_g6_the_penalty_makes_another_answer():
    # blindness check of what compares answers with a penalty
    assert ids_of(decoded(PENALISED)) != ids_of(decoded(GREEDY))


def test_g16_each_step_draws_with_the_number_of_its_seed_its_answer_and_its_place():
    steps = decoded(WARM, seed=9, sequence=2)
    for count, step in enumerate(steps):
        assert step.id == drawn_id(step.scores, u=uniform_number(seed=9, sequence=2, step=count))
    assert ids_of(steps) != ids_of(decoded(WARM, seed=9, sequence=1))
    assert ids_of(steps) != ids_of(decoded(WARM, seed=8, sequence=2))


def test_g16_without_draws_the_seed_is_no_matter():
    assert ids_of(decoded(PENALISED, seed=1)) == ids_of(decoded(PENALISED, seed=2))


@pytest.mark.parametrize("settings", [GREEDY, PENALISED, WARM, GenerationSettings(do_sample=True, top_k=2)])
def test_g19_the_logprob_is_that_of_the_models_own_scores(settings):
    for step in decoded(settings):
        weights = np.exp(step.logits - np.max(step.logits))
        want = np.log(weights[step.id] / np.sum(weights))
        # exp and log a unit each, 37 addends, two differences of numbers below 100.
        assert abs(step.logprob - want) < 200 * 2.0**-53 * 10


def test_g2_g3_the_last_step_knows_that_it_is():
    steps = decoded(GREEDY, most=4)
    assert [step.is_last for step in steps] == [False, False, False, True]
    assert not steps[-1].is_stop
    stopped = decoded(GREEDY, stop_ids=(steps[1].id,))
    assert [(step.is_last, step.is_stop) for step in stopped] == [(False, False), (True, True)]


# ---------------------------------------------------------------------------------------------- oracle


def twins(seed):
    """The same random model twice: upstream's and ours."""
    import oracle

    upstream = oracle.random_model(UNEVEN, seed=seed)
    weights = Weights(oracle.checkpoint_of(upstream), np.dtype(np.float64))
    return upstream, Network(UNEVEN, weights, random_network(UNEVEN).ops)


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("penalty", [1.05, 1.6, 0.8])
def test_g6_ids_with_a_penalty_equal_upstreams_own_generation(seed, penalty):
    import oracle

    upstream, network = twins(seed)
    inputs, stops = picture_prompt(), (UNEVEN.eos_token_id, 30)
    steps = decoded(
        GenerationSettings(repetition_penalty=penalty), network=network, inputs=inputs, stop_ids=stops, most=12
    )
    want, scores = oracle.upstream_answer(
        upstream, inputs, max_new_tokens=12, stop_ids=stops, do_sample=False, repetition_penalty=penalty
    )
    assert ids_of(steps) == want
    assert_near(np.stack([step.scores for step in steps]), scores)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 1e-6, "repetition_penalty": 1.05},
        {"temperature": 1.5, "top_k": 0},
        {"temperature": 1.3},
        {"temperature": 0.8, "top_k": 7, "top_p": 0.8, "repetition_penalty": 1.2},
        {"temperature": 2.0, "top_k": 0, "min_p": 0.05},
        {"temperature": 0.1, "top_k": 1, "top_p": 0.001, "repetition_penalty": 1.05},
    ],
    ids=str,
)
def test_g11_upstreams_scores_are_ours_at_every_step_of_a_drawn_answer(settings):
    import oracle

    upstream, network = twins(5)
    inputs = picture_prompt()
    steps = decoded(GenerationSettings(do_sample=True, **settings), network=network, inputs=inputs, most=10)
    forced = ids_of(steps)
    want, scores = oracle.upstream_answer(
        upstream, inputs, max_new_tokens=10, stop_ids=NEVER, forced=forced, do_sample=True, **settings
    )
    assert want == forced
    assert_near(np.stack([step.scores for step in steps]), scores)


def assert_near(got, want):
    """Equal but for the rounding of logits that differ in float64 and may round to neighbours in float32."""
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
    kept = np.isfinite(got)
    # A unit of rounding in the logits, one more for each of the penalty and the temperature.
    np.testing.assert_allclose(got[kept], want[kept], rtol=4 * 2.0**-24, atol=0)
