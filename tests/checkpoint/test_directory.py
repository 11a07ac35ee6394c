"""Opening a checkpoint directory: one file or shards, both layouts of names, what upstream saves."""

import json
from dataclasses import replace

import numpy as np
import pytest

from checkpoint_files import float32_part, new_name, packed, random_parts, written_shards
from qwen25vl.checkpoint.directory import INDEX, ONE_FILE, open_checkpoint
from qwen25vl.checkpoint.names import expected_shapes
from qwen25vl.config import TINY
from qwen25vl.config_json import read_config
from qwen25vl.errors import BadInput

UNTIED = replace(TINY, tie_word_embeddings=False)


def check_holds(checkpoint, parts):
    """Every tensor, in the order of the model, bit for bit."""
    assert list(checkpoint.tensors) == list(parts)
    for name, (_, _, bits) in parts.items():
        assert checkpoint.tensors[name].raw.tobytes() == bits


@pytest.mark.parametrize("rename", [str, new_name], ids=["released", "new"])
@pytest.mark.parametrize("config", [TINY, UNTIED], ids=["tied", "untied"])
def test_c24_one_file_holds_the_whole_model(tmp_path, config, rename):
    parts = random_parts(config)
    (tmp_path / ONE_FILE).write_bytes(packed({rename(name): part for name, part in reversed(parts.items())}))
    checkpoint = open_checkpoint(tmp_path, config)
    check_holds(checkpoint, parts)
    assert checkpoint.files == (tmp_path / ONE_FILE,)


@pytest.mark.parametrize("rename", [str, new_name], ids=["released", "new"])
@pytest.mark.parametrize("shards", [1, 3])
def test_c24_shards_hold_it_together(tmp_path, shards, rename):
    parts = random_parts(UNTIED)
    written_shards(tmp_path, {rename(name): part for name, part in parts.items()}, shards=shards)
    checkpoint = open_checkpoint(tmp_path, UNTIED)
    check_holds(checkpoint, parts)
    assert len(checkpoint.files) == shards


def test_c24_one_file_wins_over_an_index_beside_it(tmp_path):
    parts = random_parts(TINY, seed=1)
    written_shards(tmp_path, random_parts(TINY, seed=2), shards=2)
    (tmp_path / ONE_FILE).write_bytes(packed(parts))
    check_holds(open_checkpoint(tmp_path, TINY), parts)


def test_c22_ignored_tensors_are_left_out(tmp_path):
    parts = random_parts(TINY)
    buffer = {"model.layers.0.self_attn.rotary_emb.inv_freq": float32_part([1, 2])}
    (tmp_path / ONE_FILE).write_bytes(packed(parts | buffer))
    check_holds(open_checkpoint(tmp_path, TINY), parts)


def test_c23_a_head_that_repeats_the_embedding_is_left_out(tmp_path):
    parts = random_parts(TINY)
    (tmp_path / ONE_FILE).write_bytes(packed(parts | {"lm_head.weight": parts["model.embed_tokens.weight"]}))
    check_holds(open_checkpoint(tmp_path, TINY), parts)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("layout", ["released", "new"])
@pytest.mark.parametrize("max_shard_size", ["10GB", "1MB"], ids=["one", "sharded"])
@pytest.mark.parametrize("config", [TINY, UNTIED], ids=["tied", "untied"])
def test_c24_what_upstream_saves_opens_and_equals_its_state_dict(tmp_path, config, max_shard_size, layout, dtype):
    import oracle

    want = oracle.saved_checkpoint(tmp_path, config, dtype=dtype, layout=layout, max_shard_size=max_shard_size)
    assert read_config(tmp_path) == config
    checkpoint = open_checkpoint(tmp_path, config)
    assert (len(checkpoint.files) > 1) == (max_shard_size == "1MB")
    assert checkpoint.tensors.keys() == want.keys()
    for name, array in want.items():
        tensor = checkpoint.tensors[name]
        assert tensor.dtype == {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}[dtype]
        np.testing.assert_array_equal(tensor.widened(np.dtype(np.float32)), array)


