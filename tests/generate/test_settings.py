"""Which ids end an answer."""

import json

import pytest

from networks import UNEVEN
from qwen25vl.config import QWEN25_VL_7B, QWEN25_VL_32B
from qwen25vl.errors import BadInput
from qwen25vl.generate.settings import read_stop_ids


def written(directory, document):
    """Write generation_config.json, as JSON or as the text that it is."""
    text = document if isinstance(document, str) else json.dumps(document)
    (directory / "generation_config.json").write_text(text, encoding="utf-8")
    return read_stop_ids(directory, UNEVEN)


def test_g2_both_ids_of_the_generation_config_count(tmp_path):
    assert written(tmp_path, {"eos_token_id": [36, 12], "temperature": 0.1}) == (36, 12)


def test_g2_one_id_may_stand_without_a_list(tmp_path):
    assert written(tmp_path, {"eos_token_id": 36}) == (36,)
    assert written(tmp_path, {"eos_token_id": 0}) == (0,)  # an id like any other


def test_g2_without_one_the_end_token_of_the_config_counts(tmp_path):
    assert read_stop_ids(tmp_path, UNEVEN) == (UNEVEN.eos_token_id,)
    assert written(tmp_path, {}) == (UNEVEN.eos_token_id,)
    assert written(tmp_path, {"eos_token_id": None}) == (UNEVEN.eos_token_id,)


@pytest.mark.data
@pytest.mark.parametrize(("size", "config"), [("7b", QWEN25_VL_7B), ("32b", QWEN25_VL_32B)])
def test_g2_the_released_files_end_at_im_end_and_at_endoftext(data_dir, size, config):
    assert read_stop_ids(data_dir / f"qwen2.5-vl-{size}-instruct", config) == (151645, 151643)


@pytest.mark.parametrize("found", [[], "36", [36, "12"], [True], -1, [37], 1.0, {"a": 1}], ids=str)
def test_ids_that_are_none_are_refused(tmp_path, found):
    with pytest.raises(BadInput, match=r"generation_config.json: eos_token_id must be ids below 37, got"):
        written(tmp_path, {"eos_token_id": found})


@pytest.mark.parametrize(("text", "message"), [("{", "is not valid JSON"), ("[36]", "must hold a JSON object")])
def test_a_broken_file_is_refused(tmp_path, text, message):
    with pytest.raises(BadInput, match=rf"generation_config.json {message}"):
        written(tmp_path, text)
