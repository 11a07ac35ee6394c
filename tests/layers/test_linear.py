"""Linear layers. Whole numbers below 2**53 add up exactly in any order, so every comparison is exact."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.layers.linear import linear

sizes = st.integers(1, 7)
seeds = st.integers(0, 2**32 - 1)


def whole_numbers(seed, *shapes):
    """Arrays of small whole numbers, as float64."""
    rng = np.random.default_rng(seed)
    return [rng.integers(-99, 100, shape).astype(np.float64) for shape in shapes]


@given(rows=sizes, width=sizes, outputs=sizes, seed=seeds)
def test_n3_a_weight_is_stored_output_first_and_the_bias_is_added_once(rows, width, outputs, seed):
    x, weight, bias = whole_numbers(seed, (rows, width), (outputs, width), (outputs,))
    got = linear(x, weight, bias)
    assert got.shape == (rows, outputs)
    for r in range(rows):
        for f in range(outputs):
            assert got[r, f] == sum(x[r, d] * weight[f, d] for d in range(width)) + bias[f]


def test_n3_a_square_weight_is_not_transposed():
    # Shapes cannot tell the two readings of a square weight apart; this value can.
    weight = np.array([[0.0, 1.0], [0.0, 0.0]])
    assert linear(np.array([[3.0, 5.0]]), weight).tolist() == [[5.0, 0.0]]


def test_n3_a_layer_without_bias_adds_nothing():
    assert linear(np.zeros((1, 2)), np.ones((3, 2))).tolist() == [[0.0, 0.0, 0.0]]


def test_an_empty_sequence_gives_no_rows():
    assert linear(np.empty((0, 4)), np.ones((3, 4)), np.ones(3)).shape == (0, 3)


@pytest.mark.oracle
@given(rows=sizes, width=sizes, outputs=sizes, seed=seeds, biased=st.booleans())
def test_matches_upstream(rows, width, outputs, seed, biased):
    import oracle

    x, weight, bias = whole_numbers(seed, (rows, width), (outputs, width), (outputs,))
    bias = bias if biased else None
    np.testing.assert_array_equal(linear(x, weight, bias), oracle.linear(x, weight, bias))
