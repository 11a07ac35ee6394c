"""Softmax, SiLU and GELU."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.layers.activations import gelu, silu, softmax

U = 2.0**-53
seeds = st.integers(0, 2**32 - 1)


@st.composite
def score_rows(draw):
    """Rows of attention scores; some are minus infinity, in every row at least one is not."""
    count, width = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(seeds, label="seed"))
    scores = 10.0 ** draw(st.integers(-2, 4)) * rng.standard_normal((count, width))
    hidden = rng.random((count, width)) < draw(st.sampled_from([0.0, 0.5]))
    hidden[:, rng.integers(width)] = False
    return np.where(hidden, -np.inf, scores)


@given(score_rows())
def test_n5_each_row_is_exp_of_the_score_over_the_sum_of_them(scores):
    got = softmax(scores)
    for r, row in enumerate(scores.tolist()):
        largest = max(row)
        weights = [math.exp(score - largest) for score in row]
        # NumPy and the C library may each be off by one unit in exp (2 U); the sum over T adds T - 1, the
        # division 1. Below 1e-300 exp reaches the subnormals, where relative accuracy ends.
        np.testing.assert_allclose(
            got[r], [weight / math.fsum(weights) for weight in weights], rtol=(len(row) + 6) * 2 * U, atol=1e-300
        )


@given(score_rows())
def test_n5_minus_infinity_becomes_exactly_zero_and_nothing_else_matters(scores):
    got = softmax(scores)
    assert np.all(got[scores == -np.inf] == 0)
    for r, row in enumerate(scores):
        alone = softmax(row[np.newaxis, row > -np.inf])[0]
        # The sum of fewer addends may be grouped otherwise: T - 1 roundings on either side, and a division.
        np.testing.assert_allclose(got[r, row > -np.inf], alone, rtol=2 * len(row) * U, atol=0)


def test_n5_large_scores_do_not_overflow():
    # The suite raises on overflow. exp(1e4) has no float; exp(1e4 - 1e4) has.
    assert softmax(np.array([[1e4, 1e4, -1e4]])).tolist() == [[0.5, 0.5, 0.0]]


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=9))
def test_n6_silu_is_x_times_its_sigmoid(values):
    got = silu(np.array(values))
    want = [x / (1 + math.exp(-x)) for x in values]
    # exp on either side (2 U each), a sum, a division, a product on either side.
    np.testing.assert_allclose(got, want, rtol=10 * U, atol=1e-300)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_n6_silu_never_overflows(dtype):
    largest = np.finfo(dtype).max
    got = silu(np.array([-largest, -1000, 0, 1000, largest], dtype))
    assert got.dtype == dtype
    assert got.tolist() == [0, 0, 0, 1000, largest]  # the suite raises on overflow


def test_n7_gelu_is_the_exact_one():
    # Half of 1 + erf(1 / sqrt 2) is the normal distribution at 1, 0.8413447460685429 in every table; the
    # tanh approximation gives 0.84119.
    np.testing.assert_allclose(gelu(np.array([1.0, -1.0])), [0.8413447460685429, -0.15865525393145707], rtol=4 * U)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=9))
def test_n7_gelu_weighs_x_with_the_normal_distribution(values):
    want = [x * math.erfc(-x / math.sqrt(2)) / 2 for x in values]
    # 1 + erf cancels for negative x: the error is absolute, a unit or two of 1, times x.
    np.testing.assert_allclose(gelu(np.array(values)), want, rtol=8 * U, atol=4 * U * max(map(abs, values)))


@pytest.mark.parametrize("function", [silu, gelu])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_n1_the_type_stays(function, dtype):
    assert function(np.ones((2, 3), dtype)).dtype == dtype
    assert softmax(np.ones((2, 3), dtype)).dtype == dtype


@pytest.mark.oracle
@pytest.mark.parametrize(("name", "function"), [("silu", silu), ("gelu", gelu)])
@given(seed=seeds, scale=st.integers(-3, 2))
def test_matches_upstream(name, function, seed, scale):
    import oracle

    x = 10.0**scale * np.random.default_rng(seed).standard_normal((3, 50))
    # Two units in exp or erf on either side, and four roundings behind them; erf cancels against 1.
    np.testing.assert_allclose(
        function(x), oracle.activation(name, x), rtol=12 * U, atol=4 * U * np.max(np.abs(x))
    )


@pytest.mark.oracle
@given(score_rows())
def test_softmax_matches_upstream(scores):
    import oracle

    budget = 2 * (scores.shape[1] + 6) * U  # as above
    np.testing.assert_allclose(softmax(scores), oracle.softmax(scores), rtol=budget, atol=1e-300)
