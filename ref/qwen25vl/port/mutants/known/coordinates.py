"""Known bugs of coordinates: which place of a picture an answer means (section 12)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.port.mutants.mutant import Swap, known_bug

Size = tuple[int, int]
"""Height and width in pixels."""


def _scaled_by(wrong: Callable[[np.ndarray, Size, Size], np.ndarray]) -> Iterator[Swap]:
    """Exchange the scaling: it is given points, the size that they count in and the size that is wanted."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda points, *, seen, wanted: wrong(points.astype(np.float64), seen, wanted)

    yield Swap("media.coordinates._scaled", by)


@known_bug(
    "boxes-of-the-original",
    mechanism="coordinates",
    clauses=("A1", "A4"),
    symptom="Boxes are too small or too large, more so towards the far corner; points miss.",
    cause="The paper says absolute pixels, and the picture at hand is the original one.",
    hidden_by="Pictures whose sides are multiples of 28; nearly, sides that change by a per cent.",
    fix="Multiply by original width over resized width, and by original height over resized height.",
    threads=(
        "QwenLM/Qwen3-VL#721",
        "QwenLM/Qwen3-VL#1062",
        "QwenLM/Qwen3-VL#957",
        "QwenLM/Qwen3-VL#1616",
        "modelscope/ms-swift#3491",
        "modelscope/ms-swift#3407",
    ),
)
def boxes_of_the_original() -> Iterator[Swap]:
    yield from _scaled_by(lambda points, seen, wanted: points)


@known_bug(
    "boxes-in-thousandths",
    mechanism="coordinates",
    clauses=("A1", "A4"),
    symptom="Every box is off by a factor that follows the size of the picture.",
    cause="Other models of the family answer in thousandths of the sides.",
    hidden_by="Pictures of about 1000 x 1000 pixels.",
    fix="Take coordinates for pixels of the resized picture.",
    threads=("ggml-org/llama.cpp#16880", "ggml-org/llama.cpp#17131", "QwenLM/Qwen3-VL#721"),
)
def boxes_in_thousandths() -> Iterator[Swap]:
    def by(back: bool) -> Callable[..., Any]:
        def points_px(points: np.ndarray, *, original_size: Size, resized_size: Size) -> np.ndarray:
            sides = np.array(original_size[::-1], dtype=np.float64)
            return points / sides * 1000 if back else points / 1000 * sides

        return points_px

    yield Swap("media.coordinates.original_points_px", lambda right: by(back=False))
    yield Swap("media.coordinates.resized_points_px", lambda right: by(back=True))


@known_bug(
    "boxes-sides-swapped",
    mechanism="coordinates",
    clauses=("A2",),
    symptom="Boxes of pictures whose sides change by different factors are squeezed and moved.",
    cause="Sizes name the height first, coordinates x.",
    hidden_by="Square pictures, and those whose sides change by the same factor.",
    fix="Scale x by the widths, and y by the heights.",
)
def boxes_sides_swapped() -> Iterator[Swap]:
    yield from _scaled_by(lambda points, seen, wanted: points * np.array(wanted) / np.array(seen))


@known_bug(
    "boxes-by-one-scale",
    mechanism="coordinates",
    clauses=("A2",),
    symptom="Boxes fit in one direction and drift in the other, most with small pictures and strips.",
    cause="A picture is supposed to keep the ratio of its sides when it is resized.",
    hidden_by="Large pictures, whose two factors are nearly equal, and squares.",
    fix="Scale x by the widths, and y by the heights: each side goes to a multiple of 28 by itself.",
)
def boxes_by_one_scale() -> Iterator[Swap]:
    yield from _scaled_by(lambda points, seen, wanted: points * wanted[1] / seen[1])
