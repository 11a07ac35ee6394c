"""Draws: the generator to the bit, and that ids come as often as their probability says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.generate.draw import MASK, drawn_id, splitmix64, uniform_number
from qwen25vl.generate.rules import probabilities

NEARLY_ONE = 1 - 2.0**-53
"""The largest number that a draw can be made with."""


def chi_square(counts, expected):
    """How far counts are from what was expected, and the bound that chance exceeds once in 10**9 times.

    Laurent and Massart (2000): with k degrees of freedom it is above k + 2 sqrt(k x) + 2 x with a
    probability of exp(-x) at most.
    """
    counts, expected = np.ravel(counts), np.ravel(expected)
    k, x = counts.size - 1, 9 * np.log(10)
    return np.sum((counts - expected) ** 2 / expected), k + 2 * np.sqrt(k * x) + 2 * x


def uniforms(count, *, seed=0, sequence=0):
    """The numbers of one answer."""
    return np.array([uniform_number(seed=seed, sequence=sequence, step=step) for step in range(count)])


# ------------------------------------------------------------------------------------- the numbers


def test_g17_the_generator_is_splitmix64():
    # The first numbers from state 1234567, as published with many implementations of it.
    want = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [splitmix64(1234567, index=i) for i in range(5)] == want


def test_g17_a_number_is_the_53_upper_bits_of_one_output():
    start = splitmix64(7, index=2)
    for step in range(5):
        got = uniform_number(seed=7, sequence=2, step=step)
        assert got == (splitmix64(start, index=step) // 2**11) / 2**53
        assert got * 2**53 % 1 == 0


@given(st.integers(0, MASK), st.integers(0, 100), st.integers(0, 10**6))
def test_g17_numbers_lie_in_the_half_open_interval(seed, sequence, step):
    assert 0 <= uniform_number(seed=seed, sequence=sequence, step=step) <= NEARLY_ONE


def test_g17_numbers_fill_the_interval_evenly_and_one_tells_nothing_of_the_next():
    count, bins = 20000, 16
    numbers = np.floor(uniforms(count) * bins).astype(int)
    statistic, bound = chi_square(np.bincount(numbers, minlength=bins), np.full(bins, count / bins))
    assert statistic < bound
    pairs = np.bincount(numbers[:-1] * bins + numbers[1:], minlength=bins**2)
    statistic, bound = chi_square(pairs, np.full(bins**2, (count - 1) / bins**2))
    assert statistic < bound


@pytest.mark.parametrize(
    ("one", "other"),
    [((0, 0), (0, 1)), ((0, 0), (1, 0)), ((0, 1), (1, 0)), ((5, 3), (5, 4)), ((0, 0), (2**63, 0))],
)
def test_g18_each_answer_and_each_seed_has_numbers_of_its_own(one, other):
    count, bins = 4000, 8
    first, second = (uniforms(count, seed=seed, sequence=sequence) for seed, sequence in (one, other))
    assert not set(first) & set(second)
    assert not set(first[:-1]) & set(second[1:])  # nor is one stream the other, shifted
    pairs = np.floor(first * bins).astype(int) * bins + np.floor(second * bins).astype(int)
    statistic, bound = chi_square(np.bincount(pairs, minlength=bins**2), np.full(bins**2, count / bins**2))
    assert statistic < bound


# ----------------------------------------------------------------------------------------- the ids


def test_g16_the_first_id_whose_running_sum_exceeds_the_number_is_drawn():
    scores = np.log(np.array([1, 2, 4, 1], dtype=np.float64)).astype(np.float32)  # of 8
    scores = np.insert(scores, 2, np.float32(-np.inf))
    for u, want in ((0.0, 0), (0.124, 0), (0.126, 1), (0.374, 1), (0.376, 3), (0.874, 3), (0.876, 4)):
        assert drawn_id(scores, u=u) == want
    assert drawn_id(scores, u=NEARLY_ONE) == 4


def test_g16_a_number_that_a_sum_equals_belongs_to_the_next_id():
    assert drawn_id(np.zeros(4, np.float32), u=0.25) == 1
    assert drawn_id(np.zeros(4, np.float32), u=0.5) == 2


@given(st.data(), st.integers(1, 50), st.sampled_from([0.0, 0.5, NEARLY_ONE]))
def test_g16_an_id_that_a_rule_took_out_is_never_drawn(data, count, u):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    scores = (rng.standard_normal(count) * 10).astype(np.float32)
    scores[rng.random(count) < 0.7] = -np.inf
    scores[rng.integers(count)] = 0
    assert scores[drawn_id(scores, u=u)] > -np.inf


def test_g16_ids_come_as_often_as_their_probability_says():
    scores = np.array([0.0, 1.0, -np.inf, -1.5, 1.0, 0.3, -0.2], dtype=np.float32)
    possible, count = np.isfinite(scores), 20000
    counts = np.bincount([drawn_id(scores, u=u) for u in uniforms(count, seed=3)], minlength=7)
    assert counts[~possible] == 0
    right = probabilities(scores)[possible] * count
    statistic, bound = chi_square(counts[possible], right)
    assert statistic < bound
    # blindness check: another temperature, ids one off, or two exchanged, would be seen
    warm = probabilities(scores / np.float32(1.2))[possible] * count
    for wrong in (warm, np.roll(right, 1), right[[1, 0, 2, 3, 4, 5]]):
        statistic, bound = chi_square(counts[possible], wrong)
        assert statistic > bound
