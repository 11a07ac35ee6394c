"""The precision of a run: no tap may be wider or narrower than asked, and constants stay what upstream holds."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks import UNEVEN, WIDE, every_tap, random_network, still_and_clip
from qwen25vl.errors import BadInput
from qwen25vl.layers.rotary import inverse_frequencies
from qwen25vl.model import decode_step, encoded_media, prefill, vocabulary_scores
from qwen25vl.precision import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, PRECISIONS, named_precision
from qwen25vl.tap import Tap
from strategies import configs, made_inputs, prompts

PRECISION = pytest.mark.parametrize("precision", [FLOAT32, FLOAT64], ids=lambda precision: precision.name)


@PRECISION
@given(data=st.data(), config=configs())
def test_n1_every_tap_has_the_precision_of_the_run(precision, data, config):
    network = random_network(config, precision=precision)
    for name, array in every_tap(data.draw(prompts(config)), network).kept.items():
        assert array.dtype in (precision.dtype, np.int64), name
        if not name.endswith(("_order", "_starts", "positions")):
            assert array.dtype == precision.dtype, name


@PRECISION
def test_n1_steps_and_caches_have_it_too(precision):
    network, inputs = random_network(UNEVEN, precision=precision), still_and_clip()
    _, cache = prefill(inputs, network)
    tap = Tap()
    hidden, longer = decode_step(np.array([20]), cache, network, delta=int(inputs.delta[0]), tap=tap)
    arrays = [hidden, vocabulary_scores(hidden, network), *cache.keys, *cache.values, *longer.keys, *longer.values]
    assert {array.dtype for array in arrays} == {precision.dtype}
    assert {array.dtype for name, array in tap.kept.items() if "positions" not in name} == {precision.dtype}
    text = made_inputs(UNEVEN, [20], [], [], [], np.random.default_rng(0))
    assert encoded_media(text, network).dtype == precision.dtype  # of no media, too


def test_n1_float64_is_computed_in_float64():
    # Types alone would be satisfied by a result that was narrowed on the way and widened again.
    wide, narrow = (every_tap(still_and_clip(), random_network(UNEVEN, precision=p)) for p in (FLOAT64, FLOAT32))
    for name in wide:
        if wide[name].dtype.kind == "f":
            as_narrow = wide[name].astype(np.float32)
            assert np.mean(as_narrow != wide[name]) > 0.5, f"{name} holds float32 values"
            # The two runs belong together: else the comparison above would say nothing.
            assert np.max(np.abs(narrow[name] - wide[name])) < 1e-3 * np.max(np.abs(wide[name])), name


X, Y, Z = np.random.default_rng(3).standard_normal((3, 4, 2, 6))
"""Values with all their bits."""

STEPS = {
    "linear": (WIDE.linear, [X[0], Y[0], Z[0, 0, :2]]),
    "rms_norm": (partial(WIDE.rms_norm, eps=1e-6), [X[0, :1], Y[0, 0]]),
    "rotated": (WIDE.rotated, [X, Y[:, 0], Z[:, 0]]),
    "attention": (WIDE.attention, [X, Y, Z]),
    "silu": (WIDE.silu, [X]),
    "gelu": (WIDE.gelu, [X]),
}
"""Every operation, with arguments in float64."""


@pytest.mark.parametrize("name", STEPS)
def test_n1_no_operation_rounds_anything_on_its_way(name):
    operation, arguments = STEPS[name]
    for place, argument in enumerate(arguments):
        signs = np.random.default_rng(place).choice([-1, 1], argument.shape)

        def moved(step, place=place, argument=argument, signs=signs):
            changed = argument * (1 + step * signs)
            return operation(*arguments[:place], changed, *arguments[place + 1 :]) - operation(*arguments)

        # A step of 2**-30 is lost in float32 (2**-24), and one of 2**-20 comes out a sixteenth off. In float64 the
        # answer to the large one is 2**10 times that to the small one, but for curvature (2**-20) and rounding
        # (2**-53 / 2**-30): 2**-10 of the largest answer leaves a factor of a thousand for their constants.
        large, small = moved(2.0**-20), moved(2.0**-30)
        np.testing.assert_allclose(2.0**10 * small, large, rtol=0, atol=2.0**-10 * np.max(np.abs(large)))


def test_n2_frequencies_are_float32_values_in_float64_too():
    tap = every_tap(still_and_clip(), random_network(UNEVEN))
    vision = inverse_frequencies(width=4, theta=UNEVEN.vision.rope_theta)
    assert vision.dtype == np.float32
    # The last patch of window 0's first block lies in row 1, column 1; the same product in the same type.
    want = np.cos(np.float64(1) * np.float64(vision))
    np.testing.assert_array_equal(tap["vision.rope.cos"][3], np.tile(want, 4))
    text = UNEVEN.text
    language = inverse_frequencies(width=text.head_dim, theta=text.rope_theta).astype(np.float64)
    last = tap["language.positions"][0, -1]
    np.testing.assert_array_equal(tap["language.rope.sin"][-1], np.tile(np.sin(last * language), 2))


def test_n2_pixel_rows_are_float32_values_in_every_precision():
    inputs = still_and_clip()
    rows = np.concatenate([inputs.image_rows, inputs.video_rows])
    assert rows.dtype == np.float32
    seen = []

    def linear(x, weight, bias=None):
        seen.append(x)
        return network.ops.linear(x, weight, bias)

    network = random_network(UNEVEN)
    prefill(inputs, replace(network, ops=replace(network.ops, linear=linear)))
    assert seen[0].dtype == np.float64
    np.testing.assert_array_equal(seen[0], rows)


def test_precisions_are_found_by_name():
    names = ("float64", "float32", "bfloat16", "float16")
    assert [named_precision(name) for name in names] == [FLOAT64, FLOAT32, BFLOAT16, FLOAT16]
    assert all(precision.name == name for name, precision in PRECISIONS.items())


def test_an_unknown_precision_is_refused_with_the_known_ones():
    with pytest.raises(
        BadInput, match=r"unknown precision 'float8'; choose one of float64, float32, bfloat16, float16"
    ):
        named_precision("float8")
