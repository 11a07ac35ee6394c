"""Section 15: how far two arrays are apart is measured in ways that do not hide one bad row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.golden.deviation import deviation


def test_x25_a_worked_example():
    wanted = np.array([[3.0, 4.0], [0.0, 5.0], [30.0, 40.0]])
    found = wanted + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, -2.0]])
    apart = deviation(found, wanted, dims="L E")
    assert (apart.max_abs, apart.at) == (2.0, (2, 1))
    assert apart.rms == pytest.approx(np.sqrt(5 / 6))
    assert apart.rel_l2 == pytest.approx(np.sqrt(5 / (25 + 25 + 2500)))
    assert (apart.worst_row, apart.worst_row_rel_l2) == (1, pytest.approx(1 / 5))
    assert apart.worst_row_cosine == pytest.approx(5 / np.sqrt(26))


def test_x25_a_row_of_nothing_is_measured_against_a_hundredth_of_the_longest():
    wanted = np.array([[0.0, 0.0], [100.0, 0.0]])
    apart = deviation(wanted + np.array([[0.5, 0.0], [0.0, 0.0]]), wanted, dims="P D")
    assert (apart.worst_row, apart.worst_row_rel_l2) == (0, pytest.approx(0.5))


@pytest.mark.parametrize(("share", "place"), [(100, 98), (200, 197), (1, 0), (50, 49)])
def test_x25_99_of_100_elements_do_not_exceed_p99(share, place):
    wanted, errors = np.zeros(share), np.arange(share, dtype=float)
    apart = deviation(wanted + errors, wanted, dims="steps")
    assert apart.p99 == errors[place]
    assert np.mean(errors <= apart.p99) >= 0.99 or share < 100


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_equal_arrays_are_not_apart(rows, width, seed):
    array = np.random.default_rng(seed).standard_normal((rows, width))
    array[0, 0] = np.nan
    apart = deviation(array, array.copy(), dims="L E")
    assert (apart.max_abs, apart.p99, apart.rel_l2, apart.rms, apart.worst_row_rel_l2) == (0, 0, 0, 0, 0)
    assert apart.worst_row_cosine == 1


@pytest.mark.parametrize(("found", "wanted"), [(np.nan, 1.0), (np.inf, 1.0), (1.0, np.inf), (np.inf, -np.inf)])
def test_what_is_infinite_on_one_side_is_infinitely_far(found, wanted):
    apart = deviation(np.array([[1.0], [found]]), np.array([[1.0], [wanted]]), dims="L E")
    assert np.isposinf(apart.max_abs)
    assert np.isposinf(apart.rel_l2)
    assert apart.at == (1, 0)


def test_only_patches_and_tokens_are_rows():
    array = np.ones((3, 4))
    assert deviation(array + 1, array, dims="3 L").worst_row is None
    assert deviation(array + 1, array, dims="M E").worst_row is not None


def test_nothing_is_not_apart_from_nothing_and_shapes_must_agree():
    assert deviation(np.empty((0, 3)), np.empty((0, 3)), dims="L E").max_abs == 0
    with pytest.raises(ValueError, match="shapes"):
        deviation(np.zeros(3), np.zeros(4), dims="L")


def test_huge_values_do_not_overflow():
    apart = deviation(np.array([[3e200, 4e200]]), np.array([[3e200, 0.0]]), dims="L E")
    assert apart.rel_l2 == pytest.approx(4 / 3)
    assert apart.rms == pytest.approx(4e200 / np.sqrt(2))
