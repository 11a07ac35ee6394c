"""Section 15: exp, log, erf, sin and cos of our own are about a unit in the last place off, against mpmath."""

import mpmath
import numpy as np
import pytest

from qwen25vl.strict import exponential, trigonometry

mpmath.mp.dps = 40

FUNCTIONS = {
    "exp": exponential.exp,
    "log": exponential.log,
    "erf": exponential.erf,
    "sin": trigonometry.sin,
    "cos": trigonometry.cos,
}

RNG = np.random.default_rng(15)

QUARTERS = np.array([float(int(k) * mpmath.pi / 2) for k in RNG.integers(1, 600_000, 300)])
"""Angles next to multiples of pi/2, where most bits cancel."""

ANGLES = np.concatenate(
    [
        RNG.uniform(-1e6, 1e6, 1500),
        RNG.uniform(-10, 10, 1000),
        RNG.uniform(-1e-3, 1e-3, 200),
        np.arange(200.0),
        QUARTERS,
        np.nextafter(QUARTERS, 0),
        np.nextafter(QUARTERS, np.inf),
    ]
)

DRAWN = {
    "exp": np.concatenate([RNG.uniform(-745, 709, 2000), RNG.uniform(-1, 1, 1000), -RNG.exponential(5, 1000)]),
    "log": np.concatenate(
        [np.exp(RNG.uniform(-740, 709, 1500)), RNG.uniform(0.5, 2, 1000), 1 + RNG.standard_normal(500) * 1e-6]
    ),
    "erf": np.concatenate(
        [RNG.uniform(-6, 6, 1500), RNG.uniform(-1.1, 1.1, 1500), RNG.standard_normal(500) * 1e-3]
    ),
    "sin": ANGLES,
    "cos": ANGLES,
}
"""Arguments over the whole range of each function, dense where a run has its values."""

LARGEST = {"exp": 0.9, "log": 0.9, "erf": 1.25, "sin": 0.9, "cos": 0.9}
"""Units in the last place: what was measured on 60,000 points each, and a tenth more."""


def ulps(found, wanted):
    """Distance of a float64 number from an exact one, in units of its last place."""
    unit = max(float(np.spacing(abs(float(wanted)))), 5e-324)
    return float(abs(mpmath.mpf(float(found)) - wanted) / unit)


@pytest.mark.parametrize("name", DRAWN)
def test_x17_every_function_is_about_an_ulp_off(name):
    x = DRAWN[name]
    results = FUNCTIONS[name](x)
    exact = [getattr(mpmath, name)(mpmath.mpf(float(value))) for value in x]
    errors = [ulps(found, wanted) for found, wanted in zip(results, exact, strict=True)]
    worst = int(np.argmax(errors))
    assert errors[worst] <= LARGEST[name], f"{name}({x[worst]!r}) is {errors[worst]:.2f} ulp off"


INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("name", "x", "wanted"),
    [
        ("exp", [0.0, -0.0, INF, -INF, NAN, 710.0, -746.0], [1, 1, INF, 0, NAN, INF, 0]),
        ("exp", [-745.0, -744.0], [5e-324, 1e-323]),
        ("log", [1.0, 0.0, -1.0, INF, NAN], [0, -INF, NAN, INF, NAN]),
        ("erf", [0.0, 6.0, -6.0, INF, -INF, NAN, 1e300], [0, 1, -1, 1, -1, NAN, 1]),
        ("sin", [0.0, INF, -INF, NAN, 2e6], [0, NAN, NAN, NAN, NAN]),
        ("cos", [0.0, INF, NAN, 2e6], [1, NAN, NAN, NAN]),
    ],
)
def test_x17_ends_and_special_values(name, x, wanted):
    np.testing.assert_array_equal(FUNCTIONS[name](np.array(x)), np.array(wanted, dtype=float))


@pytest.mark.parametrize("name", ["sin", "erf"])
def test_x17_an_odd_function_keeps_the_sign_of_a_zero(name):
    np.testing.assert_array_equal(np.signbit(FUNCTIONS[name](np.array([0.0, -0.0]))), [False, True])


def test_x17_subnormal_results_are_rounded_to_the_nearest():
    x = np.linspace(-745.1, -708.4, 200)
    results = exponential.exp(x)
    exact = [mpmath.exp(mpmath.mpf(float(value))) for value in x]
    assert max(ulps(found, wanted) for found, wanted in zip(results, exact, strict=True)) <= 1.01
    assert np.any((results > 0) & (results < np.finfo(float).tiny))


def test_erf_meets_itself_where_its_formula_changes():
    x = np.array([np.nextafter(1.0, 0), 1.0, np.nextafter(1.0, 2), np.nextafter(6.0, 0)])
    results = exponential.erf(x)
    assert np.all(np.diff(results) >= 0)
    assert np.ptp(results[:3]) <= 2 * np.spacing(1.0)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3, 4)])
def test_shapes_are_kept_and_arrays_need_not_be_contiguous(shape):
    x = np.ones(shape)
    assert exponential.exp(x).shape == shape
    turned = np.arange(12.0).reshape(3, 4).T
    np.testing.assert_array_equal(exponential.exp(turned), exponential.exp(np.ascontiguousarray(turned)))
