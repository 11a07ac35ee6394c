"""Section 15 - report as a page: what is wrong, where first, and what does the error look like?

The page is one file. It asks nothing of the network: style, script and pictures are in it.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from qwen25vl.port.html.closeup import close_up
from qwen25vl.port.html.depth import charted_cases, depth_drawing
from qwen25vl.port.html.flow import flow_drawing
from qwen25vl.port.html.flow_layout import NARROW, WIDE
from qwen25vl.port.html.heat import KNEE
from qwen25vl.port.html.svg import GLYPHS, MEANINGS, pattern_sheet
from qwen25vl.port.report_summary import (
    case_summaries,
    missing_kinds,
    stage_of,
    stage_summaries,
    state_of,
)
from qwen25vl.port.report_words import (
    SECTIONS,
    advice,
    answer_text,
    local_text,
    number_text,
    plain_report,
    section_text,
    units_text,
)
from qwen25vl.port.verdicts import CheckReport
from qwen25vl.table import count_text

HTML = "port/html"
"""Where the template, its style and its script lie in the package."""


def html_report(
    report: CheckReport,
    *,
    limits: tuple[float, float] | None = None,
    full_attention_blocks: Sequence[int] | None = None,
) -> str:
    """Return one page that says what a check found, as text of an HTML file.

    Args:
        report: what the check found; names in it may be hostile, and are escaped.
        limits: noise units above which a part is suspicious, and wrong; drawn if they are known.
        full_attention_blocks: blocks of the vision encoder that are drawn round; None if they are not known.
    """
    report = plain_report(report)
    script = _file("filter.js")
    cases = case_summaries(report)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            answer=answer_text(report),
            first=report.first_divergence,
            first_number=None if report.first_divergence is None else report.parts.index(report.first_divergence),
            place=None if report.first_divergence is None else section_text(report.first_divergence.section),
            counts=Counter(state_of(report, part) for part in report.parts),
            steps=advice(report),
            cases=cases,
            missing=missing_kinds(report),
            close_ups=[close_up(shown) for shown in report.evidence],
            style=Markup(_file("style.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            **_drawings(report, cases, limits=limits, full_attention_blocks=full_attention_blocks),
        )
    )


def _drawings(
    report: CheckReport,
    cases: Sequence[Any],
    *,
    limits: tuple[float, float] | None,
    full_attention_blocks: Sequence[int] | None,
) -> dict[str, Any]:
    """Draw the model and the error against depth."""
    stages = stage_summaries(report)
    first = report.first_divergence
    charted = charted_cases(cases)
    drawn = {
        f"flow_{name}": Markup(
            flow_drawing(
                stages,
                layout=layout,
                first_wrong=None if first is None else stage_of(first.tap),
                full_attention_blocks=full_attention_blocks,
            )
        )
        for name, layout in (("wide", WIDE), ("narrow", NARROW))
    }
    return {
        **drawn,
        "stages": stages,
        "rounds_known": full_attention_blocks is not None,
        "sheet": Markup(pattern_sheet()),
        "charted": charted,
        "depth": Markup(depth_drawing(charted, limits=limits)) if charted else "",
    }


def _environment() -> Environment:
    """Return what fills the template: everything is escaped, and a name that is unknown is an error."""
    environment = Environment(
        loader=PackageLoader("qwen25vl", HTML),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "units": units_text,
        "number": number_text,
        "things": count_text,
        "local": local_text,
        "svg": Markup,
        "dotted": _dotted,
    }
    environment.globals |= {
        "glyphs": GLYPHS,
        "meanings": MEANINGS,
        "sections": SECTIONS,
        "state_of": state_of,
        "knee": KNEE,
    }
    return environment


def _dotted(name: str) -> Markup:
    """Let a long id break behind its dots."""
    return Markup(".<wbr>").join(escape(word) for word in name.split("."))


def _file(name: str) -> str:
    """Read a file of the page."""
    return (files("qwen25vl") / HTML / name).read_text(encoding="utf-8")
