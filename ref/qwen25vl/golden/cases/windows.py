"""Section 15 - window cases: which grids show that tokens are put into windows, and back, correctly?

Sides of windows are given in merged tokens, 4 as in every release, unless the case is about them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from qwen25vl.config import VisionConfig
from qwen25vl.golden.case import Lab, Part, count_part
from qwen25vl.golden.draws import drawn
from qwen25vl.golden.registry import case
from qwen25vl.vision.windows import frame_starts, inverse_order, patch_starts, reordered, window_order

WINDOW_M = 4
"""Side of a window in merged tokens, in every release."""

MERGE_P = 2
"""Side of a merge block in patches, in every release."""

MERGED_PX = 28
"""Side of a merged token in pixels, in every release."""


def window_parts(grids_m: Sequence[tuple[int, int, int]], *, window_m: int = WINDOW_M) -> Iterator[Part]:
    """Give grids, then order and starts of their windows, starts of their frames, and the inverse of the order.

    The side of a window goes through the config, which has it in pixels, as a port gets it.
    """
    merged = np.array(grids_m, dtype=np.int64)
    grids = merged * np.array([1, MERGE_P, MERGE_P])
    config = replace(VisionConfig(), window_px=window_m * MERGED_PX)
    order, starts = window_order(merged, window_m=config.window_m)
    yield Part("inputs.grids", grids, "media 3", "T, H, W in patches")
    yield count_part("inputs.window_m", window_m, "sides", "side of a window, merged tokens")
    yield Part("vision.window_order", order, "M", "merged token at each place of the window order")
    patches = patch_starts(starts, merge_unit=config.merge_unit)
    yield Part("vision.window_starts", patches, "windows+1", "first patch of each window, and the end")
    yield Part("vision.frame_starts", frame_starts(grids), "frames+1", "first patch of each frame, and the end")
    yield Part("outputs.place", inverse_order(order), "M", "place of each merged token in the window order")


@case(
    family="windows",
    tier="unit",
    section="07",
    clauses=("W0", "W2", "W3"),
    kills=("order-for-inverse", "no-window-order", "starts-in-tokens"),
    note="2 x 5 merged tokens, 140 x 56 pixels: the smallest grid whose order is not its own inverse. A width of "
    "up to 4, or one row, has no order at all.",
)
def two_windows_side_by_side(lab: Lab) -> Iterator[Part]:
    """A token that sticks out on the right has a window of its own, behind the first one."""
    yield from window_parts([(1, 2, 5)])


@case(
    family="windows",
    tier="unit",
    section="07",
    clauses=("W2", "W3"),
    kills=("whole-windows-only", "order-for-inverse", "window-in-patches"),
    note="5 x 7 merged tokens: windows of 16, 12, 4 and 3. Where both sides divide by 4 all windows are alike.",
)
def odd_grid_leaves_partial_windows(lab: Lab) -> Iterator[Part]:
    """Windows at the right and at the bottom hold just the tokens that exist."""
    yield from window_parts([(1, 5, 7)])


@case(
    family="windows",
    tier="unit",
    section="07",
    clauses=("W2", "W3"),
    kills=("empty-window-kept", "order-for-inverse"),
    note="8 x 8 merged tokens: upstream builds five empty windows, 0 64 128 128 192 256 256 256 256 256, and "
    "takes them out again. Sides that do not divide have none.",
)
def even_grid_has_no_empty_window(lab: Lab) -> Iterator[Part]:
    """Where sides divide by the window's there are as many windows as fit, and none is empty."""
    yield from window_parts([(1, 8, 8)])


@case(
    family="windows",
    tier="unit",
    section="07",
    clauses=("W0",),
    kills=(),
    note="A control: 16 x 16 merged tokens, 448 x 448 pixels, where the order is its own inverse. A port that "
    "undoes the order by applying it again passes here, and at 448 pixels of width and many heights.",
    flags=("blind",),
)
def square_of_448_pixels_hides_the_inverse(lab: Lab) -> Iterator[Part]:
    """The most popular size of a test picture cannot tell an order from its inverse."""
    yield from window_parts([(1, 16, 16)])


