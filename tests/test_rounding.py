"""Rounding to 16 bits: to the nearest number of the format, ties to even, over every kind of float32."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qwen25vl.precision import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, PRECISIONS

BF16 = (np.arange(2**16, dtype=np.uint32) << 16).view(np.float32)
F16 = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
EMULATED = pytest.mark.parametrize(
    ("precision", "numbers"), [(BFLOAT16, BF16), (FLOAT16, F16)], ids=["bfloat16", "float16"]
)
"""Either format, and every number that it has."""

patterns = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40)


def same(x, y):
    """Equal in every bit, where one NaN is as good as another."""
    both_nan = np.isnan(x) & np.isnan(y)
    return bool(np.all(both_nan | (x.view(np.uint32) == y.view(np.uint32))))


@EMULATED
def test_n14_every_number_of_the_format_stays_what_it_is(precision, numbers):
    assert len(numbers) == 2**16
    assert same(precision.rounded(numbers), numbers)


@EMULATED
@given(bits=patterns)
@example(bits=[0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0x7F800000, 0x80000000, 0x00000001, 0x7F7FFFFF, 0x477FF000])
def test_n14_the_nearest_number_is_taken(precision, numbers, bits):
    x = np.array(bits, dtype=np.uint32).view(np.float32)
    got = precision.rounded(x)
    assert np.array_equal(np.isnan(got), np.isnan(x))
    assert np.array_equal(np.signbit(got[~np.isnan(x)]), np.signbit(x[~np.isnan(x)]))
    finite = np.unique(numbers[np.isfinite(numbers)].astype(np.float64))
    # Beyond the largest number the format goes on as if it had one more, and that one is called infinity.
    beyond = 2 * finite[-1] - finite[-2]
    grid = np.concatenate([[-beyond], finite, [beyond]])
    for value, result in zip(x.tolist(), got.tolist(), strict=True):
        if np.isfinite(value):
            clipped = np.clip(value, -beyond, beyond)
            distance = np.abs(grid - clipped)
            best = grid[distance == distance.min()]
            reached = np.copysign(beyond, result) if np.isinf(result) else result
            assert reached in best, (value, result)
        elif np.isinf(value):
            assert result == value


@EMULATED
def test_n14_of_two_nearest_numbers_the_even_one_is_taken(precision, numbers):
    finite = np.unique(numbers[np.isfinite(numbers)])
    low, high = finite[:-1].astype(np.float64), finite[1:].astype(np.float64)
    middle = (low / 2 + high / 2).astype(np.float32)
    # Where float32 has no number half way, among its own subnormals, there is no tie.
    tied = middle.astype(np.float64) == low / 2 + high / 2
    bits = {"bfloat16": finite.view(np.uint32) >> 16}
    with np.errstate(over="ignore"):  # of bfloat16's numbers, most have no float16
        bits["float16"] = finite.astype(np.float16).view(np.uint16)
    is_even = bits[precision.name] % 2 == 0
    want = np.where(is_even[:-1], finite[:-1], finite[1:])
    assert np.mean(tied) > 0.99
    np.testing.assert_array_equal(precision.rounded(middle)[tied], want[tied])


@pytest.mark.parametrize(
    ("precision", "last", "first_infinite"),
    [(BFLOAT16, 2.0**128 - 2.0**120, 2.0**128 - 2.0**119), (FLOAT16, 65504.0, 65520.0)],
    ids=["bfloat16", "float16"],
)
def test_n14_beyond_the_largest_number_lies_infinity(precision, last, first_infinite):
    # The suite raises on overflow: nobody may be told of this one.
    edge = np.array([last, np.nextafter(np.float32(first_infinite), np.float32(0)), first_infinite], np.float32)
    assert precision.rounded(edge).tolist() == [last, last, np.inf]
    assert precision.rounded(-edge).tolist() == [-last, -last, -np.inf]
    assert -last == precision.hidden_score


@EMULATED
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3, 4)])
def test_n14_the_argument_stays_and_the_result_is_new(precision, numbers, shape):
    x = np.full(shape, 1 / 3, dtype=np.float32)
    x.flags.writeable = False
    got = precision.rounded(np.moveaxis(x, 0, -1) if x.ndim else x)
    assert got.flags.writeable
    assert got.dtype == np.float32
    assert not np.any(got == np.float32(1 / 3))
    assert np.all(x == np.float32(1 / 3))


@pytest.mark.parametrize("precision", [FLOAT64, FLOAT32], ids=lambda precision: precision.name)
def test_n14_what_numpy_computes_in_is_not_rounded(precision):
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(precision.dtype)
    assert precision.rounded(x) is x
    assert precision.hidden_score == -np.inf


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["bfloat16", "float16"])
@given(bits=patterns)
def test_matches_torchs_conversion(name, bits):
    import oracle

    x = np.array(bits, dtype=np.uint32).view(np.float32)
    assert same(PRECISIONS[name].rounded(x), oracle.cast(x, name))
