"""A vision block: two pre-norm halves on a residual stream."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from networks import UNEVEN, WIDE, random_network
from qwen25vl.gated_mlp import gated_mlp
from qwen25vl.layers.norm import rms_norm
from qwen25vl.tap import SILENT, Tap
from qwen25vl.vision.attention import vision_attention
from qwen25vl.vision.block import vision_block

VISION = UNEVEN.vision


def block_inputs(seed, scale=1.0):
    """A residual stream of two segments, and its angles."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform(-3, 3, (7, VISION.head_dim))
    return (
        scale * rng.standard_normal((7, VISION.hidden_size)),
        np.cos(angles),
        np.sin(angles),
        np.array([0, 4, 7]),
    )


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 1.0, 1e3]))
def test_w10_each_half_is_normalised_before_and_added_behind(seed, scale):
    x, cos, sin, starts = block_inputs(seed, scale)
    weights = random_network(UNEVEN, seed=seed).weights.at("visual.blocks.1")
    tap = Tap()
    got = vision_block(x, cos, sin, starts, weights, config=VISION, ops=WIDE, tap=tap)

    norm1 = rms_norm(x, weights["norm1.weight"], eps=VISION.rms_norm_eps)
    heads = VISION.num_heads
    middle = x + vision_attention(
        norm1, cos, sin, starts, weights.at("attn"), num_heads=heads, ops=WIDE, tap=SILENT
    )
    norm2 = rms_norm(middle, weights["norm2.weight"], eps=VISION.rms_norm_eps)
    want = middle + gated_mlp(norm2, weights.at("mlp"), bias=True, ops=WIDE, tap=SILENT)
    for name, value in (("norm1", norm1), ("resid_mid", middle), ("norm2", norm2), ("resid_post", want)):
        np.testing.assert_array_equal(tap[name], value, err_msg=name)
    np.testing.assert_array_equal(got, want)


def test_w10_a_block_that_adds_nothing_hands_the_stream_on():
    x, cos, sin, starts = block_inputs(0)
    weights = random_network(UNEVEN).weights.at("visual.blocks.0")
    nothing = replace(
        WIDE,
        linear=lambda rows, weight, bias=None: np.zeros((len(rows), len(weight))),
    )
    np.testing.assert_array_equal(
        vision_block(x, cos, sin, starts, weights, config=VISION, ops=nothing, tap=SILENT), x
    )


def test_w10_the_norms_use_the_eps_of_the_config():
    x, cos, sin, starts = block_inputs(0, scale=1e-3)
    weights = random_network(UNEVEN).weights.at("visual.blocks.0")
    seen = []

    def norm(rows, weight, *, eps):
        seen.append(eps)
        return rms_norm(rows, weight, eps=eps)

    config = replace(VISION, rms_norm_eps=3e-5)
    vision_block(x, cos, sin, starts, weights, config=config, ops=replace(WIDE, rms_norm=norm), tap=SILENT)
    assert seen == [3e-5, 3e-5]
