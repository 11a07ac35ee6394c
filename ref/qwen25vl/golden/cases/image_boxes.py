"""Section 15 - image box cases: which place of a picture do the coordinates of an answer mean?"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from qwen25vl.golden.case import Lab, Part, count_part
from qwen25vl.golden.cases.image_size import LEAST
from qwen25vl.golden.registry import case
from qwen25vl.media.coordinates import original_boxes_px, original_points_px, resized_boxes_px, resized_points_px
from qwen25vl.media.resize import smart_resize

PICTURES = ((70, 182), (1080, 1920), (1920, 1080), (20, 30))
"""Height and width in pixels; the third is made smaller by half, the last larger."""

MOST = 1_003_520
"""Largest area after resizing, pixels: the class default of transformers."""


def sizes() -> list[dict[str, tuple[int, int]]]:
    """Return both sizes of each picture."""
    return [
        {"original_size": size, "resized_size": smart_resize(*size, min_pixels=LEAST, max_pixels=MOST)}
        for size in PICTURES
    ]


def corner_box(size: tuple[int, int]) -> np.ndarray:
    """Return a box whose lower right corner is near that of the picture, in whole pixels."""
    height, width = size
    return np.array([[width // 3, height // 4, width - 2, height - 3]])


def size_parts() -> Iterator[Part]:
    """Give both sizes."""
    for name in ("original", "resized"):
        numbers = [pair[f"{name}_size"] for pair in sizes()]
        yield count_part(f"inputs.{name}_sizes", numbers, "pictures 2", f"height and width, {name}, pixels")


def box_parts(which: str, boxes: Any, points: Any) -> Iterator[Part]:
    """Bring boxes, and their centres, from one size of the pictures to the other."""
    given = [corner_box(pair[f"{which}_size"]) for pair in sizes()]
    whole = np.concatenate(given)
    yield count_part("inputs.boxes", whole, "pictures 4", f"left, top, right, bottom; {which} pixels")
    centres = [(box[:, :2] + box[:, 2:]) // 2 for box in given]
    yield count_part("inputs.points", np.concatenate(centres), "pictures 2", f"x, y; {which} pixels")
    moved = [boxes(box, **pair) for box, pair in zip(given, sizes(), strict=True)]
    yield Part(
        "outputs.boxes", np.concatenate(moved), "pictures 4", "the same boxes at the other size, not rounded"
    )
    moved = [points(point, **pair) for point, pair in zip(centres, sizes(), strict=True)]
    yield Part(
        "outputs.points", np.concatenate(moved), "pictures 2", "the same points at the other size, not rounded"
    )


@case(
    family="image",
    tier="unit",
    section="12",
    clauses=("A1", "A2", "A3"),
    kills=("boxes-of-the-original", "boxes-in-thousandths", "boxes-sides-swapped", "boxes-by-one-scale"),
    note="Boxes near the far corner of pictures that are no squares, whose sides change by different factors, one "
    "smaller, one larger. Sides that are multiples of 28 hide most mistakes, a square hides exchanged sides, and "
    "a picture of about 1000 x 1000 hides thousandths.",
)
def boxes_of_an_answer_lie_in_the_resized_picture(lab: Lab) -> Iterator[Part]:
    """Coordinates of an answer are pixels of the resized picture, and each axis has a factor of its own."""
    yield from size_parts()
    yield from box_parts("resized", original_boxes_px, original_points_px)


@case(
    family="image",
    tier="unit",
    section="12",
    clauses=("A1", "A2", "A4"),
    kills=("boxes-of-the-original", "boxes-in-thousandths", "boxes-sides-swapped", "boxes-by-one-scale"),
    note="The way back, for a prompt that names a place and for labels of a training: the same pictures, boxes of "
    "the originals.",
)
def coordinates_of_a_prompt_count_resized_pixels(lab: Lab) -> Iterator[Part]:
    """Coordinates that are told to the model are scaled to the picture that it sees."""
    yield from size_parts()
    yield from box_parts("original", resized_boxes_px, resized_points_px)
