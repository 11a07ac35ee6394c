"""Which frames: compared with recordings of qwen-vl-utils' own code (tools/record_sampling.py)."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.errors import BadInput
from qwen25vl.media.frames import frame_indices, sampling
from qwen25vl.media.video_settings import video_profile, video_request

RECORDED = json.loads((Path(__file__).parent / "recorded" / "qwen_vl_utils.json").read_text(encoding="utf-8"))
PROFILE_OF = {"0.0.8": "utils-0.0.8", "0.0.10": "utils-0.0.10", "0.0.11": "utils-0.0.11", "0.0.14": "utils"}
OUR_NAMES = {"video_start": "start_s", "video_end": "end_s"}
CASES = [
    (version, case["frames"], case["fps"], case["asked"], answer)
    for case in RECORDED["samplings"]
    for versions, answer in case["versions"].items()
    for version in versions.split(", ")
]


def sampled(frames, source_fps=25.0, *, profile="hf", temporal_patch_f=2, **asked):
    return sampling(
        frames,
        source_fps,
        request=video_request(**{OUR_NAMES.get(name, name): value for name, value in asked.items()}),
        profile=video_profile(profile),
        temporal_patch_f=temporal_patch_f,
    )


@pytest.mark.parametrize(("version", "frames", "fps", "asked", "answer"), CASES, ids=str)
def test_v3_to_v9_frames_and_rate_are_those_of_qwen_vl_utils(version, frames, fps, asked, answer):
    if answer is None:
        with pytest.raises(BadInput):
            sampled(frames, fps, profile=PROFILE_OF[version], **asked)
        return
    got = sampled(frames, fps, profile=PROFILE_OF[version], **asked)
    assert got.indices.tolist() == answer["indices"]
    if answer["sampled_fps"] is not None:  # 0.0.8 gives none
        assert got.sampled_fps == answer["sampled_fps"]


@pytest.mark.parametrize("profile", ["hf", "hf-4.49", "utils-0.0.11", "utils-0.0.10"])
def test_v14_these_profiles_choose_the_frames_that_utils_does(profile):
    for _, frames, fps, asked, _ in CASES:
        if not set(asked) & set(OUR_NAMES):
            try:
                want = sampled(frames, fps, profile="utils", **asked)
            except BadInput:
                continue
            np.testing.assert_array_equal(sampled(frames, fps, profile=profile, **asked).indices, want.indices)


def test_v4_v9_the_clip_at_one_and_a_half_per_second_gives_6_frames_at_1_136():
    # 132 / 25 * 1.5 = 7.92; 6 / 132 * 25 = 1.13636..
    got = sampled(132, fps=1.5)
    assert len(got.indices) == 6
    assert got.sampled_fps == pytest.approx(1.13636, abs=1e-5)


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"fps": 100, "max_frames": 9, "min_frames": 5}, 8),  # 6 to 8
        ({"fps": 0.01, "min_frames": 5}, 6),
        ({"fps": 0.01, "min_frames": 5, "max_frames": 5}, 4),  # 6 to 4: the largest number wins
        ({"fps": 100}, 132),
    ],
    ids=str,
)
def test_v4_limits_are_brought_to_the_temporal_patch_and_the_upper_one_wins(asked, count):
    assert len(sampled(132, **asked).indices) == count


def test_v4_at_most_768_frames_unless_the_caller_says_otherwise():
    assert len(sampled(5000, fps=25).indices) == 768
    assert len(sampled(5000, fps=25, max_frames=1000).indices) == 1000


@pytest.mark.parametrize(
    ("nframes", "count"), [(2, 2), (3, 4), (4, 4), (5, 4), (6, 6), (7, 8), (9, 8), (133, 132)]
)
def test_v5_an_odd_nframes_goes_to_the_nearest_multiple_halves_to_even(nframes, count):
    assert len(sampled(132, nframes=nframes).indices) == count


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ({"start_s": 2.03}, 51, 131),  # 50.75 up
        ({"end_s": 2.03}, 0, 50),  # 50.75 down
        ({"start_s": 1.0, "end_s": 3.0}, 25, 75),
        ({"end_s": 5.28}, 0, 131),  # frame 132 does not exist
        ({"end_s": 1000.0}, 0, 131),
    ],
    ids=str,
)
def test_v3_a_range_of_time_is_rounded_inwards(asked, first, last):
    got = sampled(132, **asked)
    assert (got.indices[0], got.indices[-1]) == (first, last)
    assert got.sampled_fps == len(got.indices) / (last - first + 1) * 25  # (V9) of the range, not of the file


@given(
    frames=st.integers(2, 20_000),
    source_fps=st.sampled_from([1.0, 10.0, 23.976, 25.0, 30000 / 1001, 60.0]),
    rate=st.floats(0.01, 100),
    temporal_patch_f=st.sampled_from([1, 2, 3, 4]),
)
def test_v6_the_count_is_a_multiple_of_the_temporal_patch_and_within_the_video(
    frames, source_fps, rate, temporal_patch_f
):
    try:
        got = sampled(frames, source_fps, temporal_patch_f=temporal_patch_f, fps=rate)
    except BadInput:
        assert frames < temporal_patch_f
        return
    count = len(got.indices)
    assert count % temporal_patch_f == 0
    assert temporal_patch_f <= count <= min(frames, 768)
    assert got.indices[0] == 0
    if count > 1:
        assert got.indices[-1] == frames - 1
    assert np.all(np.diff(got.indices) >= 1)
    assert got.sampled_fps == count / frames * source_fps


@given(first=st.integers(0, 2000), length=st.integers(2, 8000), half=st.integers(1, 384))
def test_v8_numbers_are_the_nearest_to_an_even_spread(first, length, half):
    # Of at most 10,000 frames; the trap on the page says from where on float32 shows.
    count = min(2 * half, length - length % 2)
    last = first + length - 1
    want = [first + round(Fraction((length - 1) * i, count - 1)) for i in range(count)]
    assert frame_indices(first, last, count=count).tolist() == want


@pytest.mark.parametrize(("frames", "count"), [(17_125, 696), (108_000, 768)])
def test_v8_of_long_videos_the_rounding_to_float32_shows(frames, count):
    # Recorded from torch: some numbers are one off the exact spread.
    answer = next(a for _, f, _, asked, a in CASES if f == frames and asked.get("nframes") == count)
    exact = [round(Fraction((frames - 1) * i, count - 1)) for i in range(count)]
    got = frame_indices(0, frames - 1, count=count)
    assert got.tolist() == answer["indices"]
    assert 0 < np.sum(np.abs(got - exact)) == np.sum(got != exact)


@pytest.mark.oracle
@given(
    first=st.integers(0, 100_000),
    length=st.one_of(st.integers(1, 1000), st.integers(1, 500_000)),
    count=st.integers(1, 800),
)
def test_v8_numbers_equal_linspace_of_torch(first, length, count):
    import oracle

    last = first + length - 1
    got = frame_indices(first, last, count=count)
    if not oracle.fused_multiply_add():  # then torch rounds twice; the trap on the page says where it shows
        assert np.max(np.abs(got - oracle.frame_indices(first, last, count))) <= 1
        return
    np.testing.assert_array_equal(got, oracle.frame_indices(first, last, count))


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"fps": 0.5}, "0.5 frames per second would be 2.64 frames, raised to the least of 4"),
        ({"fps": 30}, "30 frames per second would be 158.4 frames, lowered to 132"),
        ({"fps": 4, "max_frames": 9}, "4 frames per second would be 21.12 frames, lowered to 8"),
        ({"nframes": 7}, "nframes 7 is rounded to 8"),
        ({"video_end": 9}, "the end, 9.0 s, is behind that of the video, 5.28 s"),
    ],
    ids=str,
)
def test_v18_the_limit_that_decided_is_named(asked, sentence):
    assert sampled(132, **asked).limits == (sentence,)


@pytest.mark.parametrize(
    "asked", [{"fps": 2}, {"fps": 1.5}, {"nframes": 8}, {"start_s": 1}, {"end_s": 5.28}], ids=str
)
def test_v18_without_a_limit_nothing_is_named(asked):
    assert sampled(132, **asked).limits == ()


# -------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("frames", "asked", "message"),
    [
        (132, {"nframes": 1}, r"comes to 0 frames, but there must be at least 2 and at most the 132"),
        (132, {"nframes": 135}, r"comes to 136 frames"),
        (132, {"nframes": 200}, r"comes to 200 frames, but there must be at least 2 and at most the 132"),
        (1, {}, r"the video has one frame, .*; give it as a picture"),
        (132, {"max_frames": 1}, r"comes to 0 frames"),
        (132, {"start_s": 5.28}, r"the start, 5.28 s, is not before the end of the video, 5.28 s"),
        (132, {"start_s": 99}, r"the start, 99 s, is not before the end of the video, 5.28 s"),
        (132, {"start_s": 3.0, "end_s": 3.02}, r"lie less than two of the 132 frames, 25 per second"),
        (132, {"start_s": 5.26}, r"lie less than two of the 132 frames"),
        (132, {"start_s": 1, "end_s": 1.5, "nframes": 20}, r"comes to 20 frames, but .* at most the 13 that"),
    ],
    ids=str,
)
def test_v6_too_few_frames_for_the_request_are_refused(frames, asked, message):
    with pytest.raises(BadInput, match=message):
        sampled(frames, **asked)


@pytest.mark.parametrize("profile", ["utils-0.0.8", "utils-0.0.10"])
@pytest.mark.parametrize("asked", [{"start_s": 1.0}, {"end_s": 1.0}], ids=str)
def test_v14_older_versions_know_no_range_of_time(profile, asked):
    with pytest.raises(BadInput, match="takes no start and no end"):
        sampled(132, profile=profile, **asked)
