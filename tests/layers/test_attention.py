"""Scaled dot-product attention over one segment."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.layers.attention import attention

U = 2.0**-53
seeds = st.integers(0, 2**32 - 1)


@st.composite
def segments(draw):
    """Queries, keys and values of drawn shape; query heads are a multiple of key heads, often a real one."""
    S, T, K = draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.integers(1, 3))
    group, d = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 4, 6]))
    rng = np.random.default_rng(draw(seeds, label="seed"))
    q, k, v = (rng.standard_normal(shape) for shape in ((S, K * group, d), (T, K, d), (T, K, d)))
    allowed = rng.random((S, T)) < 0.6
    allowed[:, rng.integers(T)] = True  # every query sees something
    return q, k, v, draw(st.sampled_from([None, allowed]))


@given(K=st.integers(1, 4), group=st.integers(1, 4))
def test_n10_neighbouring_query_heads_share_a_key_head(K, group):
    # One key: every probability is exactly 1, so a head's result is the value that it was given.
    v = np.arange(K, dtype=np.float64).reshape(1, K, 1)
    mixed = attention(np.ones((1, K * group, 1)), np.ones((1, K, 1)), v)
    assert mixed.ravel().tolist() == [n // group for n in range(K * group)]


@given(K=st.integers(1, 3), group=st.integers(1, 3), seed=seeds)
def test_n10_keys_are_shared_as_the_values_are(K, group, seed):
    # Key head c is a one in channel c, so query head n scores its channel n // group.
    q = np.random.default_rng(seed).standard_normal((1, K * group, K))
    k = np.stack([np.eye(K), np.zeros((K, K))])  # a second key of zeros: its score is 0
    probs = np.empty((K * group, 1, 2))
    attention(q, k, np.zeros((2, K, K)), probs=probs)
    for n in range(K * group):
        # The scale rounds the score (|score| U, the root another), exp follows, a sum and a quotient.
        score = q[0, n, n // group] / math.sqrt(K)
        np.testing.assert_allclose(probs[n, 0, 0], 1 / (1 + math.exp(-score)), rtol=(10 + 2 * abs(score)) * U)


@given(segments())
def test_n11_a_hidden_key_weighs_exactly_nothing(drawn):
    q, k, v, allowed = drawn
    if allowed is None:
        allowed = np.ones((len(q), len(k)), dtype=bool)
        allowed[:, 1:] = False
    probs = np.empty((q.shape[1], len(q), len(k)))
    mixed = attention(q, k, v, allowed=allowed, probs=probs)
    assert np.all(probs[:, ~allowed] == 0)
    for s in range(len(q)):
        other_k, other_v = k.copy(), v.copy()
        other_k[~allowed[s]], other_v[~allowed[s]] = 1e100, -1e100
        again = attention(q, other_k, other_v, allowed=allowed)
        np.testing.assert_array_equal(again[s], mixed[s])


def test_n11_a_hidden_key_stays_hidden_when_all_others_score_very_low():
    # The visible score is -1e6, the hidden one 0. A mask of -10000, added or put in its place, would let it win.
    q, k = np.full((1, 1, 1), 1e3), np.array([[[-1e3]], [[0.0]]])
    probs = np.empty((1, 1, 2))
    attention(q, k, np.ones((2, 1, 1)), allowed=np.array([[True, False]]), probs=probs)
    assert probs.tolist() == [[[1.0, 0.0]]]


@given(d=st.integers(1, 40), heads=st.integers(1, 3), seed=seeds)
def test_n13_scores_are_divided_by_the_root_of_the_head_width(d, heads, seed):
    q = np.random.default_rng(seed).standard_normal((1, heads, d))
    k = np.concatenate([np.ones((1, 1, d)), np.zeros((1, 1, d))])
    probs = np.empty((heads, 1, 2))
    attention(q, k, np.zeros((2, 1, d)), probs=probs)
    scores = [math.fsum(head) / math.sqrt(d) for head in q[0].tolist()]
    # The sum over d rounds d - 1 times, each time by at most U of the sum of the sizes; scale and root round
    # twice; exp, a sum and a quotient on either side follow.
    error = (d + 2) * np.max(np.sum(np.abs(q), axis=-1)) / math.sqrt(d)
    want = [1 / (1 + math.exp(-score)) for score in scores]
    np.testing.assert_allclose(probs[:, 0, 0], want, rtol=(10 + 2 * error) * U)


@given(segments())
def test_probabilities_are_reported_as_used(drawn):
    q, k, v, allowed = drawn
    probs = np.full((q.shape[1], len(q), len(k)), np.nan)
    mixed = attention(q, k, v, allowed=allowed, probs=probs)
    np.testing.assert_array_equal(mixed, attention(q, k, v, allowed=allowed))
    group = q.shape[1] // k.shape[1]
    for n in range(q.shape[1]):
        np.testing.assert_array_equal(mixed[:, n], probs[n] @ v[:, n // group])


def test_probabilities_of_all_heads_are_never_held_unless_somebody_asks():
    # One head's scores are 320 KB. The steps of one softmax may hold several of them, 64 heads at once may not.
    S, N, d = 200, 64, 2
    q, k = np.ones((S, N, d)), np.ones((S, 1, d))
    allowed = np.tril(np.ones((S, S), dtype=bool))
    tracemalloc.start()
    attention(q, k, k, allowed=allowed)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    one_head = S * S * q.itemsize
    assert peak_bytes < q.nbytes + 8 * one_head < N * one_head


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_n1_the_type_stays(dtype):
    x = np.ones((2, 1, 3), dtype)
    assert attention(x, x, x, allowed=np.eye(2, dtype=bool)).dtype == dtype


@pytest.mark.oracle
@given(segments())
def test_matches_upstream(drawn):
    import oracle

    q, k, v, allowed = drawn
    probs = np.empty((q.shape[1], len(q), len(k)))
    mixed = attention(q, k, v, allowed=allowed, probs=probs)
    want_mixed, want_probs = oracle.attention(q, k, v, allowed=allowed)
    # A score sums d products of at most |q||k|, over the root of d: it strays by d + 2 roundings of that sum, and
    # so does the largest, on either side (4); exp makes that relative. Then a sum over T and a quotient, twice.
    largest = np.max(np.abs(q)) * np.max(np.abs(k)) * math.sqrt(q.shape[2])
    budget = (4 * (q.shape[2] + 2) * largest + 2 * (len(k) + 6)) * U
    np.testing.assert_allclose(probs, want_probs, rtol=budget, atol=0)
    np.testing.assert_allclose(mixed, want_mixed, rtol=0, atol=(budget + 2 * len(k) * U) * np.max(np.abs(v)))
