"""RMS normalisation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.layers.norm import rms_norm

U = {np.dtype(np.float64): 2.0**-53, np.dtype(np.float32): 2.0**-24}
"""Unit roundoff."""


@st.composite
def rows(draw, dtype=np.float64):
    """Activations of drawn shape and size, and a gain; one row of zeros among them."""
    count, width = draw(st.integers(1, 4)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    x = 10.0 ** draw(st.integers(-6, 6)) * rng.standard_normal((count, width))
    x[draw(st.integers(0, count - 1))] *= draw(st.sampled_from([0, 1]))
    return x.astype(dtype), rng.standard_normal(width).astype(dtype)


def relative_budget(width, unit):
    """How far two roundings of one equation may lie apart, relative to the result.

    A row is squared (1), summed over D (D - 1), divided (1), eps added (1); the root halves these D + 2 and
    rounds (1), the reciprocal rounds (1), two products round (2): (D + 2) / 2 + 4 on either side.
    """
    return 2 * ((width + 2) / 2 + 4) * unit


@given(rows(), st.sampled_from([1e-6, 1e-5]))
def test_n4_each_row_is_divided_by_its_root_mean_square(drawn, eps):
    x, weight = drawn
    got = rms_norm(x, weight, eps=eps)
    for r, row in enumerate(x.tolist()):
        root = math.sqrt(math.fsum(value * value for value in row) / len(row) + eps)
        want = [gain * value / root for gain, value in zip(weight.tolist(), row, strict=True)]
        np.testing.assert_allclose(got[r], want, rtol=relative_budget(len(row), 2.0**-53), atol=0)


def test_n4_no_mean_is_subtracted():
    got = rms_norm(np.full((1, 4), 1000.0), np.ones(4), eps=1e-6)
    # 1000 / sqrt(1e6 + 1e-6) = 1 - 5e-13
    np.testing.assert_allclose(got, 1.0, rtol=0, atol=6e-13)


def test_n4_eps_is_added_inside_the_root():
    got = rms_norm(np.full((1, 3), 1e-3), np.ones(3), eps=1e-6)
    # The mean square equals eps: 1e-3 / sqrt(2e-6). Added outside, it would be 1e-3 / (1e-3 + 1e-6) = 0.999.
    np.testing.assert_allclose(got, math.sqrt(0.5), rtol=relative_budget(3, 2.0**-53))


def test_n4_the_gain_multiplies_as_it_is():
    assert not np.any(rms_norm(np.ones((2, 3)), np.zeros(3), eps=1e-6))


def test_n4_a_row_of_zeros_stays_zero():
    assert not np.any(rms_norm(np.zeros((2, 3)), np.ones(3), eps=1e-6))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_n1_the_type_stays(dtype):
    assert rms_norm(np.ones((1, 3), dtype), np.ones(3, dtype), eps=1e-6).dtype == dtype


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data(), eps=st.sampled_from([1e-6, 1e-5]))
def test_matches_upstream(dtype, data, eps):
    import oracle

    x, weight = data.draw(rows(dtype))
    want = oracle.rms_norm(x, weight, eps=eps)
    budget = relative_budget(x.shape[1], U[np.dtype(dtype)])
    np.testing.assert_allclose(rms_norm(x, weight, eps=eps), want, rtol=budget, atol=0)
