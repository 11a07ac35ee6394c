"""Section 15: an error counts in units of the measured noise, and no noise counts less than a rounding."""

import numpy as np
import pytest

from qwen25vl.golden.deviation import deviation
from qwen25vl.port.units import ROUNDOFF, Floor, assumed_floor, floor_of, measured_floor, units

WANTED = np.array([[1.0, 2.0], [4.0, -3.0]])


def off(error, floor, precision="float32"):
    return units(deviation(WANTED + error, WANTED, dims="L E"), floor, WANTED, precision=precision)


def test_x25_the_largest_of_three_ratios_counts():
    error = np.array([[0.0, 0.0], [0.0, 0.6]])
    apart = deviation(WANTED + error, WANTED, dims="L E")
    many = Floor(max_abs=1e9, rel_l2=1e9, worst_row=1e9, rms=1.0)
    for name, measure in (
        ("max_abs", apart.max_abs),
        ("rel_l2", apart.rel_l2),
        ("worst_row", apart.worst_row_rel_l2),
    ):
        floor = Floor(**(vars(many) | {name: measure / 7}))
        assert off(error, floor) == pytest.approx(7)


@pytest.mark.parametrize("precision", ROUNDOFF)
def test_x25_no_noise_counts_less_than_a_rounding_of_the_result(precision):
    none = Floor(max_abs=0.0, rel_l2=0.0, worst_row=0.0, rms=0.0)
    unit = ROUNDOFF[precision] * 4
    assert off(np.array([[0.0, 0.0], [-unit, 0.0]]), none, precision) == pytest.approx(2, rel=0.3)


def test_what_is_not_finite_is_infinitely_many_units_off():
    assert off(np.array([[np.nan, 0.0], [0.0, 0.0]]), Floor(1.0, 1.0, 1.0, 1.0)) == np.inf


@pytest.mark.parametrize("entry", [None, {}, {"overflow": 1.0, "max": 1.0}])
def test_noise_that_was_not_measured_is_no_floor(entry):
    assert measured_floor(entry) is None


def test_a_measured_floor_is_the_files():
    entry = {"max": 4.0, "p99": 3.0, "rel_l2": 0.5, "rms": 2.0, "worst_token": 0.7}
    assert measured_floor(entry) == Floor(max_abs=4.0, rel_l2=0.5, worst_row=0.7, rms=2.0)


def test_a_floor_of_several_runs_is_the_largest_of_each_measure():
    one = deviation(WANTED + np.array([[0.1, 0.1], [0, 0]]), WANTED, dims="L E")
    other = deviation(WANTED + np.array([[0, 0], [0.5, 0]]), WANTED, dims="L E")
    floor = floor_of([one, other])
    assert floor == Floor(
        max_abs=0.5,
        rel_l2=other.rel_l2,
        worst_row=max(one.worst_row_rel_l2, other.worst_row_rel_l2),
        rms=other.rms,
    )
    assert floor_of([]) is None
    assert floor_of([one, deviation(WANTED * np.inf, WANTED, dims="L E")]) is None


def test_an_assumed_floor_grows_with_the_values_and_the_format():
    small = assumed_floor(WANTED, roundoffs=8.0, precision="float32")
    assert small.rel_l2 == 8 * 2.0**-24
    assert small.rms == pytest.approx(8 * 2.0**-24 * np.sqrt(30 / 4))
    assert assumed_floor(WANTED * 10, roundoffs=8.0, precision="float32").rms == pytest.approx(10 * small.rms)
    assert assumed_floor(WANTED, roundoffs=8.0, precision="bfloat16").rel_l2 == 8 * 2.0**-8
