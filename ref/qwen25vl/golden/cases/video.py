"""Section 15 - video cases: which frames are chosen, how long is a row of time, and what fills an odd count?

No decoder takes part: a clip is a count and a rate, or frames as arrays.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, UInt8

from qwen25vl.errors import BadInput
from qwen25vl.golden.case import Lab, Part, count_part
from qwen25vl.golden.cases.image_size import plain
from qwen25vl.golden.draws import drawn_bytes
from qwen25vl.golden.registry import case
from qwen25vl.media.frames import Sampling, row_seconds, sampling
from qwen25vl.media.patches import normalised, patch_rows
from qwen25vl.media.video_settings import video_profile, video_request

PAIR_F = 2
"""Frames in a patch, in every release."""


def chosen(source_frames: int, source_fps: float, *, profile: object = "utils", **asked: object) -> Sampling:
    """Choose frames of a clip by its length and its rate."""
    return sampling(
        source_frames,
        source_fps,
        request=video_request(**asked),
        profile=video_profile(str(profile)),
        temporal_patch_f=PAIR_F,
    )


def count_f(source_frames: int, source_fps: float, **asked: object) -> int:
    """Return the number of frames that are chosen; 0 stands for a refusal."""
    try:
        return len(chosen(source_frames, source_fps, **asked).indices)
    except BadInput:
        return 0


def sampling_parts(source_frames: int, source_fps: float, asked_fps: float) -> Iterator[Part]:
    """Give a clip and a rate, and the frames that are chosen and the time that they span."""
    found = chosen(source_frames, source_fps, fps=asked_fps)
    yield count_part("inputs.source_frames", source_frames, "clips", "frames of the clip")
    yield Part("inputs.source_fps", np.array([source_fps]), "clips", "frames per second of the clip")
    yield Part("inputs.fps", np.array([asked_fps]), "clips", "frames per second that are asked for")
    yield Part("outputs.indices", found.indices, "frames", "numbers of the chosen frames")
    yield Part("outputs.sampled_fps", np.array([found.sampled_fps]), "clips", "frames per second among the chosen")
    seconds = row_seconds(found.sampled_fps, temporal_patch_f=PAIR_F)
    yield Part("outputs.second_per_grid", np.array([seconds]), "clips", "seconds that a row of time spans")


def film(frames_f: int) -> UInt8[np.ndarray, "F 28 28 3"]:
    """Make frames of noise: no two are alike, nor two patches of one."""
    return drawn_bytes(300, (frames_f, 28, 28, 3))


def video_rows(
    lab: Lab, frames: UInt8[np.ndarray, "F 28 28 3"]
) -> tuple[Float32[np.ndarray, "P C"], tuple[int, int, int]]:
    """Return the patch rows of frames, and the grid in patches."""
    settings = lab.processor.settings
    unit = np.stack([normalised(rgb, mean=settings.mean, std=settings.std) for rgb in frames])
    return patch_rows(unit, patch_px=14, temporal_patch_f=PAIR_F, merge_p=2)


@case(
    family="video",
    tier="unit",
    section="03",
    clauses=("V4", "V8", "V9"),
    kills=(
        "frames-truncated",
        "frames-from-step-zero",
        "count-rounded-nearest",
        "asked-rate-for-time",
        "source-rate-for-time",
        "fixed-rate-for-time",
        "frames-sampled-twice",
    ),
    note="132 frames at 25 per second, asked for 1.5: 7.92 go down to 6, so 1.136 per second were chosen and a "
    "row spans 1.76 seconds, not 1.33, 0.08 or 1. The step of 26.2 is no whole number, so every way of spreading "
    "shows. At 2 frames per second from a clip whose length divides, all of these agree.",
)
def seconds_of_a_row_come_from_the_frames_chosen(lab: Lab) -> Iterator[Part]:
    """Frames are spread from the first to the last, and the time between them follows from their number."""
    yield from sampling_parts(132, 25.0, 1.5)


@case(
    family="video",
    tier="unit",
    section="03",
    clauses=("V4", "V8", "V9"),
    kills=("frames-truncated", "asked-rate-for-time", "fixed-rate-for-time", "frames-sampled-twice"),
    note="17 frames at 8 per second, asked for 4: 8.5 go down to 8, a row spans 0.53125 seconds. Above 2 frames "
    "per second a row is shorter than a second, and whoever cuts seconds to whole ones stops time.",
)
def a_fast_clip_has_rows_shorter_than_a_second(lab: Lab) -> Iterator[Part]:
    """More than two frames per second are chosen by the same rule."""
    yield from sampling_parts(17, 8.0, 4.0)


@case(
    family="video",
    tier="unit",
    section="03",
    clauses=("V4", "V5", "V6", "V14"),
    kills=("count-rounded-nearest", "other-profile"),
    note="Five seconds at 1 per second go down from 7 to 6 where the oldest profile gives 8; counts that a least "
    "and a largest number decide, odd limits, and counts given outright, halves to even. 0: refused.",
)
def the_number_of_frames_is_even_and_within_limits(lab: Lab) -> Iterator[Part]:
    """A count by rate is bounded and goes down to an even number; a given count goes to the nearest one."""
    clips = [(175, 25.0, 1.0), (132, 25.0, 1.5), (30, 30.0, 1.0), (5, 30.0, 2.0), (3, 30.0, 2.0), (1, 30.0, 2.0)]
    clips += [(5000, 25.0, 8.0), (90, 30.0, 3.0)]
    given_f = [1, 2, 3, 5, 6, 7, 30, 40]
    yield Part("inputs.clips", np.array(clips), "clips 3", "frames, frames per second, rate that is asked for")
    yield count_part("inputs.nframes", given_f, "requests", "numbers asked for, of 30 frames at 30 per second")
    for profile in ("utils", "utils-0.0.8"):
        counts = [count_f(int(total), rate, profile=profile, fps=asked) for total, rate, asked in clips]
        meaning = f"frames chosen by rate, profile {profile}; 0: refused"
        yield count_part(f"outputs.frames_{plain(profile)}", counts, "clips", meaning)
    counts = [count_f(30, 30.0, nframes=nframes) for nframes in given_f]
    yield count_part("outputs.frames_of_nframes", counts, "requests", "frames chosen by number; 0: refused")


@case(
    family="video",
    tier="unit",
    section="03",
    clauses=("V3", "V8", "V9"),
    kills=("source-rate-for-time", "frames-from-step-zero"),
    note="From 1.01 to 3.99 seconds of 132 frames at 25 per second: frames 26 to 99. The length that the rate "
    "refers to is that of the part, 74 frames, not of the clip.",
)
def a_range_of_time_is_rounded_inwards(lab: Lab) -> Iterator[Part]:
    """Start and end fall on frames inside the range, and rate and time refer to these."""
    found = chosen(132, 25.0, fps=2.0, start_s=1.01, end_s=3.99)
    yield Part("inputs.clip", np.array([132, 25.0, 2.0]), "numbers", "frames, frames per second, rate asked for")
    yield Part("inputs.range", np.array([1.01, 3.99]), "ends", "start and end, seconds")
    yield Part("outputs.indices", found.indices, "frames", "numbers of the chosen frames")
    yield Part("outputs.sampled_fps", np.array([found.sampled_fps]), "clips", "frames per second among the chosen")


@case(
    family="video",
    tier="unit",
    section="03",
    clauses=("V10", "V13", "I19"),
    kills=("odd-frames-dropped", "first-frame-repeated"),
    note="1, 3 and 5 frames, all different, the last one too. An even count has nothing to fill up, and equal "
    "frames do not show with which one it was done.",
)
def the_last_frame_fills_up_an_odd_count(lab: Lab) -> Iterator[Part]:
    """A count that is no multiple of two is completed with the last frame, one frame too."""
    frames = film(5)
    yield Part("inputs.frames", frames, "frames height width 3", "five frames; the first one, and three, too")
    for count, name in ((1, "one"), (3, "three"), (5, "five")):
        meaning = f"patch rows of the first {count}, normalised"
        yield Part(f"outputs.rows_of_{name}", video_rows(lab, frames[:count])[0], "P C", meaning)


@case(
    family="video",
    tier="unit",
    section="03",
    clauses=("V13", "I20", "I21"),
    kills=("frames-interleaved", "frame-pair-swapped", "inner-order-frame-first"),
    note="Four different frames of 2 x 2 patches. With two frames, or equal ones, neighbours and halves agree.",
)
def neighbouring_frames_share_a_row(lab: Lab) -> Iterator[Part]:
    """Frames 0 and 1 make the first row of time, 2 and 3 the second; within a patch the earlier comes first."""
    frames = film(4)
    yield Part("inputs.frames", frames, "frames height width 3", "the frames at their target size")
    rows, grid = video_rows(lab, frames)
    yield Part("outputs.rows", rows, "P C", "one row for each patch: channel, frame, y, x")
    yield count_part("outputs.grid", grid, "axes", "T, H, W in patches")
