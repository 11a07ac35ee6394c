"""`--video` and what goes with it: the report, the order of media, what is refused."""

import itertools
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

import qwen25vl

SMALL = ("--min-pixels", 784, "--max-pixels", 6000, "--max-new-tokens", 2)
"""Frames of 60 x 90 become 56 x 84."""

QUICK = ("--blas", "--noise", "none")
"""How goldens are written whose media alone are looked at."""


def reported(command, *arguments):
    finished = command("run", *arguments, "x", "--json", *SMALL)
    assert finished.code == 0, finished.err
    return json.loads(finished.out)


def test_the_report_says_which_frames_were_taken_and_when(command, film):
    (entry,) = reported(command, "--video", film, "--fps", 3)["media"]
    assert entry.pop("limits") is not None
    assert entry == {
        "kind": "video",
        "source": str(film),
        "original_size": [60, 90],
        "resized_size": [56, 84],
        "grid": [3, 4, 6],
        "tokens": 18,
        "source_frames": 12,
        "source_fps": 6.0,
        "frames": [0, 2, 4, 7, 9, 11],  # 0 to 11 in six steps, both ends taken, halves to even
        "times_s": [0, 2 / 6, 4 / 6, 7 / 6, 9 / 6, 11 / 6],
        "sampled_fps": 3.0,
        "second_per_grid": 2 / 3,
    }


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        (("--nframes", 4), [0, 4, 7, 11]),
        (("--fps", 6, "--start", 1), [6, 7, 8, 9, 10, 11]),
        (("--fps", 6, "--end", 0.9), [0, 1, 2, 4, 5]),
        (("--nframes", 2, "--start", 0.5, "--end", 1), [3, 6]),
    ],
)
def test_the_options_reach_the_video(command, film, options, frames):
    (entry,) = reported(command, "--video", film, *options)["media"]
    if options == ("--fps", 6, "--end", 0.9):  # 6 frames at most, an even number of them
        frames = [0, 1, 2, 3, 4, 5]
    assert entry["frames"] == frames


def test_a_budget_for_all_frames_makes_them_smaller(command, film):
    sizes = [
        reported(command, "--video", film, "--fps", 6, "--total-pixels", total)["media"][0]["resized_size"]
        for total in (100_000, 12_000)
    ]
    assert np.prod(sizes[1]) < np.prod(sizes[0])


def test_media_stand_in_the_prompt_in_the_order_of_the_options(command, film, picture, tmp_path):
    both = [("--video", film), ("--image", picture)]
    for order in (both, both[::-1], [both[0], both[1], both[0]]):
        media = reported(command, *itertools.chain(*order))["media"]
        assert [entry["kind"] for entry in media] == [option.removeprefix("--") for option, _ in order]
        assert command("golden", tmp_path / "g", *itertools.chain(*order), "x", *SMALL, *QUICK).code == 0
        ids = load_file(tmp_path / "g" / "inputs.safetensors")["inputs.ids"]
        config = qwen25vl.load_processor().config
        kinds = {config.image_token_id: "image", config.video_token_id: "video"}
        runs = [kinds[key] for key, _ in itertools.groupby(ids.tolist()) if key in kinds]
        assert runs == [entry["kind"] for entry in media]


def test_a_golden_of_a_video_holds_its_frames_rows_and_times(command, film, tmp_path):
    finished = command("golden", tmp_path / "g", "--video", film, "--fps", 3, "x", *SMALL, *QUICK)
    assert finished.code == 0, finished.err
    assert "noise.mkv: 90 x 60 pixels, resized to 84 x 56, grid [3, 4, 6], 18 tokens" in finished.out
    got = load_file(tmp_path / "g" / "inputs.safetensors")
    inputs = qwen25vl.load_processor().prepare(
        [
            {
                "role": "user",
                "content": [{"type": "video", "video": str(film), "fps": 3}, {"type": "text", "text": "x"}],
            }
        ],
        min_pixels=784,
        max_pixels=6000,
    )
    np.testing.assert_array_equal(got["inputs.video_rows"], inputs.video_rows)
    np.testing.assert_array_equal(got["inputs.video_grids"], [[3, 4, 6]])
    np.testing.assert_array_equal(got["inputs.second_per_grid"], [2 / 3])
    np.testing.assert_array_equal(got["inputs.clips.00.resized"], inputs.clips[0].resized)
    np.testing.assert_array_equal(got["inputs.clips.00.indices"], [0, 2, 4, 7, 9, 11])
    frames = np.random.default_rng(1).integers(0, 256, (12, 60, 90, 3), dtype=np.uint8)  # as the fixture drew them
    np.testing.assert_array_equal(got["inputs.clips.00.rgb"], frames[[0, 2, 4, 7, 9, 11]])


@pytest.mark.parametrize("option", ["--fps", "--nframes", "--start", "--end", "--total-pixels"])
def test_an_option_for_videos_without_one_is_refused(refused, picture, option):
    sentence = refused("run", "--image", picture, option, 2, "x")
    assert sentence == f"{option} needs a video to act on; add --video FILE, or leave it out"


def test_a_rate_and_a_number_of_frames_together_are_refused(refused, film):
    sentence = refused("run", "--video", film, "--fps", 2, "--nframes", 4, "x")
    assert sentence == "--fps 2 and --nframes 4 are two ways to choose; give one"


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("--fps", "0", "a number above 0"),
        ("--fps", "-1", "a number above 0"),
        ("--fps", "nan", "a number above 0"),
        ("--fps", "inf", "a number above 0"),
        ("--fps", "two", "a number above 0"),
        ("--nframes", "0", "a whole number of at least 1"),
        ("--nframes", "2.5", "a whole number of at least 1"),
        ("--start", "-0.5", "seconds of at least 0"),
        ("--end", "nan", "seconds of at least 0"),
        ("--total-pixels", "-3", "a whole number of at least 1"),
    ],
)
def test_a_number_that_is_none_is_refused(command, film, option, value, wanted):
    finished = command("run", "--video", film, f"{option}={value}", "x")
    assert finished.code == 2
    assert finished.out == ""
    assert finished.err.endswith(f"argument {option}: need {wanted}, got {value!r}\n")


def test_a_video_that_is_none_is_refused_with_its_name(refused, picture, tmp_path):
    (tmp_path / "t.mp4").write_text("no video")
    for path in (tmp_path / "t.mp4", tmp_path / "gone.mp4"):
        assert path.name in refused("run", "--video", path, "x")


def test_a_profile_reaches_videos_and_pictures(command, film, picture):
    for option, path in (("--video", film), ("--image", picture)):
        (entry,) = reported(command, option, path, "--profile", "utils-0.0.8")["media"]
        assert entry["tokens"] > 0
    total = [
        reported(command, "--video", film, "--profile", name, "--nframes", 12)["media"][0]["limits"]
        for name in ("utils", "utils-0.0.8")
    ]
    assert total[0] == total[1]  # 12 small frames meet neither total


def test_an_older_profile_that_knows_no_start_refuses_one(refused, film):
    sentence = refused("run", "--video", film, "--profile", "utils-0.0.8", "--start", 1, "x")
    assert "takes no start and no end; leave them out, or use the profile 'utils'" in sentence


def test_a_video_alone_may_have_less_than_the_least_area_of_pictures(command, film):
    finished = command("run", "--video", film, "--max-pixels", 800, "--nframes", 2, "x", "--max-new-tokens", 1)
    assert finished.code == 0, finished.err
