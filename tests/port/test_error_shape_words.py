"""The words of an error's shape: indices, numbers and shares as a sentence has them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.port.error_words import counted, listed, number, numbered, percent, ranges, runs


@given(st.sets(st.integers(0, 40), min_size=1))
def test_runs_are_the_indices_again(indices):
    again = [i for first, last in runs(sorted(indices)) for i in range(first, last + 1)]
    assert again == sorted(indices)


@pytest.mark.parametrize(
    ("indices", "text"),
    [
        ([4], "4"),
        ([4, 5], "4 and 5"),
        ([4, 5, 6, 7, 16, 17, 18, 19], "4 to 7 and 16 to 19"),
        ([1, 3, 5, 7, 9, 11], "1, 3, 5, 7 and 2 more"),
    ],
)
def test_indices_are_told_as_runs(indices, text):
    assert ranges(indices) == ranges(np.array(indices)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.0, "2"), (151655.0, "151655"), (65589.4, "65589"), (0.125, "0.125"), (1 / 3, "0.3333"), (1e12, "1e+12")],
)
def test_numbers_have_four_digits_and_integers_all_of_them(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (1e-9, "less than 0.001 %"),
        (0.125, "12.5 %"),
        (0.99943, "99.943 %"),
        (1 - 1e-9, "more than 99.999 %"),
        (1.0, "100 %"),
        (1.414, "141 %"),
    ],
)
def test_a_share_is_never_told_as_nothing_or_all_if_it_is_not(share, text):
    assert percent(share) == text


def test_nouns_have_plurals():
    assert counted(1, "row") == "1 row"
    assert counted(3, "query") == "3 queries"
    assert counted(2, "block of 4 rows") == "2 blocks of 4 rows"
    assert numbered("row", [4]) == "row 4"
    assert numbered("row", [4, 5, 6]) == "rows 4 to 6"
    assert listed(["a", "b", "c"]) == "a, b and c"
