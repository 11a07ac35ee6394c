"""The files that tools/tiny_tokenizer.py builds for the package's `tiny` checkpoint."""

import json
import unicodedata

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompt_cases as cases
from qwen25vl.config import TINY
from qwen25vl.prompt.template import qwen_prompt, read_template, rendered_prompt
from qwen25vl.prompt.tokenizer import load_tokenizer

BUILDER = cases.tiny_builder()
WORDS = [word for group in BUILDER.WORDS.values() for word in group.split()]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return cases.write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tokenizer(built):
    return load_tokenizer(built)


def test_every_merge_joins_two_entries_that_exist_before_it():
    known = BUILDER.byte_alphabet()
    assert len(set(known)) == 256
    for left, right in BUILDER.merges():
        assert left in known
        assert right in known
        assert left + right not in known
        known.append(left + right)
    assert list(BUILDER.bpe_vocabulary()) == known


def test_the_ids_of_the_special_tokens_are_those_of_the_config():
    ids = BUILDER.special_ids()
    assert list(ids.values()) == list(range(499, 521))
    assert ids["<|im_end|>"] == TINY.eos_token_id
    assert ids["<|vision_start|>"] == TINY.vision_start_token_id
    assert ids["<|vision_end|>"] == TINY.vision_end_token_id
    assert ids["<|image_pad|>"] == TINY.image_token_id
    assert ids["<|video_pad|>"] == TINY.video_token_id
    assert len(BUILDER.bpe_vocabulary()) + len(ids) < TINY.text.vocab_size  # padding rows, as in the releases


@given(text=st.text())
def test_any_text_returns_in_its_normal_form(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("token", BUILDER.special_ids())
def test_a_special_token_is_one_id(tokenizer, token):
    assert tokenizer.encode(token) == [BUILDER.special_ids()[token]]


def test_a_word_of_the_table_is_one_id(tokenizer):
    assert len(set(WORDS)) == len(WORDS)
    for text in [" " + word for word in WORDS] + BUILDER.FIRST_WORDS.split():
        assert len(tokenizer.encode(text)) == 1, text
    caption = " a red square is left of the blue circle"
    assert len(tokenizer.encode(caption)) == len(caption.split())


def test_the_opening_of_every_prompt_has_eleven_tokens(tokenizer):
    opening = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    assert len(tokenizer.encode(opening)) == 11


def test_the_packaged_files_are_the_built_ones(tiny_dir):
    for name, content in (
        ("tokenizer.json", BUILDER.tokenizer_json()),
        ("tokenizer_config.json", BUILDER.tokenizer_config()),
    ):
        assert json.loads((tiny_dir / name).read_text(encoding="utf-8")) == content
    assert read_template(tiny_dir) == BUILDER.chat_template()


@pytest.mark.data
def test_all_but_the_vocabulary_is_built_like_the_released_tokenizer(data_dir):
    path = data_dir / "qwen2.5-vl-7b-instruct" / "tokenizer.json"
    released, ours = json.loads(path.read_text(encoding="utf-8")), BUILDER.tokenizer_json()
    assert list(released["model"]["vocab"])[:256] == BUILDER.byte_alphabet()
    for content in (released, ours):
        del content["model"]["vocab"], content["model"]["merges"]
        for entry in content["added_tokens"]:
            del entry["id"]
    assert ours == released


@pytest.mark.data
@given(messages=cases.conversations, ask=st.booleans(), number=st.booleans())
def test_the_template_renders_what_the_released_one_renders(data_dir, messages, ask, number):
    released = read_template(data_dir / "qwen2.5-vl-7b-instruct")
    options = {"add_generation_prompt": ask, "add_vision_id": number}
    want = rendered_prompt(messages, template=released, **options)
    assert rendered_prompt(messages, template=BUILDER.chat_template(), **options) == want


@given(messages=cases.conversations, number=st.booleans())
def test_the_template_renders_the_same_in_an_engine_that_strips_nothing(messages, number):
    options = {"add_generation_prompt": True, "add_vision_id": number}
    plain = jinja2.Environment().from_string(BUILDER.chat_template())
    assert plain.render(messages=messages, **options) == qwen_prompt(messages, **options)


@pytest.mark.oracle
@given(text=st.text())
def test_upstream_reads_the_files_the_same_way(built, tokenizer, text):
    import oracle

    assert oracle.hf_tokenizer_ids(built, text) == tokenizer.encode(text)
