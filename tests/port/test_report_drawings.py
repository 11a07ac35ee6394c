"""The drawings of the page: the model as a flow, the error against depth."""

import itertools
import re
from xml.etree import ElementTree

import pytest

from port.report_samples import FAULT, LIMITS, failed_report, large_report, passed_report
from qwen25vl.port.html.depth import MOST_CASES, charted_cases, depth_drawing
from qwen25vl.port.html.flow import LABELS, flow_drawing
from qwen25vl.port.html.flow_layout import NARROW, WIDE
from qwen25vl.port.html.svg import GLYPHS, MEANINGS, PATTERNS, element, pattern_sheet
from qwen25vl.port.report_summary import STATES, case_summaries, stage_of, stage_summaries
from qwen25vl.port.verdicts import CheckReport, PartVerdict

LAYOUTS = {"wide": WIDE, "narrow": NARROW}


def report_of(*parts: PartVerdict) -> CheckReport:
    return CheckReport("dump", "golden", "tiny", "float32", parts)


def measured(case: str, *units: float, verdict: str = "noise") -> list[PartVerdict]:
    """Blocks of a decoder with these errors."""
    return [
        PartVerdict(case, f"language.blocks.{i:02d}.resid_post", verdict, "other", noise_units=value)
        for i, value in enumerate(units)
    ]


def test_every_state_has_a_sign_of_its_own_and_a_meaning():
    assert set(STATES) == set(MEANINGS) == set(GLYPHS) - {"none"}
    assert len(set(GLYPHS.values())) == len(GLYPHS)
    assert {"wrong", "suspicious", "missing"} <= set(PATTERNS)


def test_text_in_a_drawing_is_escaped():
    drawn = ElementTree.tostring(element("text", text="<a&b>", class_='"', font_size=1.2345), encoding="unicode")
    assert drawn == '<text class="&quot;" font-size="1.23">&lt;a&amp;b&gt;</text>'


def test_every_pattern_is_defined_once():
    defined = re.findall(r' id="([^"]*)"', pattern_sheet())
    assert sorted(defined) == sorted([*(f"fill-{state}" for state in PATTERNS), "head"])


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_boxes_stand_in_the_drawing_and_do_not_overlap(layout):
    boxes = list(layout.boxes.values())
    assert set(layout.boxes) == set(LABELS)
    for x, y, width, height in boxes:
        assert x >= 0
        assert y >= 0
        assert x + width <= layout.width
        assert y + height <= layout.height
    for i, (x, y, width, height) in enumerate(boxes):
        for other_x, other_y, other_width, other_height in boxes[:i]:
            beside = x + width <= other_x or other_x + other_width <= x
            assert beside or y + height <= other_y or other_y + other_height <= y


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_flow_marks_the_first_wrong_stage_and_leads_to_its_part(layout):
    report = failed_report()
    stages = stage_summaries(report)
    drawn = ElementTree.fromstring(flow_drawing(stages, layout=layout, first_wrong=stage_of(FAULT)))
    (marked,) = (link for link in drawn.iter("a") if link.find("rect[@class='first']") is not None)
    assert marked.get("href") == f"#part-{report.parts.index(report.first_divergence)}"
    assert marked.find("title").text.startswith("vision block 1: ")
    assert marked.find("rect[@class='box s-wrong']") is not None
    assert len([link for link in drawn.iter("a") if "block" in link.find("title").text]) == 9


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("tap", ["inputs.ids", "vision.rope.cos", "vision.out", "logits", "outputs.size"])
def test_a_stage_that_is_no_block_is_marked_too(layout, tap):
    stages = stage_summaries(report_of(PartVerdict("c", tap, "wrong", "other")))
    drawn = ElementTree.fromstring(flow_drawing(stages, layout=layout, first_wrong=stage_of(tap)))
    (link,) = drawn.iter("a")
    assert link.find("title").text.startswith(LABELS[stage_of(tap)])
    assert link.find("rect[@class='first']") is not None
    assert len(drawn.findall(".//rect[@class='first']")) == 1


def test_nothing_is_marked_where_nothing_is_wrong():
    drawn = flow_drawing(stage_summaries(passed_report()), layout=WIDE, first_wrong=None)
    assert 'class="first"' not in drawn
    assert "s-wrong" not in drawn


