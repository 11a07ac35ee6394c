"""What a checkpoint's generation_config.json says."""

import json

import pytest

import qwen25vl
from networks import UNEVEN
from qwen25vl.bundled import BUNDLED, checkpoint_directory
from qwen25vl.config import QWEN25_VL_7B, QWEN25_VL_32B
from qwen25vl.errors import BadInput
from qwen25vl.generate.settings import NEUTRAL, GenerationSettings, read_settings, read_stop_ids

RELEASED = GenerationSettings(do_sample=True, temperature=1e-6, repetition_penalty=1.05)
"""What the releases ask for; they say nothing of top_k."""


def write(directory, document):
    """Write generation_config.json, as JSON or as the text that it is."""
    text = document if isinstance(document, str) else json.dumps(document)
    (directory / "generation_config.json").write_text(text, encoding="utf-8")


def stops(directory, document):
    write(directory, document)
    return read_stop_ids(directory, UNEVEN)


def settings(directory, document):
    write(directory, document)
    return read_settings(directory)


# ---------------------------------------------------------------------------------------- stop ids


def test_g2_both_ids_of_the_generation_config_count(tmp_path):
    assert stops(tmp_path, {"eos_token_id": [36, 12], "temperature": 0.1}) == (36, 12)


def test_g2_one_id_may_stand_without_a_list(tmp_path):
    assert stops(tmp_path, {"eos_token_id": 36}) == (36,)
    assert stops(tmp_path, {"eos_token_id": 0}) == (0,)  # an id like any other


def test_g2_without_one_the_end_token_of_the_config_counts(tmp_path):
    assert read_stop_ids(tmp_path, UNEVEN) == (UNEVEN.eos_token_id,)
    assert stops(tmp_path, {}) == (UNEVEN.eos_token_id,)
    assert stops(tmp_path, {"eos_token_id": None}) == (UNEVEN.eos_token_id,)


@pytest.mark.data
@pytest.mark.parametrize(("size", "config"), [("7b", QWEN25_VL_7B), ("32b", QWEN25_VL_32B)])
def test_g2_the_released_files_end_at_im_end_and_at_endoftext(data_dir, size, config):
    assert read_stop_ids(data_dir / f"qwen2.5-vl-{size}-instruct", config) == (151645, 151643)


@pytest.mark.parametrize("found", [[], "36", [36, "12"], [True], -1, [37], 1.0, {"a": 1}], ids=str)
def test_ids_that_are_none_are_refused(tmp_path, found):
    with pytest.raises(BadInput, match=r"generation_config.json: eos_token_id must be ids below 37, got"):
        stops(tmp_path, {"eos_token_id": found})


# ---------------------------------------------------------------------------------------- settings


def test_g12_what_the_file_says_is_taken(tmp_path):
    found = settings(
        tmp_path,
        {
            "do_sample": True,
            "temperature": 0.1,
            "top_k": 1,
            "top_p": 0.001,
            "min_p": 0.02,
            "repetition_penalty": 1.1,
        },
    )
    assert found == GenerationSettings(
        do_sample=True, temperature=0.1, top_k=1, top_p=0.001, min_p=0.02, repetition_penalty=1.1
    )


def test_g12_without_a_file_or_a_value_there_is_no_sampling_and_no_penalty(tmp_path):
    plain = GenerationSettings(
        do_sample=False, temperature=1.0, top_k=50, top_p=1.0, min_p=0.0, repetition_penalty=1.0
    )
    assert read_settings(tmp_path) == plain
    assert settings(tmp_path, {}) == plain
    assert settings(tmp_path, dict.fromkeys(["do_sample", "temperature", "top_k", "num_beams"])) == plain


def test_g12_a_whole_number_may_stand_for_a_number(tmp_path):
    found = settings(tmp_path, {"temperature": 1, "top_p": 1, "repetition_penalty": 2, "min_p": 0})
    assert found == GenerationSettings(repetition_penalty=2.0)
    assert type(found.temperature) is float


@pytest.mark.parametrize("name", BUNDLED)
def test_g12_the_bundled_checkpoints_ask_for_what_the_releases_ask_for(name):
    assert read_settings(checkpoint_directory(name)) == RELEASED
    assert qwen25vl.load(name).settings == RELEASED


@pytest.mark.data
@pytest.mark.parametrize("size", ["7b", "32b"])
def test_g12_the_released_files_ask_for_a_tiny_temperature_and_a_penalty(data_dir, size):
    assert read_settings(data_dir / f"qwen2.5-vl-{size}-instruct") == RELEASED


# --------------------------------------------------------------------------------- what is not done


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_beams", 4),
        ("typical_p", 0.9),
        ("no_repeat_ngram_size", 3),
        ("suppress_tokens", [7]),
        ("min_length", 9),
    ],
)
def test_g14_what_would_change_the_answer_and_is_not_specified_is_remembered(tmp_path, key, value):
    assert settings(tmp_path, {key: value}).unsupported == (f"{key} = {value}",)


def test_g14_values_that_change_nothing_are_no_matter(tmp_path):
    assert settings(tmp_path, NEUTRAL).unsupported == ()
    assert settings(tmp_path, {"max_new_tokens": 9, "bos_token_id": 1, "_comment": "x"}).unsupported == ()


# --------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(("text", "message"), [("{", "is not valid JSON"), ("[36]", "must hold a JSON object")])
def test_a_broken_file_is_refused(tmp_path, text, message):
    for read in (stops, settings):
        with pytest.raises(BadInput, match=rf"generation_config.json {message}"):
            read(tmp_path, text)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("do_sample", "yes", 'do_sample must be true or false, got "yes"'),
        ("do_sample", 1, "do_sample must be true or false, got 1"),
        ("temperature", -1, "temperature must be 0, or a number from 1e-15 to 1e15, got -1"),
        ("top_k", 2.5, r"top_k must be a whole number of at least 0, got 2.5; 0 switches it off"),
    ],
)
def test_g13_a_value_out_of_range_is_refused_with_the_files_name(tmp_path, key, value, says):
    with pytest.raises(BadInput, match=rf"generation_config.json: {says}"):
        settings(tmp_path, {key: value})


# ---------------------------------------------------------------------------------------------- oracle

FIELDS = ("do_sample", "temperature", "top_k", "top_p", "repetition_penalty")


@pytest.mark.oracle
def test_g12_the_defaults_are_upstreams():
    import oracle

    defaults = oracle.hf_generation_defaults()
    assert {name: getattr(GenerationSettings(), name) for name in FIELDS} == {
        name: defaults[name] for name in FIELDS
    }
    assert defaults.get("min_p") is None


@pytest.mark.oracle
@pytest.mark.parametrize("name", BUNDLED)
def test_g12_upstream_reads_the_same_from_a_file(name):
    import oracle

    directory = checkpoint_directory(name)
    want, got = oracle.hf_read_generation_config(directory), read_settings(directory)
    assert {field: getattr(got, field) for field in FIELDS} == {field: want[field] for field in FIELDS}
    assert list(qwen25vl.load(name).stop_ids) == want["eos_token_id"]


@pytest.mark.oracle
def test_g14_what_is_neutral_here_is_neutral_upstream():
    import oracle

    defaults = oracle.hf_generation_defaults()
    known = {key: value for key, value in NEUTRAL.items() if defaults.get(key) is not None}
    assert known == {key: defaults[key] for key in known}
    assert len(known) > 8
