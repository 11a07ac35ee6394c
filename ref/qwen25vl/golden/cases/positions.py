"""Section 15 - position cases: which prompts show that time, height and width are right?"""

from collections.abc import Iterator
from dataclasses import replace

from qwen25vl.golden.case import Lab, Part
from qwen25vl.golden.cases.positions_prompt import batch_positions, image, one_prompt, prompt_ids
from qwen25vl.golden.registry import case
from qwen25vl.prompt.padding import SIDES, padded_ids


@case(
    family="positions",
    tier="unit",
    section="09",
    clauses=("T1", "T2", "T3", "T4", "T8"),
    kills=(
        "adjacent-pictures-joined",
        "position-restarts",
        "positions-sequential",
        "text-after-by-tokens",
        "text-after-by-time",
    ),
    note="3 tokens of text, 2 x 2, end and start marker, 2 x 2, end marker. Nothing but the two markers stands "
    "between the pictures; with words between them a port that joins neighbours passes.",
)
def two_pictures_side_by_side_stay_two(lab: Lab) -> Iterator[Part]:
    """Each picture starts behind what comes before it, and text goes on behind the longest axis."""
    yield from one_prompt(lab, 3, image(2, 2), 2, image(2, 2), 1)


@case(
    family="positions",
    tier="unit",
    section="09",
    clauses=("T2", "T3", "T4", "T7"),
    kills=(
        "grid-transposed-positions",
        "still-time-scaled",
        "positions-in-patches",
        "text-after-by-tokens",
        "text-after-by-time",
        "position-restarts",
    ),
    note="2 x 5 merged tokens behind 2 of text. A square hides exchanged axes, and a picture at position 0 hides "
    "a start that is multiplied or forgotten.",
)
def a_wide_picture_advances_by_its_width(lab: Lab) -> Iterator[Part]:
    """Height counts rows, width counts columns, time stands still, and text goes on behind the width."""
    yield from one_prompt(lab, 2, image(2, 5), 3)


@case(
    family="positions",
    tier="unit",
    section="09",
    clauses=("T2", "T3", "T4", "T7"),
    kills=("grid-transposed-positions", "text-after-by-time", "position-restarts"),
    note="5 x 2 beside the 2 x 5 of the wide one: as many tokens, the same end, other positions between.",
)
def a_tall_picture_advances_by_its_height(lab: Lab) -> Iterator[Part]:
    """The same picture turned has its five rows on the height axis."""
    yield from one_prompt(lab, 2, image(5, 2), 3)


@case(
    family="positions",
    tier="unit",
    section="09",
    clauses=("T1", "T2", "T3"),
    kills=("positions-rounded", "still-time-scaled"),
    note="1001 tokens of text in front. Above 256 bfloat16 has only every second whole number, then every fourth; "
    "a short prompt shows none of it, and no text alone shows a start that is scaled.",
)
def positions_behind_a_long_text_stay_whole(lab: Lab) -> Iterator[Part]:
    """Positions are whole numbers, however large, and a picture's time is its start, not a multiple of it."""
    yield from one_prompt(lab, 1001, image(3, 4), 2)


@case(
    family="positions",
    tier="unit",
    section="09",
    clauses=("T1", "T7"),
    kills=(),
    note="A control: all three rows are 0, 1, 2 ..., and almost every fault of this page passes.",
    flags=("blind",),
)
def text_alone_counts_on_all_three_axes(lab: Lab) -> Iterator[Part]:
    """Without a picture the three positions are equal, and the offset for decoding is 0."""
    yield from one_prompt(lab, 7)


@case(
    family="positions",
    tier="unit",
    section="09",
    clauses=("T7", "T8", "T9"),
    kills=(
        "padding-counted",
        "right-padding-assumed",
        "padding-position-zero",
        "batch-grids-restart",
        "delta-unpadded",
        "delta-of-other-prompt",
    ),
    note="Three lengths; the middle prompt has no picture, and the outer ones have different ones. The same "
    "prompts padded on either side: what is real has the same positions, and the offset counts from the padded "
    "length.",
)
def padding_moves_no_position(lab: Lab) -> Iterator[Part]:
    """Prompts of a batch have the positions that they have alone; pictures are counted on through the batch."""
    media = [image(2, 5), image(3, 2)]
    pieces = ((2, media[0], 4), (5,), (3, media[1], 2))
    rows = [prompt_ids(lab.config, *row) for row in pieces]
    parts: dict[str, Part] = {}
    for side in SIDES:
        ids, mask = padded_ids(rows, pad_id=0, side=side)
        for part in batch_positions(lab, ids, mask, media):
            if part.id.split(".")[1] in ("ids", "mask", "positions", "delta"):
                part = replace(part, id=f"{part.id}_{side}", meaning=f"{part.meaning}; padded on the {side}")
            parts[part.id] = part
    yield from sorted(parts.values(), key=lambda part: part.id.startswith("outputs."))