@pytest.mark.oracle
@pytest.mark.parametrize("config", [TINY, UNTIED], ids=["tied", "untied"])
def test_c24_upstream_opens_what_these_tests_write(tmp_path, config):
    """The other direction: the files written byte by byte are files to upstream too."""
    import oracle

    parts = random_parts(config)
    oracle.saved_config(tmp_path, config)
    written_shards(tmp_path, parts, shards=2)
    found = oracle.loaded_checkpoint(tmp_path)
    assert found.keys() == parts.keys()
    for name, (_, shape, bits) in parts.items():
        assert (found[name].shape, found[name].tobytes()) == (shape, bits)


@pytest.mark.oracle
def test_c22_upstream_ignores_the_same_tensors(tmp_path):
    import oracle

    oracle.saved_config(tmp_path, TINY)
    buffer = {"model.layers.0.self_attn.rotary_emb.inv_freq": float32_part([1, 2])}
    (tmp_path / ONE_FILE).write_bytes(packed(random_parts(TINY) | buffer))
    assert oracle.loaded_checkpoint(tmp_path).keys() == expected_shapes(TINY).keys()


@pytest.mark.oracle
@pytest.mark.parametrize("differs", [False, True])
def test_c23_upstream_unties_a_head_that_differs_where_we_refuse_it(tmp_path, differs):
    import oracle

    oracle.saved_config(tmp_path, TINY)
    parts = random_parts(TINY)
    head = random_parts(UNTIED, seed=1)["lm_head.weight"] if differs else parts["model.embed_tokens.weight"]
    (tmp_path / ONE_FILE).write_bytes(packed(parts | {"lm_head.weight": head}))
    found, tied = oracle.loaded_head(tmp_path)
    assert (found.tobytes(), tied) == (head[2], not differs)
    if differs:
        with pytest.raises(BadInput, match=r"unexpected \(1\):\n  lm_head.weight"):
            open_checkpoint(tmp_path, TINY)
    else:
        check_holds(open_checkpoint(tmp_path, TINY), parts)


@pytest.mark.oracle
def test_c24_upstream_too_prefers_the_one_file(tmp_path):
    import oracle

    oracle.saved_config(tmp_path, TINY)
    parts = random_parts(TINY, seed=1)
    written_shards(tmp_path, random_parts(TINY, seed=2), shards=2)
    (tmp_path / ONE_FILE).write_bytes(packed(parts))
    found = oracle.loaded_checkpoint(tmp_path)
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: bits for name, (_, _, bits) in parts.items()
    }


@pytest.mark.parametrize("allow_nan", [False, True])
def test_c28_a_checkpoint_opens_unread_and_its_owner_decides_whether_nan_may_pass(tmp_path, allow_nan):
    parts = random_parts(TINY)
    gain = np.frombuffer(parts["model.norm.weight"][2], dtype="<f4").copy()
    gain[7] = np.nan
    (tmp_path / ONE_FILE).write_bytes(packed(parts | {"model.norm.weight": float32_part(gain)}))
    checkpoint = open_checkpoint(tmp_path, TINY, allow_nan=allow_nan)
    assert checkpoint.allow_nan is allow_nan
    found, dtype = checkpoint.tensors["model.norm.weight"], np.dtype(np.float32)
    if allow_nan:
        np.testing.assert_array_equal(found.widened(dtype), gain)
    else:
        with pytest.raises(BadInput, match=r"model.norm.weight holds 1 of 120 values .* nan, at \[7\]"):
            found.widened(dtype)
        assert np.all(np.isfinite(checkpoint.tensors["model.layers.0.input_layernorm.weight"].widened(dtype)))


def check_refused(directory, message, config=TINY):
    with pytest.raises(BadInput, match=message) as refusal:
        open_checkpoint(directory, config)
    assert str(directory) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["absent", "."])
def test_c24_a_directory_without_a_checkpoint_is_refused(tmp_path, name):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    check_refused(tmp_path / name, "holds neither .* only safetensors checkpoints are read")


