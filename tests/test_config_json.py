"""config.json in its three forms, against the released files and upstream's own reading."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.config import QWEN25_VL_3B, QWEN25_VL_7B, QWEN25_VL_32B, QWEN25_VL_72B, TINY
from qwen25vl.config_json import parse_config, read_config
from qwen25vl.config_keys import (
    EOS_TOKEN_ID,
    TEXT_KEYS,
    TEXT_ROPE_THETA,
    TOKEN_KEYS,
    VISION_KEYS,
    VISION_ROPE_THETA,
)
from qwen25vl.errors import BadInput

CONFIGS = {"3B": QWEN25_VL_3B, "7B": QWEN25_VL_7B, "32B": QWEN25_VL_32B, "72B": QWEN25_VL_72B, "tiny": TINY}
every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def as_json(value):
    """JSON has lists only."""
    return list(value) if isinstance(value, tuple) else value


def section(config, keys):
    return {key.key: as_json(getattr(config, key.field)) for key in keys}


def flat(config):
    """The form of the released 3B, 7B and 72B."""
    return {
        "model_type": "qwen2_5_vl",
        **section(config, TOKEN_KEYS),
        **section(config.text, TEXT_KEYS),
        "eos_token_id": config.eos_token_id,
        "tie_word_embeddings": config.tie_word_embeddings,
        "rope_theta": config.text.rope_theta,
        "rope_scaling": {"type": "mrope", "mrope_section": list(config.text.mrope_section)},
        "use_sliding_window": False,
        "hidden_act": "silu",
        "vision_config": {**section(config.vision, VISION_KEYS), "in_chans": config.vision.in_channels},
    }


def nested(config):
    """The form that transformers 4.52 and later save."""
    rope = {
        "rope_type": "default",
        "rope_theta": config.text.rope_theta,
        "mrope_section": list(config.text.mrope_section),
    }
    text = {
        "model_type": "qwen2_5_vl_text",
        **section(config.text, TEXT_KEYS),
        "eos_token_id": config.eos_token_id,
        "layer_types": ["full_attention"] * config.text.num_hidden_layers,
        "rope_parameters": rope,
    }
    return {
        "model_type": "qwen2_5_vl",
        **section(config, TOKEN_KEYS),
        "tie_word_embeddings": config.tie_word_embeddings,
        "text_config": text,
        "vision_config": section(config.vision, VISION_KEYS) | {"model_type": "qwen2_5_vl_vision"},
    }


def with_value(document, path, value):
    """A copy with the value at a dotted path, `...` meaning that it is left out."""
    document = copy.deepcopy(document)
    *parents, last = path.split(".")
    place = document
    for parent in parents:
        place = place[parent]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


# ------------------------------------------------------------------------------------ the three forms


@every_config
@pytest.mark.parametrize("form", [flat, nested])
def test_c1_both_forms_state_the_same_model(config, form):
    assert parse_config(form(config)) == config


def test_c1_a_text_config_wins_over_numbers_left_at_the_root():
    """transformers 4.52 to 4.57 saved both: the root's copies are not read."""
    document = flat(QWEN25_VL_3B) | nested(QWEN25_VL_7B)
    assert parse_config(document) == QWEN25_VL_7B


def test_c1_no_vision_config_is_an_empty_one():
    document = with_value(flat(QWEN25_VL_7B), "vision_config", ...)
    assert parse_config(document) == parse_config({**document, "vision_config": None})
    assert parse_config(document).vision.depth == 32


@pytest.mark.data
@pytest.mark.parametrize(("size", "config"), [("7b", QWEN25_VL_7B), ("32b", QWEN25_VL_32B)])
def test_c1_the_released_files_state_the_presets(data_dir, size, config):
    """The 7B's is flat; the 32B's leaves keys out and calls its rotary type "default"."""
    assert read_config(data_dir / f"qwen2.5-vl-{size}-instruct") == config


