"""Opening the parts of a message: which limit holds, and how a refusal names its part."""

import numpy as np
import pytest

import qwen25vl
from qwen25vl.errors import BadInput
from qwen25vl.media.clip import prepared_clip
from qwen25vl.media.picture import prepared_picture
from qwen25vl.media.video_settings import VIDEO_PROFILES
from qwen25vl.opened import Limits, opened_media
from qwen25vl.prompt.messages import MediaPart

NOISE = np.random.default_rng(0).integers(0, 256, (9, 120, 160, 3), dtype=np.uint8)


@pytest.mark.parametrize("profile", VIDEO_PROFILES)
def test_every_profile_of_videos_is_one_of_pictures(profile):
    settings = qwen25vl.load_processor().settings
    for part in (image_part(), video_part()):
        assert opened_media(part, settings=settings, limits=Limits(profile=profile)).tokens_m > 0


UNREAD = "messages[0] holds"


@pytest.fixture(scope="module")
def settings():
    return qwen25vl.load_processor().settings


def image_part(**options):
    return MediaPart("image", NOISE[0], options, "messages[0]")


def video_part(**options):
    return MediaPart("video", NOISE, options, "messages[0]")


@pytest.mark.parametrize(
    ("general", "own", "area"),
    [
        ({}, {}, 112 * 168),
        ({"max_pixels": 4000}, {}, 4000),
        ({"max_pixels": 4000}, {"max_pixels": 9000}, 9000),
        ({"max_pixels": 9000}, {"max_pixels": 4000}, 4000),
        ({"min_pixels": 40000}, {"min_pixels": 784}, 112 * 168),
    ],
)
def test_p23_a_picture_takes_its_own_limit_before_the_general_one(settings, general, own, area):
    got = opened_media(image_part(**own), settings=settings, limits=Limits(**general))
    assert np.prod(got.resized_size) <= area
    chosen = {"min_pixels": None, "max_pixels": None} | general | own
    want = prepared_picture(NOISE[0], settings=settings, **chosen)
    np.testing.assert_array_equal(got.rows, want.rows)


@pytest.mark.parametrize(
    ("general", "own", "sampled_fps"),
    [
        ({}, {}, 2.0),
        ({"fps": 3.0}, {}, 3.0),
        ({"fps": 3.0}, {"fps": 1.5}, 1.5),
        ({"nframes": 4}, {"fps": 1.5}, 1.5),  # a part that chooses a rate drops the number asked of all
    ],
)
def test_p23_a_video_takes_its_own_rate_before_the_general_one(settings, general, own, sampled_fps):
    got = opened_media(video_part(**own), settings=settings, limits=Limits(**general))
    assert got.sampled_fps == sampled_fps
    assert got.second_per_grid == 2 / sampled_fps


@pytest.mark.parametrize("name", ["min_pixels", "max_pixels", "total_pixels"])
def test_p23_a_video_takes_its_own_limits_before_the_general_ones(settings, name):
    general, own = 40_000, 50_000
    got = opened_media(video_part(**{name: own}), settings=settings, limits=Limits(**{name: general}))
    want = prepared_clip(NOISE, settings=settings, **{name: own})
    other = prepared_clip(NOISE, settings=settings, **{name: general})
    np.testing.assert_array_equal(got.rows, want.rows)
    assert got.rows.shape != other.rows.shape or name == "total_pixels"


def test_the_profile_reaches_pictures_and_videos(settings):
    flat = NOISE[:, :10]  # 10 x 160: `hf-4.49` refuses a side under 28
    for part in (MediaPart("image", flat[0], {}, "here"), MediaPart("video", flat, {}, "here")):
        opened_media(part, settings=settings, limits=Limits(profile="hf"))
        with pytest.raises(BadInput, match=r"^here: .*28"):
            opened_media(part, settings=settings, limits=Limits(profile="hf-4.49"))


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (
            image_part(resized_height=56),
            f"{UNREAD} 'resized_height', which no image part has; remove it, or give one of min_",
        ),
        (image_part(fps=2.0), f"{UNREAD} 'fps', which no image part has"),
        (
            video_part(max_pixel=1),
            f"{UNREAD} 'max_pixel', which no video part has; remove it, or give one of min_pixels,",
        ),
        (MediaPart("video", [], {}, "messages[0]"), "messages[0]: the video has 0 frames; give at least one"),
        (MediaPart("video", "gone.mp4", {}, "messages[0]"), "gone.mp4"),
    ],
)
def test_p23_a_refusal_names_the_part_or_its_file(settings, part, says):
    with pytest.raises(BadInput) as refusal:
        opened_media(part, settings=settings, limits=Limits())
    assert says in str(refusal.value)
