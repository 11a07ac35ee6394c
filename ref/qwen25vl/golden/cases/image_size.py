"""Section 15 - image size cases: to which size is a picture brought, at the edges of every rule?

No checkpoint matters here: factor and limits are given with the sizes.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64

from qwen25vl.errors import BadInput
from qwen25vl.golden.case import Lab, Part, count_part
from qwen25vl.golden.draws import drawn_bytes
from qwen25vl.golden.registry import case
from qwen25vl.media.picture import prepared_picture
from qwen25vl.media.resize import PROFILES, smart_resize

LEAST, MOST = 3136, 12_845_056
"""Areas in pixels that the released files allow."""

DIMS = "pictures 5"
"""Of `inputs.requests`."""

ASKED = "height, width, least area, largest area, factor"
"""What one row of `inputs.requests` holds."""


def targets(requests: Sequence[tuple[int, ...]], *, profile: str = "hf") -> Int64[np.ndarray, "pictures 2"]:
    """Return height and width for each request; 0 0 stands for a refusal."""
    sizes = []
    for height, width, least, most, factor in requests:
        try:
            limits = dict(min_pixels=least, max_pixels=most, factor=factor)
            sizes.append(smart_resize(height, width, profile=profile, **limits))
        except BadInput:
            sizes.append((0, 0))
    return np.array(sizes, dtype=np.int64)


def plain(profile: str) -> str:
    """Return the name of a profile as it stands in the id of a part."""
    return "".join(letter if letter.isalnum() else "_" for letter in profile)


def size_parts(requests: Sequence[tuple[int, ...]]) -> Iterator[Part]:
    """Give requests, and the size that each gets by the normative profile."""
    yield count_part("inputs.requests", requests, DIMS, ASKED)
    yield Part("outputs.sizes", targets(requests), "pictures 2", "height and width, pixels, profile hf")


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I9",),
    kills=("round-half-up", "round-up-always", "sides-swapped"),
    note="70, 126, 182 and 238 lie half way: 56, 112, 168, 224, where halves up give 84, 140, 196, 252. At 42 and "
    "98 both rules agree. No two sides are equal, since a square hides exchanged sides; a second factor is 32.",
)
def sides_go_to_the_nearest_multiple_halves_to_even(lab: Lab) -> Iterator[Part]:
    """Each side goes to the nearest multiple of the factor, and half way to the even one."""
    sides = [(70, 182), (126, 238), (182, 70), (238, 126), (42, 98), (280, 84), (84, 280), (1080, 1920), (69, 181)]
    sides += [(71, 183), (56, 140)]
    yield from size_parts(
        [(height, width, LEAST, MOST, 28) for height, width in sides]
        + [(80, 144, LEAST, MOST, 32), (112, 208, LEAST, MOST, 32)]
    )


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I10", "I11"),
    kills=(
        "no-pixel-limits",
        "limit-from-rounded-sides",
        "limit-floor-order",
        "limit-rounded-not-floored",
        "sides-swapped",
    ),
    note="Pictures far above, just above, exactly at, just below and far below a limit. 10000 x 10000 gives 3556 "
    "only in the right order of divisions; 400 x 1056 tells floors from roundings, and original sides from "
    "rounded ones. A picture of middling size hides all of it.",
)
def areas_stay_within_their_limits(lab: Lab) -> Iterator[Part]:
    """A product of sides beyond a limit is brought to it by one common factor, from the original sides."""
    yield from size_parts(
        [
            (10_000, 10_000, LEAST, MOST, 28),
            (3000, 5000, LEAST, MOST, 28),
            (3584, 3584, LEAST, MOST, 28),  # exactly the largest area
            (3584, 3612, LEAST, MOST, 28),
            (400, 1056, LEAST, 401_408, 28),
            (1056, 400, LEAST, 401_408, 28),
            (1920, 1080, LEAST, 1_003_520, 28),
            (56, 56, LEAST, MOST, 28),  # exactly the least area
            (28, 84, LEAST, MOST, 28),
            (20, 30, LEAST, MOST, 28),
            (100, 61, 50_176, MOST, 28),
            (61, 100, 50_176, 50_176, 28),
        ]
    )


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I8", "I12", "I13"),
    kills=("side-of-zero", "short-side-refused"),
    note="Strips that a budget would shrink to nothing, sides below 28, one pixel, and a ratio of exactly 200, "
    "the last that is allowed: 201 is refused. With the usual budget the ratio refuses a strip before it "
    "vanishes.",
)
def short_sides_are_kept_at_one_factor(lab: Lab) -> Iterator[Part]:
    """A side is never shrunk away: by the normative profile every picture that is allowed keeps one factor."""
    strips = [(31, 639, LEAST, 15_680, 28), (639, 31, LEAST, 15_680, 28), (28, 5600, LEAST, 15_680, 28)]
    sides = [(27, 257), (26, 28), (332, 27), (1, 1), (1, 200), (200, 1), (14, 2800), (15, 41)]
    yield from size_parts(strips + [(height, width, LEAST, MOST, 28) for height, width in sides])


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I12",),
    kills=("other-profile", "side-of-zero", "short-side-refused"),
    note="A row of zeros is a refusal. Only sides under 28, or strips under a small budget, tell profiles apart.",
)
def each_profile_guards_short_sides_its_own_way(lab: Lab) -> Iterator[Part]:
    """Three implementations protect short sides in three ways, and agree on everything else."""
    requests = [
        (20, 300, LEAST, MOST, 28),
        (10, 1400, LEAST, MOST, 28),  # utils keeps the rounded side, so nothing has to grow
        (31, 639, LEAST, 15_680, 28),
        (13, 100, LEAST, MOST, 28),
        (27, 257, LEAST, MOST, 28),
        (70, 182, LEAST, MOST, 28),
        (3000, 5000, LEAST, MOST, 28),
    ]
    yield count_part("inputs.requests", requests, DIMS, ASKED)
    for profile in PROFILES:
        meaning = f"height and width, pixels, profile {profile}; 0 0: refused"
        yield Part(f"outputs.sizes_{plain(profile)}", targets(requests, profile=profile), "pictures 2", meaning)


@case(
    family="image",
    tier="unit",
    section="02",
    clauses=("I14", "I25"),
    kills=(
        "caller-limits-ignored",
        "no-pixel-limits",
        "resized-twice",
        "bilinear",
        "nearest",
        "no-antialias",
        "cubic-minus-three-quarters",
        "resample-in-float",
    ),
    note="One picture, as the settings have it, under a smaller largest area, and under a greater least one. A "
    "picture that meets all limits hides that those of the caller are not read. Its pixels are noise, which every "
    "filter shows.",
)
def limits_of_a_caller_replace_those_of_the_settings(lab: Lab) -> Iterator[Part]:
    """A caller's least or largest area stands for that of the settings."""
    rgb = drawn_bytes(207, (90, 150, 3))
    yield Part("inputs.rgb", rgb, "height width 3", "the picture")
    limits: dict[str, dict[str, int]] = {
        "none": {},
        "largest": {"max_pixels": 7000},
        "least": {"min_pixels": 20_000},
    }
    for name, asked in limits.items():
        picture = prepared_picture(rgb, settings=lab.processor.settings, **asked)
        meaning = "; ".join(f"{key} {value}" for key, value in asked.items()) or "no limit of the caller"
        yield Part(f"outputs.{name}.rgb", picture.resized, "height width 3", f"the resized picture: {meaning}")
        yield count_part(f"outputs.{name}.grid", picture.grid, "axes", f"T, H, W in patches: {meaning}")
