"""Section 15 - drawing: how is an SVG built whose every sign is escaped and whose every tag is closed?"""

from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

GLYPHS = {
    "exact": "=",
    "noise": "≈",
    "expected": "≠",
    "missing": "–",
    "suspicious": "?",
    "wrong": "×",
    "none": "",
}
"""A sign for each state, so that nothing is told by colour alone; `none` was not compared."""

Number = float | int
"""A coordinate or a length."""

MEANINGS = {
    "exact": "equal to the bit",
    "noise": "as far off as rounding is",
    "suspicious": "further off than rounding should be",
    "wrong": "another number",
    "missing": "not in the dump",
    "expected": "wrong, and known to be",
}
"""What a state means, in the order of a legend."""

PATTERNS = {
    "suspicious": "M0,6 L6,0 M-1,1 L1,-1 M5,7 L7,5",
    "wrong": "M0,6 L6,0 M-1,1 L1,-1 M5,7 L7,5 M0,0 L6,6 M-1,5 L1,7 M5,-1 L7,1",
    "expected": "M1.5,0 V6 M4.5,0 V6",
    "missing": "M3,2.5 V3.5",
}
"""Strokes that fill a tile of 6 by 6, by state; the others are plain."""


def element(tag: str, *children: Element, text: str = "", **attributes: str | Number) -> Element:
    """Return an element; `class_` is `class`, `stroke_width` is `stroke-width`, and nothing needs escapes."""
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    made = Element(tag, {name: number(value) for name, value in named.items()})
    made.text = text or None
    made.extend(children)
    return made


def number(value: str | Number) -> str:
    """Return a coordinate with two decimals at most; a text as it is."""
    return value if isinstance(value, str) else f"{round(value, 2):g}"


def drawing(
    *children: Element, width: Number, height: Number, label: str, class_: str = "", stretch: bool = False
) -> str:
    """Return an inline SVG that is as wide as its place allows.

    Args:
        label: what a reader who does not see it is told; empty for an ornament.
        stretch: let it fill its place whatever its proportions.
    """
    attributes = {"role": "img", "aria_label": label} if label else {"aria_hidden": "true"}
    if stretch:
        attributes["preserveAspectRatio"] = "none"
    box = f"0 0 {number(width)} {number(height)}"
    svg = element("svg", *children, viewBox=box, class_=class_, **attributes)
    return ElementTree.tostring(svg, encoding="unicode", short_empty_elements=False)


def pattern_sheet() -> str:
    """Return a hidden SVG that defines the pattern of each state and the head of arrows, once for the page."""
    patterns = [
        element(
            "pattern",
            element("path", d=strokes, class_=f"ink-{state}"),
            id=f"fill-{state}",
            width=6,
            height=6,
            patternUnits="userSpaceOnUse",
        )
        for state, strokes in PATTERNS.items()
    ]
    tip = element("path", d="M0,0 L8,4 L0,8 Z", class_="head")
    head = element("marker", tip, id="head", markerWidth=8, markerHeight=8, refX=7, refY=4, orient="auto")
    sheet = element("svg", element("defs", *patterns, head), width=0, height=0, class_="sheet", aria_hidden="true")
    return ElementTree.tostring(sheet, encoding="unicode", short_empty_elements=False)


def box(state: str, *, x: Number, y: Number, width: Number, height: Number, radius: Number = 6) -> list[Element]:
    """Return a rectangle in the colour and the pattern of a state."""
    place: dict[str, Any] = {"x": x, "y": y, "width": width, "height": height, "rx": radius}
    found = [element("rect", class_=f"box s-{state}", **place)]
    if state in PATTERNS:
        found.append(element("rect", class_="pattern", fill=f"url(#fill-{state})", **place))
    return found
