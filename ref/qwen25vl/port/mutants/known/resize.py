"""Known bugs of the target size: to which height and width a picture is brought (section 02)."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from qwen25vl.limits import LARGEST_WHOLE
from qwen25vl.media.resize import Target
from qwen25vl.port.mutants.mutant import Swap, known_bug


@known_bug(
    "round-half-up",
    mechanism="resize",
    clauses=("I9",),
    symptom="Some pictures have a column or row of tokens more than upstream's; boxes are a bit off there.",
    cause="`round` of most languages takes halves up, or away from zero; Python's takes them to the even number.",
    hidden_by="Every side but those that lie half way and above an even multiple: 70, 126, 182, 238 show it, "
    "42 and 98 do not.",
    fix="Round halves to even: `rint` in C, `round_ties_even` in Rust.",
)
def round_half_up() -> Iterator[Swap]:
    def nearest_multiple(side: int, *, factor: int) -> int:
        return math.floor(side / factor + 0.5) * factor

    yield Swap("media.resize.nearest_multiple", lambda right: nearest_multiple)


@known_bug(
    "sides-swapped",
    mechanism="resize",
    clauses=("I9",),
    symptom="Pictures are squeezed: weak answers about places, and boxes with wide for tall.",
    cause="One library counts (height, width), the next one (width, height).",
    hidden_by="Square pictures; a later step that repairs the shape hides it from every check of shapes.",
    fix="Name both numbers wherever they are passed on.",
    threads=("EricLBuehler/mistral.rs#1881", "EricLBuehler/mistral.rs#1950"),
)
def sides_swapped() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def resize_target(height: int, width: int, **limits: Any) -> Target:
            target = right(height, width, **limits)
            return replace(target, height_px=target.width_px, width_px=target.height_px)

        return resize_target

    yield Swap("media.resize.resize_target", by)


@known_bug(
    "round-up-always",
    mechanism="resize",
    clauses=("I9",),
    symptom="Boxes are up to 27 pixels off at the right and at the bottom; more tokens than upstream takes.",
    cause="Sides are aligned as for padding: up to the next multiple of 28.",
    hidden_by="Pictures whose sides are multiples of 28, or lie above the middle between two.",
    fix="Go to the nearest multiple, and resample the picture to it.",
    threads=("ggml-org/llama.cpp#16842", "ggml-org/llama.cpp#16878", "ggml-org/llama.cpp#13434"),
)
def round_up_always() -> Iterator[Swap]:
    def nearest_multiple(side: int, *, factor: int) -> int:
        return math.ceil(side / factor) * factor

    yield Swap("media.resize.nearest_multiple", lambda right: nearest_multiple)


@known_bug(
    "no-pixel-limits",
    mechanism="resize",
    clauses=("I10", "I11"),
    symptom="Memory runs out with a large picture, and small ones are hardly seen.",
    cause="Only the rounding to multiples of 28 is written; the two limits are left for later.",
    hidden_by="Every picture between 3136 and 12,845,056 pixels.",
    fix="Apply both limits of the settings behind the rounding.",
    threads=("ggml-org/llama.cpp#16842", "ggml-org/llama.cpp#16878"),
)
def no_pixel_limits() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def resize_target(height: int, width: int, *, factor: int, **rest: Any) -> Target:
            limits = dict(min_pixels=1, max_pixels=LARGEST_WHOLE, profile="utils")  # no side of zero
            return right(height, width, factor=factor, **limits)

        return resize_target

    yield Swap("media.resize.resize_target", by)


@known_bug(
    "limit-from-rounded-sides",
    mechanism="resize",
    clauses=("I10", "I11"),
    symptom="Some pictures that meet a limit have a row or column of tokens more or less than upstream's.",
    cause="The rounded sides are kept under the names of the original ones.",
    hidden_by="Pictures that meet no limit, and sides that are multiples of 28.",
    fix="Compute beta from the original sides, and divide or multiply these.",
)
def limit_from_rounded_sides() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def resize_target(height: int, width: int, *, factor: int, **limits: Any) -> Target:
            tall, wide = (max(round(side / factor), 1) * factor for side in (height, width))
            return right(tall, wide, factor=factor, **limits)

        return resize_target

    yield Swap("media.resize.resize_target", by)


@known_bug(
    "limit-floor-order",
    mechanism="resize",
    clauses=("I10",),
    symptom="A picture here and there is 28 pixels larger than upstream's, most of them squares.",
    cause="`side / (beta * factor)` is taken for the same as `side / beta / factor`; rounding tells them apart "
    "where the quotient is a whole number.",
    hidden_by="Nearly every size: 10000 x 10000 at 12,845,056 shows it, with 3556 for 3584.",
    fix="Divide by beta first and by the factor then, in float64.",
)
def limit_floor_order() -> Iterator[Swap]:
    def shrunk_side(side: int, *, beta: float, factor: int) -> int:
        return math.floor(side / (beta * factor)) * factor

    yield Swap("media.resize.shrunk_side", lambda right: shrunk_side)


@known_bug(
    "limit-rounded-not-floored",
    mechanism="resize",
    clauses=("I10",),
    symptom="Large pictures come out above the limit of pixels, with another grid than upstream's.",
    cause="The rounding of the first step is used again behind the limit.",
    hidden_by="Pictures below the limit, and those whose quotients lie below the half.",
    fix="Take the floor where a picture shrinks, the ceiling where it grows.",
)
def limit_rounded_not_floored() -> Iterator[Swap]:
    def shrunk_side(side: int, *, beta: float, factor: int) -> int:
        return round(side / beta / factor) * factor

    yield Swap("media.resize.shrunk_side", lambda right: shrunk_side)
