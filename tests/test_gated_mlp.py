"""The gated MLP of both towers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks import WIDE, random_arrays, weights_of
from qwen25vl.gated_mlp import gated_mlp
from qwen25vl.tap import SILENT, Tap


def layers(width, inner, *, seed, bias=True):
    """Three linear layers of drawn sizes."""
    shapes = {f"{name}_proj.weight": (inner, width) for name in ("gate", "up")} | {
        "down_proj.weight": (width, inner)
    }
    if bias:
        shapes |= {"gate_proj.bias": (inner,), "up_proj.bias": (inner,), "down_proj.bias": (width,)}
    return random_arrays(shapes, seed=seed)


def ones(gate, up, *, bias):
    """One channel, one inner channel; what the two factors are is given."""
    arrays = {"gate_proj.weight": [[gate]], "up_proj.weight": [[up]], "down_proj.weight": [[1.0]]}
    if bias:
        arrays |= {"gate_proj.bias": [0.0], "up_proj.bias": [0.0], "down_proj.bias": [0.0]}
    return {name: np.array(value) for name, value in arrays.items()}


@pytest.mark.parametrize("bias", [False, True])
def test_n12_the_gate_is_activated_and_the_other_factor_is_not(bias):
    def value(gate, up):
        weights = weights_of(ones(gate, up, bias=bias))
        return gated_mlp(np.ones((1, 1)), weights, bias=bias, ops=WIDE, tap=SILENT)[0, 0]

    sigmoid = 1 / (1 + math.exp(-2))
    assert value(2.0, 3.0) == pytest.approx(2 * sigmoid * 3, rel=10 * 2.0**-53)  # roundings: see test_activations
    assert value(2.0, -800.0) == pytest.approx(2 * sigmoid * -800, rel=10 * 2.0**-53)  # silu(-800) would be 0
    assert value(-800.0, 3.0) == 0  # silu(-800) is below every float


@given(seed=st.integers(0, 2**32 - 1), inner=st.integers(1, 5))
def test_n12_each_of_the_three_layers_has_its_own_bias_where_biased(seed, inner):
    arrays = layers(3, inner, seed=seed)
    still = {name: array * (0 if name.endswith("weight") else 1) for name, array in arrays.items()}
    got = gated_mlp(np.ones((1, 3)), weights_of(still), bias=True, ops=WIDE, tap=SILENT)
    # With all weights zero the layers give their biases, and down gives its own: exactly.
    np.testing.assert_array_equal(got[0], arrays["down_proj.bias"])
    tap = Tap()
    gated_mlp(np.ones((1, 3)), weights_of(still), bias=True, ops=WIDE, tap=tap)
    np.testing.assert_array_equal(tap["gate"][0], arrays["gate_proj.bias"])
    np.testing.assert_array_equal(tap["up"][0], arrays["up_proj.bias"])


def test_n12_the_decoder_asks_for_no_bias():
    arrays = layers(3, 4, seed=0, bias=False)
    gated_mlp(np.ones((2, 3)), weights_of(arrays), bias=False, ops=WIDE, tap=SILENT)
    with pytest.raises(KeyError, match=r"no tensor gate_proj.bias"):
        gated_mlp(np.ones((2, 3)), weights_of(arrays), bias=True, ops=WIDE, tap=SILENT)


@pytest.mark.oracle
@pytest.mark.parametrize("bias", [False, True])
@given(rows=st.integers(1, 4), width=st.integers(1, 6), inner=st.integers(1, 7), seed=st.integers(0, 2**32 - 1))
def test_matches_upstream(bias, rows, width, inner, seed):
    import oracle

    x = np.random.default_rng(seed).standard_normal((rows, width))
    arrays = layers(width, inner, seed=seed, bias=bias)
    got = gated_mlp(x, weights_of(arrays), bias=bias, ops=WIDE, tap=SILENT)
    # Every value is a sum of sizes: the same formula over absolute values bounds it (|silu(g)| <= |g|). Its
    # roundings: width + inner additions, two biases, silu 10, a product; on either side.
    large = {name: np.abs(array) for name, array in arrays.items()}

    def layer(name, value):
        return value @ large[f"{name}.weight"].T + large.get(f"{name}.bias", 0)

    # An error of the gate passes silu with slope at most 1.1, and again with the factor `up`: hence 2.
    size = layer("down_proj", layer("gate_proj", np.abs(x)) * layer("up_proj", np.abs(x)))
    budget = 2 * 2 * (2 * width + inner + 14) * 2.0**-53
    assert np.all(np.abs(got - oracle.gated_mlp(x, arrays, bias=bias)) <= budget * size)
