"""Where a run leaves the range of its format: the first tap in the order of the data, not of the reports."""

from dataclasses import replace

import numpy as np
import pytest

from networks import UNEVEN, every_tap, random_network, still_and_clip
from qwen25vl.model import prefill
from qwen25vl.overflow import OverflowWatch
from qwen25vl.precision import BFLOAT16, FLOAT16, FLOAT32
from qwen25vl.tap import Tap

OUTGROWN = {
    # A tensor to enlarge, and the first tap that cannot hold what it makes.
    "visual.patch_embed.proj.weight": "vision.patch_embed.out",
    "visual.blocks.1.norm1.weight": "vision.blocks.01.norm1",
    "visual.blocks.1.attn.qkv.weight": "vision.blocks.01.attn.q",
    "visual.blocks.2.attn.proj.weight": "vision.blocks.02.attn.out",
    "visual.blocks.0.mlp.gate_proj.weight": "vision.blocks.00.mlp.gate",
    "visual.blocks.1.mlp.up_proj.weight": "vision.blocks.01.mlp.up",
    "visual.blocks.1.mlp.down_proj.weight": "vision.blocks.01.mlp.out",
    "visual.merger.mlp.2.weight": "vision.merger.out",
    "model.layers.0.post_attention_layernorm.weight": "language.blocks.00.norm2",
    "model.layers.1.self_attn.v_proj.weight": "language.blocks.01.attn.v",
    "model.norm.weight": "language.norm.out",
}


def enlarged(name, factor, precision):
    """A network one tensor of which is multiplied."""
    network = random_network(UNEVEN, precision=precision)
    checkpoint = network.weights.checkpoint
    old = checkpoint.tensors[name]
    tensors = {**checkpoint.tensors, name: replace(old, raw=old.raw * factor)}
    return replace(network, weights=replace(network.weights, checkpoint=replace(checkpoint, tensors=tensors)))


def watched(network):
    watch = OverflowWatch()
    prefill(still_and_clip(), network, tap=Tap("insides", sink=watch))
    return watch.first


@pytest.mark.parametrize("name", OUTGROWN)
def test_n28_the_first_tap_beyond_the_range_is_named(name):
    found = watched(enlarged(name, 2.0**15, FLOAT16))
    assert found.tap == OUTGROWN[name]
    kept = every_tap(still_and_clip(), enlarged(name, 2.0**15, FLOAT16))
    finite = np.isfinite(kept[found.tap])
    assert (found.count, found.size) == (np.sum(~finite), finite.size)
    assert found.largest == np.max(np.abs(kept[found.largest_tap][np.isfinite(kept[found.largest_tap])]))
    assert found.largest <= 65504
    assert watched(enlarged(name, 2.0**15, BFLOAT16)) is None  # it has the range of float32


def test_n28_the_order_of_the_data_counts_and_not_that_of_the_reports():
    # Made up from a run's ids, since a network whose sums overflow and whose layers do not is hard to make.
    names = list(every_tap(still_and_clip(), random_network(UNEVEN)))
    first = names.index("vision.blocks.01.resid_mid")
    watch = OverflowWatch()
    for place, name in reversed(list(enumerate(names))):
        watch(name, np.array([np.inf if place >= first else 2.0]))
    assert watch.first.tap == "vision.blocks.01.resid_mid"


def test_n28_blocks_and_towers_come_in_the_order_of_the_data():
    watch = OverflowWatch()
    bad, good = np.array([np.nan]), np.array([3.0])
    names = ["logits", "language.blocks.00.mlp.out", "language.embed.out", "vision.merger.out"]
    names += ["vision.blocks.10.norm1", "vision.blocks.02.resid_post", "vision.blocks.02.attn.q"]
    names += ["vision.patch_embed.out"]
    for name in names:
        watch(name, bad)
        assert watch.first.tap == name
    watch("vision.patch_embed.out", good)
    assert watch.first.tap == "vision.blocks.02.attn.q"
    assert watch.first.largest == 3


@pytest.mark.parametrize("scope", ["rows.01.", "chunks.02.", "rows.00.chunks.01."])
def test_n28_prompts_and_pieces_are_told_apart(scope):
    watch = OverflowWatch()
    watch(f"{scope}logits", np.array([np.inf]))
    watch(f"{scope}language.blocks.01.resid_mid", np.array([np.inf, 2.0]))
    assert watch.first.tap == f"{scope}language.blocks.01.resid_mid"
    assert str(watch.first) == (
        f"{scope}language.blocks.01.resid_mid is the first tap with values that are infinite or NaN, 1 of 2; the "
        f"largest finite one up to there is 2, in {scope}language.blocks.01.resid_mid"
    )


def test_n28_a_prompt_in_pieces_is_searched_in_the_order_of_the_data():
    watch = OverflowWatch()
    bad = np.array([np.inf])
    names = ["rows.01.vision.out", "rows.00.logits", "rows.00.chunks.100.language.norm.out"]
    names += ["rows.00.chunks.11.language.norm.out", "rows.00.chunks.02.language.norm.out"]
    names += ["rows.00.chunks.02.language.blocks.00.norm1", "rows.00.language.embed.out", "rows.00.vision.out"]
    for name in names:
        watch(name, bad)
        assert watch.first.tap == name


@pytest.mark.parametrize("chunk", [None, 3])
def test_n28_the_decoder_and_not_the_logits_is_named_however_the_prompt_is_cut(chunk):
    network = enlarged("model.layers.1.self_attn.v_proj.weight", 2.0**15, FLOAT16)
    watch = OverflowWatch()
    tap = Tap("insides", sink=watch)
    hidden, _ = prefill(still_and_clip(), network, chunk=chunk, tap=tap)
    tap("logits", hidden)  # as `Model.forward` reports them
    assert not np.isfinite(hidden).all()
    assert watch.first.tap == ("" if chunk is None else "chunks.00.") + "language.blocks.01.attn.v"


def test_a_run_within_its_range_has_none():
    assert OverflowWatch().first is None
    assert watched(random_network(UNEVEN, precision=FLOAT32)) is None
    assert watched(random_network(UNEVEN, precision=FLOAT16)) is None
