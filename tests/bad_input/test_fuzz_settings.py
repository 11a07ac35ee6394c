"""Damaged JSON beside the weights: config, settings of pictures, generation, template, tokenizer."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bad_input.faults import check_refusal_or_success, damaged, damaged_bytes, nest, values
from qwen25vl.bundled import checkpoint_directory
from qwen25vl.checkpoint.names import expected_shapes
from qwen25vl.config import QWEN25_VL_32B, TINY
from qwen25vl.config_json import read_config
from qwen25vl.generate.settings import read_settings as read_generation
from qwen25vl.generate.settings import read_stop_ids
from qwen25vl.media.settings import read_settings
from qwen25vl.prompt.padding import read_pad_id
from qwen25vl.prompt.template import read_template
from qwen25vl.prompt.tokenizer import load_tokenizer
from test_config_json import flat, nested

TINY_DIR = checkpoint_directory("tiny")
ROOM_BYTES = 3_000_000
"""Beside 32 times the file: what the libraries set up for themselves."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def check(path: Path, content: bytes, call, *, lines=1):
    """Write a file and read it."""
    path.write_bytes(content)
    check_refusal_or_success(call, most_bytes=32 * len(content) + ROOM_BYTES, lines=lines)


def as_text(document) -> bytes:
    """JSON, with the infinities that Python writes and reads."""
    return json.dumps(document).encode()


def sparse(config):
    """The form of the released 32B: keys left out of vision_config."""
    document = flat(config)
    for key in ("depth", "num_heads", "patch_size", "fullatt_block_indexes"):
        del document["vision_config"][key]
    return document


FORMS = [flat(TINY), nested(TINY), sparse(QWEN25_VL_32B)]


def with_value(document, key, value, *, within=None):
    """The document with one value changed."""
    if within is None:
        return document | {key: value}
    return document | {within: document[within] | {key: value}}


@given(document=st.one_of([damaged(form) for form in FORMS]))
@example(document=with_value(flat(TINY), "rope_theta", 10**400))
@example(document=with_value(flat(TINY), "rms_norm_eps", -(10**400)))
@example(document=with_value(flat(TINY), "num_hidden_layers", 10**9))
@example(document=with_value(flat(TINY), "depth", 10**30, within="vision_config"))
@example(document=with_value(flat(TINY), "hidden_act", nest(300)))
@example(document=with_value(flat(TINY), "tokens_per_second", 2**63, within="vision_config"))
@example(document=with_value(nested(TINY), "layer_types", nest(300), within="text_config"))
@example(document=with_value(flat(TINY), "mrope_section", [0, 0, 10], within="rope_scaling"))
@example(document=with_value(flat(TINY), "rope_theta", 5e-324))
def test_c29_a_damaged_config_is_refused_or_read(folder, document):
    """What is read is a model whose tensors can be listed."""
    check(folder / "config.json", as_text(document), lambda: expected_shapes(read_config(folder)))


@given(content=st.one_of([damaged_bytes(as_text(form)) for form in FORMS]))
@example(content=b'{"model_type": "qwen2_5_vl", "model_type": "qwen2_5_vl"}')
@example(content=as_text(flat(TINY)).replace(b"523", b"9" * 5000, 1))
@example(content=as_text(flat(TINY)).replace(b"523", b"1e400", 1))
@example(content=b"\xef\xbb\xbf" + as_text(flat(TINY)))
@example(content=as_text(flat(TINY)).decode().encode("utf-16"))
def test_c29_a_config_of_damaged_bytes_is_refused_or_read(folder, content):
    check(folder / "config.json", content, lambda: expected_shapes(read_config(folder)))


def test_c29_a_key_that_stands_twice_is_refused(folder):
    content = as_text(flat(TINY)).replace(b"{", b'{"hidden_size": 120, ', 1)
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match='the key "hidden_size" stands there twice'):
        read_config(folder)


def test_c29_a_file_too_large_is_not_read(folder):
    with (folder / "config.json").open("wb") as file:
        file.truncate(10_000_001)
    check_refusal_or_success(lambda: read_config(folder), most_bytes=1_000_000)
    with pytest.raises(ValueError, match="is larger than 10000000 bytes"):
        read_config(folder)


@pytest.mark.parametrize("within", [64, 65])
def test_c29_nesting_is_bounded(folder, within):
    (folder / "config.json").write_bytes(as_text(flat(TINY) | {"more": nest(within - 2)}))
    if within == 64:
        assert read_config(folder) == TINY
    else:
        with pytest.raises(ValueError, match="nested deeper than 64"):
            read_config(folder)


PICTURES = json.loads((TINY_DIR / "preprocessor_config.json").read_text())
PICTURES |= {"size": {"shortest_edge": 784, "longest_edge": 50_000}, "do_resize": True, "resample": 3}


@given(document=st.one_of(damaged(PICTURES), damaged({"image_processor": PICTURES})), combined=st.booleans())
@example(document=PICTURES | {"image_std": [10**400, 1, 1]}, combined=False)
@example(document=PICTURES | {"image_mean": [1e308, -1e308, 0]}, combined=False)
@example(document=PICTURES | {"max_pixels": 10**30}, combined=False)
@example(document=PICTURES | {"do_resize": nest(300)}, combined=False)
@example(document=PICTURES | {"image_processor_type": "x" * 3000}, combined=False)
def test_i23_damaged_settings_of_pictures_are_refused_or_read(folder, document, combined):
    place = folder / ("combined" if combined else "older")
    place.mkdir(exist_ok=True)
    name = "processor_config.json" if combined else "preprocessor_config.json"
    check(place / name, as_text(document), lambda: read_settings(place))