def test_c2_a_key_left_out_has_the_class_default():
    """Two keys have to be stated, or the class defaults do not make a model at all."""
    document = {
        "model_type": "qwen2_5_vl",
        "rope_parameters": {"mrope_section": [16, 24, 24]},
        "vision_config": {"out_hidden_size": 8192},
    }
    found = parse_config(document)
    for part, keys in ((found.vision, VISION_KEYS), (found.text, TEXT_KEYS), (found, TOKEN_KEYS)):
        for key in keys:
            if key.key != "out_hidden_size":
                assert getattr(part, key.field) == key.default, key
    assert (found.vision.rope_theta, found.text.rope_theta) == (1e4, 1e6)
    assert (found.eos_token_id, found.tie_word_embeddings) == (EOS_TOKEN_ID, False)
    del document["vision_config"]
    document |= {"hidden_size": 3584, "num_attention_heads": 28, "num_key_value_heads": 4}
    assert parse_config(document).vision.out_hidden_size == 3584


def test_c2_the_sparse_form_means_the_class_defaults():
    """The keys that the released 32B leaves out, and the one that it must not."""
    document = flat(QWEN25_VL_32B)
    for key in (
        "depth",
        "num_heads",
        "patch_size",
        "spatial_merge_size",
        "temporal_patch_size",
        "window_size",
    ):
        del document["vision_config"][key]
    del document["vision_config"]["fullatt_block_indexes"], document["rope_theta"], document["eos_token_id"]
    assert parse_config(document) == QWEN25_VL_32B
    without = with_value(document, "vision_config.hidden_size", ...)
    assert parse_config(without).vision.hidden_size == 3584  # trap: no release is that wide


WRONG_VALUES = {
    "text": ("hidden_size", "3584", r"hidden_size must be an integer of 0 or more, got \"3584\""),
    "fraction": ("hidden_size", 3584.0, "got 3584.0"),
    "null": ("vocab_size", None, "vocab_size must be an integer of 0 or more, got null"),
    "true": ("num_hidden_layers", True, "got true"),
    "list": (
        "vision_config.patch_size",
        [14, 14],
        r"vision_config.patch_size must be an integer .* \[14, 14\]",
    ),
    "negative": ("vision_config.depth", -1, "depth must be an integer of 0 or more, got -1"),
    "zero": ("vision_config.depth", 0, "depth must be positive"),
    "no list": ("vision_config.fullatt_block_indexes", 7, "must be a list of integers, got 7"),
    "list of text": (
        "vision_config.fullatt_block_indexes",
        ["7"],
        r"must be an integer of 0 or more, got \"7\"",
    ),
    "text for a number": ("rms_norm_eps", "1e-6", "rms_norm_eps must be a finite number"),
    "null for a number": ("rope_theta", None, "rope_theta must be a finite number, got null"),
    "not a number": ("rms_norm_eps", float("nan"), "must be a finite number, got NaN"),
    "no object": ("vision_config", 3, "vision_config must be an object, got 3"),
    "a long value": ("vocab_size", "x" * 99, "x{50,60}\\.\\.\\.$"),
    "text for a flag": ("tie_word_embeddings", "false", "must be true or false"),
    "negative token": ("image_token_id", -200, "image_token_id must be an integer of 0 or more"),
}


@pytest.mark.parametrize("fault", WRONG_VALUES)
def test_c3_a_value_of_the_wrong_kind_is_refused(fault):
    path, value, message = WRONG_VALUES[fault]
    check_refused(with_value(flat(QWEN25_VL_7B), path, value), message)


def test_c3_the_text_says_in_which_object_the_value_stands():
    document = with_value(nested(QWEN25_VL_7B), "text_config.hidden_size", "wide")
    check_refused(document, r"^text_config.hidden_size must be")


def test_c3_a_whole_number_will_do_where_a_fraction_may_stand():
    found = parse_config(with_value(flat(QWEN25_VL_7B), "rope_theta", 1_000_000))
    assert found == QWEN25_VL_7B
    assert isinstance(found.text.rope_theta, float)


