"""Attention of the vision encoder: fused projection, segments, output projection."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks import WIDE, random_arrays, weights_of
from qwen25vl.tap import SILENT, Tap
from qwen25vl.vision.attention import vision_attention

seeds = st.integers(0, 2**32 - 1)


def layers(D, *, seed=0, **changes):
    """The two projections of a block of width D."""
    shapes = {"qkv.weight": (3 * D, D), "qkv.bias": (3 * D,), "proj.weight": (D, D), "proj.bias": (D,)}
    arrays = random_arrays(shapes, seed=seed)
    return weights_of(arrays | {name.replace("_", "."): value for name, value in changes.items()})


@st.composite
def segmented(draw):
    """Activations, angles and segments of drawn lengths."""
    heads, d = draw(st.integers(1, 3)), draw(st.sampled_from([2, 4]))
    lengths = draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    starts = np.cumsum([0, *lengths])
    rng = np.random.default_rng(draw(seeds, label="seed"))
    x, angles = rng.standard_normal((starts[-1], heads * d)), rng.uniform(-3, 3, (starts[-1], d))
    return x, angles, starts, heads


def attended(x, angles, starts, heads, weights, tap=SILENT):
    """Run the function under test."""
    return vision_attention(x, np.cos(angles), np.sin(angles), starts, weights, num_heads=heads, ops=WIDE, tap=tap)


def test_w7_the_fused_projection_holds_all_queries_then_all_keys_then_all_values():
    D, heads = 6, 3
    weights = layers(D, qkv_weight=np.zeros((3 * D, D)), qkv_bias=np.arange(3.0 * D))
    tap = Tap()
    attended(np.ones((2, D)), np.zeros((2, 2)), np.array([0, 2]), heads, weights, tap)
    for part, name in enumerate(("q", "k", "v")):
        # Head by head within each third.
        want = [[part * D + 2.0 * n, part * D + 2.0 * n + 1] for n in range(heads)]
        assert tap[name].tolist() == [want, want], name


def test_w7_queries_and_keys_are_rotated_and_values_are_not():
    tap, weights = Tap(), layers(8)
    x = np.random.default_rng(0).standard_normal((3, 8))
    quarter_turn = np.full((3, 4), np.pi / 2)
    attended(x, quarter_turn, np.array([0, 1, 3]), 2, weights, tap)
    fused = WIDE.linear(x, weights["qkv.weight"], weights["qkv.bias"])
    for part, name in enumerate(("q", "k", "v")):
        np.testing.assert_array_equal(tap[name], fused[:, 8 * part : 8 * part + 8].reshape(3, 2, 4))
    for name in ("q", "k"):
        turned = WIDE.rotated(tap[name], np.cos(quarter_turn), np.sin(quarter_turn))
        np.testing.assert_array_equal(tap[f"{name}_rope"], turned)
        assert not np.allclose(turned, tap[name])
    np.testing.assert_array_equal(tap["mixed"][0], tap["v"][0])  # alone in its segment: its value as it is


@given(segmented(), st.data())
def test_w8_a_patch_sees_its_own_segment_and_nothing_else(drawn, data):
    x, angles, starts, heads = drawn
    weights = layers(x.shape[1])
    want = attended(x, angles, starts, heads, weights)
    changed = data.draw(st.integers(0, len(x) - 1))
    other = x.copy()
    other[changed] += 1
    got = attended(other, angles, starts, heads, weights)
    for first, end in pairwise(starts.tolist()):
        inside = first <= changed < end
        for p in range(first, end):  # both before and behind the changed one: no causal mask
            assert np.any(got[p] != want[p]) == inside, (p, changed, starts)


@given(segmented())
def test_w8_a_segment_alone_gives_the_same(drawn):
    x, angles, starts, heads = drawn
    weights = layers(x.shape[1])
    whole = attended(x, angles, starts, heads, weights)
    for first, end in pairwise(starts.tolist()):
        part = slice(first, end)
        alone = attended(x[part], angles[part], np.array([0, end - first]), heads, weights)
        # The same sums over the same terms; a matrix product of fewer rows may group them otherwise. All values
        # here are below 100, and no sum has more than 40 terms: 40 x 100 x 2**-53, four products deep.
        np.testing.assert_allclose(whole[part], alone, rtol=0, atol=4 * 40 * 100 * 2.0**-53)


def test_w9_heads_are_joined_in_order_and_projected_with_a_bias():
    D, heads = 6, 3
    swap = np.eye(D)[::-1].copy()  # output f takes channel D - 1 - f
    bias = np.arange(100.0, 100 + D)
    qkv_bias = np.concatenate([np.zeros(2 * D), np.arange(D)])
    weights = layers(D, qkv_weight=np.zeros((3 * D, D)), qkv_bias=qkv_bias, proj_weight=swap, proj_bias=bias)
    out = attended(np.ones((1, D)), np.zeros((1, 2)), np.array([0, 1]), heads, weights)
    assert out.tolist() == [[5 + 100.0, 4 + 101, 3 + 102, 2 + 103, 1 + 104, 0 + 105]]


@given(segmented())
def test_probabilities_lie_segment_by_segment_row_by_row(drawn):
    x, angles, starts, heads = drawn
    tap = Tap()
    attended(x, angles, starts, heads, layers(x.shape[1]), tap)
    column = 0
    for first, end in pairwise(starts.tolist()):
        size = end - first
        own = tap["probs"][:, column : column + size * size].reshape(heads, size, size)
        column += size * size
        # Rows sum to one: size + 1 roundings of numbers below one.
        np.testing.assert_allclose(own.sum(axis=-1), 1, rtol=0, atol=(size + 1) * 2.0**-53)
        for n in range(heads):
            mixed = own[n] @ tap["v"][first:end, n]
            np.testing.assert_allclose(mixed, tap["mixed"][first:end, n], rtol=0, atol=1e-13)
    assert column == tap["probs"].shape[1]


def test_a_missing_bias_is_an_error():
    arrays = random_arrays({"qkv.weight": (6, 2), "proj.weight": (2, 2), "proj.bias": (2,)}, seed=0)
    with pytest.raises(KeyError, match=r"no tensor qkv.bias"):
        attended(np.ones((1, 2)), np.zeros((1, 2)), np.array([0, 1]), 1, weights_of(arrays))
