"""Section 15 - exp, log and erf from the four operations alone, each about a unit in the last place off.

Libraries choose other instructions on other processors, and their results differ in the last place. These are
sums, products, quotients and table look-ups, each rounded once: the same everywhere. How far off they are was
measured against mpmath, in units of the last place (ulp) of the result.
"""

import math

import numpy as np
from jaxtyping import Float64

from qwen25vl.strict.each import of_each, polynomial
from qwen25vl.strict.jit import STRICT

POWERS = np.ldexp(1.0, np.arange(-600, 601))
"""2**k for k from -600 to 600: the product of two of them reaches every exponent of float64."""

LOG2_E = float.fromhex("0x1.71547652b82fep+0")
"""1 / ln 2."""

LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")
"""The first 32 bits of ln 2: its product with an exponent is exact."""

LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
"""The rest of ln 2."""

EXP_TERMS = tuple(1.0 / float(np.prod(np.arange(1.0, n + 1))) for n in range(14, 1, -1))
"""1/14! to 1/2!: the series of exp, from its last term; |r| is at most ln(2) / 2."""

LOG_TERMS = tuple(2.0 / n for n in range(23, 1, -2))
"""2/23 to 2/3: the series of ln((1 + s) / (1 - s)) - 2 s, over s**3, in s**2; |s| is at most 0.172."""

ROOT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")
"""The square root of 1/2: a mantissa from here to twice it stays near 1."""

ERF_TERMS = (
    *(
        (-1.0) ** n * float.fromhex("0x1.20dd750429b6dp+0") / (float(np.prod(np.arange(1.0, n + 1))) * (2 * n + 1))
        for n in range(18, 0, -1)
    ),
    float.fromhex("0x1.06eba8214db69p-3"),
)
"""The series of erf(x) / x - 1 in x**2, from its last term; the first is 2 / sqrt(pi) - 1; |x| <= 1."""

ERFC_CENTRE = 3.0
"""c in t = (x - c) / (x + c)."""

ERFC_TERMS = tuple(
    float.fromhex(text)
    for text in (
        "-0x1.74248bd61b98ep-29",
        "-0x1.20037efd14becp-27",
        "0x1.4a1b805fd357ap-29",
        "0x1.91d83ddb822b2p-25",
        "0x1.df5e00304cbd4p-26",
        "-0x1.f7bb91022c434p-23",
        "-0x1.3b75d86211289p-22",
        "0x1.503328d2b9e62p-20",
        "0x1.1c8a7451930eep-19",
        "-0x1.0bb3772b8ca0ep-17",
        "-0x1.af86d5b72e4b7p-17",
        "0x1.0cac32e53d1dcp-14",
        "0x1.7ba1039f83d3ap-15",
        "-0x1.39084c544609fp-11",
        "0x1.73101e78a961fp-11",
        "0x1.17c838ee7ffa4p-8",
        "-0x1.8fa58eb5d964fp-6",
        "0x1.258b13b017aabp-4",
        "-0x1.336ffbef08b4bp-3",
        "0x1.f6ff204105974p-3",
        "-0x1.4e102b9cf8513p-2",
        "0x1.6e9827d229d2dp-3",
    )
)
"""erfc(x) exp(x**2) for x from 1 to 6 as a polynomial in t, highest power first: a Chebyshev fit with 60 digits by
mpmath.chebyfit, off by 6e-25."""

ERF_IS_ONE = 6.0
"""From here on, erf is 1 in float64."""


@STRICT
def _exp(x: float) -> float:
    """Compute e**x: 2**k times the exponential of what is left of x."""
    if not x <= 709.782712893384:
        return x if np.isnan(x) else np.inf
    if x < -745.2:
        return 0.0
    k = np.rint(x * LOG2_E)
    high = x - k * LN2_HIGH  # exact
    low = k * LN2_LOW
    r = high - low
    lost = (high - r) - low
    series = 1.0 + (r + (lost + r * r * polynomial(EXP_TERMS, r)))
    half = int(k) // 2
    return series * POWERS[half + 600] * POWERS[int(k) - half + 600]  # rounded once more if it is subnormal


@STRICT
def _log(x: float) -> float:
    """Compute ln x: k ln 2 and the logarithm of a number near 1."""
    if not x > 0:
        return -np.inf if x == 0 else np.nan
    if np.isinf(x):
        return x
    mantissa, exponent = math.frexp(x)
    if mantissa < ROOT_HALF:
        mantissa, exponent = 2 * mantissa, exponent - 1
    f = mantissa - 1.0  # exact
    s = f / (2.0 + f)
    z = s * s
    half_square = 0.5 * f * f
    rest = s * (half_square + z * polynomial(LOG_TERMS, z))  # ln(1 + f) = f - half_square + rest
    k = float(exponent)
    return k * LN2_HIGH - ((half_square - (rest + k * LN2_LOW)) - f)


@STRICT
def _erf(x: float) -> float:
    """Compute the error function."""
    size = abs(x)
    if size <= 1.0:
        return x + x * polynomial(ERF_TERMS, x * x)
    if np.isnan(x):
        return x
    if size >= ERF_IS_ONE:
        return 1.0 if x > 0 else -1.0
    t = (size - ERFC_CENTRE) / (size + ERFC_CENTRE)
    value = 1.0 - _exp(-size * size) * polynomial(ERFC_TERMS, t)
    return value if x > 0 else -value


@STRICT
def _each_exp(x: np.ndarray, result: np.ndarray) -> None:
    """Compute e**x of every element."""
    for i in range(x.size):
        result[i] = _exp(x[i])


@STRICT
def _each_log(x: np.ndarray, result: np.ndarray) -> None:
    """Compute ln x of every element."""
    for i in range(x.size):
        result[i] = _log(x[i])


@STRICT
def _each_erf(x: np.ndarray, result: np.ndarray) -> None:
    """Compute erf of every element."""
    for i in range(x.size):
        result[i] = _erf(x[i])


def exp(x: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Compute e**x, subnormal results included. Measured on [-745, 709]: within 0.82 ulp. (X17)"""
    return of_each(_each_exp, x)


def log(x: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Compute ln x; -inf of 0, NaN below. Measured on all positive numbers: within 0.74 ulp. (X17)"""
    return of_each(_each_log, x)


def erf(x: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Compute 2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x. Measured: within 1.1 ulp. (X17)"""
    return of_each(_each_erf, x)
