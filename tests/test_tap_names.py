"""The table of tap ids is true: of every run's ids, and of every shape."""

import random
import re
from fnmatch import fnmatchcase
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qwen25vl
from networks import UNEVEN, every_tap, random_network, still_and_clip
from qwen25vl.model import prefill
from qwen25vl.tap import Tap
from qwen25vl.tap_names import LEVELS, TAP_NAMES, data_order, level_of, tap_name
from strategies import configs, prompts


def table_ids(config, *, media=True):
    """The ids of the table, a block's number for each NN, in the table's order block by block."""
    ids = []
    for tower, blocks in (("vision", config.vision.depth), ("language", config.text.num_hidden_layers)):
        rows = [row.id for row in TAP_NAMES if row.id.startswith(tower)]
        for number in ["", *(f"{i:02d}" for i in range(blocks))]:
            ids += [row.replace("NN", number) for row in rows if ("NN" in row) == bool(number)]
    return {name for name in [*ids, "logits"] if media or not name.startswith("vision")}


def expected_values(config, inputs, tap, name):
    """What each letter of a shape must be, counted from the config and the inputs alone."""
    v, t = config.vision, config.text
    grids = np.concatenate([inputs.image_grids, inputs.video_grids])
    patches = int(np.sum(np.prod(grids, axis=1)))
    letters = {"L": inputs.ids.shape[1], "E": t.hidden_size, "V": t.vocab_size, "M": patches // v.merge_unit}
    if name.startswith("vision"):
        letters |= {"P": patches, "D": v.hidden_size, "N": v.num_heads, "d": v.head_dim, "F": v.intermediate_size}
        letters |= {"frames": int(np.sum(grids[:, 0])), "windows": len(tap["vision.window_starts"]) - 1}
        block = re.match(r"vision\.blocks\.(\d\d)", name)
        full = block is not None and int(block[1]) in v.full_attention_blocks
        starts = tap["vision.frame_starts" if full else "vision.window_starts"]
        letters["S"] = sum((end - first) ** 2 for first, end in pairwise(starts.tolist()))
    else:
        letters |= {"N": t.num_attention_heads, "K": t.num_key_value_heads, "d": t.head_dim}
        letters |= {"F": t.intermediate_size}
    return letters


def shape_in(words, letters):
    """Turn "windows+1 4D 3" into numbers."""
    shape = []
    for word in words.split():
        times, letter, plus = re.fullmatch(r"(\d*)([A-Za-z]*)(\+1)?", word).groups()
        shape.append(int(times or 1) * (letters[letter] if letter else 1) + (1 if plus else 0))
    return tuple(shape)


@given(data=st.data(), config=configs())
def test_a_run_reports_the_ids_of_the_table_and_no_others(data, config):
    inputs = data.draw(prompts(config))
    media = len(inputs.image_grids) + len(inputs.video_grids) > 0
    assert set(every_tap(inputs, random_network(config))) == table_ids(config, media=media)


def test_every_shape_of_the_table_is_true():
    inputs = still_and_clip()
    tap = every_tap(inputs, random_network(UNEVEN))
    assert set(tap) == table_ids(UNEVEN)
    for name in tap:
        letters = expected_values(UNEVEN, inputs, tap, name)
        assert tap[name].shape == shape_in(tap_name(name).shape, letters), name


@pytest.mark.parametrize("tower", ["vision.blocks.00", "vision.blocks.01", "language.blocks.00"])
def test_no_two_letters_of_that_run_are_equal(tower):
    # blindness check: swapped letters in the table would pass where two dimensions are equal
    inputs = still_and_clip()
    tap = every_tap(inputs, random_network(UNEVEN))
    letters = expected_values(UNEVEN, inputs, tap, tower)
    letters |= {"4D": 4 * letters["D"]} if tower.startswith("vision") else {}
    letters = {letter: number for letter, number in letters.items() if letter in shapes_of(tower[:6])}
    assert len(set(letters.values())) == len(letters), letters


def shapes_of(prefix):
    """Every word of the shapes of a tower."""
    return {
        word.removesuffix("+1") for row in TAP_NAMES if row.id.startswith(prefix) for word in row.shape.split()
    }


def test_the_table_is_in_order_and_holds_every_id_once():
    ids = [row.id for row in TAP_NAMES]
    assert len(set(ids)) == len(ids)
    for name in table_ids(UNEVEN):
        assert sum(fnmatchcase(name, row.glob) for row in TAP_NAMES) == 1, name


def test_every_row_has_a_level_a_section_and_a_meaning():
    for row in TAP_NAMES:
        assert row.level in LEVELS
        assert re.fullmatch(r"\d\d", row.section)
        assert row.meaning
        assert level_of(row.id.replace("NN", "07")) == row.level


def test_probabilities_alone_are_left_out_below_the_level_all():
    assert {row.id for row in TAP_NAMES if row.level == "all"} == {
        "vision.blocks.NN.attn.probs",
        "language.blocks.NN.attn.probs",
    }


def test_an_unknown_id_belongs_to_all_and_has_no_row():
    assert level_of("vision.blocks.7.attn.q") == "all"  # two digits
    with pytest.raises(KeyError, match=r"no tap is called 'vision.blocks.7.attn.q'"):
        tap_name("vision.blocks.7.attn.q")


def test_of_a_later_piece_the_decoders_probabilities_have_a_column_for_every_token_before_too():
    tap = Tap("*.attn.probs")
    prefill(still_and_clip(), random_network(UNEVEN), chunk=4, tap=tap)
    heads = UNEVEN.text.num_attention_heads
    shapes = [tap[f"chunks.{i:02d}.language.blocks.00.attn.probs"].shape for i in range(3)]
    assert shapes == [(heads, 4, 4), (heads, 4, 8), (heads, 4, 12)]
    assert "tokens run before add columns in front" in tap_name("language.blocks.00.attn.probs").meaning
    assert tap_name("vision.blocks.00.attn.probs").meaning == "attention probabilities"


def test_a_prompt_and_a_piece_before_an_id_change_neither_row_nor_level():
    for scope in ("rows.00.", "chunks.117.", "rows.12.chunks.03."):
        assert tap_name(f"{scope}language.blocks.07.attn.probs") is tap_name("language.blocks.07.attn.probs")
        assert level_of(f"{scope}language.blocks.07.attn.probs") == "all"
        assert level_of(f"{scope}logits") == "stages"
    for scope in ("chunks.00.rows.00.", "rows.x.", "rows.00", "rows.00.rows.00."):
        with pytest.raises(KeyError, match="no tap is called"):
            tap_name(f"{scope}logits")


IN_ORDER = """
    inputs.pictures.00.rgb inputs.pictures.01.rgb inputs.pictures.100.rgb inputs.pictures.00.resized
    inputs.image_rows inputs.image_grids
    inputs.clips.00.indices inputs.clips.00.rgb inputs.clips.00.resized inputs.video_rows inputs.second_per_grid
    inputs.ids inputs.positions inputs.delta inputs.another
    vision.patch_embed.out vision.frame_starts vision.rope.sin
    vision.blocks.00.norm1 vision.blocks.00.attn.q vision.blocks.00.attn.out vision.blocks.00.resid_mid
    vision.blocks.00.norm2 vision.blocks.00.resid_post
    vision.blocks.02.norm1 vision.blocks.02.resid_post vision.blocks.11.norm1
    vision.merger.norm vision.out
    language.embed.out language.positions language.blocks.00.norm1 language.blocks.10.norm1 language.norm.out
    chunks.00.language.positions chunks.00.language.norm.out
    chunks.02.language.positions chunks.02.language.blocks.01.mlp.act chunks.11.language.blocks.00.norm1
    chunks.100.language.blocks.00.norm1
    logits
    rows.00.vision.patch_embed.out rows.00.language.embed.out rows.00.chunks.07.language.norm.out rows.00.logits
    rows.09.logits rows.10.vision.out rows.10.chunks.00.language.norm.out rows.10.logits rows.100.vision.out
    outputs.resized_size.9 outputs.resized_size.10 outputs.text
    answer.logits answer.ids answer.logprobs answer.another
    chunks.00.nothing image_rows rows.00.vision.blocks.7.norm1 vision.blocks.07.attn.r
"""
"""Ids in the order of the data."""


@pytest.mark.parametrize("seed", range(4))
def test_ids_of_parts_sort_in_the_order_of_the_data(seed):
    ids = IN_ORDER.split()
    shuffled = random.Random(seed).sample(ids, len(ids))
    assert sorted(shuffled, key=data_order) == ids
    assert len({data_order(name) for name in ids}) == len(ids)


def test_the_table_with_numbers_put_in_is_in_the_order_of_the_data():
    config = UNEVEN
    blocks = {"vision": config.vision.depth, "language": config.text.num_hidden_layers}
    want = []
    for before, rows in groupby(TAP_NAMES, key=lambda row: row.id.partition(".NN.")[0] * ("NN" in row.id)):
        ids = [row.id for row in rows]
        numbers = range(blocks[before.partition(".")[0]]) if before else [0]
        want += [name.replace("NN", f"{number:02d}") for number in numbers for name in ids]
    assert sorted(sorted(want), key=data_order) == want != sorted(want)
    assert set(want) == table_ids(config)


@pytest.mark.parametrize("chunk", [None, 4])
def test_a_run_reports_its_taps_in_the_order_of_the_data(chunk):
    tap = Tap("all")
    prefill(still_and_clip(), random_network(UNEVEN), chunk=chunk, tap=tap)
    assert len(tap) > 90
    assert sorted(tap, key=data_order) == list(tap)


def test_a_batch_in_pieces_reports_its_taps_in_the_order_of_the_data():
    model = qwen25vl.load("tiny")
    image = np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)
    seen = [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": "?"}]}]
    tap = Tap("all")
    model.forward(model.prepare([seen, [{"role": "user", "content": "Hello"}]]), taps=tap, chunk=5)
    assert {"rows.00.vision.out", "rows.01.chunks.01.language.norm.out", "rows.01.logits"} < set(tap)
    assert sorted(tap, key=data_order) == list(tap)


@given(name=st.text(alphabet="rows.chunks0123456789.vision.blocks.09.norm1", max_size=40) | st.text(max_size=20))
def test_any_text_has_a_place_in_the_order(name):
    assert data_order("inputs.pictures.00.rgb") <= data_order(name) or name.startswith("inputs.pictures")
    assert data_order("rows." + "9" * 5000 + ".logits") > data_order("rows.99.logits")
