"""Attention of the decoder: biases, heads, causality, cache."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks import UNEVEN, WIDE, random_arrays, weights_of
from qwen25vl.language.attention import decoder_attention
from qwen25vl.tap import SILENT, Tap

TEXT = UNEVEN.text
E, N, K, d = TEXT.hidden_size, TEXT.num_attention_heads, TEXT.num_key_value_heads, TEXT.head_dim
PROJECTIONS = [("q", N, 0), ("k", K, 100), ("v", K, 200)]
"""Name, heads, and the first of the numbers that tell its channels apart."""


def layers(*, seed=0, **changes):
    """The four projections; a changed tensor is named with __ for the dot."""
    shapes = {"q_proj.weight": (E, E), "k_proj.weight": (K * d, E), "v_proj.weight": (K * d, E)}
    shapes |= {"q_proj.bias": (E,), "k_proj.bias": (K * d,), "v_proj.bias": (K * d,), "o_proj.weight": (E, E)}
    return random_arrays(shapes, seed=seed) | {name.replace("__", "."): value for name, value in changes.items()}


def still():
    """Weights of zero: what a projection gives is its bias."""
    return {f"{name}_proj__weight": np.zeros((E if name == "q" else K * d, E)) for name in "qkv"}


def run(L, past, *, arrays=None, seed=0, tap=SILENT, x=None):
    """Attend over `past` cached tokens and L new ones."""
    rng = np.random.default_rng(seed)
    noise, angles = rng.standard_normal((L, E)), rng.uniform(-3, 3, (L, d))
    keys, values = rng.standard_normal((2, past, K, d))
    weights = weights_of(layers() if arrays is None else arrays)
    result = decoder_attention(
        noise if x is None else x,
        np.cos(angles),
        np.sin(angles),
        keys,
        values,
        weights,
        config=TEXT,
        ops=WIDE,
        tap=tap,
    )
    return *result, keys, values


def test_d3_queries_keys_and_values_have_a_bias_and_lie_head_by_head():
    tap = Tap()
    biases = {f"{name}_proj__bias": first + np.arange(float(heads * d)) for name, heads, first in PROJECTIONS}
    run(2, 0, arrays=layers(**still(), **biases), tap=tap)
    for name, heads, first in PROJECTIONS:
        want = first + np.arange(float(heads * d)).reshape(heads, d)
        assert tap[name].tolist() == [want.tolist()] * 2, name


@given(st.integers(1, 5), st.integers(0, 3), st.data())
def test_d4_a_token_sees_itself_and_what_came_before_it(L, past, data):
    x = np.random.default_rng(1).standard_normal((L, E))
    want, *_ = run(L, past, x=x)
    changed = data.draw(st.integers(0, L - 1))
    other = x.copy()
    other[changed] += 1
    got, *_ = run(L, past, x=other)
    assert [bool(np.any(a != b)) for a, b in zip(got, want, strict=True)] == [i >= changed for i in range(L)]


@given(st.integers(1, 4), st.integers(0, 3))
def test_d4_probabilities_are_zero_exactly_for_later_tokens(L, past):
    tap = Tap()
    run(L, past, tap=tap)
    assert tap["probs"].shape == (N, L, past + L)
    for i in range(L):
        assert np.all(tap["probs"][:, i, past + i + 1 :] == 0)
        assert np.all(tap["probs"][:, i, : past + i + 1] > 0)


def test_d4_the_order_is_that_of_the_sequence_not_of_the_positions():
    # All tokens turned by the same angle, as in a picture whose tokens share a time: it changes nothing.
    rng = np.random.default_rng(0)
    x, nothing = rng.standard_normal((4, E)), np.empty((0, K, d))
    angles = np.full((4, d), 0.7)
    tap = Tap()
    decoder_attention(
        x, np.cos(angles), np.sin(angles), nothing, nothing, weights_of(layers()), config=TEXT, ops=WIDE, tap=tap
    )
    assert np.array_equal(tap["probs"] > 0, np.broadcast_to(np.tril(np.ones((4, 4), bool)), (N, 4, 4)))


def test_d5_six_query_heads_share_two_key_heads_in_groups_of_three():
    tap = Tap()
    run(1, 0, tap=tap)
    # A single token gives its own value as it is, to every head of the group.
    for n in range(N):
        np.testing.assert_array_equal(tap["mixed"][0, n], tap["v"][0, n // (N // K)])


def test_d5_keys_are_kept_once_for_each_group():
    _, keys, values, *_ = run(3, 2)
    assert keys.shape == values.shape == (5, K, d)


def test_d6_heads_are_joined_in_order_and_projected_without_a_bias():
    swap = np.eye(E)[::-1].copy()
    arrays = layers(**still(), v_proj__bias=np.arange(float(K * d)), o_proj__weight=swap)
    out, *_ = run(1, 0, arrays=arrays)
    joined = np.concatenate([np.arange(float(d)) + d * (n // (N // K)) for n in range(N)])
    assert out[0].tolist() == joined[::-1].tolist()
    biases = []

    def linear(rows, weight, bias=None):
        biases.append(bias is not None)
        return WIDE.linear(rows, weight, bias)

    nothing, one = np.empty((0, K, d)), np.ones((1, d))
    decoder_attention(
        np.ones((1, E)), one, one, nothing, nothing, weights_of(layers()), config=TEXT,
        ops=replace(WIDE, linear=linear), tap=SILENT,
    )  # fmt: skip
    assert biases == [True, True, True, False]


@given(st.integers(1, 4), st.integers(0, 3))
def test_d7_rotated_keys_and_plain_values_are_put_behind_the_cached_ones(L, past):
    tap = Tap()
    _, keys, values, past_keys, past_values = run(L, past, tap=tap)
    np.testing.assert_array_equal(keys, np.concatenate([past_keys, tap["k_rope"]]))
    np.testing.assert_array_equal(values, np.concatenate([past_values, tap["v"]]))
    assert np.any(tap["k_rope"] != tap["k"])


def test_d7_cached_keys_are_not_rotated_again():
    # One new token whose query is q; the scores of the cached keys must be q . k as they lie there.
    tap = Tap()
    _, _, _, past_keys, _ = run(1, 3, tap=tap)
    q = tap["q_rope"][0]
    for n in range(N):
        scores = np.append(past_keys[:, n // 3] @ q[n], tap["k_rope"][0, n // 3] @ q[n]) / np.sqrt(d)
        weights = np.exp(scores - scores.max())
        # 12 products of numbers below 10, exp of it, four addends: a hundred roundings of 100 at most.
        np.testing.assert_allclose(tap["probs"][n, 0], weights / weights.sum(), rtol=1e4 * 2.0**-53)


@pytest.mark.parametrize("name", ["q_proj.bias", "k_proj.bias", "v_proj.bias"])
def test_a_missing_bias_is_an_error(name):
    arrays = layers()
    del arrays[name]
    with pytest.raises(KeyError, match=rf"no tensor {name}"):
        run(1, 0, arrays=arrays)
