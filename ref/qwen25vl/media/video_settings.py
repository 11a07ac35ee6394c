"""Section 03 - video settings: what may a caller ask for, and about what do versions disagree?"""

from collections.abc import Mapping
from dataclasses import dataclass

from qwen25vl.errors import BadInput
from qwen25vl.limits import LARGEST_WHOLE, finite_number, whole_number

FPS = 2.0
"""Frames per second that are looked at, unless the caller says otherwise."""

MIN_FRAMES_F = 4
"""Least number of frames chosen by a rate, unless the caller says otherwise."""

MAX_FRAMES_F = 768
"""Largest number of frames chosen by a rate, unless the caller says otherwise; the paper's limit (3.3.4)."""

FRAME_TOKENS_M = (128, 768)
"""Least and largest size of a frame, in squares of `factor_px` (28 x 28 pixels; a token covers two frames)."""

PICTURE_TOKENS_M = (4, 16384)
"""The same for a still picture, which older versions apply to given frames too."""

FLOOR_OVER_MIN = 1.05
"""However many frames there are, a frame's largest area is at least this times its least area."""


NAMES = {"start_s": "the start", "end_s": "the end"}
"""What a caller knows some values by."""


@dataclass(frozen=True)
class VideoProfile:
    """What differs between versions of qwen-vl-utils.

    Spec: spec/03-video.md (V14)
    """

    guards: str
    """Profile of `smart_resize`."""
    total_tokens_m: int
    """Budget of a whole video, in squares of `factor_px` per time step."""
    rounds_nearest: bool = False
    """A count by rate goes to the nearest multiple of the temporal patch (halves to even), not down."""
    takes_range: bool = True
    """`start_s` and `end_s` are understood."""
    max_replaces: bool = False
    """A caller's `max_pixels` replaces the budget; otherwise it can only lower it."""
    frames_as_pictures: bool = False
    """Given frames have the limits of still pictures, not those of a video."""


VIDEO_PROFILES: Mapping[str, VideoProfile] = {  # (V14)
    "hf": VideoProfile("hf", 115_200),
    "hf-4.49": VideoProfile("hf-4.49", 115_200),
    "utils": VideoProfile("utils", 115_200),
    "utils-0.0.11": VideoProfile("utils", 115_200, frames_as_pictures=True),
    "utils-0.0.10": VideoProfile("utils", 115_200, takes_range=False, frames_as_pictures=True),
    "utils-0.0.8": VideoProfile(
        "utils", 24_576, rounds_nearest=True, takes_range=False, max_replaces=True, frames_as_pictures=True
    ),
}
"""`utils` is 0.0.14; `hf` and `hf-4.49` choose frames as it does. 115,200 is 0.9 of 128,000."""


@dataclass(frozen=True)
class VideoRequest:
    """What a caller asks for; None leaves it to the profile."""

    fps: float | None = None
    """Frames to look at per second; for given frames, the rate at which they were taken."""
    nframes: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    min_frames: int | None = None
    max_frames: int | None = None
    min_pixels: int | None = None
    """Least area of a frame after resizing, in pixels."""
    max_pixels: int | None = None
    """Largest area of a frame, in pixels."""
    total_pixels: int | None = None
    """Largest area of all time steps together, in pixels."""


def video_request(**asked: object) -> VideoRequest:
    """Return the request, checked; names are those of `VideoRequest`.

    Raises:
        BadInput: a value that is no number or out of range, or two values that exclude each other.

    Spec: spec/03-video.md (V7), spec/02-images.md (I26)
    """
    request = VideoRequest(
        fps=_seconds(asked, "fps", above=0),
        nframes=_count(asked, "nframes"),
        start_s=_seconds(asked, "start_s", least=0),
        end_s=_seconds(asked, "end_s", above=0),
        min_frames=_count(asked, "min_frames"),
        max_frames=_count(asked, "max_frames"),
        min_pixels=_count(asked, "min_pixels"),
        max_pixels=_count(asked, "max_pixels"),
        total_pixels=_count(asked, "total_pixels"),
    )
    if request.nframes is not None:  # (V7)
        for name in ("fps", "min_frames", "max_frames"):
            if getattr(request, name) is not None:
                raise BadInput(
                    f"give nframes or {name}, not both; got nframes {request.nframes} and {name} "
                    f"{getattr(request, name)}"
                )
    for low, high in (("min_frames", "max_frames"), ("min_pixels", "max_pixels")):
        least, most = getattr(request, low), getattr(request, high)
        if least is not None and most is not None and least > most:
            raise BadInput(f"{low} {least} exceeds {high} {most}; change one")
    if request.start_s is not None and request.end_s is not None and request.start_s >= request.end_s:
        raise BadInput(
            f"the start, {request.start_s:g} s, must be before the end, {request.end_s:g} s; change one"
        )
    return request


def video_profile(name: str) -> VideoProfile:
    """Look a profile up.

    Raises:
        BadInput: if there is none of this name.
    """
    if not isinstance(name, str) or name not in VIDEO_PROFILES:
        raise BadInput(f"unknown profile {name!r}; choose one of {', '.join(VIDEO_PROFILES)}")
    return VIDEO_PROFILES[name]


def _seconds(asked: Mapping[str, object], name: str, **bounds: int) -> float | None:
    """Read a number of seconds, or of frames per second; None stands for none."""
    value = asked.get(name)
    if value is None:
        return None
    return finite_number(value, name=NAMES.get(name, name), most=LARGEST_WHOLE, **bounds)


def _count(asked: Mapping[str, object], name: str) -> int | None:
    """Read a count; None stands for none."""
    value = asked.get(name)
    return None if value is None else whole_number(value, name=name)
