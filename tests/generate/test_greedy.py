"""Greedy decoding."""

from dataclasses import replace
from itertools import zip_longest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks import UNEVEN, greedy_steps, random_network, still_and_clip, with_tensor
from qwen25vl.model import prefill, vocabulary_scores
from qwen25vl.tap import Tap
from strategies import FIRST_TEXT_ID, made_inputs, with_ids

NEVER = (UNEVEN.text.vocab_size,)
"""An id that no step can give."""


def decoded(inputs, network, *, stop_ids=NEVER, most=6):
    """All steps."""
    return list(greedy_steps(inputs, network, stop_ids=stop_ids, max_new_tokens=most))


def text_prompt(*ids):
    """A prompt without media."""
    return made_inputs(UNEVEN, list(ids), [], [], [], np.random.default_rng(0))


def compact_picture():
    """A prompt whose delta differs from that of `still_and_clip` and of text."""
    return made_inputs(UNEVEN, [20, 5, *[8] * 12, 6, 21], [(1, 6, 8)], [], [], np.random.default_rng(1))


def wide_picture():
    """The same numbers of tokens as `compact_picture`, another grid, other pixels."""
    return made_inputs(UNEVEN, [20, 5, *[8] * 12, 6, 21], [(1, 4, 12)], [], [], np.random.default_rng(2))


def test_g1_of_equal_scores_the_lowest_id_is_taken():
    # Rows 7 and 4 of the head read one channel, 12 and 9 its negative, the others nothing: one pair wins, tied.
    head = np.zeros((UNEVEN.text.vocab_size, UNEVEN.text.hidden_size))
    head[[7, 4], 0], head[[12, 9], 0] = 1, -1
    network = with_tensor(random_network(UNEVEN), "lm_head.weight", head)
    for step in decoded(still_and_clip(), network):
        assert step.logits[4] == step.logits[7]
        assert step.logits[9] == step.logits[12]
        assert step.id == (4 if step.logits[4] > 0 else 9)
    flat = with_tensor(random_network(UNEVEN), "lm_head.weight", np.zeros_like(head))
    assert [step.id for step in decoded(text_prompt(20), flat, most=2)] == [0, 0]


@given(st.integers(0, 2**32 - 1))
def test_g1_each_step_takes_the_best_score_of_the_sequence_so_far(seed):
    inputs, network = still_and_clip(), random_network(UNEVEN, seed=seed)
    ids = []
    for step in decoded(inputs, network, most=4):
        hidden, _ = prefill(with_ids(inputs, ids) if ids else inputs, network)
        scores = vocabulary_scores(hidden[-1:], network)[0]
        # Another grouping of the same sums: see tests/vision/test_encoder.py.
        np.testing.assert_allclose(step.logits, scores, rtol=0, atol=1e-12 * np.max(np.abs(scores)))
        assert step.logits[step.id] == np.max(step.logits)
        if step.id in (UNEVEN.image_token_id, UNEVEN.video_token_id):
            return  # in a longer prompt it would announce a picture; see test_d11_...
        ids.append(step.id)


def test_g2_any_of_the_stop_ids_ends_the_answer_and_is_its_last_step():
    inputs, network = still_and_clip(), random_network(UNEVEN)
    free = [step.id for step in decoded(inputs, network)]
    assert len(set(free[:3])) == 3, "choose another seed: this one repeats itself"
    for stop_ids in ((free[2], *NEVER), (*NEVER, free[2])):
        steps = decoded(inputs, network, stop_ids=stop_ids)
        assert [step.id for step in steps] == free[:3]
        assert [step.is_stop for step in steps] == [False, False, True]
    assert len(decoded(inputs, network, stop_ids=(free[2], free[1]))) == 2


@pytest.mark.parametrize("most", [1, 2, 5])
def test_g3_the_limit_ends_the_answer_and_no_step_is_computed_beyond_it(most):
    calls = []
    network = random_network(UNEVEN)

    def silu(x):
        calls.append(len(x))
        return network.ops.silu(x)

    counted = replace(network, ops=replace(network.ops, silu=silu))
    prompt = text_prompt(20, 21, 22)
    steps = decoded(prompt, counted, most=most)
    assert len(steps) == most
    assert not any(step.is_stop for step in steps)
    layers = UNEVEN.text.num_hidden_layers
    assert calls == [3] * layers + [1] * layers * (most - 1)


def test_g3_a_stop_at_the_limit_is_still_a_stop():
    inputs, network = still_and_clip(), random_network(UNEVEN)
    first = decoded(inputs, network, most=1)[0].id
    (only,) = decoded(inputs, network, stop_ids=(first,), most=1)
    assert only.is_stop


def test_g4_a_second_generation_never_sees_the_first_ones_delta():
    network = random_network(UNEVEN)
    prompts = [still_and_clip(), compact_picture(), wide_picture(), text_prompt(20, 21)]
    assert len({int(prompt.delta[0]) for prompt in prompts}) == 4  # else a wrong delta could not show
    alone = [decoded(prompt, random_network(UNEVEN)) for prompt in prompts]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 2, 1]):
        for which in order:
            assert_same_steps(decoded(prompts[which], network), alone[which])


def test_g4_two_generations_may_take_turns():
    network = random_network(UNEVEN)
    prompts = [still_and_clip(), compact_picture(), text_prompt(20, 21)]
    alone = [decoded(prompt, network) for prompt in prompts]
    running = [greedy_steps(prompt, network, stop_ids=NEVER, max_new_tokens=6) for prompt in prompts]
    together = list(zip_longest(*running))
    for which, want in enumerate(alone):
        assert_same_steps([turn[which] for turn in together], want)


def test_g4_the_delta_decides():
    # blindness check: with another delta every step but the first, which is the prompt's, comes out otherwise
    network, inputs = random_network(UNEVEN), compact_picture()
    wrong = decoded(replace(inputs, delta=inputs.delta + 1), network)
    right = decoded(inputs, network)
    np.testing.assert_array_equal(wrong[0].logits, right[0].logits)
    assert np.max(np.abs(wrong[1].logits - right[1].logits)) > 1e-6


def assert_same_steps(got, want):
    """The same computation over again: the bits must be equal."""
    assert [step.id for step in got] == [step.id for step in want]
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a.logits, b.logits)


def test_the_logprob_is_that_of_a_softmax_of_the_scores():
    for step in decoded(still_and_clip(), random_network(UNEVEN)):
        weights = np.exp(step.logits - np.max(step.logits))
        want = np.log(weights[step.id] / np.sum(weights))
        # exp and log a unit each, 37 addends, two differences of numbers below 100.
        assert abs(step.logprob - want) < 200 * 2.0**-53 * 10


def test_a_tap_listens_to_the_prompt_and_not_to_the_steps():
    seen = []
    tap = Tap("language.norm.out", sink=lambda name, array: seen.append(len(array)))
    inputs = text_prompt(20, 21, 22)
    list(greedy_steps(inputs, random_network(UNEVEN), stop_ids=NEVER, max_new_tokens=3, tap=tap))
    assert seen == [3]


@pytest.mark.parametrize("most", [0, -1])
def test_a_limit_below_one_is_refused(most):
    with pytest.raises(ValueError, match=rf"max_new_tokens must be at least 1, got {most}"):
        decoded(text_prompt(FIRST_TEXT_ID), random_network(UNEVEN), most=most)
