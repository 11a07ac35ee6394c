"""The map gguf: tensors of llama.cpp's graphs become our taps, and weights have the names of the format."""

import gguf
import numpy as np
import pytest

from networks import UNEVEN, every_tap, random_network
from port.dumps_of_others import flat, parts_of
from qwen25vl.checkpoint.names import expected_shapes
from qwen25vl.errors import BadInput
from qwen25vl.port.maps.gguf import BLOCK, WEIGHTS
from qwen25vl.port.maps.name_map import name_map
from qwen25vl.tap_names import TAP_NAMES
from strategies import made_inputs

GGUF = name_map("gguf", config=UNEVEN)

UNSEEN = {
    *("vision.patch_embed.out", "vision.window_order", "vision.window_starts", "vision.frame_starts"),
    *("vision.rope.cos", "vision.rope.sin", "vision.merger.out", "vision.out"),
    *("vision.blocks.NN.attn.probs", "language.blocks.NN.attn.probs", "language.positions"),
    *("language.rope.cos", "language.rope.sin"),
    *(f"language.blocks.NN.attn.{name}" for name in ("q", "k", "out")),
}
"""Taps whose tensors have no name of their own in the graphs, or are inputs of them."""


@pytest.fixture(scope="module")
def taps():
    inputs = made_inputs(
        UNEVEN, [20, 5, *[8] * 15, 6, 21], [(1, 10, 6)], [], [], np.random.default_rng(0)
    )  # llama.cpp has no videos
    return dict(every_tap(inputs, random_network(UNEVEN)).kept)


def reversed_axes(x: np.ndarray) -> np.ndarray:
    """An array with ggml's four axes, slowest first."""
    return x.reshape((1,) * (4 - x.ndim) + x.shape)


@pytest.fixture(scope="module")
def dump(taps):
    """What a callback on both graphs keeps of a prompt with a picture."""
    dump = {
        f"v.norm_w-{UNEVEN.vision.depth}": taps["vision.merger.norm"],
        "v.ffn_up_b": taps["vision.merger.hidden"],
        "v.ffn_gelu": taps["vision.merger.act"],
        "embd": taps["language.embed.out"],
        "result_norm": taps["language.norm.out"],
        "result_output": taps["logits"],
    }
    blocks = [("vision", "v.", i) for i in range(UNEVEN.vision.depth)]
    blocks += [("language", "", i) for i in range(UNEVEN.text.num_hidden_layers)]
    for tower, prefix, i in blocks:
        for part, names in BLOCK.items():
            name = names[0 if prefix else 1]
            if name is not None:
                array = taps[f"{tower}.blocks.{i:02d}.{part}"]
                dump[f"{prefix}{name}-{i}"] = flat(array) if name == "kqv_out" else array
    return {name: reversed_axes(array) for name, array in dump.items()}


def test_it_declares_what_the_graphs_name():
    assert {row.id for row in TAP_NAMES if not GGUF.declares(row.id.replace("NN", "01"))} == UNSEEN


def test_every_declared_tap_comes_out_of_a_dump_unchanged(dump, taps):
    found = parts_of(GGUF, dump)
    for name, array in found.items():
        np.testing.assert_array_equal(array, taps[name], err_msg=name)
    assert set(found) == {name for name in taps if GGUF.declares(name)}
    assert GGUF.mapped(list(dump))[1] == []


def test_the_index_that_gathers_into_window_order_is_the_window_order(taps):
    order = taps["vision.window_order"]
    found = parts_of(GGUF, {"v.inv_window_idx": order.astype(np.int32)})
    np.testing.assert_array_equal(found["vision.window_order"], order)
    assert found["vision.window_order"].dtype == np.int64
    assert not np.array_equal(order, np.argsort(order))  # the input tells one from the other
    assert GGUF.mapped(["v.window_idx"]) == ([], ["v.window_idx"])


def test_the_same_name_is_another_tap_in_each_graph():
    mapped, _ = GGUF.mapped(["v.ffn_inp-1", "ffn_inp-1", "v.Qcur-1", "Qcur-1"])
    assert [(one.sources[0], one.part) for one in sorted(mapped, key=lambda one: one.sources)] == [
        ("Qcur-1", "language.blocks.01.attn.q_rope"),
        ("ffn_inp-1", "language.blocks.01.resid_mid"),
        ("v.Qcur-1", "vision.blocks.01.attn.q"),
        ("v.ffn_inp-1", "vision.blocks.01.resid_mid"),
    ]


def test_the_gain_of_another_norm_is_not_the_mergers():
    name = f"v.norm_w-{UNEVEN.vision.depth - 1}"
    assert GGUF.mapped([name]) == ([], [name])


def test_two_sequences_at_once_are_refused_with_a_sentence():
    with pytest.raises(BadInput, match=r"logits of result_output \[1, 2, 5, 37\].*one prompt at a time"):
        parts_of(GGUF, {"result_output": np.zeros((1, 2, 5, 37))})


def test_weights_have_the_names_that_the_library_of_the_format_gives():
    language = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2VL, 4)
    vision = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, 4)
    for ours, theirs in WEIGHTS.items():
        names = vision if ours.startswith("visual.") else language
        assert names.get_name(ours.replace("NN", "3")) == theirs.replace("NN", "3"), ours


def test_every_weight_of_a_checkpoint_is_in_the_table():
    modules = set(WEIGHTS) | {"visual.blocks.NN.attn.qkv"}  # which the format has in three pieces
    for name in expected_shapes(UNEVEN):
        plain = name.rpartition(".")[0].replace(".0.", ".NN.").replace(".1.", ".NN.").replace(".2.", ".NN.")
        assert plain in modules, name


def test_every_tensor_that_the_library_knows_for_the_decoder_is_in_the_table():
    known = {gguf.TENSOR_NAMES[tensor] for tensor in gguf.MODEL_TENSORS[gguf.MODEL_ARCH.QWEN2VL]}
    ours = {name.replace("NN", "{bid}") for name in WEIGHTS.values() if not name.startswith(("v.", "mm."))}
    assert ours == known
