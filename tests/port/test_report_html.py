"""The page: whole, escaped, and without the network."""

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from port.report_samples import (
    FAULT,
    LIMITS,
    empty_report,
    failed_report,
    hostile_report,
    large_report,
    passed_report,
)
from qwen25vl.port.report_html import html_report
from qwen25vl.port.verdicts import CheckReport, Evidence, PartVerdict

VOID = {"meta", "link", "img", "br", "input", "wbr"}
"""Elements of HTML that have no end."""

HOSTILE = "<script>alert(1)</script>'\"&\x1b\n\ud800]]>--></style>"


class Walk(HTMLParser):
    """Everything that a browser would meet."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open, self.faults, self.ids, self.anchors, self.urls = [], [], [], [], []
        self.tags, self.texts, self.rows = Counter(), {}, []
        self.feed(page)
        self.close()
        self.faults += [f"{tag} is never closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.tags[tag] += 1
        if len(named) != len(attrs):
            self.faults.append(f"{tag} has an attribute twice")
        self.faults += [f"{tag} has {name}" for name in named if name.startswith("on")]
        if "id" in named:
            self.ids.append(named["id"])
        if "data-state" in named:
            self.rows.append((named["id"], named["data-state"]))
        for name in ("href", "src", "action", "data", "xlink:href"):
            if named.get(name, "").startswith("#"):
                self.anchors.append(named[name][1:])
            elif name in named:
                self.urls.append(named[name])
        for value in named.values():
            self.anchors += re.findall(r"url\(#([^)]*)\)", value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"{tag} closes another")

    def handle_data(self, data):
        if self.open:
            self.texts[self.open[-1]] = self.texts.get(self.open[-1], "") + data


def evidence(found: np.ndarray, dims: str = "P D", **others) -> Evidence:
    return Evidence("c", "vision.out", dims, found, np.ones(found.shape), 0.5, **others)


def with_evidence(*shown: Evidence) -> CheckReport:
    return replace(passed_report(), evidence=shown)


NAN = np.array([[1.0, np.nan, np.inf], [-np.inf, 2.0, 1.0]])
REPORTS = {
    "failed": failed_report,
    "passed": passed_report,
    "empty": empty_report,
    "large": large_report,
    "hostile": lambda: hostile_report(HOSTILE),
    "nothing a number": lambda: with_evidence(evidence(NAN), evidence(np.full((3, 2), np.nan))),
    "one axis": lambda: with_evidence(evidence(np.arange(5.0), "M")),
    "no axis, no element": lambda: with_evidence(evidence(np.array(2.0), ""), evidence(np.ones((0, 4)))),
    "heads": lambda: with_evidence(evidence(np.ones((2, 3, 3)) * 7, "N L L")),
    "no floor": lambda: with_evidence(replace(evidence(np.zeros((2, 2))), floor=0.0)),
    "a video": lambda: with_evidence(
        evidence(np.arange(32.0).reshape(16, 2), frame_grid=(2, 2, 4), patch_of_row=np.arange(16)[::-1])
    ),
    "exact alone": lambda: CheckReport("d", "g", "m", "p", (PartVerdict("c", "inputs.ids", "exact", "noise"),)),
}


@pytest.fixture(scope="module", params=REPORTS)
def made(request) -> tuple[CheckReport, str, Walk]:
    """A report, its page, and what a browser meets in it."""
    report = REPORTS[request.param]()
    page = html_report(report, limits=LIMITS, full_attention_blocks=(1, 4))
    return report, page, Walk(page)


def test_the_page_is_sound(made):
    _, page, walk = made
    assert page.lower().startswith("<!doctype html>")
    assert walk.faults == []
    assert [name for name, count in Counter(walk.ids).items() if count > 1] == []
    assert set(walk.anchors) <= set(walk.ids)
    page.encode()


def test_the_page_asks_nothing_of_the_network(made):
    _, page, walk = made
    assert all(url.startswith("data:") for url in walk.urls)
    assert "default-src 'none'" in page
    assert re.search(r"@import|https?:|url\((?!#)", page) is None


def test_every_part_has_one_row_in_the_order_of_the_report(made):
    report, _, walk = made
    rows = walk.rows
    assert [name for name, _ in rows] == [f"part-{i}" for i in range(len(report.parts))]
    assert [state for _, state in rows if state != "expected"] == [
        part.verdict for part in report.parts if f"{part.case}/{part.tap}" not in report.expected_failures
    ]


def test_names_cannot_become_markup():
    page = html_report(hostile_report(HOSTILE))
    walk = Walk(page)
    assert walk.tags["script"] == walk.tags["style"] == 1
    assert "alert(1)" not in walk.texts["script"]
    assert "<script>alert(1)</script>'\"&\\x1b\\n\\ud800]]>--></style>" in walk.texts["dd"]


def test_the_only_script_that_may_run_is_the_pages_own():
    page = html_report(failed_report())
    text = Walk(page).texts["script"]
    allowed = re.search(r"script-src 'sha256-([^']*)'", page)[1]
    assert base64.b64decode(allowed) == hashlib.sha256(text.encode()).digest()


def test_the_answer_stands_at_the_top():
    walk = Walk(html_report(failed_report()))
    assert walk.texts["h1"].strip() == "The first wrong number is"
    first = failed_report().parts.index(failed_report().first_divergence)
    assert f"part-{first}" in walk.anchors
    assert walk.texts["title"].startswith(f"fail: {FAULT}")
    assert "spec/07-windows.md" in walk.texts["p"]


def test_a_good_dump_has_no_table_of_what_is_missing():
    headings = Walk(html_report(passed_report())).texts["h2"]
    assert "Missing" not in headings
    assert "Evidence" not in headings
    assert "All parts" in headings


def test_an_empty_report_does_not_look_like_a_pass():
    page = html_report(empty_report())
    assert 'class="top is-incomplete"' in page
    assert "nothing was compared" in page


def test_the_same_report_gives_the_same_page():
    assert html_report(failed_report()) == html_report(failed_report())


def test_pictures_are_in_the_page_where_rows_are_patches():
    def urls(report: CheckReport) -> list[str]:
        return [url.partition(";")[0] for url in Walk(html_report(report)).urls]

    assert urls(failed_report()).count("data:image/jpeg") == 2
    assert urls(passed_report()) == ["data:,"]


def test_blocks_of_full_attention_are_drawn_round_where_they_are_known():
    known = html_report(passed_report(), full_attention_blocks=(1, 4))
    assert known.count("vision block 4, full attention") == 2
    assert "block of full attention" in known
    assert "full attention" not in html_report(passed_report())


def test_thousands_of_parts_stay_a_page_that_can_be_sent(made):
    report, page, _ = made
    assert len(page) < 450_000 + 700 * len(report.parts)
