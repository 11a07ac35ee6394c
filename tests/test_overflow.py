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


def test_n28_a_sum_that_overflows_is_named_though_its_block_reports_it_late():
    # Made up by the sink, since a network whose sums overflow and whose layers do not is hard to make.
    network = random_network(UNEVEN, precision=FLOAT16)
    watch = OverflowWatch()
    reports = []

    def sink(tap, array):
        late = tap == "vision.blocks.01.resid_mid"
        watch(tap, np.full_like(array, np.inf) if late or "blocks.01.mlp" in tap else array)
        reports.append(tap)

    prefill(still_and_clip(), network, tap=Tap("insides", sink=sink))
    assert reports.index("vision.blocks.01.mlp.gate") < reports.index("vision.blocks.01.resid_mid")
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


def test_a_run_within_its_range_has_none():
    assert OverflowWatch().first is None
    assert watched(random_network(UNEVEN, precision=FLOAT32)) is None
    assert watched(random_network(UNEVEN, precision=FLOAT16)) is None
