"""Names and shapes of tensors."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from checkpoint_files import new_name
from qwen25vl.checkpoint.census import parameter_counts
from qwen25vl.checkpoint.names import canonical_name, expected_shapes, is_ignored, layout
from qwen25vl.config import QWEN25_VL_3B, QWEN25_VL_7B, QWEN25_VL_32B, QWEN25_VL_72B, TINY


@pytest.mark.parametrize(
    ("stored", "canonical", "kind"),
    [
        ("visual.blocks.3.norm1.weight", "visual.blocks.3.norm1.weight", "released"),
        ("model.visual.blocks.3.norm1.weight", "visual.blocks.3.norm1.weight", "new"),
        ("model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight", "released"),
        ("model.language_model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight", "new"),
        ("model.language_model.embed_tokens.weight", "model.embed_tokens.weight", "new"),
        ("model.language_model.norm.weight", "model.norm.weight", "new"),
        ("lm_head.weight", "lm_head.weight", "either"),
        ("model.visual_extra.weight", "model.visual_extra.weight", "released"),
        ("something.else", "something.else", "either"),
    ],
)
def test_c18_both_layouts_have_one_canonical_name(stored, canonical, kind):
    assert canonical_name(stored) == canonical
    assert layout(stored) == kind


def test_c18_no_tensor_is_lost_or_merged_on_the_way_through_the_new_layout():
    shapes = expected_shapes(replace(TINY, tie_word_embeddings=False))
    assert [canonical_name(new_name(name)) for name in shapes] == list(shapes)
    assert [canonical_name(name) for name in shapes] == list(shapes)


def test_c19_the_vision_encoder_has_390_tensors_in_every_release():
    for config in (QWEN25_VL_3B, QWEN25_VL_7B, QWEN25_VL_32B, QWEN25_VL_72B):
        names = [name for name in expected_shapes(config) if name.startswith("visual.")]
        assert len(names) == 6 + 12 * 32 == 390


def test_c19_only_queries_keys_and_values_have_a_bias_in_the_language_model():
    biases = {
        name.split(".", 3)[3]
        for name in expected_shapes(QWEN25_VL_7B)
        if name.startswith("model.layers.") and name.endswith("bias")
    }
    assert biases == {"self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"}


def test_c19_shapes_of_the_7b():
    """Read off the released checkpoint, one of each kind."""
    want = {
        "visual.patch_embed.proj.weight": (1280, 3, 2, 14, 14),
        "visual.blocks.31.attn.qkv.weight": (3840, 1280),
        "visual.blocks.0.mlp.gate_proj.bias": (3420,),
        "visual.blocks.0.mlp.down_proj.weight": (1280, 3420),
        "visual.merger.ln_q.weight": (1280,),
        "visual.merger.mlp.0.weight": (5120, 5120),
        "visual.merger.mlp.2.weight": (3584, 5120),
        "model.embed_tokens.weight": (152064, 3584),
        "model.layers.27.self_attn.k_proj.weight": (512, 3584),
        "model.layers.27.self_attn.o_proj.weight": (3584, 3584),
        "model.layers.0.mlp.down_proj.weight": (3584, 18944),
        "lm_head.weight": (152064, 3584),
    }
    shapes = expected_shapes(QWEN25_VL_7B)
    assert {name: shapes[name] for name in want} == want


def test_c20_a_tied_model_stores_one_matrix_for_both_ends():
    tied, untied = (expected_shapes(replace(TINY, tie_word_embeddings=tie)) for tie in (True, False))
    assert untied.keys() - tied.keys() == {"lm_head.weight"}
    assert "lm_head.weight" not in expected_shapes(QWEN25_VL_3B)


@pytest.mark.parametrize(
    ("config", "tensors", "vision", "text"),
    [
        (QWEN25_VL_3B, 824, 668_684_288, 3_085_938_688),
        (QWEN25_VL_7B, 729, 676_550_144, 7_615_616_512),
        (QWEN25_VL_32B, 1161, 688_841_984, 32_763_876_352),
        (QWEN25_VL_72B, 1353, 704_573_696, 72_706_203_648),
    ],
    ids=["3B", "7B", "32B", "72B"],
)
def test_c19_the_releases_have_their_published_sizes(config, tensors, vision, text):
    shapes = expected_shapes(config)
    assert len(shapes) == tensors
    assert parameter_counts(shapes) == {"vision": vision, "text": text}


def test_c22_rotary_frequencies_are_not_weights():
    assert is_ignored("model.layers.0.self_attn.rotary_emb.inv_freq")
    assert is_ignored("model.language_model.rotary_emb.inv_freq")
    assert not is_ignored("visual.rotary_pos_emb.inv_freq")  # upstream's pattern does not match this one either
    assert not any(is_ignored(name) for name in expected_shapes(TINY))


@pytest.mark.data
def test_c19_names_are_those_of_the_released_index(data_dir):
    index = json.loads((data_dir / "qwen2.5-vl-7b-instruct" / "model.safetensors.index.json").read_bytes())
    shapes = expected_shapes(QWEN25_VL_7B)
    assert shapes.keys() == index["weight_map"].keys()
    total_bytes = 2 * sum(math.prod(shape) for shape in shapes.values())
    assert total_bytes == index["metadata"]["total_size"] == 16_584_333_312


@pytest.mark.oracle
@pytest.mark.parametrize("tied", [True, False])
def test_c19_names_and_shapes_are_upstreams(tied):
    import oracle

    config = replace(TINY, tie_word_embeddings=tied)
    want = oracle.upstream_shapes(config)
    found = expected_shapes(config)
    assert found == want
    assert sum(parameter_counts(found).values()) == sum(int(np.prod(shape)) for shape in want.values())
