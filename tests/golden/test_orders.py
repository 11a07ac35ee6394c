"""Section 15: other orders of the same sums, and fewer roundings, are as close to the truth as the reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.golden.orders import ORDERS, PIECE, ordered_ops
from qwen25vl.ops import reference_ops
from qwen25vl.precision import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, PRECISIONS

WIDE = reference_ops(FLOAT64)
ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}


def drawn(seed, *shape, precision):
    """Numbers that a precision holds."""
    array = np.random.default_rng(seed).standard_normal(shape)
    return precision.rounded(array.astype(precision.dtype))


@given(
    st.sampled_from(list(PRECISIONS.values())),
    st.sampled_from(ORDERS),
    st.integers(1, 3 * PIECE),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_x24_a_linear_layer_in_any_order_is_as_close_as_rounding(precision, order, width, biased, seed):
    x, weight = drawn(seed, 3, width, precision=precision), drawn(seed + 1, 5, width, precision=precision)
    bias = drawn(seed + 2, 5, precision=precision) if biased else None
    got = ordered_ops(precision, order).linear(x, weight, bias)
    assert got.dtype == precision.dtype
    wide = [None if a is None else a.astype(np.float64) for a in (x, weight, bias)]
    size = WIDE.linear(*[None if a is None else np.abs(a) for a in wide])
    u = ROUNDOFF["float32" if precision in (BFLOAT16, FLOAT16) else precision.name]
    bound = (width + 2) * u * size + ROUNDOFF[precision.name] * np.abs(WIDE.linear(*wide)) * 1.01
    assert np.all(np.abs(got - WIDE.linear(*wide)) <= bound + 2.0**-24)


@given(
    st.sampled_from([FLOAT32, BFLOAT16]),
    st.sampled_from(ORDERS),
    st.integers(1, 9),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_x24_attention_in_any_order_mixes_the_same_values(precision, order, tokens, causal, seed):
    q, k, v = (drawn(seed + i, tokens, heads, 8, precision=precision) for i, heads in enumerate((4, 2, 2)))
    allowed = np.tril(np.ones((tokens, tokens), dtype=bool)) if causal else None
    probs, wide_probs = np.empty((4, tokens, tokens), np.float32), np.empty((4, tokens, tokens))
    got = ordered_ops(precision, order).attention(q, k, v, allowed=allowed, probs=probs)
    want = WIDE.attention(*(a.astype(np.float64) for a in (q, k, v)), allowed=allowed, probs=wide_probs)
    scale = 40 * ROUNDOFF[precision.name]
    np.testing.assert_allclose(got, want, rtol=0, atol=scale * np.abs(v).max())
    np.testing.assert_allclose(probs, wide_probs, rtol=0, atol=scale)
    if causal:
        assert not np.triu(probs[0], 1).any()


@pytest.mark.parametrize("name", ["linear", "rms_norm", "rotated", "gelu", "added", "multiplied"])
def test_x24_fused_functions_round_once(name):
    x, y = drawn(0, 4, 16, precision=BFLOAT16), drawn(1, 16, 16, precision=BFLOAT16)
    arguments = {
        "linear": ((x, y), {}),
        "rms_norm": ((x, y[0]), {"eps": 1e-6}),
        "rotated": ((x.reshape(4, 2, 8), x[:, :8], x[:, 8:]), {}),
        "gelu": ((x,), {}),
        "added": ((x, y[:4]), {}),
        "multiplied": ((x, y[:4]), {}),
    }
    arrays, settings = arguments[name]
    got = getattr(ordered_ops(BFLOAT16, "fused"), name)(*arrays, **settings)
    wide = getattr(WIDE, name)(*(a.astype(np.float64) for a in arrays), **settings)
    np.testing.assert_array_equal(got, BFLOAT16.rounded(wide.astype(np.float32)))


def test_x24_orders_differ_from_each_other():
    x, weight = drawn(0, 8, 300, precision=FLOAT32), drawn(1, 8, 300, precision=FLOAT32)
    results = [ordered_ops(FLOAT32, order).linear(x, weight) for order in ORDERS]
    for i, one in enumerate(results):
        for other in results[i + 1 :]:
            assert not np.array_equal(one, other)


@pytest.mark.parametrize("order", ORDERS)
def test_x24_float16_overflows_in_any_order_without_a_warning(order):
    big = np.full((1, 64), 60000, dtype=np.float32)
    assert np.isposinf(ordered_ops(FLOAT16, order).linear(big, big)).all()


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match="sideways"):
        ordered_ops(FLOAT32, "sideways")
