"""Section 15 - report for a terminal: what is wrong, where first, and what comes next?"""

import textwrap
from collections.abc import Sequence

from qwen25vl.port.report_summary import (
    VERDICTS,
    around_divergence,
    case_summaries,
    missing_kinds,
)
from qwen25vl.port.report_words import (
    NO_VALUE,
    advice,
    answer_text,
    local_text,
    plain_report,
    section_text,
    units_text,
)
from qwen25vl.port.verdicts import CheckReport, PartVerdict
from qwen25vl.table import aligned, count_text

COLOURS = {
    "exact": "32",
    "noise": "32",
    "suspicious": "33",
    "wrong": "31",
    "missing": "35",
    "pass": "1;32",
    "fail": "1;31",
    "incomplete": "1;33",
    "title": "1",
}
"""ANSI codes, by what is said."""

LEAST_WIDTH = 40
"""A narrower terminal is written to as if it were as wide as this."""

LEAST_DETAIL = 30
"""Columns that a detail needs to stand beside its part; else it stands on the next line."""

MOST_LINES = 20
"""Rows of a list that may be long; how many are left out is said."""


def text_report(report: CheckReport, *, colour: bool, width: int) -> str:
    """Say what a check found: the answer, the cases, the parts around the first wrong one, what to do.

    Args:
        report: what the check found; names in it may be hostile, and are made fit to print.
        colour: whether to write ANSI colours; NO_COLOR and pipes are the caller's business.
        width: columns of the terminal. Ids are not cut, so a long one may pass it.

    Returns:
        Lines of text; no line end behind the last.
    """
    report = plain_report(report)
    width = max(width, LEAST_WIDTH)
    blocks = [
        _answer(report, colour=colour, width=width),
        _cases(report, colour=colour),
        _around(report, colour=colour, width=width),
        _missing(report, colour=colour),
        _sentences("Problems", report.problems, colour=colour, width=width),
        _sentences("To know", report.notes, colour=colour, width=width),
        _sentences("Expected failures, not counted", report.expected_failures, colour=colour, width=width),
        _sentences("What to do next", advice(report), colour=colour, width=width),
    ]
    return "\n\n".join(block for block in blocks if block)


def _answer(report: CheckReport, *, colour: bool, width: int) -> str:
    """Say the verdict first, its word coloured."""
    word, first = report.verdict.upper(), report.first_divergence
    place = "" if first is None or not first.section else f" {section_text(first.section)}."
    said = f"{word}: {answer_text(report)}{place}"
    text = textwrap.fill(said, width, break_long_words=False, break_on_hyphens=False)
    head = f"{report.dump} against {report.golden} ({report.model}, {report.precision})"
    return f"{paint(word, report.verdict, colour=colour)}{text.removeprefix(word)}\n{head}"


def _cases(report: CheckReport, *, colour: bool) -> str:
    """Lay out how each case stands; those with something wrong first where there are many."""
    summaries = case_summaries(report)
    if not summaries:
        return ""
    ranked = sorted(summaries, key=lambda summary: -summary.counts.get("wrong", 0))
    chosen = summaries if len(summaries) <= MOST_LINES else ranked[:MOST_LINES]
    rows: list[tuple[str, ...]] = [("case", *VERDICTS, "first wrong")]
    rows += [
        (
            summary.case,
            *(str(summary.counts.get(verdict, 0) or NO_VALUE) for verdict in VERDICTS),
            NO_VALUE if summary.first_wrong is None else summary.first_wrong.tap,
        )
        for summary in chosen
    ]
    rest = _rest(len(summaries) - len(chosen), "case")
    return _title("Cases", colour=colour) + aligned(rows, right=range(1, 6), indent=2) + rest


def _around(report: CheckReport, *, colour: bool, width: int) -> str:
    """Lay out the parts around the first wrong one; it has a mark."""
    parts = around_divergence(report)
    if not parts:
        return ""
    first = report.first_divergence
    marks = [">" if part == first else " " for part in parts]
    rows = [("verdict", "units", "by itself", "", "part")]
    rows += [
        (part.verdict, units_text(part.noise_units), units_text(part.local_units), local_text(part), part.tap)
        for part in parts
    ]
    lines = aligned(rows, right=(1, 2), indent=2).split("\n")
    beside = width - 2 - max(map(len, lines))
    found = [lines[0]]
    for line, part, mark in zip(lines[1:], parts, marks, strict=True):
        found += _part_lines(line, part, mark=mark, column=max(map(len, lines)), beside=beside, colour=colour)
    return _title(f"Around the first wrong number, case {parts[0].case}", colour=colour) + "\n".join(found)


def _part_lines(line: str, part: PartVerdict, *, mark: str, column: int, beside: int, colour: bool) -> list[str]:
    """Paint the verdict of one row, and put the detail beside it or below."""
    end = 2 + len(part.verdict)
    painted = mark + line[1:2] + paint(part.verdict, part.verdict, colour=colour)
    if not part.detail:
        return [painted + line[end:]]
    if beside >= LEAST_DETAIL:
        return [painted + line[end:].ljust(column - end) + "  " + textwrap.shorten(part.detail, beside)]
    return [painted + line[end:], " " * 14 + textwrap.shorten(part.detail, max(column + beside - 12, 20))]


def _missing(report: CheckReport, *, colour: bool) -> str:
    """Count what is missing, one line for each kind."""
    kinds = missing_kinds(report)
    if not kinds:
        return ""
    rows = [
        (
            kind.kind,
            "all" if kind.missing == kind.expected else f"{kind.missing} of",
            f"{kind.expected:,}",
            f"in {count_text(kind.cases, 'case')}",
        )
        for kind in kinds[:MOST_LINES]
    ]
    total = sum(kind.missing for kind in kinds)
    title = _title(f"Missing: {count_text(total, 'part')}", colour=colour)
    return title + aligned(rows, right=(1, 2), indent=2) + _rest(len(kinds) - len(rows), "kind")


def _sentences(title: str, sentences: Sequence[str], *, colour: bool, width: int) -> str:
    """List sentences under a title; nothing if there are none."""
    if not sentences:
        return ""
    lines = [
        textwrap.fill(
            sentence,
            width,
            initial_indent="  - ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for sentence in sentences[:MOST_LINES]
    ]
    return _title(title, colour=colour) + "\n".join(lines) + _rest(len(sentences) - len(lines), "more", "more")


def _rest(count: int, one: str, many: str | None = None) -> str:
    """Say how many lines were left out, if any were."""
    return f"\n  ... and {count_text(count, one, many)} more".replace("more more", "more") if count > 0 else ""


def _title(text: str, *, colour: bool) -> str:
    """Return a title and the line's end."""
    return paint(text, "title", colour=colour) + "\n"


def paint(text: str, what: str, *, colour: bool) -> str:
    """Colour a text if colours are wanted."""
    return f"\x1b[{COLOURS[what]}m{text}\x1b[0m" if colour else text
