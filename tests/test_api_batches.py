"""The public interface with several prompts, in pieces, and turn by turn, on the bundled checkpoint."""

import re

import numpy as np
import pytest

import qwen25vl
from qwen25vl.errors import BadInput

RNG = np.random.default_rng(3)
STILL = RNG.integers(0, 256, (60, 90, 3), dtype=np.uint8)
OTHER = RNG.integers(0, 256, (60, 90, 3), dtype=np.uint8)
CLIP = RNG.integers(0, 256, (5, 60, 90, 3), dtype=np.uint8)
LIMITS = {"min_pixels": 784, "max_pixels": 6000}


def user(*parts):
    names = {str: "text", np.ndarray: "image"}
    return {
        "role": "user",
        "content": [
            part if isinstance(part, dict) else {"type": names[type(part)], names[type(part)]: part}
            for part in parts
        ],
    }


CONVERSATIONS = [
    [user(STILL, "What is this?")],
    [user("No picture at all here.")],
    [user("First", {"type": "video", "video": CLIP, "fps": 1.5}, "then", OTHER, "and?")],
]


@pytest.fixture(scope="module")
def model():
    return qwen25vl.load(precision="float64")


@pytest.fixture(scope="module", params=["left", "right"])
def batch(model, request):
    return model.prepare(CONVERSATIONS, padding_side=request.param, **LIMITS)


def test_d13_a_batch_scores_each_prompt_as_if_it_were_alone(model, batch):
    output = model.forward(batch)
    assert output.logits.shape == (*batch.ids.shape, model.config.text.vocab_size)
    assert np.array_equal(np.isnan(output.logits).any(axis=-1), ~batch.mask)
    for b, messages in enumerate(CONVERSATIONS):
        alone = model.forward(model.prepare(messages, **LIMITS))
        np.testing.assert_array_equal(output.logits[b, batch.mask[b]], alone.logits[0])
        for ours, theirs in zip(output.rows[b].cache.keys, alone.cache.keys, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_d13_a_batch_is_answered_as_each_prompt_alone(model, batch):
    together = model.generate(batch, max_new_tokens=4)
    for answer, messages in zip(together, CONVERSATIONS, strict=True):
        assert answer == model.generate(model.prepare(messages, **LIMITS), max_new_tokens=4)[0]


def test_d13_taps_of_a_batch_carry_the_number_of_their_prompt(model, batch):
    tap = qwen25vl.Tap("*language.positions")
    model.forward(batch, taps=tap)
    assert list(tap) == [f"rows.{b:02d}.language.positions" for b in range(3)]
    for b in range(3):
        np.testing.assert_array_equal(
            tap[f"rows.{b:02d}.language.positions"], batch.positions[:, b, batch.mask[b]]
        )


@pytest.mark.parametrize("level", ["stages", "insides", "all"])
def test_a_level_of_taps_means_the_same_in_a_batch_and_in_pieces(model, level):
    plain, parts = qwen25vl.Tap(level), qwen25vl.Tap(level)
    model.forward(model.prepare(CONVERSATIONS[0], **LIMITS), taps=plain)
    model.forward(model.prepare([CONVERSATIONS[0], CONVERSATIONS[1]], **LIMITS), taps=parts, chunk=1000)
    first = [name.removeprefix("rows.00.").replace("chunks.00.", "") for name in parts if name[:7] == "rows.00"]
    assert first == list(plain)


@pytest.mark.parametrize("chunk", [1, 7])
def test_d14_pieces_of_any_size_give_the_same_scores_and_answers(model, chunk):
    inputs = model.prepare(CONVERSATIONS[2], **LIMITS)
    want = model.forward(inputs).logits
    got = model.forward(inputs, chunk=chunk).logits
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * np.max(np.abs(want)))
    assert [a.ids for a in model.generate(inputs, chunk=chunk, max_new_tokens=4)] == [
        a.ids for a in model.generate(inputs, max_new_tokens=4)
    ]


