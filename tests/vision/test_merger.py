"""The merger: norm per patch, patches joined, two layers around an exact GELU."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks import WIDE, random_arrays, weights_of
from qwen25vl.config import VisionConfig
from qwen25vl.layers.activations import gelu
from qwen25vl.layers.linear import linear
from qwen25vl.layers.norm import rms_norm
from qwen25vl.tap import SILENT, Tap
from qwen25vl.vision.merger import merged_tokens

seeds = st.integers(0, 2**32 - 1)


def sizes(*, D=4, merge_p=2, E=3):
    """A config of which the merger sees three numbers."""
    return VisionConfig(hidden_size=D, num_heads=1, merge_p=merge_p, window_px=14 * merge_p, out_hidden_size=E)


def layers(config, *, seed=0, **changes):
    """The merger's parameters."""
    inner = config.merge_unit * config.hidden_size
    shapes = {"ln_q.weight": (config.hidden_size,), "mlp.0.weight": (inner, inner), "mlp.0.bias": (inner,)}
    shapes |= {"mlp.2.weight": (config.out_hidden_size, inner), "mlp.2.bias": (config.out_hidden_size,)}
    return random_arrays(shapes, seed=seed) | {name.replace("__", "."): value for name, value in changes.items()}


def merged(x, arrays, config, tap=SILENT):
    """Run the function under test."""
    return merged_tokens(x, weights_of(arrays), config=config, ops=WIDE, tap=tap)


@given(seeds, st.integers(1, 3), st.integers(1, 3))
def test_m1_each_patch_is_normalised_alone_before_the_patches_are_joined(seed, tokens, merge_p):
    config = sizes(merge_p=merge_p)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((tokens * config.merge_unit, 4))
    x *= 10 ** rng.uniform(-2, 4, (len(x), 1))  # the patches of a token differ in size
    arrays, tap = layers(config, seed=seed), Tap()
    merged(x, arrays, config, tap)
    np.testing.assert_array_equal(tap["norm"], rms_norm(x, arrays["ln_q.weight"], eps=config.rms_norm_eps))


def test_m1_the_norm_uses_the_eps_of_the_config():
    x = np.full((4, 4), 1e-3)
    config = replace(sizes(), rms_norm_eps=1e-6)
    tap = Tap()
    merged(x, layers(config, ln_q__weight=np.ones(4)), config, tap)
    np.testing.assert_allclose(
        tap["norm"], np.sqrt(0.5), rtol=1e-15
    )  # mean square = eps; test_norm has the budget


@given(seeds, st.integers(1, 3), st.integers(1, 3))
def test_m2_the_neighbouring_patches_of_a_token_stand_side_by_side(seed, tokens, merge_p):
    config = sizes(merge_p=merge_p)
    inner = 4 * config.merge_unit
    x = np.random.default_rng(seed).standard_normal((tokens * config.merge_unit, 4))
    tap = Tap()
    arrays = layers(config, mlp__0__weight=np.eye(inner), mlp__0__bias=np.zeros(inner))
    merged(x, arrays, config, tap)
    assert tap["hidden"].shape == (tokens, inner)
    for m, k, j in np.ndindex(tokens, config.merge_unit, 4):
        assert tap["hidden"][m, 4 * k + j] == tap["norm"][config.merge_unit * m + k, j]


@given(seeds)
def test_m3_two_biased_layers_stand_around_an_exact_gelu(seed):
    config = sizes()
    x = np.random.default_rng(seed).standard_normal((8, 4))
    arrays, tap = layers(config, seed=seed), Tap()
    got = merged(x, arrays, config, tap)
    joined = tap["norm"].reshape(2, 16)
    hidden = linear(joined, arrays["mlp.0.weight"], arrays["mlp.0.bias"])
    np.testing.assert_array_equal(tap["hidden"], hidden)
    np.testing.assert_array_equal(tap["act"], gelu(hidden))
    np.testing.assert_array_equal(got, linear(gelu(hidden), arrays["mlp.2.weight"], arrays["mlp.2.bias"]))
    assert got.shape == (2, 3)


@pytest.mark.oracle
@given(seed=seeds, tokens=st.integers(1, 3), merge_p=st.integers(1, 3))
def test_matches_upstream(seed, tokens, merge_p):
    import oracle

    config = sizes(merge_p=merge_p)
    x = np.random.default_rng(seed).standard_normal((tokens * config.merge_unit, 4))
    arrays = layers(config, seed=seed)
    want = oracle.merged_tokens(x, arrays, merge_p=merge_p)
    # Every value is a sum of sizes, and |gelu(h)| <= |h|: the same formula over absolute values bounds it. At most
    # 36 terms a layer (slope of GELU 1.13), a norm of 4 and GELU's 12 roundings: below 100 on either side.
    large = {name: np.abs(array) for name, array in arrays.items()}
    norm = np.abs(rms_norm(x, arrays["ln_q.weight"], eps=1e-6)).reshape(tokens, -1)
    size = linear(
        linear(norm, large["mlp.0.weight"], large["mlp.0.bias"]), large["mlp.2.weight"], large["mlp.2.bias"]
    )
    assert np.all(np.abs(merged(x, arrays, config) - want) <= 2 * 100 * 2.0**-53 * size)
