"""Section 15 - a close look: what are the numbers around the largest error, and how wrong is each row?"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from qwen25vl.port.html.heat import KNEE, HeatMap, error_matrix, heat_map, legend_image
from qwen25vl.port.html.patches import FrameMap, frame_maps
from qwen25vl.port.html.svg import drawing, element
from qwen25vl.port.report_words import units_text
from qwen25vl.port.verdicts import Evidence

NEIGHBOURS = 3
"""Elements that are shown on either side of the worst."""

BARS_WIDTH = 100
"""Units of drawing; a bar of this length has the largest error."""


@dataclass(frozen=True)
class Digits:
    """One element of a part, with nine digits."""

    at: str
    found: str
    wanted: str
    difference: str
    units: str
    is_worst: bool


@dataclass(frozen=True, eq=False)
class CloseUp:
    """Everything that a page shows of one piece of evidence."""

    evidence: Evidence
    shape: str
    heat: HeatMap | None
    bars: str
    """SVG of the error of each row."""
    legend: str
    top: str
    frames: list[FrameMap]
    digits: list[Digits]
    worst: str
    """Where the largest error is."""
    nonfinite: int
    """Errors that are no number."""


def close_up(evidence: Evidence) -> CloseUp:
    """Prepare what a page shows of one piece of evidence."""
    errors = error_matrix(evidence)
    heat = heat_map(errors)
    digits = digits_around(evidence, errors)
    return CloseUp(
        evidence=evidence,
        shape=" × ".join(map(str, evidence.found.shape)) or "one number",
        heat=heat,
        bars="" if heat is None else row_bars(heat),
        legend="" if heat is None else legend_image(),
        top="" if heat is None else units_text(heat.top),
        frames=frame_maps(evidence, errors),
        digits=digits,
        worst=next((row.at for row in digits if row.is_worst), ""),
        nonfinite=int(np.isinf(errors).sum()),
    )


def digits_around(evidence: Evidence, errors: Float64[np.ndarray, "rows columns"]) -> list[Digits]:
    """List the worst element and its neighbours along the last axis; none if there is no element.

    The worst is the first that is no number, if there is one.

    Args:
        evidence: what was found and wanted.
        errors: in units, as from `error_matrix`.
    """
    if not evidence.found.size:
        return []
    shaped = errors.reshape(evidence.found.shape)
    worst = [int(i) for i in np.unravel_index(np.argmax(errors), shaped.shape)]
    if not worst:
        return [_digits(evidence, (), units=float(shaped[()]), is_worst=True)]
    *before, last = worst
    extent = evidence.found.shape[-1]
    first = max(0, min(last - NEIGHBOURS, extent - 2 * NEIGHBOURS - 1))
    around = range(first, min(extent, first + 2 * NEIGHBOURS + 1))
    places = [(*before, i) for i in around]
    return [_digits(evidence, at, units=float(shaped[at]), is_worst=at[-1] == last) for at in places]


def row_bars(heat: HeatMap) -> str:
    """Draw the largest error of each row as a bar, one unit of drawing high, on the scale of the colours."""
    lengths = bar_lengths(heat.row_errors, top=heat.top)
    bars = [
        element(
            "rect",
            x=0,
            y=row,
            width=float(length),
            height=1,
            class_="nonfinite" if np.isinf(error) else "beyond" if error > KNEE else "within",
        )
        for row, (length, error) in enumerate(zip(lengths, heat.row_errors, strict=True))
    ]
    label = "The largest error of each row."
    return drawing(*bars, width=BARS_WIDTH, height=len(bars), label=label, class_="bars", stretch=True)


def bar_lengths(errors: Float64[np.ndarray, " rows"], *, top: float) -> Float64[np.ndarray, " rows"]:
    """Return the length of each bar: a tenth at the knee, then logarithmic."""
    safe = np.clip(np.where(np.isfinite(errors), errors, top), 0, top)
    beyond = np.log10(np.maximum(safe, KNEE) / KNEE) / np.log10(top / KNEE)
    return BARS_WIDTH * np.where(safe <= KNEE, 0.1 * safe / KNEE, 0.1 + 0.9 * beyond)


def _digits(evidence: Evidence, at: tuple[int, ...], *, units: float, is_worst: bool) -> Digits:
    """Say one element."""
    found, wanted = float(evidence.found[at]), float(evidence.wanted[at])
    with np.errstate(all="ignore"):
        difference = float(np.float64(found) - np.float64(wanted))
    return Digits(
        at=f"[{', '.join(map(str, at))}]",
        found=f"{found: .8e}",
        wanted=f"{wanted: .8e}",
        difference=f"{difference: .1e}",
        units="no number" if np.isinf(units) else units_text(units),
        is_worst=is_worst,
    )