def test_d15_a_conversation_goes_on_turn_by_turn(model):
    first = [user(STILL, "What is this?")]
    second = [*first, {"role": "assistant", "content": " sky"}, user("And this?", OTHER)]
    third = [*second, {"role": "assistant", "content": " text"}, user({"type": "video", "video": CLIP}, "Well?")]
    before, ran = None, []
    for turn in (first, second, third):
        inputs = model.prepare(turn, **LIMITS)
        tap = qwen25vl.Tap("language.embed.out")
        output = model.forward(inputs, after=before, taps=tap)
        alone = model.forward(inputs)
        ran.append(len(tap["language.embed.out"]))
        new = output.logits[0, -ran[-1] :]
        np.testing.assert_allclose(new, alone.logits[0, -ran[-1] :], rtol=0, atol=1e-12 * np.max(np.abs(new)))
        assert np.isnan(output.logits[0, : -ran[-1]]).all()
        before = output
    lengths = [model.prepare(turn, **LIMITS).ids.shape[1] for turn in (first, second, third)]
    opening = len(model.processor.tokenizer.encode("<|im_start|>assistant\n"))
    # Of an earlier prompt everything is kept; the opening of the answer is the same text in the next prompt.
    assert ran == [lengths[0], lengths[1] - lengths[0], lengths[2] - lengths[1]]
    assert min(ran) > opening


def test_d15_the_same_words_about_another_picture_are_not_mistaken_for_the_first(model):
    first, second = (model.prepare([user(picture, "What?")], **LIMITS) for picture in (STILL, OTHER))
    np.testing.assert_array_equal(first.ids, second.ids)
    want = model.forward(second).logits[0, -1]
    got = model.forward(second, after=model.forward(first)).logits[0, -1]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * np.max(np.abs(want)))
    assert np.max(np.abs(want - model.forward(first).logits[0, -1])) > 1e-3


def test_d15_a_batch_goes_on_row_by_row(model):
    longer = [[*messages, {"role": "assistant", "content": "ok"}, user("More.")] for messages in CONVERSATIONS]
    before = model.forward(model.prepare(CONVERSATIONS, **LIMITS))
    inputs = model.prepare(longer, padding_side="right", **LIMITS)
    got, want = model.forward(inputs, after=before).logits, model.forward(inputs).logits
    for b in range(3):
        last = np.flatnonzero(inputs.mask[b])[-1]
        np.testing.assert_allclose(got[b, last], want[b, last], rtol=0, atol=1e-12 * np.nanmax(np.abs(want)))


def test_d15_an_answer_may_go_on_from_the_prompts_own_pass(model):
    inputs = model.prepare(CONVERSATIONS, **LIMITS)
    output, tap = model.forward(inputs), qwen25vl.Tap("*embed.out")
    got = model.generate(inputs, after=output, taps=tap, max_new_tokens=4)
    assert [len(tap[name]) for name in tap] == [1, 1, 1]  # of each prompt, the last token alone
    want = model.generate(inputs, max_new_tokens=4)
    assert [answer.ids for answer in got] == [answer.ids for answer in want]
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, rtol=0, atol=1e-11)


def test_a_batch_has_no_one_cache(model):
    output = model.forward(model.prepare(CONVERSATIONS[:2], **LIMITS))
    with pytest.raises(ValueError, match=r"a batch of 2 prompts has no one cache; take rows\[b\].cache"):
        _ = output.cache


@pytest.mark.parametrize("chunk", [0, -1])
def test_a_piece_without_a_token_is_refused(model, chunk):
    inputs = model.prepare(CONVERSATIONS[1])
    for act in (model.forward, model.generate):
        with pytest.raises(BadInput, match=f"chunk must be a whole number from 1 to .*, got {chunk}"):
            act(inputs, chunk=chunk)


def test_after_another_number_of_prompts_is_refused(model):
    before = model.forward(model.prepare(CONVERSATIONS[1]))
    with pytest.raises(BadInput, match=re.escape("after holds 1 prompts, inputs 3; give as many")):
        model.forward(model.prepare(CONVERSATIONS, **LIMITS), after=before)
