"""The map hf: what hooks on modules of transformers see becomes our taps."""

import re
from dataclasses import replace

import numpy as np
import pytest

from networks import UNEVEN, every_tap, random_network, still_and_clip
from port.dumps_of_others import hf_dump, old_path, parts_of
from qwen25vl.config import QWEN25_VL_72B, Config
from qwen25vl.errors import BadInput
from qwen25vl.port.maps.name_map import name_map
from qwen25vl.tap_names import TAP_NAMES

HF = name_map("hf", config=UNEVEN)

UNSEEN = {
    "vision.window_order",
    *(f"vision.blocks.NN.attn.{name}" for name in ("q_rope", "k_rope", "probs")),
    *(f"language.blocks.NN.attn.{name}" for name in ("q_rope", "k_rope", "probs")),
}
"""Taps that are no output and no input of a module; probabilities are, but with one kind of attention only."""


@pytest.fixture(scope="module")
def taps():
    return dict(every_tap(still_and_clip(), random_network(UNEVEN)).kept)


@pytest.fixture(scope="module")
def dump(taps):
    return hf_dump(taps, UNEVEN)


def assert_equal_parts(found, taps):
    for name, array in found.items():
        assert array.dtype == taps[name].dtype, name
        np.testing.assert_array_equal(array, taps[name], err_msg=name)


def test_it_declares_all_but_what_no_hook_sees():
    assert {row.id for row in TAP_NAMES if not HF.declares(row.id.replace("NN", "01"))} == UNSEEN
    assert HF.declares("rows.02.chunks.01.language.blocks.01.norm1")
    assert not HF.declares("outputs.ids")
    assert not HF.declares("answer.ids")


def test_every_declared_tap_comes_out_of_a_dump_unchanged(dump, taps):
    found = parts_of(HF, dump)
    assert_equal_parts(found, taps)
    assert {name for name in taps if HF.declares(name)} <= set(found)
    assert HF.mapped(list(dump))[1] == []


@pytest.mark.parametrize(
    "renamed",
    [
        old_path,
        lambda name: f"module.{name}",
        lambda name: f"_orig_mod.{name}",
        lambda name: name.removeprefix("model."),
    ],
    ids=["before 4.52", "distributed", "compiled", "of the inner model"],
)
def test_other_layouts_of_the_paths_mean_the_same(renamed, dump, taps):
    other = {renamed(name): array for name, array in dump.items()}
    found = parts_of(HF, other)
    assert_equal_parts(found, taps)
    assert len(found) == len(parts_of(HF, dump))


@pytest.mark.parametrize("prefix", ["rows.01.", "chunks.00.", "rows.01.chunks.00."])
def test_prompts_and_pieces_are_told_apart_by_what_stands_before_the_path(prefix, dump):
    name = "model.language_model.layers.1.mlp"
    (one,), unknown = HF.mapped([prefix + name])
    assert (one.part, one.sources, unknown) == (f"{prefix}language.blocks.01.mlp.out", (prefix + name,), [])


def test_ids_of_a_batch_are_not_told_apart_by_prompt():
    (one,), _ = HF.mapped(["model.embed_tokens.input"])
    assert one.part == "inputs.ids"
    assert one.make([np.arange(4, dtype=np.int32)[np.newaxis]]).tolist() == [0, 1, 2, 3]
    assert HF.mapped(["rows.00.model.embed_tokens.input"])[0] == []


def test_tuples_of_old_decoder_blocks_are_opened(dump):
    name = "model.layers.1"
    for tail in ("", ".0"):
        (one,), _ = HF.mapped([name + tail])
        assert one.part == "language.blocks.01.resid_post"
        (one,), _ = HF.mapped([f"{name}.self_attn{tail}"])
        assert one.part == "language.blocks.01.attn.out"
    assert HF.mapped(["model.layers.1.1"]) == ([], ["model.layers.1.1"])


def test_the_encoders_output_of_old_versions_is_the_merged_one(taps):
    found = parts_of(HF, {"visual": taps["vision.out"]})
    assert_equal_parts(found, taps)


def test_the_trap_of_two_outputs_is_told(taps):
    last = taps[f"vision.blocks.{UNEVEN.vision.depth - 1:02d}.resid_post"]
    found = parts_of(HF, {"model.visual.last_hidden_state": last})
    assert_equal_parts(found, taps)
    with pytest.raises(BadInput, match=rf"vision.out of model.visual \[{len(last)}, 32\].*dump pooler_output"):
        parts_of(HF, {"model.visual": last})


