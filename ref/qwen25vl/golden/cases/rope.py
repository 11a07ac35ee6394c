"""Section 15 - rotation cases: which angles and which pairs of channels show that a head is turned correctly?

Widths, bases and sections are those of the release, whatever the checkpoint has.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64

from qwen25vl.golden.case import Lab, Part
from qwen25vl.golden.draws import drawn
from qwen25vl.golden.registry import case
from qwen25vl.language.mrope import mrope_rotation
from qwen25vl.layers.rotary import inverse_frequencies
from qwen25vl.vision.rope_2d import axis_frequencies, patch_coordinates, vision_rotation
from qwen25vl.vision.windows import reordered, window_order

VISION_WIDTH, LANGUAGE_WIDTH = 80, 128
"""Width of a head in the two towers."""

VISION_THETA, LANGUAGE_THETA = 10_000.0, 1_000_000.0
"""Base of the frequencies in the two towers."""

SECTIONS = (16, 24, 24)
"""Frequencies that follow time, height and width."""

MERGE_P, WINDOW_M = 2, 4
"""Side of a merge block in patches, and of a window in merged tokens."""

UNEQUAL = ((3, 7, 12), (3, 8, 5), (0, 1, 2), (40, 3, 17), (5, 5, 5), (90, 2, 90))
"""Positions: time, height and width of six tokens; in one they agree, as in text."""


def vision_angles(lab: Lab, coordinates: Int64[np.ndarray, "P 2"]) -> tuple[np.ndarray, np.ndarray]:
    """Return cosines and sines of patches."""
    return vision_rotation(coordinates, head_dim=VISION_WIDTH, theta=VISION_THETA, ops=lab.ops)


def language_angles(lab: Lab, tokens: Sequence[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return cosines and sines of tokens, rounded as the decoder rounds them. (T12)"""
    cos, sin = mrope_rotation(
        np.array(tokens, dtype=np.int64).T,
        head_dim=LANGUAGE_WIDTH,
        theta=LANGUAGE_THETA,
        sections=SECTIONS,
        ops=lab.ops,
    )
    return lab.ops.precision.rounded(cos), lab.ops.precision.rounded(sin)


def angle_parts(tower: str, angles: tuple[np.ndarray, np.ndarray]) -> Iterator[Part]:
    """Give cosines and sines of one tower."""
    rows = "P d" if tower == "vision" else "L d"
    for name, array, meaning in zip(("cos", "sin"), angles, ("cosines", "sines"), strict=True):
        yield Part(f"{tower}.rope.{name}", array, rows, f"{meaning} of the angles")


def token_positions(tokens: Sequence[tuple[int, int, int]]) -> Part:
    """Give positions."""
    return Part("inputs.positions", np.array(tokens, dtype=np.int64).T, "3 L", "time, height, width of each token")


@case(
    family="rope",
    tier="unit",
    section="06",
    clauses=("R1", "R2", "R3", "R4", "W5"),
    kills=(
        "vision-rope-axes",
        "vision-rope-raster",
        "vision-rope-merged",
        "vision-rope-frames-continue",
        "vision-rope-width",
    ),
    note="A picture of 4 x 10 patches and a video of two rows of 2 x 4: not square, so axes show; more than one "
    "window wide, so the order shows; a second frame and a second medium, which begin at 0 again.",
)
def coordinates_follow_blocks_and_windows(lab: Lab) -> Iterator[Part]:
    """Rows and columns count patches block by block, start anew in each frame, and move with windows."""
    grids = np.array([[1, 4, 10], [2, 2, 4]])
    merged = grids // np.array([1, MERGE_P, MERGE_P])
    order, _ = window_order(merged, window_m=WINDOW_M)
    coordinates = patch_coordinates(grids, merge_p=MERGE_P)
    yield Part("inputs.grids", grids, "media 3", "T, H, W in patches")
    yield Part("vision.window_order", order, "M", "merged token at each place of the window order")
    moved = reordered(coordinates, order, merge_unit=MERGE_P**2)
    yield from angle_parts("vision", vision_angles(lab, moved))
    yield Part("outputs.coordinates", coordinates, "P 2", "row and column in patches, in the order of the rows")


