"""`Model.generate`: what the checkpoint asks for, what a caller changes, batches, several answers."""

import numpy as np
import pytest

import qwen25vl
from qwen25vl.errors import BadInput
from qwen25vl.golden.main_job import MAIN_JOB

WARM = {"temperature": 1.5, "top_k": 0, "max_new_tokens": 6}


@pytest.fixture(scope="module")
def model():
    return qwen25vl.load()


def asking(text):
    """A prompt without media."""
    return [{"role": "user", "content": [{"type": "text", "text": text}]}]


@pytest.fixture(scope="module")
def inputs(model):
    return model.prepare(asking("What colour?"))


def test_g1_the_main_jobs_greedy_answer_stays(model):
    (answer,) = model.generate(model.prepare(MAIN_JOB), greedy=True)
    assert (answer.text, answer.stop) == (" is above sky text above", "eos")


def test_g15_the_checkpoints_penalty_counts_and_greedy_leaves_it_out(model, inputs):
    plain = model.generate(inputs, max_new_tokens=6)[0].ids
    greedy = model.generate(inputs, max_new_tokens=6, greedy=True)[0].ids
    assert greedy == [model.stop_ids[0]] != plain  # the stop id stands in the prompt, and so is penalised
    assert plain == model.generate(inputs, max_new_tokens=6, greedy=True, repetition_penalty=1.05)[0].ids
    assert greedy == model.generate(inputs, max_new_tokens=6, repetition_penalty=1.0)[0].ids
    assert plain == model.generate(inputs, max_new_tokens=6, temperature=0.0)[0].ids


@pytest.mark.parametrize("padding_side", ["left", "right"])
def test_g18_every_row_of_a_batch_equals_its_single_run_draws_included(model, padding_side):
    texts = ["Where is it?", "What colour has the sky, and why?", "Where is it?"]
    batch = model.prepare([asking(text) for text in texts], padding_side=padding_side)
    assert not batch.mask.all()
    together = model.generate(batch, num_return_sequences=2, seed=3, **WARM)
    alone = [model.generate(model.prepare(asking(text)), num_return_sequences=2, seed=3, **WARM) for text in texts]
    assert together == [answer for answers in alone for answer in answers]  # row by row
    assert together[0] != together[1]  # answers of one row differ,
    assert together[:2] == together[4:]  # equal rows do not


def test_g6_padding_is_not_penalised(model):
    # The padding's id is a stop id; penalised, it would be less likely in the shorter row only.
    batch = model.prepare([asking("Where?"), asking("Where is it, and what colour has it, and why?")])
    steps = []
    model.generate(batch, max_new_tokens=1, temperature=0.0, on_step=steps.append)
    pad = batch.ids[0, 0]
    assert not batch.mask[0, 0]
    assert steps[0].scores[pad] == steps[0].logits[pad].astype(np.float32)


def test_g20_the_text_of_the_steps_is_the_answers(model, inputs):
    heard = []
    answers = model.generate(inputs, num_return_sequences=2, seed=1, on_step=heard.append, **WARM)
    ends = [i + 1 for i, step in enumerate(heard) if step.is_last]
    pieces = np.split(np.array([step.text for step in heard], dtype=object), ends)[:-1]
    assert ["".join(piece) for piece in pieces] == [answer.text for answer in answers]
    assert len(heard) == sum(len(answer.ids) for answer in answers)


def test_whole_numbers_may_stand_for_numbers(model, inputs):
    want = model.generate(inputs, temperature=2.0, top_p=1.0, repetition_penalty=1.0, max_new_tokens=4)
    assert model.generate(inputs, temperature=2, top_p=1, repetition_penalty=1, max_new_tokens=4) == want


def test_taps_listen_to_the_prompts_with_the_scopes_of_forward(model):
    batch = model.prepare([asking("Where?"), asking("What colour?")])
    heard, forward = qwen25vl.Tap("*.norm.out"), qwen25vl.Tap("*.norm.out")
    model.generate(batch, max_new_tokens=2, taps=heard, chunk=8)
    model.forward(batch, taps=forward, chunk=8)
    assert list(heard) == list(forward)
    for name in heard:
        np.testing.assert_array_equal(heard[name], forward[name])


def test_values_out_of_range_are_refused_before_anything_is_run(model, inputs):
    heard = qwen25vl.Tap()
    for wrong in ({"top_p": 2.0}, {"seed": -1}, {"greedy": True, "top_k": 1}, {"chunk": 0}):
        with pytest.raises(BadInput):
            model.generate(inputs, taps=heard, **wrong)
    assert len(heard) == 0