def test_what_was_not_compared_is_drawn_as_that():
    drawn = flow_drawing({}, layout=WIDE, first_wrong=None)
    assert drawn.count("box s-none") == len(LABELS) - 1  # all but other results
    assert "<a " not in drawn


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("count", [1, 2, 5, 28, 32, 36, 64, 80, 200])
def test_any_number_of_blocks_fits_its_frame(layout, count):
    stages = stage_summaries(report_of(*measured("c", *[1.0] * count)))
    drawn = ElementTree.fromstring(flow_drawing(stages, layout=layout, first_wrong="language.00"))
    left, top, width, height = layout.boxes["language"]
    cells = [link.find("rect[@class='box s-noise']") for link in drawn.iter("a")]
    assert len(cells) == count
    for cell in cells:
        x, y, side = (float(cell.get(name)) for name in ("x", "y", "width"))
        assert side > 3
        assert left < x
        assert x + side < left + width
        assert top + 20 < y
        assert y + side < top + height


def test_the_first_wrong_case_is_drawn_first_and_short_cases_are_not():
    parts = [
        *measured("short", 1.0),
        *measured("long", *[1.0] * 20),
        *measured("bad", *[99.0] * 9, verdict="wrong"),
    ]
    charted = charted_cases(case_summaries(report_of(*parts)))
    assert [case.case for case in charted] == ["bad", "long"]


def test_no_more_cases_are_drawn_than_can_be_told_apart():
    parts = [part for i in range(20) for part in measured(f"case{i}", *[1.0] * 9)]
    assert len(charted_cases(case_summaries(report_of(*parts)))) == MOST_CASES


def depths(drawn: str, kind: str) -> list[float]:
    """Heights of the marks of a kind in a drawing."""
    root = ElementTree.fromstring(drawn)
    if kind == "dot":
        return [float(mark.get("cy")) for mark in root.iter("circle") if mark.get("class") == kind]
    marks = (mark for mark in root.iter("path") if mark.get("class") == kind)
    return [float(re.match(r"M[\d.]+,([\d.]+)", mark.get("d"))[1]) for mark in marks]


def test_ten_times_the_error_is_one_decade_higher():
    cases = case_summaries(report_of(*measured("c", *(10.0**i for i in range(8)))))
    heights = depths(depth_drawing(cases), "dot")
    steps = {round(low - high, 1) for low, high in itertools.pairwise(heights)}
    assert max(steps) - min(steps) <= 0.1
    assert min(steps) > 20


def test_wrong_and_suspicious_parts_have_marks_of_their_own():
    parts = [
        *measured("c", *[1.0] * 8),
        PartVerdict("c", "language.norm.out", "suspicious", "other", noise_units=8.0),
    ]
    parts.append(PartVerdict("c", "logits", "wrong", "other", noise_units=50.0, local_units=40.0))
    drawn = depth_drawing(case_summaries(report_of(*parts)), limits=LIMITS)
    assert (len(depths(drawn, "dot")), len(depths(drawn, "triangle")), len(depths(drawn, "cross"))) == (8, 1, 1)
    assert drawn.count('class="alone"') == 1
    assert "suspicious above 4x" in drawn
    assert "wrong above 16x" in drawn


def test_an_error_that_is_no_number_lies_at_the_upper_edge():
    parts = measured("c", *[1.0] * 8, float("nan"), float("inf"), verdict="wrong")
    heights = depths(depth_drawing(case_summaries(report_of(*parts))), "cross")
    assert heights[-1] == heights[-2] == min(heights)
    assert heights[-1] < heights[0] - 50
    assert "nan" not in depth_drawing(case_summaries(report_of(*parts))).lower().replace("nan</title>", "")


@pytest.mark.parametrize("units", [0.0, 1e-300, 1e300])
def test_any_number_of_units_stays_in_the_drawing(units):
    drawn = depth_drawing(case_summaries(report_of(*measured("c", *[units] * 9))))
    assert all(0 <= height <= 340 for height in depths(drawn, "dot"))


def test_names_of_blocks_do_not_run_into_each_other():
    drawn = ElementTree.fromstring(depth_drawing(charted_cases(case_summaries(large_report()))))
    places = [float(text.get("x")) for text in drawn.iter("text") if (text.text or "").isdigit()]
    assert len(places) > 5
    assert min(right - left for left, right in itertools.pairwise(places)) >= 20
