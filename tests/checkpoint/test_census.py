"""Does a checkpoint hold exactly the tensors of its config?"""

from dataclasses import replace

import numpy as np
import pytest

from checkpoint_files import float32_part, packed, random_parts
from qwen25vl.checkpoint.census import ROWS_AT_ONCE, Misshapen, parameter_counts, taken_census
from qwen25vl.checkpoint.directory import open_checkpoint
from qwen25vl.checkpoint.names import expected_shapes
from qwen25vl.checkpoint.safetensors import StoredTensor
from qwen25vl.config import TINY, TextConfig
from qwen25vl.errors import BadInput

UNTIED = replace(TINY, tie_word_embeddings=False)
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def in_memory(config):
    """A whole model of zeros."""
    return {
        name: StoredTensor(name, "F32", shape, np.zeros(shape, dtype=np.float32))
        for name, shape in expected_shapes(config).items()
    }


def stored(name, array, kind="F32"):
    return StoredTensor(name, kind, array.shape, array)


@pytest.mark.parametrize("config", [TINY, UNTIED], ids=["tied", "untied"])
def test_c21_a_whole_model_is_clean(config):
    census = taken_census(in_memory(config), config)
    assert census.clean
    assert census.report() == ""
    assert census.parameters == parameter_counts(expected_shapes(config))


def test_c21_every_missing_unexpected_and_misshapen_tensor_is_listed():
    tensors = in_memory(TINY)
    del (
        tensors["visual.blocks.4.norm2.weight"],
        tensors["model.norm.weight"],
        tensors["visual.merger.ln_q.weight"],
    )
    for name in ("visual.merger.ln_q.bias", "model.layers.4.input_layernorm.weight"):
        tensors[name] = stored(name, np.zeros(3, dtype=np.float32))
    tensors[EMBEDDING] = stored(EMBEDDING, np.zeros((500, 120), dtype=np.float32))
    census = taken_census(tensors, TINY)
    assert not census.clean
    assert census.missing == (
        "visual.blocks.4.norm2.weight",
        "visual.merger.ln_q.weight",
        "model.norm.weight",
    )
    assert census.unexpected == ("model.layers.4.input_layernorm.weight", "visual.merger.ln_q.bias")
    assert census.misshapen == (Misshapen(EMBEDDING, found=(500, 120), wanted=(523, 120)),)
    assert census.report().splitlines() == [
        "missing (3):",
        "  visual.blocks.4.norm2.weight",
        "  visual.merger.ln_q.weight",
        "  model.norm.weight",
        "unexpected (2):",
        "  model.layers.4.input_layernorm.weight",
        "  visual.merger.ln_q.bias",
        "of another shape (1):",
        "  model.embed_tokens.weight: found [500, 120], wanted [523, 120]",
    ]


def test_c21_a_matrix_stored_with_its_axes_exchanged_is_misshapen():
    name = "visual.blocks.0.mlp.up_proj.weight"
    tensors = in_memory(TINY)
    tensors[name] = stored(name, tensors[name].raw.T)
    assert taken_census(tensors, TINY).misshapen == (Misshapen(name, found=(40, 61), wanted=(61, 40)),)


def test_c21_opening_raises_the_whole_list(tmp_path):
    parts = random_parts(TINY)
    gone = [name for name in parts if ".blocks.0." in name]
    for name in gone:
        del parts[name]
    parts["model.mtp.weight"] = float32_part([1])
    (tmp_path / "model.safetensors").write_bytes(packed(parts))
    with pytest.raises(BadInput, match=r"does not hold the tensors of its config\.json") as refusal:
        open_checkpoint(tmp_path, TINY)
    head, *lines = str(refusal.value).splitlines()
    assert str(tmp_path) in head
    assert len(gone) == 12
    assert lines == [
        "missing (12):",
        *(f"  {name}" for name in gone),
        "unexpected (1):",
        "  model.mtp.weight",
    ]


def test_c22_rotary_frequencies_of_old_files_are_no_fault():
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    tensors = in_memory(TINY)
    tensors[name] = stored(name, np.zeros(10, dtype=np.float32))
    census = taken_census(tensors, TINY)
    assert census.clean
    assert census.parameters == parameter_counts(expected_shapes(TINY))


def many_rows(config=TINY):
    """A tied model whose embedding takes three looks to compare."""
    vocab = 2 * ROWS_AT_ONCE + 5
    sizes = vars(config.text) | {"vocab_size": vocab}
    config = replace(config, text=TextConfig(**sizes))
    tensors = in_memory(config)
    embedding = np.random.default_rng(0).standard_normal((vocab, 120), dtype=np.float32)
    embedding[3, 3], embedding[4, 4] = np.nan, 0
    tensors[EMBEDDING] = stored(EMBEDDING, embedding)
    return config, tensors, embedding


def test_c23_a_tied_checkpoint_may_repeat_its_embedding():
    config, tensors, embedding = many_rows()
    tensors[HEAD] = stored(HEAD, embedding.copy())
    assert taken_census(tensors, config).clean


@pytest.mark.parametrize("row", [4, ROWS_AT_ONCE, 2 * ROWS_AT_ONCE + 4])
def test_c23_a_tied_checkpoint_whose_head_differs_in_one_bit_is_refused(row):
    config, tensors, embedding = many_rows()
    head = embedding.copy()
    head.view(np.uint32)[row, 4] ^= 2**31  # the sign alone: 0 becomes -0 in row 4
    tensors[HEAD] = stored(HEAD, head)
    assert taken_census(tensors, config).unexpected == (HEAD,)


def test_c23_a_head_of_another_type_or_shape_is_refused():
    tensors = in_memory(TINY)
    shape = expected_shapes(TINY)[EMBEDDING]
    for head in (
        stored(HEAD, np.zeros(shape, dtype=np.uint16), "BF16"),
        stored(HEAD, np.zeros(shape[::-1], dtype=np.float32)),
        stored(HEAD, np.zeros((), dtype=np.float32)),
    ):
        assert taken_census({**tensors, HEAD: head}, TINY).unexpected == (HEAD,)


def test_c23_a_head_does_not_stand_in_for_a_missing_embedding():
    tensors = in_memory(UNTIED)
    del tensors[EMBEDDING]
    census = taken_census(tensors, TINY)
    assert (census.missing, census.unexpected) == ((EMBEDDING,), (HEAD,))


def test_c20_an_untied_checkpoint_without_a_head_is_refused():
    assert taken_census(in_memory(TINY), UNTIED).missing == (HEAD,)