@case(
    family="windows",
    tier="unit",
    section="07",
    clauses=("W1", "W2", "W6"),
    kills=("windows-span-frames", "frame-starts-per-video", "frame-starts-one"),
    note="Two videos of 3 and 2 rows of time, 4 x 4 and 2 x 4 patches: frames begin at 0 16 32 48 56 64. A still "
    "picture, or one video of one row, has one frame. Then 2 x 5 tokens twice, where windows reorder each frame.",
)
def every_frame_of_every_video_stands_alone(lab: Lab) -> Iterator[Part]:
    """Neither a window nor a segment of full attention holds tokens of two frames."""
    yield from window_parts([(3, 2, 2), (2, 1, 2), (2, 2, 5)])


@case(
    family="windows",
    tier="unit",
    section="07",
    clauses=("W1", "W2", "W6"),
    kills=("frame-starts-one", "order-for-inverse"),
    note="A wide and a tall picture of different areas, both with an order. Equal sizes hide pictures that change "
    "places, and a single one hides that all are one segment.",
)
def pictures_of_two_sizes_stand_alone(lab: Lab) -> Iterator[Part]:
    """Windows go picture by picture, and the numbers of the second begin behind the first."""
    yield from window_parts([(1, 2, 5), (1, 6, 5)])


@case(
    family="windows",
    tier="unit",
    section="07",
    clauses=("W12",),
    kills=("window-in-patches", "window-side-fixed"),
    note="Windows of 112, 56, 84, 112, 127 and 112 pixels over patches of 14, 14, 14, 16, 14 and 14 with blocks "
    "of 2, 2, 2, 2, 2 and 1: sides 4, 2, 3, 3, 4 and 8. The release's numbers alone hide mixed units.",
)
def side_of_a_window_is_given_in_pixels(lab: Lab) -> Iterator[Part]:
    """A window's side is a number of pixels, and becomes merged tokens by two divisions that round down."""
    shapes = [(112, 14, 2), (56, 14, 2), (84, 14, 2), (112, 16, 2), (127, 14, 2), (112, 14, 1)]
    sides = [
        replace(VisionConfig(), window_px=window_px, patch_px=patch_px, merge_p=merge_p).window_m
        for window_px, patch_px, merge_p in shapes
    ]
    yield count_part("inputs.shapes", shapes, "configs 3", "window in pixels, patch in pixels, block in patches")
    yield count_part("outputs.window_m", sides, "configs", "side of a window, merged tokens")


@case(
    family="windows",
    tier="unit",
    section="07",
    clauses=("W2", "W3", "W12"),
    kills=("window-side-fixed", "window-in-patches"),
    note="5 x 7 merged tokens under windows of 3, as `tiny` has them: 9 9 3 6 6 2, not 16 12 4 3.",
)
def windows_of_another_side_give_another_order(lab: Lab) -> Iterator[Part]:
    """The side of a window is no constant."""
    yield from window_parts([(1, 5, 7)], window_m=3)


@case(
    family="windows",
    tier="unit",
    section="07",
    clauses=("W4", "W5"),
    kills=("patches-leave-their-block", "order-for-inverse", "no-window-order"),
    note="Rows of a 2 x 5 picture that are all different. Rows of one colour can be put in any order.",
)
def whole_blocks_move_and_come_back(lab: Lab) -> Iterator[Part]:
    """The four patches of a merged token stay together and in order, on the way into windows and back."""
    order, _ = window_order(np.array([[1, 2, 5]]), window_m=WINDOW_M)
    rows = drawn(700, (40, 3))
    there = reordered(lab.held(rows), order, merge_unit=MERGE_P**2)
    yield Part("inputs.rows", rows, "P C", "one row for each patch, block after block")
    yield Part("inputs.window_order", order, "M", "merged token at each place of the window order")
    yield Part("outputs.in_windows", there, "P C", "the rows in window order")
    back = reordered(there, inverse_order(order), merge_unit=MERGE_P**2)
    yield Part("outputs.back", back, "P C", "the same put back")
