"""Section 15 - error over the picture: which patches are wrong, and where do they lie?"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from PIL import Image

from qwen25vl.port.html.heat import NOISE_STEPS, coloured, data_uri, png, top_of
from qwen25vl.port.verdicts import Evidence

MERGE_P = 2
"""Side of a merge block in patches: 2 in every release."""

MOST_FRAMES = 6
"""Frames that are shown: those with the largest error, in the order of time."""

MOST_PX = 560
"""Longest side of the picture below; a page need not hold more."""

OPACITY = 160
"""Of the map over a picture, of 255, where the error is above the noise; below, little hides the picture."""


@dataclass(frozen=True, eq=False)
class FrameMap:
    """The error of one frame, to be laid over its picture."""

    frame: int
    image: str
    """PNG as a data URI, one pixel a patch."""
    picture: str
    """JPEG as a data URI; empty where there is none."""
    height: int
    width: int
    """In patches."""
    worst: float
    """The largest error, in units."""


def frame_maps(evidence: Evidence, errors: Float64[np.ndarray, "rows columns"]) -> list[FrameMap]:
    """Draw the largest error of each patch over the grid of the first medium; none where rows are no patches.

    Args:
        evidence: says which row is which patch.
        errors: in units, as from `error_matrix`.
    """
    if evidence.frame_grid is None or evidence.patch_of_row is None or not evidence.found.size:
        return []
    if len(errors) != len(evidence.patch_of_row):
        return []
    T, H, W = evidence.frame_grid
    grid = patch_errors(errors.max(axis=1), evidence.patch_of_row, grid=(T, H, W))
    top = top_of(errors)
    worst = np.nanmax(np.where(np.isnan(grid), -1.0, grid), axis=(1, 2))
    chosen = sorted(np.argsort(-worst, kind="stable")[:MOST_FRAMES].tolist())
    return [_frame_map(evidence, grid[t], frame=t, worst=float(worst[t]), top=top) for t in chosen]


def patch_errors(
    errors: Float64[np.ndarray, " rows"], patch_of_row: Int64[np.ndarray, " rows"], *, grid: tuple[int, int, int]
) -> Float64[np.ndarray, "T H W"]:
    """Put the error of each row where its patch lies; NaN where no row has the patch.

    Args:
        errors: of each row.
        patch_of_row: number of each patch in the order of the pixel rows: frames, merge blocks, patches.
        grid: (T, H, W) in patches; patches beyond it belong to other media and are left out.

    Spec: spec/02-images.md (I20)
    """
    T, H, W = grid
    at = np.full(T * H * W, np.nan)
    inside = (patch_of_row >= 0) & (patch_of_row < at.size)
    at[patch_of_row[inside]] = errors[inside]
    blocks = at.reshape(T, H // MERGE_P, W // MERGE_P, MERGE_P, MERGE_P)
    return blocks.transpose(0, 1, 3, 2, 4).reshape(T, H, W)  # (I20) backwards


def _frame_map(
    evidence: Evidence, errors: Float64[np.ndarray, "H W"], *, frame: int, worst: float, top: float
) -> FrameMap:
    """Draw one frame; over the picture if it is the picture's."""
    places = coloured(np.where(np.isnan(errors), 0.0, errors), top=top)
    below = evidence.picture if frame == 0 else None
    opacity = np.full(256, 255 if below is None else OPACITY, dtype=np.uint8)
    if below is not None:
        opacity[:NOISE_STEPS] = OPACITY // 4  # noise hardly hides the picture
    return FrameMap(
        frame=frame,
        image=png(places, opacity=opacity),
        picture="" if below is None else picture_uri(below),
        height=errors.shape[0],
        width=errors.shape[1],
        worst=worst,
    )


def picture_uri(picture: np.ndarray) -> str:
    """Return a picture of [height, width, 3] as a data URI, smaller if it is large."""
    image = Image.fromarray(picture)
    image.thumbnail((MOST_PX, MOST_PX))
    return data_uri(image, "JPEG", quality=82)
