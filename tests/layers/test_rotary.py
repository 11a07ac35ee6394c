"""Rotary frequencies and the rotation itself."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.config import QWEN25_VL_3B, QWEN25_VL_7B, QWEN25_VL_32B, QWEN25_VL_72B
from qwen25vl.layers.rotary import inverse_frequencies, rotated

RELEASED = [(40, 1e4), (128, 1e6)]
"""Width and base of every release: vision encoder, decoder."""

even_widths = st.integers(1, 128).map(lambda half: 2 * half)
thetas = st.sampled_from([1e4, 1e6])


@st.composite
def heads(draw):
    """Queries of drawn shape, and an angle for every position and pair of channels."""
    S, N, half = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    return rng.standard_normal((S, N, 2 * half)), rng.uniform(-9, 9, (S, half))


def doubled(half):
    """Repeat the angles of the first half of a head for its second half."""
    return np.concatenate([half, half], axis=-1)


@pytest.mark.parametrize(("width", "theta"), [*RELEASED, (10, 1e4), (20, 1e6)])
def test_n8_exponent_power_and_reciprocal_are_each_rounded_to_float32(width, theta):
    got = inverse_frequencies(width=width, theta=theta)
    assert got.dtype == np.float32
    for i in range(width // 2):
        exponent = np.float32(2 * i) / np.float32(width)
        with localcontext(prec=60):  # digits of the exact power
            power = Decimal(theta) ** Decimal(float(exponent))
        assert got[i] == np.float32(1) / np.float32(float(power)), i


def test_n8_some_frequencies_of_the_releases():
    # Source: 10000**(-2i/40) and 1000000**(-2i/128), by hand; five digits are given, so half a unit in 10**4.
    vision = inverse_frequencies(width=40, theta=1e4)
    np.testing.assert_allclose(vision[[0, 1, 2, 19]], [1, 0.63096, 0.39811, 1.5849e-4], rtol=5e-5)
    language = inverse_frequencies(width=128, theta=1e6)
    np.testing.assert_allclose(language[[0, 1, 32, 63]], [1, 0.80584, 1e-3, 1.2409e-6], rtol=5e-5)


def test_n9_a_quarter_turn_moves_the_halves():
    x = np.array([[[1.0, 2.0, 3.0, 4.0]]])
    got = rotated(x, np.zeros((1, 4)), np.ones((1, 4)))
    assert got.tolist() == [[[-3.0, -4.0, 1.0, 2.0]]]  # channel 0 with 2, 1 with 3: not with its neighbour


@given(heads())
def test_n9_every_head_turns_by_the_angle_of_its_position(drawn):
    x, half = drawn
    got = rotated(x, np.cos(doubled(half)), np.sin(doubled(half)))
    middle = half.shape[1]
    for s, n, j in np.ndindex(*x.shape[:2], middle):
        a, b = x[s, n, j], x[s, n, j + middle]
        cos, sin = np.cos(half[s, j]), np.sin(half[s, j])
        assert got[s, n, j] == a * cos + -b * sin
        assert got[s, n, j + middle] == b * cos + a * sin


@given(heads(), st.integers(0, 50))
def test_n9_a_product_of_query_and_key_depends_on_their_distance_only(drawn, shift):
    x, _ = drawn
    frequencies = inverse_frequencies(width=x.shape[2], theta=1e4).astype(np.float64)

    def at(position):
        angle = doubled(np.full((len(x), 1), float(position)) * frequencies)
        return rotated(x, np.cos(angle), np.sin(angle))

    near = np.sum(at(3) * at(0), axis=-1)
    far = np.sum(at(3 + shift) * at(shift), axis=-1)
    # An angle of at most 53 is rounded once (53 U); cosine, sine, two products and a sum follow, twice.
    np.testing.assert_allclose(far, near, rtol=0, atol=2 * (53 + 10) * 2.0**-53 * np.sum(x * x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_n1_the_type_stays(dtype):
    assert rotated(np.ones((1, 1, 2), dtype), np.ones((1, 2), dtype), np.ones((1, 2), dtype)).dtype == dtype


@pytest.mark.oracle
@given(width=even_widths, theta=thetas)
def test_n8_torchs_power_is_at_most_one_unit_off_and_its_frequency_two(width, theta):
    import oracle

    ours = inverse_frequencies(width=width, theta=theta)
    power, theirs = oracle.rotary_powers(width=width, theta=theta)
    # Both take the power to float32: torch with an error of up to a unit, this project correctly rounded.
    exponent = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    rounded = np.power(np.float64(theta), exponent.astype(np.float64)).astype(np.float32)
    assert np.max(units_apart(power, rounded)) <= 1
    # A unit of a power 1.m x 2**e is up to twice as large, relative to it, as a unit of its reciprocal; both
    # reciprocals are rounded by half a unit: less than three.
    assert np.max(units_apart(theirs, ours)) <= 2


@pytest.mark.oracle
def test_n8_the_released_vision_frequencies_equal_torchs():
    import oracle

    for config in (QWEN25_VL_3B, QWEN25_VL_7B, QWEN25_VL_32B, QWEN25_VL_72B):
        vision, _ = oracle.upstream_frequencies(config)
        np.testing.assert_array_equal(inverse_frequencies(width=40, theta=1e4), vision)


@pytest.mark.oracle
def test_n8_of_the_released_language_frequencies_none_but_number_37_differs_from_torchs():
    import oracle

    ours = inverse_frequencies(width=128, theta=1e6)
    for config in (QWEN25_VL_3B, QWEN25_VL_7B, QWEN25_VL_32B, QWEN25_VL_72B):
        _, language = oracle.upstream_frequencies(config)
        differ = np.flatnonzero(ours != language).tolist()
        # Measured on torch 2.13.0: [37], one unit, with its AVX2 and AVX512 kernels; [] with its plain ones.
        assert differ in ([], [37]), oracle.VERSIONS
        assert np.max(units_apart(ours, language)) <= 1


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tower", ["vision", "language"])
@given(heads())
def test_matches_upstream(dtype, tower, drawn):
    import oracle

    x, half = drawn
    cos, sin = np.cos(doubled(half)).astype(dtype), np.sin(doubled(half)).astype(dtype)
    # Two products and a sum, each rounded once, in the same order: the bits must be equal.
    np.testing.assert_array_equal(
        rotated(x.astype(dtype), cos, sin), oracle.rotated(x.astype(dtype), cos, sin, tower)
    )


def units_apart(a, b):
    """Units in the last place between positive float32 numbers."""
    return np.abs(a.view(np.int32).astype(np.int64) - b.view(np.int32))
