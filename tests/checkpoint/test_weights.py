"""Scoped, widened reading of weights."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from checkpoint_files import packed, random_parts
from qwen25vl.checkpoint.directory import Checkpoint, open_checkpoint
from qwen25vl.checkpoint.safetensors import StoredTensor
from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import TINY
from qwen25vl.errors import BadInput

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
QKV = "visual.blocks.0.attn.qkv.weight"


@pytest.fixture
def checkpoint(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(packed(random_parts(TINY)))
    return open_checkpoint(tmp_path, TINY)


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_c26_a_scope_is_a_prefix(checkpoint, dtype):
    weights = Weights(checkpoint, dtype)
    want = checkpoint.tensors[QKV].raw
    for found in (
        weights[QKV],
        weights.at("visual.blocks.0")["attn.qkv.weight"],
        weights.at("visual").at("blocks.0").at("attn.qkv")["weight"],
    ):
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, want)


def test_c26_a_scope_knows_its_own_names_only(checkpoint):
    block = Weights(checkpoint, FLOAT32).at("visual.blocks.1")
    assert "norm1.weight" in block
    assert "norm1.bias" not in block
    assert "model.norm.weight" not in block
    assert "1.norm1.weight" not in Weights(checkpoint, FLOAT32).at("visual.block")  # whole words only


def test_c26_nothing_is_kept(tmp_path):
    """Reading a matrix a second time costs the memory of one, and none stays behind."""
    raw = np.zeros((1000, 1000), dtype=np.uint16)
    weights = Weights(Checkpoint({"x": StoredTensor("x", "BF16", raw.shape, raw)}, ()), FLOAT32)
    tracemalloc.start()
    for _ in range(3):
        assert weights["x"].nbytes == 4_000_000
    left_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left_bytes < 100_000


def test_c17_rows_look_tokens_up(checkpoint):
    weights = Weights(checkpoint, FLOAT64)
    ids = np.array([522, 0, 511, 511])
    want = weights["model.embed_tokens.weight"][ids]
    np.testing.assert_array_equal(weights.rows("model.embed_tokens.weight", ids), want)
    np.testing.assert_array_equal(weights.at("model").rows("embed_tokens.weight", ids), want)


def test_c17_a_token_outside_the_embedding_is_refused(checkpoint):
    with pytest.raises(BadInput, match=r"model.embed_tokens.weight has rows 0 to 522, but row 523"):
        Weights(checkpoint, FLOAT32).rows("model.embed_tokens.weight", np.array([523]))


def test_c26_a_name_that_is_not_there_is_an_error_with_its_full_name(checkpoint):
    with pytest.raises(KeyError, match=r"no tensor visual.blocks.9.norm1.weight"):
        Weights(checkpoint, FLOAT32).at("visual.blocks.9")["norm1.weight"]
    with pytest.raises(KeyError, match=r"no tensor lm_head.weight"):
        Weights(checkpoint, FLOAT32)["lm_head.weight"]


def test_c26_weights_are_values(checkpoint):
    weights = Weights(checkpoint, FLOAT32, "visual")
    assert weights.at("merger") == replace(weights, prefix="visual.merger")