@pytest.mark.parametrize(
    ("stated", "channels"),
    [({"in_chans": 3}, 3), ({"in_channels": 4}, 4), ({"in_channels": 4, "in_chans": 4}, 4), ({}, 3)],
)
def test_c4_the_number_of_channels_is_read_from_in_channels(stated, channels):
    document = flat(QWEN25_VL_7B)
    del document["vision_config"]["in_channels"], document["vision_config"]["in_chans"]
    document["vision_config"] |= stated
    assert parse_config(document).vision.in_channels == channels


@pytest.mark.parametrize("stated", [{"in_chans": 4}, {"in_chans": 3, "in_channels": 1}])
def test_c4_an_in_chans_that_upstream_would_pass_over_is_refused(stated):
    document = flat(QWEN25_VL_7B)
    del document["vision_config"]["in_channels"], document["vision_config"]["in_chans"]
    document["vision_config"] |= stated
    check_refused(document, "in_chans is [34], but upstream reads in_channels, which is [13] here")


@pytest.mark.parametrize(
    ("root", "text", "tied"),
    [
        (True, ..., True),
        (..., True, True),
        (False, True, True),
        (True, False, True),
        (False, ..., False),
        (..., ..., False),
    ],
)
def test_c5_embeddings_are_tied_if_either_object_says_so(root, text, tied):
    document = nested(QWEN25_VL_7B)
    document["text_config"]["tie_word_embeddings"] = False
    document = with_value(document, "tie_word_embeddings", root)
    document = with_value(document, "text_config.tie_word_embeddings", text)
    assert parse_config(document).tie_word_embeddings is tied


def test_c6_null_key_value_heads_mean_one_for_each_query_head():
    document = with_value(flat(QWEN25_VL_7B), "num_key_value_heads", None)
    assert parse_config(document).text.num_key_value_heads == 28


SECTION = {"mrope_section": [16, 24, 24]}


@pytest.mark.parametrize(
    ("stated", "theta"),
    [
        ({"rope_scaling": SECTION}, 1e6),
        ({"rope_scaling": SECTION, "rope_theta": 5.0}, 5.0),
        ({"rope_parameters": SECTION | {"rope_theta": 7.0}}, 7.0),
        ({"rope_parameters": SECTION, "rope_theta": 5.0}, 5.0),
        ({"rope_parameters": SECTION | {"rope_theta": 7.0}, "rope_theta": 5.0}, 7.0),
        ({"rope_scaling": {}, "rope_parameters": SECTION | {"rope_theta": 7.0}}, 7.0),
        ({"rope_scaling": None, "rope_parameters": SECTION | {"rope_theta": 7.0}}, 7.0),
        # trap: rope_scaling hides rope_parameters whole, its rope_theta too
        ({"rope_scaling": SECTION, "rope_parameters": {"mrope_section": [1, 2, 61], "rope_theta": 7.0}}, 1e6),
    ],
)
@pytest.mark.parametrize("form", [flat, nested])
def test_c7_rope_scaling_comes_before_rope_parameters(form, stated, theta):
    document = form(QWEN25_VL_7B)
    text = document.get("text_config", document)
    for key in ("rope_scaling", "rope_parameters", "rope_theta"):
        text.pop(key, None)
    text |= stated
    found = parse_config(document).text
    assert (found.rope_theta, found.mrope_section) == (theta, (16, 24, 24))


@pytest.mark.parametrize(
    ("stated", "theta"),
    [
        ({}, 1e4),
        ({"rope_parameters": {"rope_type": "axial", "rope_theta": 3.0}}, 3.0),
        ({"rope_theta": 3.0}, 3.0),
    ],
)
def test_c7_the_vision_encoder_has_a_base_of_its_own(stated, theta):
    document = nested(QWEN25_VL_7B)
    document["vision_config"] |= stated
    assert parse_config(document).vision.rope_theta == theta


