"""Text while tokens arrive: whole characters only, none lost, none twice."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qwen25vl.bundled import checkpoint_directory
from qwen25vl.generate.answer import Step
from qwen25vl.generate.stream import streamed_steps
from qwen25vl.prompt.tokenizer import load_tokenizer

FAMILY = "👩‍👩‍👧"
"""Three emoji of four bytes, joined by characters of three."""


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(checkpoint_directory("tiny"))


@pytest.fixture(scope="module")
def released(data_dir):
    return load_tokenizer(data_dir / "qwen2.5-vl-7b-instruct")


def steps(ids):
    """Steps that hold nothing but ids; the last knows that it is."""
    none = np.empty(0, dtype=np.float32)
    return [Step(token, none, none, 0.0, False, i == len(ids) - 1) for i, token in enumerate(ids)]


def pieces(ids, tokenizer):
    """The text of each step."""
    return [step.text for step in streamed_steps(steps(ids), tokenizer)]


def byte_ids(tokenizer, text):
    """One id for each byte of a text: the ids below 256 are the bytes, in another order."""
    of_byte = {}
    for token in range(256):
        sign = tokenizer.token(token)
        # A printable byte stands for itself, another for the next free sign from U+0100 on.
        of_byte[sign] = token
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    signs = {**{byte: chr(byte) for byte in printable}, **{byte: chr(256 + i) for i, byte in enumerate(rest)}}
    return [of_byte[signs[byte]] for byte in text.encode()]


def test_g20_an_emoji_appears_with_its_last_byte(tokenizer):
    assert pieces(byte_ids(tokenizer, "a🙂b"), tokenizer) == ["a", "", "", "", "🙂", "b"]


def test_g20_each_character_of_a_longer_sign_appears_as_soon_as_it_is_complete(tokenizer):
    got = [piece for piece in pieces(byte_ids(tokenizer, FAMILY), tokenizer) if piece]
    assert got == list(FAMILY)


def test_g20_a_special_token_in_the_middle_of_a_character_does_not_break_it(tokenizer):
    ids = byte_ids(tokenizer, "🙂")
    special = tokenizer.id("<|im_start|>")
    assert pieces([*ids[:2], special, *ids[2:]], tokenizer) == ["", "", "", "", "🙂"]


def test_g20_bytes_that_are_no_text_do_not_hold_back_what_follows(tokenizer):
    broken = byte_ids(tokenizer, "é")[:1]
    assert pieces([*broken, *broken, *byte_ids(tokenizer, "ab")], tokenizer) == ["", "\ufffd", "\ufffda", "b"]


def test_g21_what_still_waits_at_the_end_is_shown_as_no_text(tokenizer):
    ids = byte_ids(tokenizer, "a漢")
    assert pieces(ids[:-1], tokenizer) == ["a", "", "\ufffd"]
    assert pieces(ids[:2], tokenizer) == ["a", "\ufffd"]


def test_g21_a_stop_id_ends_the_text_and_is_not_shown(tokenizer):
    ids = [*byte_ids(tokenizer, "a漢")[:-1], tokenizer.id("<|im_end|>")]
    assert pieces(ids, tokenizer) == ["a", "", "", "\ufffd"]


any_ids = st.lists(st.one_of(st.integers(0, 255), st.integers(0, 600)), min_size=1, max_size=30)
"""Mostly single bytes, so that characters are cut, made and broken; merges, added tokens, ids without a token."""


@given(any_ids)
@example([0])
def test_g20_g21_the_pieces_in_a_row_are_the_text_decoded_at_once(tokenizer, ids):
    got = pieces(ids, tokenizer)
    assert len(got) == len(ids)
    assert "".join(got) == tokenizer.decode(ids, skip_special_tokens=True)


@given(any_ids, st.integers(1, 30))
def test_g20_no_piece_depends_on_what_comes_later(tokenizer, ids, count):
    early = pieces([*ids[:count], 0], tokenizer)[:-1]
    assert early == pieces([*ids, 0], tokenizer)[: len(early)]


@given(st.text(max_size=20))
@example(FAMILY + " 漢字 é")
def test_g20_no_character_of_a_text_is_ever_cut(tokenizer, text):
    ids = byte_ids(tokenizer, text)
    if ids:
        assert [piece for piece in pieces(ids, tokenizer) if piece] == list(text)


@pytest.mark.data
@given(st.lists(st.one_of(st.integers(0, 255), st.integers(0, 152063)), min_size=1, max_size=40))
def test_g20_g21_the_same_with_the_released_tokenizer(released, ids):
    assert "".join(pieces(ids, released)) == released.decode(ids, skip_special_tokens=True)


@pytest.mark.data
@given(st.text(max_size=30))
@example(FAMILY)
def test_g20_text_through_the_released_tokenizer_comes_out_whole(released, text):
    ids = released.encode(text)
    if ids:
        got = pieces(ids, released)
        assert "".join(got) == released.decode(ids, skip_special_tokens=True)
        if "\ufffd" not in text:
            assert not any("\ufffd" in piece for piece in got)
