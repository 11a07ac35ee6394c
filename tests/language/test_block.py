"""A decoder block: two pre-norm halves on a residual stream."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from networks import UNEVEN, WIDE, random_network
from qwen25vl.gated_mlp import gated_mlp
from qwen25vl.language.attention import decoder_attention
from qwen25vl.language.block import decoder_block
from qwen25vl.layers.norm import rms_norm
from qwen25vl.tap import SILENT, Tap

TEXT = UNEVEN.text


def block_inputs(seed, scale=1.0):
    """A residual stream of four new tokens, their angles, and a cache of three."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform(-3, 3, (4, TEXT.head_dim))
    keys, values = rng.standard_normal((2, 3, TEXT.num_key_value_heads, TEXT.head_dim))
    return scale * rng.standard_normal((4, TEXT.hidden_size)), np.cos(angles), np.sin(angles), keys, values


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 1.0, 1e3]))
def test_d9_each_half_is_normalised_before_and_added_behind(seed, scale):
    x, *others = block_inputs(seed, scale)
    weights = random_network(UNEVEN, seed=seed).weights.at("model.layers.1")
    tap = Tap()
    got, keys, values = decoder_block(x, *others, weights, config=TEXT, ops=WIDE, tap=tap)

    norm1 = rms_norm(x, weights["input_layernorm.weight"], eps=TEXT.rms_norm_eps)
    attended, want_keys, want_values = decoder_attention(
        norm1, *others, weights.at("self_attn"), config=TEXT, ops=WIDE, tap=SILENT
    )
    middle = x + attended
    norm2 = rms_norm(middle, weights["post_attention_layernorm.weight"], eps=TEXT.rms_norm_eps)
    want = middle + gated_mlp(norm2, weights.at("mlp"), bias=False, ops=WIDE, tap=SILENT)
    for name, value in (("norm1", norm1), ("resid_mid", middle), ("norm2", norm2), ("resid_post", want)):
        np.testing.assert_array_equal(tap[name], value, err_msg=name)
    for ours, theirs in ((got, want), (keys, want_keys), (values, want_values)):
        np.testing.assert_array_equal(ours, theirs)


def test_d9_the_norms_use_the_eps_of_the_config():
    x, *others = block_inputs(0)
    seen = []

    def norm(rows, weight, *, eps):
        seen.append(eps)
        return rms_norm(rows, weight, eps=eps)

    weights = random_network(UNEVEN).weights.at("model.layers.0")
    config = replace(TEXT, rms_norm_eps=3e-5)
    decoder_block(x, *others, weights, config=config, ops=replace(WIDE, rms_norm=norm), tap=SILENT)
    assert seen == [3e-5, 3e-5]
