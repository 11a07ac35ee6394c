"""Section 03 - frame size: how many pixels may a frame have, when there are many?"""

from qwen25vl.errors import BadInput
from qwen25vl.media.picture import LARGEST_AREA_PX
from qwen25vl.media.resize import Target, resize_target
from qwen25vl.media.video_settings import (
    FLOOR_OVER_MIN,
    FRAME_TOKENS_M,
    PICTURE_TOKENS_M,
    VideoProfile,
    VideoRequest,
)


def frame_target(
    height: int, width: int, *, area_px: tuple[int, int | float], factor_px: int, profile: VideoProfile
) -> tuple[Target, tuple[str, ...]]:
    """The size that every frame is resampled to, and which limit of area decided.

    Args:
        height: of a decoded frame, in pixels.
        width: likewise.
        area_px: least and largest area, from `frame_area`.
        factor_px: both sides become multiples of this (28).
        profile: whose guards `smart_resize` applies.

    Raises:
        BadInput: if `smart_resize` refuses, or the result is larger than any picture may be.

    Spec: spec/03-video.md (V12, V18)
    """
    least, most = area_px
    target = resize_target(  # (V12)
        height, width, factor=factor_px, min_pixels=least, max_pixels=most, profile=profile.guards
    )
    if target.height_px * target.width_px > LARGEST_AREA_PX:
        raise BadInput(
            f"a frame would be resized to {target.height_px} x {target.width_px} pixels, more than "
            f"{LARGEST_AREA_PX}; lower min_pixels"
        )
    frame = f"a frame of {width} x {height} pixels is"
    sentence = {
        "nearest": (),
        "max_pixels": (f"{frame} brought down to at most {most:.10g}",),
        "min_pixels": (f"{frame} brought up to at least {least}",),
    }
    return target, sentence[target.rule]  # (V18)


def frame_area(
    frames_f: int,
    *,
    request: VideoRequest,
    profile: VideoProfile,
    factor_px: int,
    temporal_patch_f: int,
    given: bool,
) -> tuple[tuple[int, int | float], tuple[str, ...]]:
    """Least and largest area of a frame in pixels, and which limit decided.

        share = total / frames * temporal_patch_f
        most  = max(min(768 tokens, share), floor(1.05 * least)); a caller's max_pixels can only lower it

    Args:
        frames_f: number of frames, filled up to a multiple of the temporal patch.
        request: what the caller asks for.
        profile: whose rules.
        factor_px: side of a merged token in pixels (28).
        temporal_patch_f: frames in a patch (2).
        given: the frames come as a list or an array, not from a file.

    Returns:
        The largest area may be a fraction: it divides the original area in `smart_resize`.

    Source:   qwen-vl-utils 0.0.14 vision_process.py, fetch_video
    Spec:     spec/03-video.md (V11, V14)
    """
    as_picture = given and profile.frames_as_pictures  # (V14)
    least, most = (tokens * factor_px**2 for tokens in (PICTURE_TOKENS_M if as_picture else FRAME_TOKENS_M))
    if request.min_pixels is not None:
        least = request.min_pixels
    elif request.max_pixels is not None:  # (V11) who asks for less than the usual least area gets it
        least = min(least, request.max_pixels)
    limits: tuple[str, ...] = ()
    if as_picture:
        return (least, most if request.max_pixels is None else request.max_pixels), limits
    total = profile.total_tokens_m * factor_px**2 if request.total_pixels is None else request.total_pixels
    share = total / frames_f * temporal_patch_f  # (V11) in this order, float64
    budget = frame_budget(share, least=least, most=most)
    if share < most:  # (V18)
        steps = (
            f"{frames_f // temporal_patch_f} time steps share {total} pixels: at most {share:.10g} pixels a frame"
        )
        raised = f", raised to {budget:.10g}, 1.05 times the least area" if budget > share else ""
        limits += (steps + raised,)
    asked = request.max_pixels
    if asked is None:
        return (least, budget), limits
    if asked > budget and not profile.max_replaces:
        return (least, budget), (*limits, f"max_pixels {asked} is lowered to {budget:.10g}")  # (V11)
    return (least, asked), limits


def frame_budget(share: float, *, least: int, most: int) -> int | float:
    """Return the largest area of a frame, in pixels, before a caller's own limit.

    Args:
        share: of the frame in the total of all.
        least: least area of a frame.
        most: largest area of one, however few they are.

    Spec: spec/03-video.md (V11)
    """
    return max(min(most, share), int(least * FLOOR_OVER_MIN))  # (V11) the floor beats the total
