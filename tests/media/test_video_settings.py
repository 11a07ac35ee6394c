"""Requests and profiles: what may be asked for, and what differs between versions."""

import re
from pathlib import Path

import numpy as np
import pytest

from qwen25vl.errors import BadInput
from qwen25vl.media.resize import PROFILES
from qwen25vl.media.video_settings import VIDEO_PROFILES, VideoRequest, video_profile, video_request

PAGE = Path(__file__).parents[2] / "spec" / "03-video.md"


def test_v14_the_table_on_the_page_is_the_table_in_the_code():
    words = {"down": False, "nearest": True, "yes": True, "no": False, "lowers": False, "replaces": True}
    words |= {"as frames": False, "as pictures": True}
    table = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip(" |").split("|")]
        if len(cells) == 8 and re.fullmatch(r"`[\w.-]+`", cells[0]):
            name, _, guards, total, rounds, takes_range, most, given = (cell.strip("`") for cell in cells)
            table[name] = (
                guards,
                int(total.replace(",", "")),
                words[rounds],
                words[takes_range],
                words[most],
                words[given],
            )
    assert table == {
        name: (p.guards, p.total_tokens_m, p.rounds_nearest, p.takes_range, p.max_replaces, p.frames_as_pictures)
        for name, p in VIDEO_PROFILES.items()
    }


def test_v14_every_profile_has_guards_and_every_guard_a_profile():
    assert {profile.guards for profile in VIDEO_PROFILES.values()} == set(PROFILES)
    for name in PROFILES:
        assert video_profile(name).guards == name


def test_v14_an_unknown_profile_is_refused():
    with pytest.raises(BadInput, match=r"unknown profile .utils-9.; choose one of hf, hf-4\.49, utils, "):
        video_profile("utils-9")


@pytest.mark.parametrize("name", list(VideoRequest.__dataclass_fields__))
def test_v7_the_largest_number_is_in_every_range(name):
    assert getattr(video_request(**{name: 2**53}), name) == 2**53
    with pytest.raises(BadInput, match=r"2\*\*53, got 9007199254740994"):
        video_request(**{name: 2**53 + 2})


def test_v7_a_request_keeps_what_it_is_given():
    asked = dict(fps=1, start_s=0, end_s=2.5, min_frames=np.int64(4), max_frames=8)
    areas = dict(min_pixels=1, max_pixels=2, total_pixels=3)
    want = VideoRequest(fps=1.0, start_s=0.0, end_s=2.5, min_frames=4, max_frames=8, **areas)
    assert video_request(**asked, **areas) == want
    assert video_request(nframes=6) == VideoRequest(nframes=6)
    assert video_request() == VideoRequest()


@pytest.mark.parametrize("name", ["fps", "start_s", "end_s"])
@pytest.mark.parametrize("value", ["2", True, [2], 1j], ids=str)
def test_v7_what_is_no_number_is_refused(name, value):
    with pytest.raises(BadInput, match=r"must be a finite number (above|of at least) 0 and at most 2\*\*53, got "):
        video_request(**{name: value})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"fps": 0}, r"fps must be a finite number above 0 and at most 2\*\*53, got 0"),
        ({"fps": -1.5}, r"fps must be a finite number above 0 and at most 2\*\*53, got -1.5"),
        ({"fps": float("nan")}, r"fps must be a finite number above 0 and at most 2\*\*53, got NaN"),
        ({"fps": float("inf")}, r"fps must be a finite number above 0 and at most 2\*\*53, got Infinity"),
        ({"fps": 10**400}, r"fps must be a finite number above 0 and at most 2\*\*53, got 1000"),
        ({"end_s": 2.0**53 + 2}, r"the end must be a finite number above 0 and at most 2\*\*53, got 90071992"),
        ({"nframes": 10**400}, r"nframes must be a whole number from 1 to 2\*\*53, got "),
        ({"start_s": -1}, r"the start must be a finite number of at least 0 and at most 2\*\*53, got -1"),
        ({"end_s": 0}, r"the end must be a finite number above 0 and at most 2\*\*53, got 0"),
        ({"start_s": 2, "end_s": 2}, r"the start, 2 s, must be before the end, 2 s"),
        ({"min_frames": 9, "max_frames": 8}, r"min_frames 9 exceeds max_frames 8"),
        ({"min_pixels": 9, "max_pixels": 8}, r"min_pixels 9 exceeds max_pixels 8"),
        ({"nframes": 4, "fps": 2}, r"give nframes or fps, not both; got nframes 4 and fps 2.0"),
        ({"nframes": 4, "min_frames": 2}, r"give nframes or min_frames, not both"),
        ({"nframes": 4, "max_frames": 9}, r"give nframes or max_frames, not both"),
    ],
    ids=str,
)
def test_v7_values_out_of_range_or_against_each_other_are_refused(asked, message):
    with pytest.raises(BadInput, match=message):
        video_request(**asked)


@pytest.mark.parametrize(
    "name", ["nframes", "min_frames", "max_frames", "min_pixels", "max_pixels", "total_pixels"]
)
@pytest.mark.parametrize("value", [0, -4, 2.5, 4.0, True, "4", float("nan")], ids=str)
def test_v7_a_count_is_a_whole_number_from_1_on(name, value):
    with pytest.raises(BadInput, match=rf"{name} must be a whole number from 1 to 2\*\*53, got "):
        video_request(**{name: value})
