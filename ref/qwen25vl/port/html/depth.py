"""Section 15 - error against depth: where does the error leave the noise, and does it grow from there?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from qwen25vl.port.html.svg import drawing, element
from qwen25vl.port.report_summary import CaseSummary, stage_of
from qwen25vl.port.report_words import units_text
from qwen25vl.port.verdicts import PartVerdict
from qwen25vl.tap_names import data_order

WIDTH, HEIGHT = 960, 340
"""Of the drawing."""

LEFT, RIGHT, TOP, BOTTOM = 54, 14, 26, 52
"""Margins around the axes."""

LEAST_UNITS = 0.1
"""The axis begins here: what is smaller lies on its edge."""

MOST_CASES = 6
"""Curves that one drawing can hold."""

LEAST_POINTS = 8
"""A case with fewer measured parts is no curve."""


@dataclass(frozen=True)
class Axes:
    """Where a part and a number of units lie."""

    places: dict[str, int]
    """Each part's place in the order of the data."""
    decades: int
    """The axis ends at ten to this."""

    def x(self, tap: str) -> float:
        """Return the coordinate of a part."""
        return LEFT + (self.places[tap] + 0.5) / len(self.places) * (WIDTH - LEFT - RIGHT)

    def y(self, units: float) -> float:
        """Return the coordinate of an error; one that is no number lies at the upper edge."""
        least = math.log10(LEAST_UNITS)
        height = math.log10(max(units, LEAST_UNITS)) if math.isfinite(units) else self.decades
        share = (min(height, self.decades) - least) / (self.decades - least)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def charted_cases(cases: Sequence[CaseSummary]) -> list[CaseSummary]:
    """Choose what is drawn: the first wrong case first, then those with the most measured parts."""
    long_enough = [case for case in cases if len(_measured(case)) >= LEAST_POINTS]
    first = next((case for case in long_enough if case.first_wrong is not None), None)
    rest = sorted((case for case in long_enough if case is not first), key=lambda case: -len(_measured(case)))
    return [*([first] if first is not None else []), *rest][:MOST_CASES]


def depth_drawing(cases: Sequence[CaseSummary], *, limits: tuple[float, float] | None = None) -> str:
    """Draw the error of every part in noise units against its place in the model, on a logarithmic axis.

    Args:
        cases: as from `charted_cases`; the first is drawn strongly, with the error of its stages alone.
        limits: units above which a part is suspicious, and wrong; None where they are not known.
    """
    taps = sorted({part.tap for case in cases for part in _measured(case)}, key=data_order)
    highest = [part.noise_units for case in cases for part in _measured(case)]
    finite = [units for units in highest if units is not None and math.isfinite(units)]
    top = max([*finite, *(limits or ()), 10.0])
    axes = Axes({tap: place for place, tap in enumerate(taps)}, max(1, math.ceil(math.log10(top * 1.2))))
    drawn = [*_ground(axes, limits=limits), *_stages(axes, taps)]
    for number, case in reversed(list(enumerate(cases))):
        drawn += _curve(axes, _measured(case), number=number)
    drawn += _marks(axes, _measured(cases[0]))
    label = "Error in noise units against depth, one curve for each case."
    return drawing(*drawn, width=WIDTH, height=HEIGHT, label=label, class_="depth")


def _measured(case: CaseSummary) -> list[PartVerdict]:
    """List the parts of a case that have a number of noise units."""
    return [part for _, part in case.parts if part.noise_units is not None]


def _ground(axes: Axes, *, limits: tuple[float, float] | None) -> list[Element]:
    """Draw the band of noise, the decades and the limits."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    one = axes.y(1.0)
    drawn = [element("rect", x=LEFT, y=one, width=right - LEFT, height=bottom - one, class_="band")]
    step = 1 if axes.decades <= 8 else math.ceil(axes.decades / 8)
    for decade in range(-1, axes.decades + 1):
        y = axes.y(10.0**decade)
        drawn.append(element("line", x1=LEFT, x2=right, y1=y, y2=y, class_="rule"))
        if decade % step == 0 or decade < 1:
            text = f"{10.0**decade:g}x" if decade < 4 else f"1e{decade}x"
            drawn.append(element("text", text=text, x=LEFT - 8, y=y + 4, class_="tick", text_anchor="end"))
    drawn.append(element("text", text="rounding noise", x=LEFT + 6, y=bottom - 6, class_="note"))
    for name, value in zip(("suspicious", "wrong"), limits or (), strict=False):
        y = axes.y(value)
        drawn.append(element("line", x1=LEFT, x2=right, y1=y, y2=y, class_=f"limit ink-{name}"))
        drawn.append(element("text", text=f"{name} above {value:g}x", x=LEFT + 6, y=y - 4, class_="note"))
    return drawn


def _stages(axes: Axes, taps: Sequence[str]) -> list[Element]:
    """Name the stages along the axis: numbers of blocks, and the towers below them."""
    drawn: list[Element] = []
    spans: dict[str, list[float]] = {}
    for tap in taps:
        spans.setdefault(stage_of(tap), []).append(axes.x(tap))
    last = -math.inf
    for stage, places in spans.items():
        tower, _, block = stage.partition(".")
        if not block or min(places) - last < 24:
            continue
        last = min(places)
        drawn.append(element("line", x1=last, x2=last, y1=TOP, y2=HEIGHT - BOTTOM + 4, class_="rule"))
        drawn.append(element("text", text=str(int(block)), x=last, y=HEIGHT - BOTTOM + 17, class_="tick"))
    for tower, name in (("vision", "vision encoder, block"), ("language", "decoder, block")):
        inside = [x for stage, places in spans.items() if stage.startswith(f"{tower}.") for x in places]
        if inside:
            drawn.append(element("text", text=name, x=min(inside), y=HEIGHT - 14, class_="axis"))
    if "logits" in spans:
        x = max(spans["logits"])
        drawn.append(element("text", text="logits", x=x, y=HEIGHT - BOTTOM + 17, class_="tick", text_anchor="end"))
    return drawn


def _curve(axes: Axes, parts: Sequence[PartVerdict], *, number: int) -> list[Element]:
    """Draw one case; a number that is none breaks the line."""
    path, pen = [], "M"
    for part in parts:
        units = part.noise_units
        if units is None or not math.isfinite(units):
            pen = "M"
            continue
        path.append(f"{pen}{axes.x(part.tap):.1f},{axes.y(units):.1f}")
        pen = "L"
    return [element("path", d="".join(path), class_=f"curve c{number}")] if path else []


def _marks(axes: Axes, parts: Sequence[PartVerdict]) -> list[Element]:
    """Mark each part of the first case: a dot, a triangle or a cross, and a ring for the stage alone."""
    drawn: list[Element] = []
    for part in parts:
        units = part.noise_units
        if units is None:
            continue
        x, y = axes.x(part.tap), axes.y(units)
        title = element("title", text=f"{part.tap}: {part.verdict}, {units_text(units)}")
        if part.local_units is not None:
            drawn.append(element("circle", cx=x, cy=axes.y(part.local_units), r=2.6, class_="alone"))
        if part.verdict == "wrong":
            strokes = f"M{x - 3:.1f},{y - 3:.1f} l6,6 m0,-6 l-6,6"
            drawn.append(element("path", title, d=strokes, class_="cross"))
        elif part.verdict == "suspicious":
            drawn.append(element("path", title, d=f"M{x:.1f},{y - 4:.1f} l4,7 h-8 Z", class_="triangle"))
        else:
            drawn.append(element("circle", title, cx=x, cy=y, r=1.8, class_="dot"))
    return drawn
