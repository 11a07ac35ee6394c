"""Section 15 - heat maps: which rows and which channels are wrong, and by how much?"""

import base64
import io
import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from qwen25vl.port.verdicts import Evidence

MOST_ROWS, MOST_COLUMNS = 160, 240
"""Cells of a heat map: more rows or columns share one, which shows the worst of them."""

KNEE = 4.0
"""Units up to which an error is drawn as noise: the unit is a root mean square, and single elements reach four."""

NOISE = ((0.0, (238, 241, 246)), (1.0, (201, 209, 222)))
"""Colours from no error to the knee."""

BEYOND = (
    (0.0, (254, 228, 140)),
    (0.25, (250, 166, 53)),
    (0.5, (225, 88, 48)),
    (0.75, (150, 34, 92)),
    (1.0, (45, 10, 74)),
)
"""Colours from the knee to the largest error: ever darker, so that shades of grey tell the same."""

NONFINITE = (0, 190, 200)
"""The colour of an error that is no number."""

NOISE_STEPS = 48
"""Places of the palette for errors up to the knee; the last place is for what is no number."""

SMALLEST_NOISE = 1e-2
"""Errors below this many units have the first colour."""


@dataclass(frozen=True, eq=False)
class HeatMap:
    """One drawn map and what a reader needs beside it."""

    image: str
    """PNG as a data URI."""
    rows: int
    columns: int
    """Of the matrix."""
    rows_per_cell: int
    columns_per_cell: int
    top: float
    """The error of the darkest colour, in units."""
    row_errors: Float64[np.ndarray, " cells"]
    """Largest error of each row of cells; inf where one is no number."""


def error_matrix(evidence: Evidence) -> Float64[np.ndarray, "rows columns"]:
    """Return every error in units of the floor: one row for each of the first axis, the rest as columns.

    An error that is no number is inf. A tensor whose dims begin with heads (`N L L`) gives one row for each head
    and token. Where there is no floor, errors stay as they are.
    """
    found, wanted = np.atleast_1d(evidence.found), np.atleast_1d(evidence.wanted)
    with np.errstate(all="ignore"):  # numbers of a faulty port may be anything
        error = np.abs(found - wanted)
        error /= evidence.floor if has_floor(evidence) else 1.0
    strange = ~np.isfinite(error)
    if strange.any():
        f, w = found[strange], wanted[strange]
        error[strange] = np.where((f == w) | (np.isnan(f) & np.isnan(w)), 0.0, np.inf)
    if error.ndim < 2:
        return error.reshape(-1, 1)
    by_head = error.ndim > 2 and evidence.dims.split(" ")[0] in ("N", "K")
    rows = math.prod(error.shape[:-1]) if by_head else error.shape[0]
    return error.reshape(rows, -1 if error.size else 0)


def has_floor(evidence: Evidence) -> bool:
    """Say whether errors can be told in units of the noise."""
    return math.isfinite(evidence.floor) and evidence.floor > 0


def top_of(errors: np.ndarray) -> float:
    """Return the error of the darkest colour: the largest that is a number, ten times the knee at least."""
    return float(np.max(errors, where=np.isfinite(errors), initial=10 * KNEE))


def heat_map(errors: Float64[np.ndarray, "rows columns"]) -> HeatMap | None:
    """Draw the error of each row and channel, in units; None if there is no element."""
    if not errors.size:
        return None
    down, across = (-(-side // most) for side, most in zip(errors.shape, (MOST_ROWS, MOST_COLUMNS), strict=True))
    cells = np.maximum.reduceat(errors, np.arange(0, errors.shape[0], down), axis=0)
    cells = np.maximum.reduceat(cells, np.arange(0, errors.shape[1], across), axis=1)
    top = top_of(errors)
    return HeatMap(
        image=png(coloured(cells, top=top)),
        rows=errors.shape[0],
        columns=errors.shape[1],
        rows_per_cell=down,
        columns_per_cell=across,
        top=top,
        row_errors=cells.max(axis=1),
    )


def coloured(errors: Float64[np.ndarray, "rows columns"], *, top: float) -> UInt8[np.ndarray, "rows columns"]:
    """Return the place in the palette of each error: logarithmic, `top` the darkest.

    Args:
        errors: in units of the floor, 0 or more; inf is no number.
        top: above the knee.
    """
    finite = np.isfinite(errors)
    safe = np.where(finite, errors, 1.0)
    noise = 1 - np.log10(np.maximum(safe, SMALLEST_NOISE) / KNEE) / math.log10(SMALLEST_NOISE / KNEE)
    beyond = np.log10(np.maximum(safe, KNEE) / KNEE) / math.log10(top / KNEE)
    below = np.round(np.clip(noise, 0, 1) * (NOISE_STEPS - 1))
    above = NOISE_STEPS + np.round(np.clip(beyond, 0, 1) * (254 - NOISE_STEPS))
    return np.where(finite, np.where(safe <= KNEE, below, above), 255).astype(np.uint8)


@cache
def palette() -> bytes:
    """Return the 256 colours, red, green and blue of each."""
    below = _between(NOISE, np.linspace(0, 1, NOISE_STEPS))
    above = _between(BEYOND, np.linspace(0, 1, 255 - NOISE_STEPS))
    return np.concatenate([below, above, [NONFINITE]]).astype(np.uint8).tobytes()


def legend_image() -> str:
    """Return the palette from the knee to the top as a strip."""
    return png(np.arange(NOISE_STEPS, 255, dtype=np.uint8)[None])


def png(places: UInt8[np.ndarray, "rows columns"], *, opacity: UInt8[np.ndarray, " 256"] | None = None) -> str:
    """Return a picture of palette colours as a data URI.

    Args:
        places: in the palette.
        opacity: of each colour; None is opaque.
    """
    image = Image.fromarray(places)
    image.putpalette(palette())
    options: dict[str, Any] = {} if opacity is None else {"transparency": opacity.tobytes()}
    return data_uri(image, "PNG", optimize=True, **options)


def data_uri(image: Image.Image, form: str, **options: Any) -> str:
    """Return a picture as text that a page can hold."""
    held = io.BytesIO()
    image.save(held, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(held.getvalue()).decode()}"


def _between(
    stops: tuple[tuple[float, tuple[int, int, int]], ...], at: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, "n 3"]:
    """Mix the colours of neighbouring stops."""
    places = [place for place, _ in stops]
    return np.stack(
        [np.interp(at, places, [colour[channel] for _, colour in stops]) for channel in range(3)], axis=1
    )
