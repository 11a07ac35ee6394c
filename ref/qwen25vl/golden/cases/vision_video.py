"""Section 15 - cases of clips in whole passes: frames in pairs, seconds, and pictures beside them."""

from collections.abc import Iterator

from qwen25vl.golden.case import Lab, Part, Run
from qwen25vl.golden.cases.vision_scenes import LEAST_AREA_PX, film, plaid, ramp, said
from qwen25vl.golden.registry import case


@case(
    family="vision",
    tier="model",
    section="09",
    clauses=("T4", "T5", "T6", "V9", "V10", "I19"),
    kills=(
        "seconds-truncated-first",
        "fixed-rate-for-time",
        "video-time-by-row",
        "video-time-constant",
        "odd-frames-dropped",
        "first-frame-repeated",
        "text-after-by-sides",
    ),
    note="At 1.5 frames per second a row of the time axis spans 1.33 seconds, of which an early cut leaves 1. Two "
    "frames per second hide every mistake of the time scale. Five frames need the last one twice, and the last "
    "one differs most from the others.",
)
def slow_clip_keeps_fractions_of_seconds(lab: Lab) -> Iterator[Part | Run]:
    """Run five frames, taken 1.5 times a second, behind a text."""
    messages = [said("What is this?", film(5, 56, 84))]
    inputs = lab.prepare(messages, fps=1.5, min_pixels=LEAST_AREA_PX)
    yield Run(inputs, answer_tokens=3, sources=(("video", "film of 5 frames"),))


@case(
    family="vision",
    tier="model",
    section="09",
    clauses=("T5", "T6", "W1", "W6", "I19", "I20"),
    kills=(
        "seconds-truncated-first",
        "video-time-constant",
        "fixed-rate-for-time",
        "frame-starts-per-video",
        "windows-span-frames",
        "frames-interleaved",
    ),
    note="At 4 frames per second a row spans half a second: cut before the product, all rows have one time. At 24 "
    "per second a short clip has one time in right ports, too. 2 x 5 merged tokens a frame make windows and "
    "frames different segments.",
)
def fast_clip_keeps_its_rows_apart(lab: Lab) -> Iterator[Part | Run]:
    """Run five frames of 2 x 5 merged tokens, taken 4 times a second."""
    messages = [said("What is this?", film(5, 56, 140))]
    inputs = lab.prepare(messages, fps=4.0, min_pixels=LEAST_AREA_PX)
    yield Run(inputs, answer_tokens=3, sources=(("video", "film of 5 frames"),))


@case(
    family="vision",
    tier="model",
    section="05",
    clauses=("E1", "I20", "I21", "D2"),
    kills=(
        "frame-pair-swapped",
        "patch-slices-summed",
        "inner-order-frame-first",
        "scatter-by-picture",
    ),
    note="The same two frames in both orders. A still picture repeats its frame, so that only the sum of the "
    "kernel's two slices matters; here a port that swaps them gives each clip the other's rows.",
)
def frames_of_a_pair_have_an_order(lab: Lab) -> Iterator[Part | Run]:
    """Run two clips of two frames, the second the first one backwards."""
    pair = film(2, 56, 56)
    messages = [said(pair, pair[::-1].copy(), "Which?")]
    inputs = lab.prepare(messages, fps=2.0, min_pixels=LEAST_AREA_PX)
    yield Run(inputs, answer_tokens=2, sources=(("video", "two frames"), ("video", "two frames, backwards")))


@case(
    family="vision",
    tier="model",
    section="10",
    clauses=("D2", "T8", "T3", "P20"),
    kills=("pads-by-modality", "picture-taken-for-video", "scatter-by-picture", "frame-starts-one"),
    note="Picture, clip, picture, each of another size. With one kind of medium the order of the prompt and the "
    "order of the rows are the same; here rows of pictures come before those of clips, and pads do not.",
)
def picture_clip_picture_take_their_own_rows(lab: Lab) -> Iterator[Part | Run]:
    """Run a picture, a clip and a picture in one message."""
    messages = [said(ramp(56, 84), "then", film(4, 56, 84), plaid(84, 56), "What is this?")]
    inputs = lab.prepare(messages, fps=3.0, min_pixels=LEAST_AREA_PX)
    sources = (("image", "ramp"), ("video", "film of 4 frames"), ("image", "plaid"))
    yield Run(inputs, answer_tokens=3, sources=sources)
