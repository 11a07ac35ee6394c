"""Which numbers a caller may give as a limit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.errors import BadInput
from qwen25vl.limits import LARGEST_WHOLE, finite_number, whole_number

NO_WHOLE = [True, False, np.True_, 1.0, np.float64(1), math.nan, math.inf, "1", b"1", None, [1], (1,), {}, 1j]
NO_WHOLE += [0, -1, 2**53 + 1, 10**30, 10**5000, np.zeros(3, dtype=int), object()]


@pytest.mark.parametrize("value", NO_WHOLE, ids=lambda value: type(value).__name__)
def test_i26_what_is_no_whole_number_is_refused(value):
    with pytest.raises(BadInput, match=r"^x must be a whole number from 1 to 2\*\*53, got .*; change it$"):
        whole_number(value, name="x")


@given(value=st.integers(1, LARGEST_WHOLE), kind=st.sampled_from([int, np.int64, np.uint64]))
def test_i26_an_integer_of_python_or_numpy_is_one(value, kind):
    found = whole_number(kind(value), name="x")
    assert type(found) is int
    assert found == value


@pytest.mark.parametrize(("value", "passes"), [(3, True), (4, False), (0, True), (-1, False)])
def test_i26_the_range_includes_both_ends(value, passes):
    if passes:
        assert whole_number(value, name="x", least=0, most=3) == value
    else:
        with pytest.raises(BadInput, match=f"x must be a whole number from 0 to 3, got {value}"):
            whole_number(value, name="x", least=0, most=3)


NO_FINITE = [True, np.False_, np.str_("1"), "1", b"1", None, [1.0], 1j, np.zeros(2)]
NO_FINITE += [math.nan, math.inf, -math.inf, 10**400]


@pytest.mark.parametrize("value", NO_FINITE, ids=lambda value: type(value).__name__)
def test_i26_what_is_no_finite_number_is_refused(value):
    with pytest.raises(BadInput, match=r"^fps must be a finite number, got .*; change it$"):
        finite_number(value, name="fps")


@given(value=st.floats(allow_nan=False, allow_infinity=False), kind=st.sampled_from([float, np.float64]))
def test_i26_a_finite_number_of_python_or_numpy_is_one(value, kind):
    found = finite_number(kind(value), name="x")
    assert type(found) is float
    assert found == value
    assert finite_number(3, name="x") == 3


@pytest.mark.parametrize("value", [0, 0.0, -1, -0.0])
def test_i26_a_bound_is_not_reached(value):
    with pytest.raises(BadInput, match="fps must be a finite number above 0, got"):
        finite_number(value, name="fps", above=0.0)
    assert finite_number(5e-324, name="fps", above=0.0) == 5e-324


@pytest.mark.parametrize("value", [2, 2.0, 7.5, LARGEST_WHOLE])
def test_i26_bounds_that_may_be_reached(value):
    assert finite_number(value, name="x", least=2, most=LARGEST_WHOLE) == value


@pytest.mark.parametrize("value", [1.9999999999999998, 2**53 + 2, math.nan, math.inf, -math.inf, "3", True])
def test_i26_beyond_such_bounds_it_is_refused_with_both(value):
    with pytest.raises(
        BadInput, match=r"^x must be a finite number of at least 2 and at most 2\*\*53, got .*; change it$"
    ):
        finite_number(value, name="x", least=2, most=LARGEST_WHOLE)
    with pytest.raises(BadInput, match=r"^x must be a finite number above 2 and at most 4, got .*; change it$"):
        finite_number(value, name="x", above=2, most=4)
