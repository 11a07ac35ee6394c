"""The bicubic filter. Noise of 0 and 255 makes it overshoot; sides of one pixel and equal sides are edges."""

from fractions import Fraction

import numpy as np
import PIL
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from qwen25vl.errors import BadInput
from qwen25vl.media.image import resized_rgb
from qwen25vl.media.resample import cubic, fixed_weights, resampled_rgb, runs_vertical_first

PILLOW_HAS_OUR_ORDER = int(PIL.__version__.split(".")[0]) >= 13
lengths = st.one_of(st.integers(1, 90), st.sampled_from([1, 2, 3, 4, 5, 28, 56]))


@st.composite
def resamplings(draw):
    """A picture and a wanted size; each side may keep its length."""
    height, width = draw(lengths), draw(lengths)
    height_px = draw(st.one_of(st.just(height), lengths))
    width_px = draw(st.one_of(st.just(width), lengths))
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(0, 256, (height, width, 3), np.uint8)
    if draw(st.booleans()):
        noise = np.where(noise > 127, 255, 0).astype(np.uint8)
    return noise, height_px, width_px


def pillow(rgb, *, height_px, width_px):
    """One call, so that Pillow chooses the order of the passes."""
    return np.asarray(Image.fromarray(rgb).resize((width_px, height_px), Image.Resampling.BICUBIC))


def test_i14_the_kernel_has_a_minus_one_half():
    # with a = -1/2 the middle of two pixels is -1/16, 9/16, 9/16, -1/16; with -3/4 it is -3/32, 19/32
    assert [cubic(x) for x in (-1.5, -0.5, 0.5, 1.5)] == [-1 / 16, 9 / 16, 9 / 16, -1 / 16]
    assert [cubic(x) for x in (-2.0, -1.0, 0.0, 1.0, 2.0)] == [0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("i", "given_px", "wanted_px", "first", "taps"),
    [
        (0, 8, 4, 0, 5),  # shrinking by 2: support 4, centre 1, so -2.5 to 5.5, cut at the edge
        (1, 8, 4, 0, 7),
        (2, 8, 4, 1, 7),
        (0, 4, 8, 0, 2),  # growing: support 2 whatever the scale
        (4, 4, 8, 0, 4),
        (0, 1, 5, 0, 1),  # a single pixel
    ],
)
def test_i14_the_kernel_widens_when_shrinking_and_is_cut_at_the_edge(i, given_px, wanted_px, first, taps):
    start, weights = fixed_weights(i, given=given_px, wanted=wanted_px)
    assert (start, len(weights)) == (first, taps)


@given(given_px=st.integers(1, 300), wanted_px=st.integers(1, 300), data=st.data())
def test_i15_weights_sum_to_one_within_half_a_step_each(given_px, wanted_px, data):
    i = data.draw(st.integers(0, wanted_px - 1))
    first, weights = fixed_weights(i, given=given_px, wanted=wanted_px)
    assert 0 <= first < first + len(weights) <= given_px
    assert abs(int(weights.sum()) - 2**22) <= len(weights) / 2 + 1e-6


def test_i15_weights_are_the_nearest_integers():
    # 4 pixels to 512: distances are multiples of 1/256, so every exact weight is a short binary fraction
    for i in range(192, 320):  # the middle, where no tap is cut off and the weights sum to 1 exactly
        first, weights = fixed_weights(i, given=4, wanted=512)
        for x, weight in enumerate(weights.tolist(), start=first):
            exact = exact_cubic(abs(x + Fraction(1, 2) - (i + Fraction(1, 2)) / 128)) * 2**22
            assert abs(weight - exact) < Fraction(1, 2)


def exact_cubic(x):
    """The two branches of the kernel multiplied out, in fractions."""
    if x < 1:
        return Fraction(3, 2) * x**3 - Fraction(5, 2) * x**2 + 1
    return -Fraction(1, 2) * x**3 + Fraction(5, 2) * x**2 - 4 * x + 2


def test_i16_overshoot_is_clipped():
    edge = np.zeros((1, 8, 3), np.uint8)
    edge[:, 4:] = 255
    out = resampled_rgb(edge, height_px=1, width_px=24)[0, :, 0].astype(int)
    assert out.min() == 0
    assert out.max() == 255
    # without clipping, the pixels beside the edge would wrap: they lie below 0 and above 255
    assert np.all(np.diff(out[9:15]) >= 0)


def test_i16_a_constant_stays_constant():
    grey = np.full((37, 23, 3), 201, np.uint8)
    assert np.all(resampled_rgb(grey, height_px=91, width_px=5) == 201)