@pytest.mark.parametrize(
    "types",
    [
        {"type": "mrope"},
        {"type": "default"},
        {"rope_type": "mrope"},
        {"rope_type": "default", "type": "mrope"},
        {},
    ],
)
def test_c8_mrope_and_default_are_two_words_for_one_thing(types):
    document = with_value(flat(QWEN25_VL_7B), "rope_scaling", SECTION | types)
    assert parse_config(document) == QWEN25_VL_7B


ROTARY_FAULTS = {
    "yarn": (SECTION | {"type": "yarn", "factor": 4.0}, 'rope_scaling: rope type "yarn" is not supported'),
    "yarn named twice": (SECTION | {"type": "default", "rope_type": "yarn"}, 'rope type "yarn"'),
    "dynamic": (SECTION | {"rope_type": "dynamic"}, 'rope type "dynamic"'),
    "no section": ({"type": "mrope"}, "mrope_section is missing"),
    "no settings": (None, "mrope_section is missing"),
    "a section of two": ({"mrope_section": [32, 32]}, r"must hold 3 integers, .* got \[32, 32\]"),
    "a section that is a number": ({"mrope_section": 64}, "mrope_section must be a list of integers"),
    "a negative section": ({"mrope_section": [-8, 48, 24]}, "mrope_section must be an integer of 0 or more"),
    "a section of another sum": ({"mrope_section": [16, 24, 23]}, "must sum to half the head width"),
    "a word": ("yarn", "rope_scaling must be an object"),
}


@pytest.mark.parametrize("fault", ROTARY_FAULTS)
def test_c8_other_rotary_settings_are_refused(fault):
    value, message = ROTARY_FAULTS[fault]
    check_refused(with_value(flat(QWEN25_VL_7B), "rope_scaling", value), message)


def test_c8_a_vision_encoder_with_other_rotary_settings_is_refused():
    document = with_value(nested(QWEN25_VL_7B), "vision_config.rope_parameters", {"rope_type": "yarn"})
    check_refused(document, r'vision_config.rope_parameters: rope type "yarn"')


OTHER_MODELS = {
    "qwen2-vl": ("model_type", "qwen2_vl", "model_type must be 'qwen2_5_vl', got \"qwen2_vl\""),
    "no type": ("model_type", ..., "model_type must be 'qwen2_5_vl', got null"),
    "another text model": (
        "text_config.model_type",
        "llama",
        "text_config.model_type must be 'qwen2_5_vl_text'",
    ),
    "another vision model": ("vision_config.model_type", "qwen3_vl", "must be 'qwen2_5_vl_vision'"),
    "gelu": ("text_config.hidden_act", "gelu", "text_config.hidden_act must be 'silu', got \"gelu\""),
    "quick gelu": ("vision_config.hidden_act", "quick_gelu", "vision_config.hidden_act must be 'silu'"),
    "awq": ("quantization_config", {"quant_method": "awq"}, "quantised checkpoints are not supported"),
    "quantised text": ("text_config.quantization_config", {}, "quantised checkpoints are not supported"),
    "sliding window": ("text_config.use_sliding_window", True, "sliding-window attention is not supported"),
    "sliding layers": ("text_config.layer_types", ["sliding_attention"], "sliding-window attention"),
    "layers of no type": ("text_config.layer_types", "full", "sliding-window attention"),
    "a head width of its own": (
        "text_config.head_dim",
        64,
        "head_dim must be hidden_size over .*, 128, got 64",
    ),
}


@pytest.mark.parametrize("fault", OTHER_MODELS)
def test_c9_a_model_that_is_not_computed_here_is_refused(fault):
    path, value, message = OTHER_MODELS[fault]
    check_refused(with_value(nested(QWEN25_VL_7B), path, value), message)


def test_c9_settings_that_change_nothing_are_passed_over():
    document = flat(QWEN25_VL_7B) | {
        "sliding_window": 32768,
        "max_window_layers": 28,
        "attention_dropout": 0.5,
    }
    document |= {"quantization_config": None, "head_dim": 128, "torch_dtype": "bfloat16", "something": "new"}
    assert parse_config(document) == QWEN25_VL_7B


