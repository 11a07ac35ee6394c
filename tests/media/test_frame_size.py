"""The size of frames: compared with recordings of qwen-vl-utils' own code (tools/record_sampling.py)."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.errors import BadInput
from qwen25vl.media.frame_size import frame_area, frame_target
from qwen25vl.media.video_settings import VIDEO_PROFILES, video_profile, video_request

RECORDED = json.loads((Path(__file__).parent / "recorded" / "qwen_vl_utils.json").read_text(encoding="utf-8"))
PROFILE_OF = {"0.0.8": "utils-0.0.8", "0.0.10": "utils-0.0.10", "0.0.11": "utils-0.0.11", "0.0.14": "utils"}
TOKEN_PX = 28 * 28


def area(frames, *, profile="hf", given=False, temporal_patch_f=2, **asked):
    return frame_area(
        frames,
        request=video_request(**asked),
        profile=video_profile(profile),
        factor_px=28,
        temporal_patch_f=temporal_patch_f,
        given=given,
    )


def size(frames, height, width, *, profile="hf", **asked):
    limits, _ = area(frames, profile=profile, **asked)
    target, _ = frame_target(height, width, area_px=limits, factor_px=28, profile=video_profile(profile))
    return target.height_px, target.width_px


@pytest.mark.parametrize("case", RECORDED["sizes"], ids=lambda case: f"{case['frames']} {case['asked']}")
def test_v11_v12_sizes_are_those_of_qwen_vl_utils(case):
    for versions, answer in case["versions"].items():
        for version in versions.split(", "):
            got = size(case["frames"], case["height"], case["width"], profile=PROFILE_OF[version], **case["asked"])
            assert list(got) == answer, version


def test_v11_the_total_is_shared_by_the_frames_two_to_a_time_step():
    assert area(300)[0] == (128 * TOKEN_PX, 768 * TOKEN_PX)  # 115,200 tokens on 150 time steps: just 768
    assert area(302)[0] == (128 * TOKEN_PX, 115_200 * TOKEN_PX / 302 * 2)
    assert area(600)[0] == (128 * TOKEN_PX, 384 * TOKEN_PX)


def test_v11_however_many_frames_there_are_a_twentieth_above_the_least_area_remains():
    assert area(100_000)[0] == (100_352, 105_369)  # 105369.6
    # 768 frames in 0.0.8: 94,080 pixels each after resizing, so 46,080 tokens, where 24,576 is the total
    height, width = size(768, 720, 1280, profile="utils-0.0.8")
    assert 768 // 2 * height * width // TOKEN_PX == 46_080 > VIDEO_PROFILES["utils-0.0.8"].total_tokens_m


def test_v11_a_share_may_be_a_fraction():
    (_, most), _ = area(14, total_pixels=1_777_777, min_pixels=3136)
    assert most == 1_777_777 / 14 * 2
    assert most != int(most)


@given(
    frames=st.integers(1, 5000),
    min_pixels=st.one_of(st.none(), st.integers(1, 10**6)),
    max_pixels=st.one_of(st.none(), st.integers(1, 10**7)),
    total_pixels=st.one_of(st.none(), st.integers(1, 10**8)),
    profile=st.sampled_from(["hf", "hf-4.49", "utils", "utils-0.0.11", "utils-0.0.10"]),
)
def test_v11_a_callers_max_pixels_only_lowers(frames, min_pixels, max_pixels, total_pixels, profile):
    if min_pixels is not None and max_pixels is not None and min_pixels > max_pixels:
        return
    asked = dict(min_pixels=min_pixels, total_pixels=total_pixels, profile=profile)
    (least, budget), _ = area(frames, **asked)
    (same, most), limits = area(frames, max_pixels=max_pixels, **asked)
    assert same == (least if max_pixels is None or min_pixels is not None else min(least, max_pixels))
    assert most == (budget if max_pixels is None else min(max_pixels, budget))
    assert any("is lowered to" in sentence for sentence in limits) == (
        max_pixels is not None and max_pixels > budget
    )


def test_v11_who_asks_for_less_than_the_usual_least_area_gets_it():
    assert area(10, max_pixels=5000)[0] == (5000, 5000)
    assert area(10, max_pixels=100_353)[0] == (100_352, 100_353)
    assert size(10, 720, 1280, max_pixels=5000) == (28, 84)  # 53.03 and 94.28, down


def test_v14_in_0_0_8_it_replaces():
    assert area(10, profile="utils-0.0.8", max_pixels=900_000) == ((100_352, 900_000), ())


@pytest.mark.parametrize("profile", ["utils-0.0.8", "utils-0.0.10", "utils-0.0.11"])
def test_v14_given_frames_have_the_limits_of_pictures_in_older_versions(profile):
    assert area(10_000, profile=profile, given=True) == ((4 * TOKEN_PX, 16_384 * TOKEN_PX), ())
    assert area(10, profile=profile, given=True, min_pixels=7, max_pixels=8, total_pixels=1) == ((7, 8), ())


@pytest.mark.parametrize("profile", ["hf", "hf-4.49", "utils"])
def test_v14_given_frames_have_the_limits_of_a_video_in_the_newest(profile):
    for frames in (4, 400):
        assert area(frames, profile=profile, given=True) == area(frames, profile=profile)


def test_v18_a_shared_total_and_a_lowered_maximum_are_named():
    assert area(300)[1] == ()
    assert area(600)[1] == ("300 time steps share 90316800 pixels: at most 301056 pixels a frame",)
    assert area(4, max_pixels=700_000)[1] == ("max_pixels 700000 is lowered to 602112",)
    assert area(4, max_pixels=600_000)[1] == ()


@pytest.mark.parametrize(
    ("height", "width", "says"),
    [
        (720, 1280, ("a frame of 1280 x 720 pixels is brought down to at most 602112",)),
        (100, 200, ("a frame of 200 x 100 pixels is brought up to at least 100352",)),
        (400, 500, ()),
    ],
)
def test_v18_a_limit_of_area_that_changed_the_frames_is_named(height, width, says):
    limits, _ = area(4)
    _, found = frame_target(height, width, area_px=limits, factor_px=28, profile=video_profile("hf"))
    assert found == says


@pytest.mark.parametrize("profile", ["hf", "hf-4.49", "utils"])
def test_v14_each_profile_has_its_own_guards(profile):
    limits = (3136, 15_680)
    rules = video_profile(profile)
    if profile == "hf":
        target, _ = frame_target(639, 31, area_px=limits, factor_px=28, profile=rules)
        assert (target.height_px, target.width_px) == (560, 28)
    else:
        with pytest.raises(BadInput, match="empty"):
            frame_target(639, 31, area_px=limits, factor_px=28, profile=rules)


# -------------------------------------------------------------------------------------------- refusals


def test_v12_a_frame_larger_than_any_picture_is_refused():
    with pytest.raises(BadInput, match=r"resized to \d+ x \d+ pixels, more than 178956970; lower min_pixels"):
        size(2, 100, 100, min_pixels=10**9)


def test_v12_limits_that_leave_nothing_are_refused():
    # A total cannot fall below the least area, so only a caller's own two limits could; those are refused before.
    with pytest.raises(BadInput, match="min_pixels 1001 exceeds max_pixels 1000"):
        size(2, 100, 100, min_pixels=1001, max_pixels=1000)


def test_v18_a_total_below_the_least_area_says_what_it_was_raised_to():
    assert area(2, total_pixels=1)[1] == (
        "1 time steps share 1 pixels: at most 1 pixels a frame, raised to 105369, 1.05 times the least area",
    )
