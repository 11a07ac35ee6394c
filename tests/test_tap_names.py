"""The table of tap ids is true: of every run's ids, and of every shape."""

import re
from fnmatch import fnmatchcase
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks import UNEVEN, every_tap, random_network, still_and_clip
from qwen25vl.tap_names import LEVELS, TAP_NAMES, level_of, tap_name
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


def test_a_run_reports_stages_in_the_order_of_the_table():
    # Insides are reported when their function is done, so only results of stages come in order.
    tap = every_tap(still_and_clip(), random_network(UNEVEN))
    stages = [name for name in tap if level_of(name) == "stages"]
    blocks = re.compile(r"blocks\.\d\d")
    places = [ids_in_order().index(blocks.sub("blocks.NN", name)) for name in stages if not blocks.search(name)]
    assert places == sorted(places)
    for tower in ("vision", "language"):
        numbers = [name[: len(tower) + 10] for name in stages if name.startswith(f"{tower}.blocks")]
        assert numbers == sorted(numbers)


def ids_in_order():
    """Ids as in the table."""
    return [row.id for row in TAP_NAMES]


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