@pytest.mark.parametrize(
    ("height", "width", "height_px", "width_px", "expected"),
    [
        (427, 640, 420, 644, True),  # loses 7 rows, gains 4 columns
        (300, 451, 308, 448, False),  # gains rows
        (400, 600, 392, 588, False),  # loses 8 rows and 12 columns
        (100, 50, 80, 40, False),  # loses exactly twice as many rows
        (100, 50, 79, 40, True),
        (100, 50, 100, 60, False),  # keeps its rows
    ],
)
def test_i17_height_comes_first_when_it_loses_over_twice_as_much(height, width, height_px, width_px, expected):
    assert runs_vertical_first(height, width, height_px=height_px, width_px=width_px) is expected


def test_i17_the_order_of_the_passes_shows():
    noise = np.random.default_rng(0).integers(0, 256, (43, 64, 3), np.uint8)
    size = {"height_px": 42, "width_px": 70}
    vertical, horizontal = (resampled_rgb(noise, vertical_first=order, **size) for order in (True, False))
    assert np.mean(vertical != horizontal) > 0.1
    np.testing.assert_array_equal(resampled_rgb(noise, **size), vertical)
    np.testing.assert_array_equal(resized_rgb(noise, **size), vertical)


@given(case=resamplings())
def test_i17_forced_orders_are_two_calls_of_pillow(case):
    rgb, height_px, width_px = case
    for vertical_first in (True, False):
        between = (height_px, rgb.shape[1]) if vertical_first else (rgb.shape[0], width_px)
        once = pillow(rgb, height_px=between[0], width_px=between[1])
        twice = pillow(once, height_px=height_px, width_px=width_px)
        ours = resampled_rgb(rgb, height_px=height_px, width_px=width_px, vertical_first=vertical_first)
        np.testing.assert_array_equal(ours, twice)


def test_i17_a_side_that_keeps_its_length_is_not_filtered():
    rgb = np.random.default_rng(1).integers(0, 256, (9, 11, 3), np.uint8)
    same = resampled_rgb(rgb, height_px=9, width_px=11)
    np.testing.assert_array_equal(same, rgb)
    assert not np.shares_memory(same, rgb)


@given(case=resamplings())
def test_i17_the_engine_gives_the_same_bytes(case):
    rgb, height_px, width_px = case
    engine = resized_rgb(rgb, height_px=height_px, width_px=width_px)
    np.testing.assert_array_equal(engine, resampled_rgb(rgb, height_px=height_px, width_px=width_px))


@pytest.mark.skipif(not PILLOW_HAS_OUR_ORDER, reason="Pillow before 13 orders the passes differently (I17)")
@given(case=resamplings())
@example(case=(np.arange(240, dtype=np.uint8).reshape(80, 1, 3), 1, 28))
@example(case=(np.arange(240, dtype=np.uint8).reshape(1, 80, 3), 28, 1))
@example(case=(np.arange(240, dtype=np.uint8).reshape(16, 5, 3), 15, 9))
def test_i17_one_call_of_pillow_gives_the_same_bytes(case):
    rgb, height_px, width_px = case
    ours = resampled_rgb(rgb, height_px=height_px, width_px=width_px)
    np.testing.assert_array_equal(ours, pillow(rgb, height_px=height_px, width_px=width_px))


@pytest.mark.data
@pytest.mark.skipif(not PILLOW_HAS_OUR_ORDER, reason="Pillow before 13 orders the passes differently (I17)")
@pytest.mark.parametrize("size", [(84, 308), (308, 84), (560, 700)])
def test_i17_a_photograph_of_text_down_and_up(data_dir, size):
    with Image.open(data_dir / "images" / "skimage_text.png") as image:
        rgb = np.asarray(image.convert("RGB"))  # 172 x 448
    height_px, width_px = size
    ours = resampled_rgb(rgb, height_px=height_px, width_px=width_px)
    np.testing.assert_array_equal(ours, pillow(rgb, height_px=height_px, width_px=width_px))


@pytest.mark.parametrize("resample", [resampled_rgb, resized_rgb])
@pytest.mark.parametrize(("height_px", "width_px"), [(0, 3), (3, 0), (-1, 3)])
def test_an_empty_size_is_refused(resample, height_px, width_px):
    with pytest.raises(BadInput, match="sides must be at least 1"):
        resample(np.zeros((2, 2, 3), np.uint8), height_px=height_px, width_px=width_px)
