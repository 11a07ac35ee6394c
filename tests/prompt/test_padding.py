"""Padding: where it stands, what stands in it, and what names its id."""

import json
import re
import shutil

import numpy as np
import pytest

from qwen25vl.config_json import read_config
from qwen25vl.errors import BadInput
from qwen25vl.prompt.padding import padded_ids, read_pad_id
from qwen25vl.prompt.tokenizer import load_tokenizer

ROWS = [np.array([5, 6, 7]), np.array([8]), np.array([9, 9])]


@pytest.mark.parametrize(
    ("side", "ids"),
    [
        ("left", [[5, 6, 7], [0, 0, 8], [0, 9, 9]]),
        ("right", [[5, 6, 7], [8, 0, 0], [9, 9, 0]]),
    ],
)
def test_p22_shorter_prompts_are_filled_up_on_the_side_that_was_asked_for(side, ids):
    got, mask = padded_ids(ROWS, pad_id=0, side=side)
    assert got.tolist() == ids
    assert got.dtype == np.int64
    np.testing.assert_array_equal(mask, np.array(ids) != 0)


def test_p22_padding_stands_on_the_left_unless_asked_otherwise():
    assert padded_ids(ROWS, pad_id=0)[0].tolist() == padded_ids(ROWS, pad_id=0, side="left")[0].tolist()


def test_p22_a_real_token_that_equals_the_pad_is_not_masked():
    ids, mask = padded_ids([np.array([0, 0]), np.array([0])], pad_id=0)
    assert ids.tolist() == [[0, 0], [0, 0]]
    assert mask.tolist() == [[True, True], [False, True]]


def read(directory):
    return read_pad_id(directory, tokenizer=load_tokenizer(directory), config=read_config(directory))


@pytest.mark.parametrize("named", ["<|endoftext|>", {"content": "<|endoftext|>", "special": True}])
def test_p22_the_pad_is_the_token_that_tokenizer_config_names(tiny_dir, tmp_path, named):
    folder = changed(tiny_dir, tmp_path, {"pad_token": named})
    assert read(folder) == load_tokenizer(folder).id("<|endoftext|>") == 499


def test_p22_without_a_named_token_the_pad_is_the_end_token(tiny_dir, tmp_path):
    folder = changed(tiny_dir, tmp_path, {"pad_token": None})
    assert read(folder) == read_config(folder).eos_token_id != 499


@pytest.mark.parametrize(
    ("named", "says"),
    [
        (7, "pad_token must be the text of a token, got 7"),
        ({"content": 7}, "pad_token must be the text of a token, got 7"),
        ("<|nobody|>", "the tokenizer has no token '<|nobody|>'"),
    ],
)
def test_a_pad_token_that_is_none_is_refused(tiny_dir, tmp_path, named, says):
    with pytest.raises(BadInput, match=re.escape(says)):
        read(changed(tiny_dir, tmp_path, {"pad_token": named}))


def test_a_side_that_is_neither_is_refused():
    with pytest.raises(BadInput, match="padding_side must be one of left, right, got 'both'"):
        padded_ids(ROWS, pad_id=0, side="both")


def changed(tiny_dir, tmp_path, values):
    folder = shutil.copytree(tiny_dir, tmp_path / "m")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return folder