@pytest.mark.parametrize(
    ("root", "text", "eos"),
    [
        (..., 7, 7),
        (..., [9, 7], 9),
        (5, 7, 5),
        ([5, 6], 7, 5),
        (None, 7, 7),
        (..., ..., 151645),
        (None, None, 151645),
    ],
)
def test_c10_the_first_token_that_ends_an_answer(root, text, eos):
    document = nested(QWEN25_VL_7B) | {"eos_token_id": 1}
    document = with_value(document, "eos_token_id", root)
    document = with_value(document, "text_config.eos_token_id", text)
    assert parse_config(document).eos_token_id == eos


@pytest.mark.parametrize(
    ("value", "message"),
    [([], "must name a token"), ("<|im_end|>", "must be an integer"), (152064, "below vocab_size")],
)
def test_c10_an_end_that_is_no_token_is_refused(value, message):
    check_refused(with_value(flat(QWEN25_VL_7B), "eos_token_id", value), f"eos_token_id.* {message}")


BEYOND = {
    "a size": (
        "intermediate_size",
        2**31,
        "intermediate_size must be an integer of at most 2147483647, got 2147483648",
    ),
    "a block": ("vision_config.fullatt_block_indexes", [7, 2**31], "must be an integer of at most 2147483647"),
    "a token": ("image_token_id", 10**30, "image_token_id must be an integer of at most 2147483647"),
    "a thousand digits": ("vocab_size", 10**999, "got 1000000"),
    "blocks": ("num_hidden_layers", 1001, "num_hidden_layers must be at most 1000, got 1001"),
    "blocks of the vision encoder": ("vision_config.depth", 1001, "depth must be at most 1000, got 1001"),
    "a base": ("rope_theta", 10**400, "rope_theta must be a finite number, got 1000.*, beyond float64"),
    "a base of infinity": ("rope_theta", float("inf"), "rope_theta must be a finite number, got Infinity"),
    "a base below 1": ("rope_theta", 0.99, "rope_theta must be at least 1, got 0.99"),
}


@pytest.mark.parametrize("fault", BEYOND)
def test_c29_numbers_beyond_any_model_are_refused(fault):
    path, value, message = BEYOND[fault]
    check_refused(with_value(flat(QWEN25_VL_7B), path, value), message)


def test_c29_the_largest_numbers_are_numbers():
    assert parse_config(with_value(flat(QWEN25_VL_7B), "intermediate_size", 2**31 - 1))
    assert parse_config(with_value(flat(QWEN25_VL_7B), "num_hidden_layers", 1000))
    assert parse_config(with_value(flat(QWEN25_VL_7B), "rope_theta", 1))


def test_c27_numbers_that_do_not_fit_are_refused():
    check_refused(
        with_value(flat(QWEN25_VL_7B), "vision_config.out_hidden_size", 9), "out_hidden_size 9 must equal"
    )
    check_refused(with_value(flat(QWEN25_VL_7B), "num_key_value_heads", 5), "must be a multiple of")


def check_refused(document, message):
    """In one sentence, of one line."""
    with pytest.raises(BadInput, match=message) as refusal:
        parse_config(document)
    assert "\n" not in str(refusal.value)


# --------------------------------------------------------------------------------------------- files


def test_c11_a_directory_is_read_from_its_config_json(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(flat(TINY)))
    assert read_config(tmp_path) == TINY


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "config.json is not valid JSON"),
        (b'{"model_type": ', "config.json is not valid JSON"),
        (b"\xff\xfe\xfd", "config.json is not valid JSON"),
        (b"[" * 100_000, "config.json is not valid JSON"),
        (b"[1]", r"config.json must hold a JSON object, got a list"),
        (b'{"model_type": "qwen2_vl"}', "config.json: model_type must be"),
    ],
)
def test_c11_a_file_that_cannot_be_used_is_named(tmp_path, content, message):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(BadInput, match=message) as refusal:
        read_config(tmp_path)
    assert str(tmp_path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["absent", "."])
