"""The cache: what it holds, and that nobody changes it."""

import numpy as np

from networks import UNEVEN, random_network, still_and_clip
from qwen25vl.language.cache import empty_cache
from qwen25vl.model import decode_step, prefill

FLOAT64 = np.dtype(np.float64)


def test_d7_an_empty_cache_holds_no_tokens():
    cache = empty_cache(layers=2, kv_heads=3, head_dim=4, dtype=FLOAT64)
    assert cache.length == 0
    assert [keys.shape for keys in (*cache.keys, *cache.values)] == [(0, 3, 4)] * 4
    assert {array.dtype for array in (*cache.keys, *cache.values)} == {FLOAT64}


def test_d8_a_step_returns_a_longer_cache_and_leaves_the_old_one():
    network, inputs = random_network(UNEVEN), still_and_clip()
    _, cache = prefill(inputs, network)
    length = inputs.ids.shape[1]
    assert cache.length == length
    before = [array.copy() for array in (*cache.keys, *cache.values)]
    for array in (*cache.keys, *cache.values):
        array.flags.writeable = False  # NumPy raises if anybody writes
    _, longer = decode_step(np.array([20, 21]), cache, network, delta=int(inputs.delta[0]))
    assert (cache.length, longer.length) == (length, length + 2)
    for old, new in zip(before, (*longer.keys, *longer.values), strict=True):
        np.testing.assert_array_equal(new[:length], old)


def test_d8_two_continuations_of_one_prompt_do_not_disturb_each_other():
    network, inputs = random_network(UNEVEN), still_and_clip()
    _, cache = prefill(inputs, network)
    delta = int(inputs.delta[0])

    def two_steps(first, second):
        _, longer = decode_step(np.array([first]), cache, network, delta=delta)
        return decode_step(np.array([second]), longer, network, delta=delta)[0]

    want = two_steps(20, 21)
    two_steps(25, 26)
    np.testing.assert_array_equal(two_steps(20, 21), want)
