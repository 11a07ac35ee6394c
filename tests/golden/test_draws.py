"""Section 15: drawn arrays are those of the generator of section 11, and exact in 16 bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.generate.draw import splitmix64
from qwen25vl.golden.draws import drawn, drawn_bytes, drawn_words
from qwen25vl.rounding import to_bfloat16, to_float16

seeds = st.integers(0, 2**64 - 1)


@given(seed=seeds, count=st.integers(0, 40))
def test_words_are_those_of_the_generator_of_section_11(seed, count):
    words = drawn_words(seed, count)
    assert words.tolist() == [splitmix64(seed, index=i) for i in range(count)]


def test_words_are_those_that_the_inventors_program_prints():
    # the first three of seed 1234567, as in the test vectors that go with the published C program
    assert drawn_words(1234567, 3).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@given(seed=seeds, shape=st.lists(st.integers(0, 5), max_size=3).map(tuple), bits=st.integers(0, 7))
def test_numbers_are_multiples_in_range_and_follow_the_upper_bits(seed, shape, bits):
    array = drawn(seed, shape, bits=bits)
    assert array.shape == shape
    assert array.dtype == np.float64
    flat = array.ravel().tolist()
    assert flat == [(splitmix64(seed, index=i) >> (63 - bits)) / 2**bits - 1 for i in range(array.size)]
    assert all(-1 <= number < 1 for number in flat)


def test_no_number_is_rounded_by_any_precision():
    array = drawn(7, (5000,))
    narrow = array.astype(np.float32)
    assert len(np.unique(array)) == 256  # all of them were drawn
    np.testing.assert_array_equal(narrow, array)
    np.testing.assert_array_equal(to_bfloat16(narrow), narrow)
    np.testing.assert_array_equal(to_float16(narrow), narrow)


@given(seed=seeds, shape=st.lists(st.integers(0, 5), max_size=3).map(tuple))
def test_bytes_are_the_upper_eight_bits(seed, shape):
    array = drawn_bytes(seed, shape)
    assert array.shape == shape
    assert array.dtype == np.uint8
    assert array.ravel().tolist() == [splitmix64(seed, index=i) >> 56 for i in range(array.size)]


def test_another_seed_draws_other_numbers():
    assert not np.array_equal(drawn(1, (8,)), drawn(2, (8,)))


@pytest.mark.parametrize("bits", [-1, 8])
def test_numbers_that_16_bits_would_round_are_refused(bits):
    with pytest.raises(ValueError, match="bits must lie between 0 and 7"):
        drawn(1, (1,), bits=bits)