GENERATION = json.loads((TINY_DIR / "generation_config.json").read_text())
GENERATION |= {
    "eos_token_id": [501, 499],
    "temperature": 0.1,
    "top_k": 1,
    "repetition_penalty": 1.05,
    "do_sample": True,
}


@given(document=damaged(GENERATION))
@example(document=GENERATION | {"eos_token_id": nest(300)})
@example(document=GENERATION | {"temperature": 10**400})
@example(document=GENERATION | {"eos_token_id": [501] * 3000 + ["x"]})
def test_g12_a_damaged_generation_config_is_refused_or_read(folder, document):
    def call():
        read_generation(folder)
        read_stop_ids(folder, TINY)

    check(folder / "generation_config.json", as_text(document), call)


@given(template=st.one_of(values, damaged([{"name": "default", "template": "x"}, {"name": "y", "template": "z"}])))
@example(template=[nest(40)])
@example(template={"default": None})
def test_p11_a_damaged_template_file_is_refused_or_read(folder, template):
    check(folder / "chat_template.json", as_text({"chat_template": template}), lambda: read_template(folder))


TOKENIZER = json.loads((TINY_DIR / "tokenizer.json").read_text())
TOKENS = json.loads((TINY_DIR / "tokenizer_config.json").read_text())


def check_quiet(capfd):
    """Nothing is printed, but what the compiled tokenizer says by itself when a file makes it panic."""
    printed = capfd.readouterr().err
    assert printed == "" or "panicked at" in printed


quiet = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
"""`capfd` is read out for every example."""


def used(folder):
    """Load a tokenizer and use it."""
    tokenizer = load_tokenizer(folder)
    ids = tokenizer.encode("Hello, wörld 12 <|im_end|>\n")
    tokenizer.decode([*ids, 0, 522, 70_000])
    read_pad_id(folder, tokenizer=tokenizer, config=TINY)


@given(document=damaged(TOKENIZER, most=2))
@example(document=TOKENIZER | {"pre_tokenizer": None})
@example(document=TOKENIZER | {"decoder": None})
@example(document=TOKENIZER | {"added_tokens": []})
@example(document=TOKENIZER | {"model": TOKENIZER["model"] | {"vocab": {}}})
@example(document=TOKENIZER | {"model": TOKENIZER["model"] | {"merges": []}})
@example(document=TOKENIZER | {"model": TOKENIZER["model"] | {"vocab": {"a": 0, "b": 0}, "merges": []}})
@example(document=TOKENIZER | {"model": TOKENIZER["model"] | {"vocab": {"a": 2**32 - 1}, "merges": []}})
@example(document=TOKENIZER | {"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "zzz"}})
@example(
    document=TOKENIZER
    | {
        "model": {
            "type": "WordPiece",
            "vocab": {},
            "unk_token": "x",
            "max_input_chars_per_word": 2,
            "continuing_subword_prefix": "##",
        }
    }
)
@example(document=TOKENIZER | {"model": {"type": "Unigram", "vocab": [], "unk_id": 5}})
@example(document=TOKENIZER | {"model": {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": None}})
@example(document=TOKENIZER | {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}})
@example(
    document=TOKENIZER
    | {"truncation": {"max_length": 0, "strategy": "LongestFirst", "stride": 9, "direction": "Right"}}
)
@quiet
def test_p17_a_damaged_tokenizer_is_refused_or_usable(folder, capfd, document):
    (folder / "tokenizer_config.json").write_bytes(as_text(TOKENS))
    check(folder / "tokenizer.json", as_text(document), lambda: used(folder))
    check_quiet(capfd)


@given(document=damaged(TOKENS))
@example(document=TOKENS | {"added_tokens_decoder": {"9" * 5000: {"content": "x"}}})
@example(document=TOKENS | {"added_tokens_decoder": {"7": {"content": nest(300)}}})
@example(document=TOKENS | {"added_tokens_decoder": {"7": {"content": ""}}})
@example(document=TOKENS | {"added_tokens_decoder": {"-7": {"content": "x"}}})
@example(document=TOKENS | {"added_tokens_decoder": {str(2**40): {"content": "x"}}})
@example(document=TOKENS | {"added_tokens_decoder": {"523": {"content": "\ud800"}}})
@example(document=TOKENS | {"added_tokens_decoder": []})
@example(document=TOKENS | {"pad_token": nest(300)})
@example(document=TOKENS | {"pad_token": "\ud800"})
@quiet
def test_p17_a_damaged_list_of_tokens_is_refused_or_usable(folder, capfd, document):
    (folder / "tokenizer.json").write_bytes((TINY_DIR / "tokenizer.json").read_bytes())
    check(folder / "tokenizer_config.json", as_text(document), lambda: used(folder))
    check_quiet(capfd)


@given(content=damaged_bytes((TINY_DIR / "tokenizer.json").read_bytes()))
@quiet
def test_p17_a_tokenizer_of_damaged_bytes_is_refused_or_usable(folder, capfd, content):
    check(folder / "tokenizer.json", content, lambda: used(folder))
    check_quiet(capfd)
