"""From a source to rows in one call, against upstream's whole processor."""

import io

import numpy as np
import PIL
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from media_settings import MEAN, RELEASED, STD
from qwen25vl.errors import BadInput
from qwen25vl.media.picture import prepared_picture
from qwen25vl.media.settings import MediaSettings

PICTURES = [
    "skimage_astronaut.png",
    "skimage_chelsea.png",
    "skimage_coffee.png",
    "skimage_horse.png",  # RGBA
    "skimage_rocket.jpg",
    "skimage_text.png",  # grey
    "sklearn_china.jpg",
]
needs_the_order_of_pillow_13 = pytest.mark.skipif(
    int(PIL.__version__.split(".")[0]) < 13, reason="Pillow before 13 orders the passes differently (I17)"
)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_i22_tokens_are_patches_over_four():
    picture = prepared_picture(noise(70, 182), settings=RELEASED)
    assert picture.original_size == (70, 182)
    assert picture.resized_size == (56, 168)
    assert picture.grid == (1, 4, 12)
    assert picture.tokens_m == 12
    assert picture.rows.shape == (48, 1176)
    np.testing.assert_array_equal(picture.rgb, noise(70, 182))


def test_i25_limits_of_the_caller_replace_those_of_the_settings_one_by_one():
    sizes = [
        prepared_picture(noise(84, 112), settings=RELEASED, **limits).resized_size
        for limits in (
            {},
            {"min_pixels": 50_000},
            {"max_pixels": 5000},
            {"min_pixels": 784, "max_pixels": 784},
        )
    ]
    assert sizes == [(84, 112), (196, 280), (56, 56), (28, 28)]


def test_i25_settings_reach_every_step():
    odd = MediaSettings(100, 10_000, 5, 3, 3, (0.5,) * 3, (0.25,) * 3, profile="hf-4.49")
    picture = prepared_picture(noise(31, 46), settings=odd)
    assert picture.resized_size == (30, 45)
    assert picture.grid == (1, 6, 9)
    assert picture.tokens_m == 6
    assert picture.rows.shape == (54, 3 * 3 * 25)
    assert picture.rows[0, 0] == (np.float32(picture.resized[0, 0, 0] * (1 / 255)) - np.float32(0.5)) * 4
    with pytest.raises(BadInput, match="shorter than 15"):
        prepared_picture(noise(14, 46), settings=odd)


@pytest.mark.oracle
@pytest.mark.data
@needs_the_order_of_pillow_13
@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("max_pixels", [12_845_056, 50_000])
@pytest.mark.parametrize("opened", [False, True])
def test_i25_photographs_match_upstream_bit_for_bit(data_dir, name, max_pixels, opened):
    import oracle

    path = data_dir / "images" / name
    source = Image.open(path) if opened else str(path)  # upstream treats their alpha differently (I3, I4)
    picture = prepared_picture(source, settings=RELEASED, max_pixels=max_pixels)
    rows, grids = oracle.pil_processor_rows([source], min_pixels=3136, max_pixels=max_pixels)
    if opened:
        source.close()
    assert [list(picture.grid)] == grids.tolist()
    assert picture.rows.dtype == rows.dtype
    np.testing.assert_array_equal(picture.rows.view(np.uint32), rows.view(np.uint32))


@pytest.mark.oracle
@needs_the_order_of_pillow_13
@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    max_pixels=st.sampled_from([784, 6000, 12_845_056]),
    seed=st.integers(0, 2**32 - 1),
)
@example(height=70, width=182, max_pixels=12_845_056, seed=0)  # both halfway between multiples
@example(height=1, width=1, max_pixels=12_845_056, seed=0)
@example(height=1, width=150, max_pixels=784, seed=0)  # the width shrinks and the height grows
@example(height=140, width=56, max_pixels=12_845_056, seed=0)  # nothing to resample
def test_i25_drawn_sizes_match_upstream_bit_for_bit(height, width, max_pixels, seed):
    import oracle

    rgb = noise(height, width, seed)
    settings = MediaSettings(784, max_pixels, 14, 2, 2, MEAN, STD)
    picture = prepared_picture(rgb, settings=settings)
    rows, grids = oracle.pil_processor_rows([Image.fromarray(rgb)], min_pixels=784, max_pixels=max_pixels)
    assert [list(picture.grid)] == grids.tolist()
    np.testing.assert_array_equal(picture.rows.view(np.uint32), rows.view(np.uint32))


@pytest.mark.parametrize(
    ("source", "limits", "message"),
    [
        (noise(1, 201), {}, "at most 200 times"),
        (noise(30, 30), {"min_pixels": 20_000_000}, "1 <= min <= max"),
        (noise(30, 30), {"max_pixels": 0}, "1 <= min <= max"),
        (io.BytesIO(), {}, "cannot read an image from"),
    ],
)
def test_i25_what_a_step_refuses_is_refused(source, limits, message):
    with pytest.raises(BadInput, match=message):
        prepared_picture(source, settings=RELEASED, **limits)


def test_an_absurd_enlargement_is_refused():
    with pytest.raises(BadInput, match=r"would be resized to .* lower min_pixels"):
        prepared_picture(np.zeros((30, 40, 3), np.uint8), settings=RELEASED, min_pixels=10**13, max_pixels=10**14)
