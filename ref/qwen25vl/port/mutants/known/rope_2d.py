"""Known bugs of the vision encoder's rotation by row and column (section 06)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.port.mutants.known.rotation import rotation_sign, theta_swapped
from qwen25vl.port.mutants.mutant import NumberSwap, OpsSwap, Swap, known_bug, other_way

DECODER_THETA = 1_000_000.0
"""Base of the decoder in every release."""


@known_bug(
    "vision-rope-missing",
    mechanism="2-D rotary",
    clauses=("R3", "R5", "N9"),
    symptom="Fluent descriptions in which nothing has a place: boxes and reading fail, what is beside what is "
    "guessed.",
    cause="The weights load and the shapes fit without it; or a back end does not support the operation and "
    "passes queries and keys through.",
    hidden_by="A picture of one colour: its values are alike wherever they come from.",
    fix="Turn queries and keys of every vision block, half of a head by the row and half by the column.",
    threads=(
        "1bit-MONSTER/1bit-MONSTER#1453",
        "warpfront/hipfire#324",
        "ggml-org/llama.cpp#10843",
        "ggml-org/llama.cpp#11902",
    ),
)
def vision_rope_missing() -> Iterator[OpsSwap]:
    yield OpsSwap("rotated", lambda right: lambda x, cos, sin: x)


@known_bug(
    "vision-rope-axes",
    mechanism="2-D rotary",
    clauses=("R3",),
    symptom="Descriptions hold, but left and above change places: boxes lie mirrored at the diagonal, lines are "
    "read as columns.",
    cause="Width comes before height in a related family, or in `meshgrid` with its default indexing.",
    hidden_by="A square picture that equals its own mirror image at the diagonal.",
    fix="The first half of the angles is the row times the frequencies, the second half the column.",
    threads=("ggml-org/llama.cpp#13282",),
)
def vision_rope_axes() -> Iterator[Swap]:
    yield Swap(
        "vision.rope_2d.vision_rotation",
        lambda right: lambda coordinates, **settings: right(coordinates[:, ::-1], **settings),
    )


@known_bug(
    "vision-rope-raster",
    mechanism="2-D rotary",
    clauses=("R1", "W5"),
    symptom="Details are wrong everywhere: a patch stands where another one lies.",
    cause="Coordinates are listed row by row over the whole picture, as other encoders have it, while patches "
    "come merge block by merge block.",
    hidden_by="A picture of one merge block in width.",
    fix="List coordinates in the order of the pixel rows, block after block, and move them with the windows.",
)
def vision_rope_raster() -> Iterator[Swap]:
    def raster_coordinates(grids: np.ndarray, *, merge_p: int) -> np.ndarray:
        frames = [np.tile(np.indices((H, W)).reshape(2, -1).T, (T, 1)) for T, H, W in grids.tolist()]
        return np.concatenate([np.empty((0, 2), dtype=np.int64), *frames])

    yield Swap("vision.rope_2d.patch_coordinates", lambda right: raster_coordinates)


@other_way(vision_rope_raster, "before-windows")
def angles_stay_before_windows() -> Iterator[Swap]:
    """Patches move into windows, and their angles stay in the order of the pixel rows."""
    angles: list[np.ndarray] = []

    def remembered(right: Callable[..., Any]) -> Callable[..., Any]:
        def vision_rotation(*coordinates: np.ndarray, **settings: Any) -> Any:
            angles[:] = right(*coordinates, **settings)
            return tuple(angles)

        return vision_rotation

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def reordered(rows: np.ndarray, *order: np.ndarray, **settings: Any) -> Any:
            return rows if any(rows is angle for angle in angles) else right(rows, *order, **settings)

        return reordered

    yield Swap("vision.rope_2d.vision_rotation", remembered)
    yield Swap("vision.windows.reordered", by)


@known_bug(
    "vision-rope-merged",
    mechanism="2-D rotary",
    clauses=("R1",),
    symptom="Fine detail is lost: the four patches of a merged token stand in one place, and distances are "
    "halved.",
    cause="The grid is divided by the merge size for the windows, and the rotation takes the same one.",
    hidden_by="A picture of one merge block, nearly: its patches lie at most one apart.",
    fix="Count rows and columns in patches of 14 pixels.",
)
def vision_rope_merged() -> Iterator[Swap]:
    yield Swap(
        "vision.rope_2d.patch_coordinates",
        lambda right: lambda grids, *, merge_p: right(grids, merge_p=merge_p) // merge_p,
    )


@known_bug(
    "vision-rope-frames-continue",
    mechanism="2-D rotary",
    clauses=("R2",),
    symptom="None: frames never look at each other, and within one only distances count. Very long videos lose a "
    "little precision.",
    cause="Coordinates are made for one tall picture of all frames, or of all pictures in the call.",
    hidden_by="Scores, mixed values and answers: they are the same to rounding. Only angles, rotated queries and "
    "rotated keys show it, from the second frame or picture on.",
    fix="Begin every frame of every picture and video at row 0, column 0.",
)
def vision_rope_frames_continue() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def patch_coordinates(grids: np.ndarray, *, merge_p: int) -> np.ndarray:
            coordinates: np.ndarray = right(grids, merge_p=merge_p)
            frames = [(H, W) for T, H, W in grids.tolist() for _ in range(T)]
            above = np.cumsum([0, *(H for H, _ in frames)])[:-1]
            coordinates[:, 0] += np.repeat(above, [H * W for H, W in frames])
            return coordinates

        return patch_coordinates

    yield Swap("vision.rope_2d.patch_coordinates", by)


@known_bug(
    "vision-rope-width",
    mechanism="2-D rotary",
    clauses=("R3", "N8"),
    symptom="Descriptions hold, boxes and reading suffer: far rows and columns look near.",
    cause="The decoder's helper is called with the width of a head, 80, and the first 20 of its 40 frequencies "
    "are taken.",
    hidden_by="Row 0 and column 0, and the first frequency, which is 1 for every width.",
    fix="Both axes have the frequencies of half a head: exponent 2 i / 40 for heads of 80.",
)
def vision_rope_width() -> Iterator[Swap]:
    yield Swap(
        "vision.rope_2d.axis_frequencies",
        lambda right: lambda *, head_dim, theta: right(head_dim=2 * head_dim, theta=theta)[: head_dim // 4],
    )


@other_way(theta_swapped, "vision")
def theta_of_the_decoder() -> Iterator[NumberSwap]:
    yield NumberSwap("vision.rope_theta", lambda theta: DECODER_THETA)


@other_way(rotation_sign, "vision")
def vision_turns_the_other_way() -> Iterator[OpsSwap]:
    yield OpsSwap("rotated", lambda right: lambda x, cos, sin: right.rotated(x, cos, -sin))
