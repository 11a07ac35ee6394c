"""Section 15 - video size cases: how large may a frame be, when there are many?

No checkpoint matters here: a merged token has 28 x 28 pixels, a patch two frames.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64

from qwen25vl.errors import BadInput
from qwen25vl.golden.case import Lab, Part, count_part
from qwen25vl.golden.cases.image_size import plain
from qwen25vl.golden.registry import case
from qwen25vl.media.frame_size import frame_area, frame_target
from qwen25vl.media.video_settings import VIDEO_PROFILES, video_profile, video_request

Request = tuple[int, int, int, int | None, int | None, int | None]
"""Frames, height and width of one in pixels; least, largest and total area in pixels, or None."""

ASKED = "frames, height, width, least area, largest area, total area; -1: left out"
"""What one row of `inputs.requests` holds."""


def request_part(requests: Sequence[Request]) -> Part:
    """Give the requests."""
    rows = [[-1 if number is None else number for number in request] for request in requests]
    return count_part("inputs.requests", rows, "clips 6", ASKED)


def frame_sizes(requests: Sequence[Request], *, profile: str, given: bool) -> Int64[np.ndarray, "clips 2"]:
    """Return height and width of the frames for each request; 0 0 stands for a refusal."""
    rules, sizes = video_profile(profile), []
    for frames_f, height, width, least, most, total in requests:
        try:
            request = video_request(min_pixels=least, max_pixels=most, total_pixels=total)
            area_px, _ = frame_area(
                frames_f, request=request, profile=rules, factor_px=28, temporal_patch_f=2, given=given
            )
            target, _ = frame_target(height, width, area_px=area_px, factor_px=28, profile=rules)
            sizes.append((target.height_px, target.width_px))
        except BadInput:
            sizes.append((0, 0))
    return np.array(sizes, dtype=np.int64)


@case(
    family="video",
    tier="unit",
    section="03",
    clauses=("V11", "V12"),
    kills=("frame-limits-of-pictures", "total-beats-floor", "frame-sides-even", "sides-swapped"),
    note="Few frames, where 768 tokens bind; many, where the common total binds; a total so small that 1.05 times "
    "the least area wins; a caller's largest area below and above the budget. Small frames in small numbers meet "
    "none.",
)
def many_frames_share_one_area(lab: Lab) -> Iterator[Part]:
    """All frames get one size, within limits that depend on how many they are."""
    requests: list[Request] = [
        (6, 720, 1280, None, None, None),
        (300, 720, 1280, None, None, None),
        (340, 720, 1280, None, None, None),
        (768, 720, 1280, None, None, None),
        (768, 1280, 720, None, None, 4_000_000),
        (8, 720, 1280, None, 200_000, None),
        (8, 720, 1280, None, 2_000_000, None),
        (8, 720, 1280, None, 50_000, None),
        (8, 720, 1280, 400_000, None, None),
        (8, 90, 160, None, None, None),
        (8, 70, 182, 3136, None, None),
        (4, 360, 630, None, None, None),
    ]
    yield request_part(requests)
    sizes = frame_sizes(requests, profile="hf", given=False)
    yield Part("outputs.sizes", sizes, "clips 2", "height and width, pixels, profile hf")


@case(
    family="video",
    tier="unit",
    section="03",
    clauses=("V14",),
    kills=("other-profile", "frame-limits-of-pictures", "side-of-zero", "short-side-refused"),
    note="One row for each place in which profiles differ: the total, a caller's largest area above the budget, "
    "given frames with the limits of pictures, guards of short sides. A row of zeros is a refusal.",
)
def each_version_of_the_sampler_has_its_own_areas(lab: Lab) -> Iterator[Part]:
    """Versions of qwen-vl-utils disagree about the total, a caller's limit and given frames."""
    requests: list[Request] = [
        (6, 720, 1280, None, None, None),
        (768, 720, 1280, None, None, None),
        (100, 720, 1280, None, None, None),
        (8, 720, 1280, None, 2_000_000, None),
        (8, 90, 160, None, None, None),
        (8, 12, 1000, None, None, None),
        (8, 31, 639, 784, 15_680, None),
    ]
    yield request_part(requests)
    for profile in VIDEO_PROFILES:
        for given, of in ((False, "files"), (True, "frames")):
            sizes = frame_sizes(requests, profile=profile, given=given)
            meaning = f"height and width, pixels, of {of}, profile {profile}; 0 0: refused"
            yield Part(f"outputs.sizes_of_{of}_{plain(profile)}", sizes, "clips 2", meaning)