def test_angles_of_old_versions_are_put_together_from_three_axes(taps):
    pieces = np.array(UNEVEN.text.mrope_section * 2)
    axis = np.repeat(np.arange(6) % 3, pieces)
    for i, angle in enumerate(("cos", "sin")):
        wanted = taps[f"language.rope.{angle}"]
        apart = np.full((3, 1, *wanted.shape), np.nan)
        apart[axis, 0, :, np.arange(len(axis))] = wanted.T
        found = parts_of(HF, {f"model.rotary_emb.{i}": apart})
        np.testing.assert_array_equal(found[f"language.rope.{angle}"], wanted)


def test_text_positions_before_the_three_axes_are_left_out(taps):
    wanted = taps["language.positions"]
    four = np.concatenate([np.full((1, wanted.shape[1]), -7), wanted])[:, np.newaxis]
    found = parts_of(HF, {"model.language_model.input.position_ids": four})
    np.testing.assert_array_equal(found["language.positions"], wanted)


def test_boundaries_are_taken_from_blocks_of_the_right_kind(dump):
    starts = {f"visual.blocks.{i}.input.cu_seqlens": np.arange(3) for i in range(UNEVEN.vision.depth)}
    mapped, unknown = HF.mapped(list(starts))
    assert {one.part: one.sources for one in mapped} == {
        "vision.window_starts": ("visual.blocks.0.input.cu_seqlens",),
        "vision.frame_starts": ("visual.blocks.1.input.cu_seqlens",),
    }
    assert unknown == []
    everywhere = replace(UNEVEN, vision=replace(UNEVEN.vision, full_attention_blocks=(0, 1, 2)))
    assert not name_map("hf", config=everywhere).declares("vision.window_starts")


def test_embeddings_before_the_pictures_are_in_place_are_no_tap():
    name = "model.language_model.embed_tokens"
    assert HF.mapped([name]) == ([], [name])


def test_names_of_ours_stand_beside_theirs():
    mapped, unknown = HF.mapped(["lm_head", "answer.ids", "rows.00.logits", "what"])
    assert {one.part for one in mapped} == {"logits", "answer.ids", "rows.00.logits"}
    assert unknown == ["what"]


def test_of_two_sources_of_a_part_one_counts_and_both_are_known():
    names = ["model.visual.blocks.0.attn.proj", "model.visual.blocks.0.attn"]
    (one,), unknown = HF.mapped(names)
    assert (one.sources, unknown) == (("model.visual.blocks.0.attn",), [])


def test_several_prompts_at_once_are_refused_with_a_sentence():
    batch = {"model.language_model.norm": np.zeros((2, 5, 72))}
    with pytest.raises(BadInput, match=r"language.norm.out of model.language_model.norm \[2, 5, 72\].*one prompt"):
        parts_of(HF, batch)


def test_heads_that_do_not_divide_are_refused_with_a_sentence():
    with pytest.raises(BadInput, match="rows of 71 numbers cannot be split into 6 heads"):
        parts_of(HF, {"model.layers.0.self_attn.q_proj": np.zeros((1, 5, 71))})
    with pytest.raises(BadInput, match="an axis of 95 cannot be split into 3 equal pieces"):
        parts_of(HF, {"visual.blocks.0.attn.qkv": np.zeros((5, 95))})


def test_without_a_config_names_have_a_meaning_and_shapes_are_not_guessed():
    plain = name_map("hf")
    (one,), _ = plain.mapped(["model.layers.3.self_attn.q_proj"])
    assert one.part == "language.blocks.03.attn.q"
    with pytest.raises(BadInput, match="config of the model is not known"):
        one.make([np.zeros((1, 5, 72))])


def test_the_largest_release_is_told_apart_block_by_block():
    config: Config = QWEN25_VL_72B
    names = [f"model.language_model.layers.{i}" for i in range(config.text.num_hidden_layers)]
    mapped, unknown = name_map("hf", config=config).mapped(names)
    assert unknown == []
    assert [one.part for one in mapped] == [f"language.blocks.{i:02d}.resid_post" for i in range(80)]


@pytest.mark.oracle
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_every_path_of_the_map_is_a_module_of_transformers(attention):
    import oracle

    model = oracle.random_model_with_attention(UNEVEN, seed=0, dtype="float32", attention=attention)
    modules = {path for path, _ in model.named_modules()}
    members = r"(\.input(\.(cu_seqlens|position_ids|inputs_embeds|position_embeddings\.[01]))?|\.[01]"
    tail = re.compile(members + r"|\.pooler_output|\.last_hidden_state)$")
    for rule in HF.rules:
        path = rule.source.replace("NN", "0")
        assert path in modules or tail.sub("", path) in modules, rule.source
