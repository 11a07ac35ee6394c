"""Several answers to a prompt: one pass over it, a stream of numbers for each."""

from dataclasses import replace

import pytest

from networks import UNEVEN, random_network, still_and_clip
from qwen25vl.bundled import checkpoint_directory
from qwen25vl.errors import BadInput
from qwen25vl.generate.answers import Answers, Generation, generation_of
from qwen25vl.generate.settings import GREEDY, GenerationSettings
from qwen25vl.prompt.tokenizer import load_tokenizer
from qwen25vl.tap import Tap

NEVER = (UNEVEN.text.vocab_size,)
"""An id that no step can give."""

WARM = GenerationSettings(do_sample=True, temperature=3.0, top_k=0)


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(checkpoint_directory("tiny"))


def answered(tokenizer, *, tap=None, inputs=None, **changes):
    """The ids of each answer."""
    answers = Answers(**{"settings": WARM, "stop_ids": NEVER, "max_new_tokens": 6, **changes})
    prompt = still_and_clip() if inputs is None else inputs
    network = random_network(UNEVEN)
    return [
        [step.id for step in steps]
        for steps in answers.of(prompt, network, tokenizer, **({} if tap is None else {"tap": tap}))
    ]


def test_g18_the_same_seed_gives_the_same_answer_and_another_seed_another(tokenizer):
    assert answered(tokenizer, seed=5) == answered(tokenizer, seed=5)
    assert len({str(answered(tokenizer, seed=seed)) for seed in range(4)}) == 4


def test_g18_an_answer_does_not_depend_on_how_many_are_asked_for(tokenizer):
    three = answered(tokenizer, num_return_sequences=3)
    assert len(set(map(str, three))) == 3
    assert answered(tokenizer, num_return_sequences=2) == three[:2]
    assert answered(tokenizer) == three[:1]


def test_the_prompt_is_run_once_however_many_answers_there_are(tokenizer):
    seen = []
    tap = Tap("*.norm.out", sink=lambda name, array: seen.append(len(array)))
    answered(tokenizer, num_return_sequences=3, tap=tap)
    assert seen == [still_and_clip().ids.shape[1]]


def test_answers_to_one_prompt_may_take_turns(tokenizer):
    answers = Answers(settings=WARM, stop_ids=NEVER, max_new_tokens=6, num_return_sequences=2)
    running = list(answers.of(still_and_clip(), random_network(UNEVEN), tokenizer))
    turns = [(a.id, b.id) for a, b in zip(*running, strict=True)]
    assert [list(ids) for ids in zip(*turns, strict=True)] == answered(tokenizer, num_return_sequences=2)


def test_g3_the_prompts_length_in_pieces_changes_nothing_but_rounding(tokenizer):
    answers = Answers(settings=WARM, stop_ids=NEVER, max_new_tokens=6)
    (steps,) = answers.of(still_and_clip(), random_network(UNEVEN), tokenizer, chunk=7)
    assert [[step.id for step in steps]] == answered(tokenizer)


def test_a_generation_is_its_steps_text_ids_and_end(tokenizer):
    answers = Answers(settings=WARM, stop_ids=NEVER, max_new_tokens=4)
    (steps,) = answers.of(still_and_clip(), random_network(UNEVEN), tokenizer)
    heard = []
    found = generation_of(steps, on_step=heard.append)
    assert found == Generation(
        text=tokenizer.decode(found.ids, skip_special_tokens=True),
        ids=[step.id for step in heard],
        stop="length",
        logprobs=[step.logprob for step in heard],
    )
    assert found.text == "".join(step.text for step in heard)
    (steps,) = replace(answers, stop_ids=(found.ids[1],)).of(still_and_clip(), random_network(UNEVEN), tokenizer)
    stopped = generation_of(steps)
    assert stopped.stop == "eos"
    assert stopped.ids == found.ids[:2]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be a whole number from 1"),
        ({"seed": -1}, "seed must be a whole number from 0 to 18446744073709551615, got -1"),
        ({"seed": 2**64}, "seed must be a whole number from 0 to 18446744073709551615, got 18446744073709551616"),
        ({"num_return_sequences": 0}, "num_return_sequences must be a whole number from 1"),
        (
            {"num_return_sequences": 2, "settings": GREEDY},
            "num_return_sequences 2 needs sampling, for without it all answers are equal; give a temp",
        ),
        (
            {"num_return_sequences": 2, "settings": replace(WARM, temperature=0.0)},
            "num_return_sequences 2 needs sampling",
        ),
    ],
)
def test_what_makes_no_answer_is_refused(wrong, says):
    with pytest.raises(BadInput, match=says):
        Answers(**{"settings": WARM, "stop_ids": NEVER, "max_new_tokens": 6, **wrong})


def test_the_largest_seed_is_a_seed(tokenizer):
    assert len(answered(tokenizer, seed=2**64 - 1)[0]) == 6
