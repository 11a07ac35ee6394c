"""The whole forward pass against upstream: every tap, in float64."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from islands import U, disturbed_ops
from qwen25vl.checkpoint.weights import Weights
from qwen25vl.generate.greedy import greedy_steps
from qwen25vl.model import Network, decode_step, prefill, vocabulary_scores
from qwen25vl.ops import REFERENCE
from qwen25vl.precision import FLOAT64
from qwen25vl.tap import Tap
from strategies import FIRST_TEXT_ID, configs, prompts, with_ids

WIDE = replace(REFERENCE, precision=FLOAT64)


def taps_of(inputs, network):
    """Run a prompt and return every tap of it."""
    tap = Tap()
    hidden, _ = prefill(inputs, network, tap=tap)
    tap("logits", vocabulary_scores(hidden, network))
    return tap


@pytest.mark.oracle
@given(data=st.data(), config=configs(), seed=st.integers(0, 2**32 - 1))
def test_every_tap_equals_upstream_widened_to_float64(data, config, seed):
    import oracle

    inputs = data.draw(prompts(config))
    upstream = oracle.random_model(config, seed=seed)
    want = oracle.upstream_taps(upstream, inputs, widened=True)
    got = taps_of(inputs, Network(config, Weights(oracle.checkpoint_of(upstream), np.dtype(np.float64)), WIDE))
    assert set(got) == set(want)
    for name in got:
        assert got[name].shape == want[name].shape, name
        if got[name].dtype.kind == "i":
            np.testing.assert_array_equal(got[name], want[name], err_msg=name)
        else:
            worst, largest = np.max(np.abs(got[name] - want[name])), np.max(np.abs(want[name]))
            note(f"{name}: {worst:.1e} of {largest:.1e}")
            assert worst <= 1e-12 * largest, name


@pytest.mark.oracle
@given(data=st.data(), config=configs(), seed=st.integers(0, 2**32 - 1))
def test_every_tap_equals_upstream_to_the_accuracy_of_its_float32_islands(data, config, seed):
    import oracle

    inputs = data.draw(prompts(config))
    upstream = oracle.random_model(config, seed=seed)
    weights = Weights(oracle.checkpoint_of(upstream), np.dtype(np.float64))
    want = oracle.upstream_taps(upstream, inputs, widened=False)
    got = taps_of(inputs, Network(config, weights, WIDE))
    angle = float(
        max(inputs.positions.max(), inputs.image_grids.max(initial=0), inputs.video_grids.max(initial=0))
    )
    disturbed = [
        taps_of(inputs, Network(config, weights, disturbed_ops(draw, largest_angle=angle))) for draw in range(3)
    ]
    for name in got:
        allowed = max(np.max(np.abs(noisy[name] - got[name])) for noisy in disturbed)
        allowed += 2 * U * (angle + 2) if ".rope." in name else 1e-12 * np.max(np.abs(got[name]))
        worst = np.max(np.abs(got[name] - want[name]))
        note(f"{name}: {worst:.1e} of {allowed:.1e}")
        assert worst <= 2 * allowed, name  # 2: three draws of signs need not meet the worst of all


@pytest.mark.oracle
@given(data=st.data(), config=configs(), seed=st.integers(0, 2**32 - 1))
def test_d8_decoding_with_the_cache_equals_a_full_pass_at_every_step(data, config, seed):
    import oracle

    inputs = data.draw(prompts(config))
    weights = Weights(oracle.checkpoint_of(oracle.random_model(config, seed=seed)), np.dtype(np.float64))
    network = Network(config, weights, WIDE)
    new_ids = data.draw(st.lists(st.integers(FIRST_TEXT_ID, config.text.vocab_size - 1), min_size=1, max_size=5))
    _, cache = prefill(inputs, network)
    for count in range(1, len(new_ids) + 1):
        hidden, cache = decode_step(
            np.array(new_ids[count - 1 : count]), cache, network, delta=int(inputs.delta[0])
        )
        full, _ = prefill(with_ids(inputs, new_ids[:count]), network)
        np.testing.assert_allclose(hidden[0], full[-1], rtol=0, atol=1e-12 * np.max(np.abs(full)))


@pytest.mark.oracle
@given(data=st.data(), config=configs(), seed=st.integers(0, 2**32 - 1))
def test_g1_greedy_ids_equal_upstreams_own_generation(data, config, seed):
    import oracle

    inputs = data.draw(prompts(config, videos=False))  # upstream's positions deviate for video
    upstream = oracle.random_model(config, seed=seed)
    network = Network(config, Weights(oracle.checkpoint_of(upstream), np.dtype(np.float64)), WIDE)
    stops = (config.eos_token_id, FIRST_TEXT_ID)
    steps = list(greedy_steps(inputs, network, stop_ids=stops, max_new_tokens=6))
    want = oracle.upstream_greedy(upstream, inputs, max_new_tokens=6, stop_ids=stops)
    assert [step.id for step in steps] == want
