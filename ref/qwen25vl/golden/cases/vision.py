"""Section 15 - cases of the vision encoder in whole passes: stills of telling and of blind sizes."""

from collections.abc import Iterator

from qwen25vl.golden.case import Lab, Part, Run
from qwen25vl.golden.cases.vision_scenes import answered, plaid, ramp, said, shapes, solid
from qwen25vl.golden.registry import case


@case(
    family="vision",
    tier="model",
    section="07",
    clauses=("W2", "W4", "W5", "W8", "W12", "M4", "D2", "T2", "T3"),
    kills=(
        "order-for-inverse",
        "no-window-order",
        "no-window-mask",
        "all-blocks-full",
        "raster-patches",
        "positions-sequential",
        "still-time-scaled",
        "text-after-by-tokens",
        "text-after-by-time",
        "time-cuts-prompt",
        "second-frame-zero",
        "vision-rope-missing",
        "vision-rope-raster",
        "vision-names-not-mapped",
        "pad-ids-hard-coded",
    ),
    note="2 x 5 merged tokens is the smallest grid whose window order is not its own inverse; 448 x 448 pixels, "
    "and everything up to 112 wide, hide a wrong inverse. The ramp gives every patch its own pixels, and the text "
    "in front keeps the picture from position 0, where scaled positions look right.",
    taps="all",
)
def odd_grid_restores_the_order_of_rows(lab: Lab) -> Iterator[Part | Run]:
    """Run a picture of 2 x 5 merged tokens behind a text, with every tap."""
    messages = [said("What is this?", ramp(56, 140))]
    yield Run(lab.prepare(messages), answer_tokens=3, sources=(("image", "ramp"),))


@case(
    family="vision",
    tier="model",
    section="07",
    clauses=("W3", "W8", "W11", "M4"),
    kills=(
        "whole-windows-only",
        "order-for-inverse",
        "no-window-mask",
        "all-blocks-full",
        "full-blocks-windowed",
        "full-blocks-periodic",
        "segments-swapped",
        "starts-in-tokens",
    ),
    note="5 x 7 merged tokens leave windows short at the right, at the bottom and in the corner, whether a window "
    "has 3 or 4 tokens a side; a grid that windows divide has none of them. The picture opens the message: text "
    "stands behind it only.",
)
def partial_windows_keep_to_themselves(lab: Lab) -> Iterator[Part | Run]:
    """Run a picture of 5 x 7 merged tokens, whose windows are short on three sides."""
    messages = [said(ramp(140, 196), "Describe it.")]
    yield Run(lab.prepare(messages), answer_tokens=3, sources=(("image", "ramp"),))


@case(
    family="vision",
    tier="model",
    section="07",
    clauses=("W1", "W6", "D2", "T2", "T3"),
    kills=(
        "frame-starts-one",
        "windows-span-frames",
        "adjacent-pictures-joined",
        "position-restarts",
        "scatter-by-picture",
        "pictures-of-one-size",
    ),
    note="Two pictures of different size with nothing between their markers. One picture cannot show a leak from "
    "one to the other, and two of one size can hide that they changed places.",
)
def adjacent_pictures_do_not_see_each_other(lab: Lab) -> Iterator[Part | Run]:
    """Run two pictures of 2 x 3 and 2 x 5 merged tokens, one right behind the other."""
    messages = [said(plaid(56, 84), ramp(56, 140), "Compare the two.")]
    yield Run(lab.prepare(messages), answer_tokens=3, sources=(("image", "plaid"), ("image", "ramp")))


@case(
    family="vision",
    tier="model",
    section="10",
    clauses=("D2", "T2", "T8"),
    kills=("scatter-by-picture", "grid-transposed-positions", "sides-swapped"),
    note="The two pictures have equal numbers of tokens, 2 x 3 and 3 x 2, so a port that gives one turn the "
    "other's rows meets no wrong count; only the numbers, and height beside width, tell.",
)
def each_turn_takes_its_own_picture(lab: Lab) -> Iterator[Part | Run]:
    """Run a conversation of two turns, each with a picture of six merged tokens."""
    first, second = said("What is this?", shapes(56, 84)), said(plaid(84, 56), "And this?")
    messages = [first, answered(" sky"), second]
    yield Run(lab.prepare(messages), answer_tokens=3, sources=(("image", "shapes"), ("image", "plaid")))


@case(
    family="vision",
    tier="model",
    section="07",
    clauses=("W8", "M4"),
    kills=(),
    note="A control. The whole picture is one window, so window order is the identity and windowed attention is "
    "full attention: a port passes with all of section 07 left out. If this fails, look elsewhere first.",
    flags=("blind",),
)
def one_window_hides_window_mistakes(lab: Lab) -> Iterator[Part | Run]:
    """Run a picture of 3 x 3 merged tokens, one window and no more."""
    messages = [said("What?", ramp(84, 84))]
    yield Run(lab.prepare(messages), answer_tokens=3, sources=(("image", "ramp"),))


@case(
    family="vision",
    tier="model",
    section="05",
    clauses=("E1", "M2"),
    kills=("channel-order",),
    note="A control. Every patch of one colour is the same row, so the order of rows and of windows, of y and x "
    "in a patch and of a pair's frames cannot be seen. The three channels differ, and they are all that it tests.",
    flags=("blind",),
    taps="*.resid_post",
)
def one_colour_hides_the_order_of_patches(lab: Lab) -> Iterator[Part | Run]:
    """Run a picture of one colour."""
    messages = [said("What?", solid(56, 140))]
    yield Run(lab.prepare(messages), answer_tokens=3, sources=(("image", "one colour"),))