def test_c24_shards_that_are_not_there_are_named(tmp_path):
    written_shards(tmp_path, random_parts(TINY), shards=4)
    for number in (2, 4):
        (tmp_path / f"model-{number:05}-of-00004.safetensors").unlink()
    check_refused(tmp_path, "lacks model-00002-of-00004.safetensors, model-00004-of-00004.safetensors, named in")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not valid JSON"),
        (b"\xff\xfe\xfd", "is not valid JSON"),
        (b"[]", "must hold a JSON object"),
        (b"{}", "must hold a weight_map"),
        (b'{"weight_map": {}}', "must hold a weight_map"),
        (b'{"weight_map": {"x": 3}}', "must place x in a file beside it, got 3"),
        (b'{"weight_map": {"x": "../y.safetensors"}}', "must place x in a file beside it"),
        (b'{"weight_map": {"x": ""}}', "must place x in a file beside it"),
    ],
)
def test_c24_a_malformed_index_is_refused(tmp_path, content, message):
    (tmp_path / INDEX).write_bytes(content)
    check_refused(tmp_path, message)


@pytest.mark.parametrize(
    ("shard", "place"), [("model-00001-of-00002.safetensors", "in model-0000.-of"), (None, "in no file")]
)
def test_c24_a_tensor_that_is_not_in_its_shard_is_refused(tmp_path, shard, place):
    written_shards(tmp_path, random_parts(TINY), shards=2)
    index = json.loads((tmp_path / INDEX).read_text())
    if shard is None:
        index["weight_map"]["lm_head.weight"] = "model-00001-of-00002.safetensors"
    else:
        index["weight_map"]["model.norm.weight"] = "model-00001-of-00002.safetensors"
        index["weight_map"]["visual.merger.ln_q.weight"] = "model-00001-of-00002.safetensors"
    (tmp_path / INDEX).write_text(json.dumps(index))
    check_refused(tmp_path, f"index.json places .* in model-00001-of-00002.safetensors, but it is {place}")


def test_c24_a_tensor_in_two_shards_is_refused(tmp_path):
    parts = random_parts(TINY)
    written_shards(tmp_path, parts, shards=2)
    half = {name: part for index, (name, part) in enumerate(parts.items()) if index % 2 or index == 4}
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(packed(half))
    twice = list(parts)[4]
    check_refused(tmp_path, f"stores {twice} twice, in model-00001-of-00002.* and in model-00002-of-00002")


def test_c24_a_tensor_that_the_index_does_not_list_is_counted_too(tmp_path):
    """Upstream reads whole shards; a tensor beyond the index is unexpected, not invisible."""
    parts = random_parts(TINY)
    written_shards(tmp_path, parts | {"model.extra": float32_part([1])}, shards=1)
    index = json.loads((tmp_path / INDEX).read_text())
    del index["weight_map"]["model.extra"]
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(BadInput, match=r"unexpected \(1\):\n  model.extra"):
        open_checkpoint(tmp_path, TINY)


def test_c25_a_mixture_of_layouts_is_refused(tmp_path):
    parts = random_parts(TINY)
    mixed = {(new_name(name) if name.startswith("visual.") else name): part for name, part in parts.items()}
    (tmp_path / ONE_FILE).write_bytes(packed(mixed))
    check_refused(tmp_path, "mixes two layouts of names: model.* is of the released one, model.visual")


def test_c25_a_tensor_in_both_layouts_is_refused(tmp_path):
    parts = random_parts(TINY)
    both = parts | {"model.language_model.norm.weight": parts["model.norm.weight"]}
    (tmp_path / ONE_FILE).write_bytes(packed(both))
    check_refused(tmp_path, "mixes two layouts of names")


def test_c14_a_broken_shard_is_named(tmp_path):
    written_shards(tmp_path, random_parts(TINY), shards=2)
    with (tmp_path / "model-00002-of-00002.safetensors").open("r+b") as file:
        file.truncate(100_000)
    check_refused(tmp_path, "model-00002-of-00002.safetensors .* cut short")


def test_c21_another_model_s_config_is_refused_with_a_list(tmp_path):
    (tmp_path / ONE_FILE).write_bytes(packed(random_parts(TINY)))
    with pytest.raises(BadInput, match=r"missing \(1\):\n  lm_head.weight$"):
        open_checkpoint(tmp_path, UNTIED)
    assert len(expected_shapes(UNTIED)) == len(expected_shapes(TINY)) + 1
