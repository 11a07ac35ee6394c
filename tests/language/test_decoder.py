"""The decoder as a whole: chunks, positions, final norm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks import UNEVEN, WIDE, random_network
from qwen25vl.language.cache import empty_cache
from qwen25vl.language.decoder import decoded_tokens
from qwen25vl.tap import SILENT, Tap

TEXT = UNEVEN.text


def nothing():
    """A cache of no tokens."""
    return empty_cache(
        layers=TEXT.num_hidden_layers,
        kv_heads=TEXT.num_key_value_heads,
        head_dim=TEXT.head_dim,
        dtype=np.dtype(np.float64),
    )


def decode(x, positions, cache=None, tap=SILENT):
    """Run the function under test."""
    weights = random_network(UNEVEN).weights.at("model")
    cache = nothing() if cache is None else cache
    return decoded_tokens(x, positions, cache, weights, config=TEXT, ops=WIDE, tap=tap)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_d8_chunks_of_any_sizes_equal_one_pass(chunks, seed):
    rng = np.random.default_rng(seed)
    L = sum(chunks)
    x, positions = rng.standard_normal((L, TEXT.hidden_size)), rng.integers(0, 50, (3, L))
    want, whole = decode(x, positions)
    parts, cache, at = [], nothing(), 0
    for size in chunks:
        hidden, cache = decode(x[at : at + size], positions[:, at : at + size], cache)
        parts.append(hidden)
        at += size
    # The same sums; a matrix product of fewer rows may group them otherwise. See tests/vision/test_encoder.py.
    np.testing.assert_allclose(np.concatenate(parts), want, rtol=0, atol=1e-12 * np.max(np.abs(want)))
    assert cache.length == whole.length == L


def test_d10_the_last_stream_is_normalised_once():
    rng = np.random.default_rng(0)
    tap = Tap()
    hidden, _ = decode(rng.standard_normal((3, TEXT.hidden_size)), np.arange(9).reshape(3, 3), tap=tap)
    gain = random_network(UNEVEN).weights["model.norm.weight"]
    want = WIDE.rms_norm(tap["blocks.01.resid_post"], gain, eps=TEXT.rms_norm_eps)
    np.testing.assert_array_equal(hidden, want)
    np.testing.assert_array_equal(tap["norm.out"], want)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_t10_every_axis_of_the_positions_reaches_the_blocks(axis):
    x = np.random.default_rng(0).standard_normal((3, TEXT.hidden_size))
    positions = np.arange(9).reshape(3, 3)
    other = positions.copy()
    other[axis, 1] += 1
    want, got = decode(x, positions)[0], decode(x, other)[0]
    assert [bool(np.any(a != b)) for a, b in zip(want, got, strict=True)] == [False, True, True]
