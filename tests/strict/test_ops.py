"""Section 15: the strict functions are those of `layers`, but for the last bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qwen25vl
from qwen25vl.golden.case import Lab
from qwen25vl.golden.main_job import MAIN_JOB
from qwen25vl.ops import reference_ops
from qwen25vl.precision import FLOAT64
from qwen25vl.strict.ops import strict_ops
from qwen25vl.tap import Tap

PLAIN, STRICT = reference_ops(FLOAT64), strict_ops()


def close(found, wanted, scale=1.0):
    np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-13 * scale)


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from([(1, 1), (4, 2), (6, 2), (3, 3)]),
    st.integers(1, 9),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_x16_attention_mixes_what_the_reference_mixes(S, past, heads, d, causal, seed):
    rng, (N, K) = np.random.default_rng(seed), heads
    T = S + past
    q, k, v = rng.standard_normal((S, N, d)), rng.standard_normal((T, K, d)), rng.standard_normal((T, K, d))
    allowed = np.arange(T) <= np.arange(past, T)[:, np.newaxis] if causal else None
    probs, plain_probs = np.empty((N, S, T)), np.empty((N, S, T))
    close(
        STRICT.attention(q, k, v, allowed=allowed, probs=probs),
        PLAIN.attention(q, k, v, allowed=allowed, probs=plain_probs),
    )
    close(probs, plain_probs)
    if causal:
        np.testing.assert_array_equal(probs == 0, plain_probs == 0)


@given(st.integers(1, 5), st.integers(1, 300), st.floats(1e-6, 1e6), st.integers(0, 2**32 - 1))
def test_x16_x17_the_other_functions_agree_with_the_reference(rows, width, scale, seed):
    rng = np.random.default_rng(seed)
    x, weight, bias = scale * rng.standard_normal((rows, width)), rng.standard_normal((7, width)), np.ones(7)
    close(STRICT.linear(x, weight, bias), PLAIN.linear(x, weight, bias), scale=scale * width)
    close(STRICT.linear(x, weight), PLAIN.linear(x, weight), scale=scale * width)
    close(STRICT.rms_norm(x, weight[0], eps=1e-6), PLAIN.rms_norm(x, weight[0], eps=1e-6))
    close(STRICT.silu(x), PLAIN.silu(x), scale=scale)
    close(STRICT.gelu(x), PLAIN.gelu(x), scale=scale)
    angles = np.clip(x, -1e5, 1e5)
    close(STRICT.cos(angles), PLAIN.cos(angles))
    close(STRICT.sin(angles), PLAIN.sin(angles))
    close(STRICT.log_probabilities(x[0]), PLAIN.log_probabilities(x[0]), scale=scale)


def test_x16_attention_carries_nan_as_the_reference_does():
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 2, 4)), rng.standard_normal((3, 2, 4)), rng.standard_normal((3, 2, 4))
    k[2, 0, 0] = np.nan  # of a key that only the last query may see
    with np.errstate(invalid="ignore"):
        found, wanted = (ops.attention(q, k, v, allowed=np.tri(3, dtype=bool)) for ops in (STRICT, PLAIN))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    assert np.isnan(found).any()
    assert not np.isnan(found).all()


@pytest.mark.parametrize("x", [-800.0, -1e300, 0.0, 800.0, 1e300])
def test_silu_neither_overflows_nor_loses_its_limits(x):
    np.testing.assert_array_equal(STRICT.silu(np.array([[x]])), [[max(x, 0.0)]])


def test_x16_a_row_alone_is_the_row_of_many():
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((37, 130)), rng.standard_normal((70, 130))
    many = STRICT.linear(x, weight)
    for r in range(len(x)):
        np.testing.assert_array_equal(STRICT.linear(x[r : r + 1], weight)[0], many[r])


def test_every_tap_of_a_run_agrees_with_the_reference():
    lab = Lab(qwen25vl.load("tiny", precision="float64"))
    inputs, plain, strict = lab.prepare(MAIN_JOB), Tap("all"), Tap("all")
    lab.model.forward(inputs, taps=plain)
    lab.with_ops(STRICT).model.forward(inputs, taps=strict)
    assert list(strict) == list(plain)
    for name in plain:
        apart = np.max(np.abs(strict[name] - plain[name]))
        assert apart <= 1e-12 * max(1.0, np.max(np.abs(plain[name]))), name
