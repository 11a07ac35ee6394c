"""Section 02 - target size: to which height and width is a picture brought before it is cut up?"""

import math
from dataclasses import dataclass

from qwen25vl.errors import BadInput
from qwen25vl.limits import LARGEST_WHOLE, finite_number, whole_number
from qwen25vl.wording import shown

MAX_RATIO = 200
"""Longer side over shorter side; exactly 200 is allowed. No unit. Source: every implementation."""


@dataclass(frozen=True)
class Guards:
    """The three places where implementations protect short sides, and differ."""

    refuses_short: bool
    """A side shorter than one `factor` is an error."""
    keeps_rounded: bool
    """Rounding to the nearest multiple never gives less than one `factor`."""
    keeps_shrunk: bool
    """Shrinking under `max_pixels` never gives less than one `factor`."""


PROFILES = {  # (I12)
    "hf": Guards(refuses_short=False, keeps_rounded=False, keeps_shrunk=True),
    "hf-4.49": Guards(refuses_short=True, keeps_rounded=False, keeps_shrunk=False),
    "utils": Guards(refuses_short=False, keeps_rounded=True, keeps_shrunk=False),
}
"""Whose guards: transformers from 4.53 (normative), transformers up to 4.52, qwen-vl-utils."""

RULES = {"nearest": "I9", "max_pixels": "I10", "min_pixels": "I11"}
"""What may decide a target size, and the clause that says how: neither limit, the upper one, the lower one."""


@dataclass(frozen=True)
class Target:
    """The size that a picture is brought to, and why."""

    height_px: int
    width_px: int
    rule: str
    """What decided, a key of `RULES`."""


def smart_resize(
    height: int,
    width: int,
    *,
    factor: int = 28,
    min_pixels: int,
    max_pixels: int | float,
    profile: str = "hf",
) -> tuple[int, int]:
    """Return the height and width, multiples of `factor`, that a picture or a video frame is resampled to.

        nearest multiples, unless their product leaves [min_pixels, max_pixels]; then
        floor(side / beta) or ceil(side * beta), with the beta that brings the *original* area to the limit

    Args:
        height: original height in pixels, at least 1.
        width: original width in pixels, at least 1.
        factor: side of a merged token in pixels (patch 14 times merge 2).
        min_pixels: least area of the result, in pixels.
        max_pixels: largest area aimed at, in pixels; under `hf` a side is never shrunk below `factor`, so a
            long strip may come out larger.
        profile: whose guards to apply, a key of `PROFILES`.

    Returns:
        Height and width in pixels, in this order.

    Raises:
        BadInput: a side below 1, a ratio above 200, limits that are not 1 <= min <= max, an unknown profile,
            a side that the profile refuses, or a result with an empty side.

    Rounding: (I9) half to even; (I10) divides by beta first, then by factor, each in float64.
    Source:   transformers 5.23.0 image_processing_pil_qwen2_vl.py, smart_resize
    Spec:     spec/02-images.md (I8 to I13)
    """
    target = resize_target(
        height, width, factor=factor, min_pixels=min_pixels, max_pixels=max_pixels, profile=profile
    )
    return target.height_px, target.width_px


def resize_target(
    height: int, width: int, *, factor: int, min_pixels: int, max_pixels: int | float, profile: str
) -> Target:
    """See `smart_resize`; this one says which rule decided, too."""
    guards = _checked_guards(height, width, factor, min_pixels, max_pixels, profile)
    least_rounded = factor if guards.keeps_rounded else 0
    least_shrunk = factor if guards.keeps_shrunk else 0

    tall = max(least_rounded, nearest_multiple(height, factor=factor))
    wide = max(least_rounded, nearest_multiple(width, factor=factor))
    rule = "nearest"
    if tall * wide > max_pixels:  # (I10)
        beta = math.sqrt(height * width / max_pixels)
        tall = max(least_shrunk, shrunk_side(height, beta=beta, factor=factor))
        wide = max(least_shrunk, shrunk_side(width, beta=beta, factor=factor))
        rule = "max_pixels"
    elif tall * wide < min_pixels:  # (I11)
        beta = math.sqrt(min_pixels / (height * width))
        tall = math.ceil(height * beta / factor) * factor
        wide = math.ceil(width * beta / factor) * factor
        rule = "min_pixels"

    if tall == 0 or wide == 0:  # (I13)
        raise BadInput(
            f"profile {profile!r} shrinks {height} x {width} to an empty {tall} x {wide} under "
            f"{max_pixels=}; raise max_pixels or use profile 'hf'"
        )
    return Target(tall, wide, rule)


def nearest_multiple(side: int, *, factor: int) -> int:
    """Return the multiple of `factor` that is nearest to a side in pixels; half way, the even one (I9)."""
    return round(side / factor) * factor  # Python's round is half to even


def shrunk_side(side: int, *, beta: float, factor: int) -> int:
    """Return the largest multiple of `factor` in a side that is divided by `beta` (I10)."""
    return math.floor(side / beta / factor) * factor  # trap: another order of the divisions has another floor


def _checked_guards(
    height: int, width: int, factor: int, min_pixels: int, max_pixels: int | float, profile: str
) -> Guards:
    """Refuse what no result exists for, and look the guards up."""
    if not isinstance(profile, str) or profile not in PROFILES:
        raise BadInput(f"unknown resize profile {shown(profile)}; choose one of {', '.join(PROFILES)}")
    guards = PROFILES[profile]
    for name, value in (("height", height), ("width", width), ("factor", factor), ("min_pixels", min_pixels)):
        whole_number(value, name=name)  # (I26)
    finite_number(max_pixels, name="max_pixels")
    if not min_pixels <= max_pixels <= LARGEST_WHOLE:
        raise BadInput(
            f"pixel limits must satisfy 1 <= min <= max <= 2**53, got {min_pixels=} {max_pixels=}; change one"
        )
    if guards.refuses_short and min(height, width) < factor:  # (I12)
        raise BadInput(
            f"profile {profile!r} refuses a side shorter than {factor} pixels, got {height} x {width}; "
            "enlarge the picture or use profile 'hf'"
        )
    if max(height, width) / min(height, width) > MAX_RATIO:  # (I8)
        raise BadInput(
            f"the longer side may be at most {MAX_RATIO} times the shorter, got {height} x {width}; crop it"
        )
    return guards