def test_c11_a_directory_without_config_json_is_named(tmp_path, name):
    with pytest.raises(BadInput, match=r"no config.json in .*; give the directory of"):
        read_config(tmp_path / name)


# -------------------------------------------------------------------------------------------- oracle


@pytest.mark.oracle
def test_c2_the_table_is_upstreams():
    import oracle

    want = oracle.class_defaults()
    for name, keys in (("vision", VISION_KEYS), ("text", TEXT_KEYS), ("root", TOKEN_KEYS)):
        assert {key.key: as_json(key.default) for key in keys} == {
            key.key: as_json(want[name][key.key]) for key in keys
        }
    assert want["vision"]["rope_parameters"]["rope_theta"] == VISION_ROPE_THETA.default
    assert want["text"]["rope_parameters"]["rope_theta"] == TEXT_ROPE_THETA.default
    assert want["root"]["eos_token_id"] == EOS_TOKEN_ID


@pytest.mark.oracle
@every_config
def test_c1_what_upstream_saves_is_read_back(tmp_path, config):
    import oracle

    oracle.saved_config(tmp_path, config)
    assert read_config(tmp_path) == config


THETA = st.sampled_from([5.0, 1e5])
IDS = st.one_of(st.integers(0, 500), st.lists(st.integers(0, 500), min_size=1, max_size=2))


@st.composite
def documents(draw):
    """Either form, keys left out, and what can stand in two places standing in either or both."""
    config = draw(st.sampled_from(list(CONFIGS.values())))
    document = draw(st.sampled_from([flat, nested]))(config)
    text = document.get("text_config", document)
    for part, keys in ((document["vision_config"], VISION_KEYS), (text, TEXT_KEYS), (document, TOKEN_KEYS)):
        for key in keys:
            if part[key.key] == as_json(key.default) and draw(st.booleans()):
                del part[key.key]
    for key in ("rope_scaling", "rope_parameters", "rope_theta"):
        text.pop(key, None)
    words = {"rope_theta": THETA, "type": st.just("mrope"), "rope_type": st.just("default")}
    rope = draw(st.fixed_dictionaries({}, optional=words))
    rope["mrope_section"] = list(config.text.mrope_section)
    hidden = {"rope_theta": 9.0, "mrope_section": [1, 2, 3]}
    text |= draw(
        st.sampled_from(
            [
                {"rope_scaling": rope},
                {"rope_parameters": rope},
                {"rope_scaling": {}, "rope_parameters": rope},
                {"rope_scaling": rope, "rope_parameters": hidden},
            ]
        )
    )
    tied = {"tie_word_embeddings": st.booleans()}
    text |= draw(st.fixed_dictionaries({"eos_token_id": IDS}, optional=tied | {"rope_theta": THETA}))
    document |= draw(st.fixed_dictionaries({}, optional=tied | {"eos_token_id": IDS}))
    return document


@pytest.mark.oracle
@given(document=documents())
def test_c7_whatever_a_file_says_is_understood_as_upstream_understands_it(document):
    import oracle

    want = oracle.upstream_reading(document)
    found = parse_config(document)
    for part, name, keys in (
        (found.vision, "vision", VISION_KEYS),
        (found.text, "text", TEXT_KEYS),
        (found, "root", TOKEN_KEYS),
    ):
        for key in keys:
            assert as_json(getattr(part, key.field)) == as_json(want[name][key.key]), key
    assert found.text.rope_theta == want["text"]["rope_parameters"]["rope_theta"]
    assert list(found.text.mrope_section) == want["text"]["rope_parameters"]["mrope_section"]
    assert found.vision.rope_theta == want["vision"]["rope_parameters"]["rope_theta"]
    assert found.tie_word_embeddings == want["root"]["tie_word_embeddings"]
    eos = want["root"]["eos_token_id"]
    if "text_config" in document and not oracle.since("5.20"):  # it then reads the text config's alone
        document = {key: value for key, value in document.items() if key != "eos_token_id"}
        found = parse_config(document)
    assert found.eos_token_id == (eos[0] if isinstance(eos, list) else eos)