@case(
    family="rope",
    tier="unit",
    section="00",
    clauses=("N2", "N8"),
    kills=("theta-swapped", "frequencies-rounded", "vision-rope-width"),
    note="20 frequencies for a quarter of a vision head of 80, 64 for half a head of 128. They are float32 values "
    "in every precision; rounded to 16 bits, the angle is wrong by more the larger the position.",
)
def frequencies_of_both_towers(lab: Lab) -> Iterator[Part]:
    """Each tower has its own base and width, and exponent, power and reciprocal are rounded to float32."""
    vision = axis_frequencies(head_dim=VISION_WIDTH, theta=VISION_THETA)
    language = inverse_frequencies(width=LANGUAGE_WIDTH, theta=LANGUAGE_THETA)
    widths = np.array([VISION_WIDTH // 2, LANGUAGE_WIDTH])
    yield Part("inputs.widths", widths, "towers", "channels that turn by one axis")
    yield Part("inputs.thetas", np.array([VISION_THETA, LANGUAGE_THETA]), "towers", "base of each tower")
    yield Part("outputs.vision", vision, "frequencies", "radians per patch")
    yield Part("outputs.language", language, "frequencies", "radians per position")


@case(
    family="rope",
    tier="unit",
    section="09",
    clauses=("T10", "T11"),
    kills=("sections-interleaved", "sections-order", "sections-repeated-whole", "sections-lost", "theta-swapped"),
    note="Tokens whose time, height and width all differ, one where they agree, and two where two agree. In text "
    "they agree everywhere, and every layout of the sections gives the same.",
)
def sections_follow_time_height_and_width(lab: Lab) -> Iterator[Part]:
    """Of each half of a head the first 16 channels turn by time, 24 by height, 24 by width."""
    yield token_positions(UNEQUAL)
    yield from angle_parts("language", language_angles(lab, UNEQUAL))


@case(
    family="rope",
    tier="unit",
    section="06",
    clauses=("N2", "R3", "T12"),
    kills=("frequencies-rounded", "positions-rounded"),
    note="Row 3639 is the last of the tallest picture that the released limits allow (50960 x 255 pixels), 127999 "
    "the last position of the decoder. Rounding errors of frequencies and positions grow with these; near 0 they "
    "do not show.",
)
def angles_of_the_last_row_and_position(lab: Lab) -> Iterator[Part]:
    """The largest row, column and position still have exact angles."""
    coordinates = np.array([[3639, 17], [17, 3639], [3638, 0], [257, 511]])
    tokens = ((127_999, 127_998, 257), (127_000, 120_001, 32_769), (4097, 127_999, 100_003))
    yield Part("inputs.coordinates", coordinates, "P 2", "row and column in patches")
    yield token_positions(tokens)
    yield from angle_parts("vision", vision_angles(lab, coordinates))
    yield from angle_parts("language", language_angles(lab, tokens))


@case(
    family="rope",
    tier="unit",
    section="00",
    clauses=("N9", "N23", "R4", "R5"),
    kills=("interleaved-channels", "rotation-sign", "vision-rope-missing"),
    note="Drawn queries of two heads, and coordinates that are not 0, where nothing turns. All heads turn alike.",
)
def a_vision_head_turns_by_halves(lab: Lab) -> Iterator[Part]:
    """Channel j of a query turns against channel j + 40, quarter by quarter by row and column."""
    coordinates = np.array([[0, 1], [1, 0], [2, 5], [5, 2], [13, 40]])
    q = drawn(710, (len(coordinates), 2, VISION_WIDTH))
    yield Part("inputs.coordinates", coordinates, "P 2", "row and column in patches")
    yield Part("inputs.q", q, "P N d", "queries, before rotation")
    angles = vision_angles(lab, coordinates)
    yield from angle_parts("vision", angles)
    turned = lab.ops.rotated(lab.held(q), *angles)
    yield Part("vision.blocks.00.attn.q_rope", turned, "P N d", "queries, rotated")


@case(
    family="rope",
    tier="unit",
    section="00",
    clauses=("N9", "N23", "T10", "T11"),
    kills=("interleaved-channels", "rotation-sign", "sections-interleaved"),
    note="Drawn queries of three heads at positions whose axes differ. In 16 bits the decoder rounds angles and "
    "products too, the vision encoder only the sum.",
)
def a_language_head_turns_by_halves(lab: Lab) -> Iterator[Part]:
    """Channel j of a query turns against channel j + 64."""
    q = drawn(711, (len(UNEQUAL), 3, LANGUAGE_WIDTH))
    yield Part("inputs.q", q, "L N d", "queries, before rotation")
    yield token_positions(UNEQUAL)
    angles = language_angles(lab, UNEQUAL)
    yield from angle_parts("language", angles)
    turned = lab.ops.rotated_in_steps(lab.held(q), *angles)
    yield Part("language.blocks.00.attn.q_rope", turned, "L N d", "queries, rotated")
