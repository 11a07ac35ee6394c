"""Section 03 - frames: which frames of a video are looked at?"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from qwen25vl.errors import BadInput
from qwen25vl.media.video_settings import FPS, MAX_FRAMES_F, MIN_FRAMES_F, VideoProfile, VideoRequest


@dataclass(frozen=True, eq=False)
class Timeline:
    """The frames of a file, before any is decoded.

    Spec: spec/03-video.md (V1)
    """

    stamps: Int64[np.ndarray, " F"]
    """Time stamp of each frame in the container's unit, ascending: the frame's number is its place here."""
    fps: float
    """Frames per second, on average."""


@dataclass(frozen=True, eq=False)
class Sampling:
    """The frames that are looked at.

    Spec: spec/03-video.md
    """

    indices: Int64[np.ndarray, " F"]
    """Frame numbers in the source, ascending."""
    sampled_fps: float
    """Frames looked at per second of the source."""
    limits: tuple[str, ...]
    """Which limit decided, in short sentences."""


def sampling(
    source_frames: int, source_fps: float, *, request: VideoRequest, profile: VideoProfile, temporal_patch_f: int
) -> Sampling:
    """Choose frames of a video.

    Args:
        source_frames: frames in the source.
        source_fps: frames per second of the source.
        request: what the caller asks for.
        profile: whose rules.
        temporal_patch_f: frames in a patch (2); the number of frames is a multiple of it.

    Raises:
        BadInput: if the range of time is empty or outside, or it holds too few frames for the request.

    Source:   qwen-vl-utils 0.0.14 vision_process.py, calculate_video_frame_range, smart_nframes
    Spec:     spec/03-video.md (V3 to V9)
    """
    first, last, range_limits = _frame_range(source_frames, source_fps, request=request, profile=profile)
    total_f = last - first + 1
    if request.nframes is None:
        chosen_f, limits = _count_by_rate(
            total_f, source_fps, request=request, profile=profile, temporal_patch_f=temporal_patch_f
        )
    else:
        chosen_f = round(request.nframes / temporal_patch_f) * temporal_patch_f  # (V5) half to even
        limits = _note(chosen_f != request.nframes, f"nframes {request.nframes} is rounded to {chosen_f}")
    if source_frames == 1:  # (V6)
        raise BadInput("the video has one frame, and two are needed to place it in time; give it as a picture")
    if not temporal_patch_f <= chosen_f <= total_f:  # (V6)
        raise BadInput(
            f"the request comes to {chosen_f} frames, but there must be at least {temporal_patch_f} and at most "
            f"the {total_f} that the video has there; change nframes, fps, the limits or the range, or give frames"
        )
    sampled_fps = chosen_f / total_f * source_fps  # (V9)
    return Sampling(frame_indices(first, last, count=chosen_f), sampled_fps, range_limits + limits)


def frame_indices(first: int, last: int, *, count: int) -> Int64[np.ndarray, " {count}"]:
    """Spread `count` frame numbers evenly from `first` to `last`, both included.

        round(first + i * step) in the first half, round(last - (count - 1 - i) * step) in the second,
        with step = (last - first) / (count - 1)

    Rounding: (V8) step to float32; product and sum together once to float32; then halves to even
    Source:   torch 2.13.0 linspace on a CPU with fused multiply-add, then round
    Spec:     spec/03-video.md (V8)
    """
    if count == 1:
        return np.array([first], dtype=np.int64)
    step = (np.float32(last) - np.float32(first)) / np.float32(count - 1)  # (V8)
    i = np.arange(count)
    # float64 holds product and sum exactly, so the one rounding is that to float32
    ahead = (first + np.float64(step) * i).astype(np.float32)
    back = (last - np.float64(step) * (count - 1 - i)).astype(np.float32)
    return np.rint(np.where(i < count // 2, ahead, back)).astype(np.int64)


def row_seconds(sampled_fps: float, *, temporal_patch_f: int) -> float:
    """Return the seconds that one row of the time axis spans.

    Spec: spec/03-video.md (V9)
    """
    return temporal_patch_f / sampled_fps  # (V9)


def _frame_range(
    source_frames: int, source_fps: float, *, request: VideoRequest, profile: VideoProfile
) -> tuple[int, int, tuple[str, ...]]:
    """(V3) First and last frame of the range of time that the caller asks for."""
    start_s, end_s = request.start_s, request.end_s
    if start_s is None and end_s is None:
        return 0, source_frames - 1, ()
    if not profile.takes_range:
        raise BadInput("this profile takes no start and no end; leave them out, or use the profile 'utils'")
    duration_s = source_frames / source_fps
    if start_s is not None and start_s >= duration_s:
        raise BadInput(
            f"the start, {start_s:g} s, is not before the end of the video, {duration_s:g} s; give an earlier one"
        )
    first = 0 if start_s is None else math.ceil(start_s * source_fps)  # (V3)
    last = source_frames - 1
    if end_s is not None:
        last = min(math.floor(min(end_s, duration_s) * source_fps), last)
    if first >= last:
        raise BadInput(
            f"from {start_s or 0:g} s to {duration_s if end_s is None else end_s:g} s lie less than two of the "
            f"{source_frames} frames, {source_fps:g} per second; widen the range"
        )
    beyond = end_s is not None and end_s > duration_s
    return first, last, _note(beyond, f"the end, {end_s} s, is behind that of the video, {duration_s:g} s")


def _count_by_rate(
    total_f: int, source_fps: float, *, request: VideoRequest, profile: VideoProfile, temporal_patch_f: int
) -> tuple[int, tuple[str, ...]]:
    """(V4) How many frames a rate gives, and which limit decided."""
    fps = FPS if request.fps is None else request.fps
    least = MIN_FRAMES_F if request.min_frames is None else request.min_frames
    most = min(MAX_FRAMES_F, total_f) if request.max_frames is None else request.max_frames
    least = math.ceil(least / temporal_patch_f) * temporal_patch_f
    most = math.floor(most / temporal_patch_f) * temporal_patch_f
    wanted = total_f / source_fps * fps  # (V4) in this order, float64
    bounded = min(max(wanted, least), most)
    if profile.rounds_nearest:
        chosen_f = round(bounded / temporal_patch_f) * temporal_patch_f
    else:
        chosen_f = math.floor(min(bounded, total_f) / temporal_patch_f) * temporal_patch_f
    rate = f"{fps:g} frames per second would be {wanted:.6g} frames"
    too_few = _note(wanted < least and chosen_f == least, f"{rate}, raised to the least of {least}")
    too_many = _note(wanted > chosen_f and bounded < wanted, f"{rate}, lowered to {chosen_f}")
    return chosen_f, too_few + too_many


def _note(applies: bool, sentence: str) -> tuple[str, ...]:
    """(V18) One sentence, or none."""
    return (sentence,) if applies else ()
