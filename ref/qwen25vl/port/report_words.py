"""Section 15 - words of a check: how are its verdict, its numbers and its advice said to a person?"""

import math
from collections import Counter
from dataclasses import replace

from qwen25vl.port.verdicts import CheckReport, PartVerdict
from qwen25vl.table import count_text

SECTIONS = {
    "00": ("00-notation.md", "Notation and numerics"),
    "01": ("01-config-checkpoint.md", "Config and checkpoint"),
    "02": ("02-images.md", "Images"),
    "03": ("03-video.md", "Video and time"),
    "04": ("04-prompt.md", "Prompt"),
    "05": ("05-patch-embedding.md", "Patch embedding"),
    "06": ("06-rotary-2d.md", "2-D rotary embedding"),
    "07": ("07-windows.md", "Windows and vision attention"),
    "08": ("08-merger.md", "Merger"),
    "09": ("09-mrope.md", "MRoPE"),
    "10": ("10-decoder.md", "Decoder and cache"),
    "11": ("11-generation.md", "Generation"),
    "12": ("12-answers.md", "Answers: boxes and points"),
    "15": ("15-golden-values.md", "Golden values and conformance"),
}
"""File and title of each page of the specification."""

HINTS = {
    "permutation": "The right numbers lie in another order: look at orders of rows, reshapes and splits of heads.",
    "transposition": "Two axes have changed places: look at reshapes and at the layout of the dump.",
    "scale": "A factor is missing, doubled or another one: look at scales, gains and means.",
    "sign": "A sign is turned: look at what is subtracted from what, and at the halves of a rotation.",
    "head": "Some heads are right and some are not: look at how heads are split, shared and joined.",
    "band": "Some channels of each head are right and some are not: look at how angles are laid over channels.",
    "token": "Some rows are right and some are not: look at what is done to these rows alone.",
    "frame": "Some frames are right and some are not: look at time, and at where a frame begins.",
    "padding": "Only padding is wrong: look at the mask, then see whether anything reads these rows.",
    "saturation": "Numbers have met the end of their format: look at where it is narrower than here.",
    "nan": "There are numbers that are none: look at the first place that has them, its mask and its range.",
    "offset": "A constant is missing or added: look at biases, epsilons and where counting begins.",
}
"""What to look at first, by the kind of an error; a kind without a hint says nothing."""

GOOD = {"exact": "equal to the bit", "noise": "within rounding noise"}
"""How the verdicts of a right part are said."""

NO_VALUE = "–"
"""Stands where there is no number."""


def plain(text: str) -> str:
    """Return a text with every sign that cannot be printed replaced by its escape: names may be hostile."""
    return "".join(s if s.isprintable() else s.encode("unicode_escape").decode("ascii") for s in text)


def plain_report(report: CheckReport) -> CheckReport:
    """Return the same report with every text fit to print: one line each, without control signs."""
    return replace(
        report,
        dump=plain(report.dump),
        golden=plain(report.golden),
        model=plain(report.model),
        precision=plain(report.precision),
        parts=tuple(
            replace(
                part,
                case=plain(part.case),
                tap=plain(part.tap),
                detail=plain(part.detail),
                section=plain(part.section),
            )
            for part in report.parts
        ),
        problems=tuple(map(plain, report.problems)),
        notes=tuple(map(plain, report.notes)),
        expected_failures=tuple(map(plain, report.expected_failures)),
        evidence=tuple(
            replace(shown, case=plain(shown.case), tap=plain(shown.tap), dims=plain(shown.dims))
            for shown in report.evidence
        ),
    )


def units_text(units: float | None) -> str:
    """Say a number of noise units: `0.8x`, `12x`, `3e5x`; `–` where there is none."""
    if units is None:
        return NO_VALUE
    if not math.isfinite(units):
        return "NaN" if math.isnan(units) else "infx"
    if units == 0:
        return "0x"
    if units < 0.05:
        return "<0.1x"
    if units < 9.95:
        return f"{units:.1f}x"
    if units < 9999.5:
        return f"{units:.0f}x"
    digits, exponent = f"{units:.0e}".split("e")
    return f"{digits}e{int(exponent)}x"


def number_text(value: float | None) -> str:
    """Say any measured number with three digits; `–` where there is none."""
    return NO_VALUE if value is None else f"{value:.2e}" if value else "0"


def local_text(part: PartVerdict) -> str:
    """Say whether a stage is wrong by itself: `local`, `inherited`; nothing of what is not wrong or not judged."""
    if part.local is None or part.verdict not in ("wrong", "suspicious"):
        return ""
    return "local" if part.local else "inherited"


def section_text(section: str) -> str:
    """Name a page of the specification and its file; nothing where there is no section."""
    if section not in SECTIONS:
        return f"Section {section}" if section else ""
    file, title = SECTIONS[section]
    return f"Section {section}, {title}: spec/{file}"


def answer_text(report: CheckReport) -> str:
    """Say why a report has its verdict, in one or two sentences, the first wrong number by name."""
    first = report.first_divergence
    if first is not None:
        return divergence_text(first)
    missing = sum(part.verdict == "missing" and part.name not in report.expected_failures for part in report.parts)
    if not report.parts:
        return "There is no verdict, for nothing was compared: dump and golden have no part in common."
    if report.verdict == "incomplete":
        lacks = [f"{count_text(missing, 'part')} of {len(report.parts):,} missing"] if missing else []
        lacks += [count_text(len(report.problems), "problem")] if report.problems else []
        lacks = lacks or ["but several stages are suspicious by themselves"]
        cases = len({part.case for part in report.parts})
        return f"Nothing that was compared, in {count_text(cases, 'case')}, is wrong; {' and '.join(lacks)}."
    counts = Counter[str](part.verdict for part in report.parts)
    said = [f"{counts[verdict]:,} {words}" for verdict, words in GOOD.items() if counts[verdict]]
    cases = len({part.case for part in report.parts})
    total = f"{count_text(len(report.parts), 'part')} in {count_text(cases, 'case')}"
    return f"Nothing is wrong; of {total}, {' and '.join(said) or 'none is good'}.{_doubts(report)}"


def divergence_text(part: PartVerdict) -> str:
    """Say which number is the first wrong one, what its error looks like and whose fault it is."""
    detail = f", {part.detail.rstrip('.')}" if part.detail else ""
    return f"The first wrong number is {part.tap} of case {part.case}{detail}; {_fault(part)}."


def advice(report: CheckReport) -> list[str]:
    """List what to do next, most useful first."""
    first = report.first_divergence
    steps: list[str] = []
    if first is not None:
        steps += _advice_on(report, first)
    if report.problems:
        steps.append("Read the problems: what they name was not compared.")
    if report.verdict == "incomplete" and any(part.verdict == "missing" for part in report.parts):
        steps.append("Dump what is missing, and check again: what is not there is not proven right.")
    if first is None and any(part.verdict == "suspicious" for part in report.parts):
        steps.append("Look at what is suspicious: it is further off than rounding should be.")
    if not report.parts:
        steps.append("Compare the names in the dump with `qwen25vl names`; a map of names may be needed.")
    if report.expected_failures and not steps:
        known = count_text(len(report.expected_failures), "part")
        steps.append(f"Mend the {known} that are known to fail, and take them out of the list.")
    return steps or ["Nothing: the port is right, as far as these cases can tell."]


def _advice_on(report: CheckReport, first: PartVerdict) -> list[str]:
    """List what to do about the first wrong number."""
    before = report.parts[: report.parts.index(first)]
    unseen = sum(part.verdict == "missing" and part.case == first.case for part in before)
    steps = []
    if unseen:
        steps.append(
            f"Dump {count_text(unseen, 'part')} that {'lies' if unseen == 1 else 'lie'} before {first.tap} "
            "and should be there: the fault may begin in one of them."
        )
    elif first.local is False:
        steps.append(f"Look before {first.tap}: it is right for what it was given, so its inputs are wrong.")
    if first.kind in HINTS:
        steps.append(HINTS[first.kind])
    if first.section:
        steps.append(f"Read {section_text(first.section)}, its clauses and its traps.")
    return [*steps, f"Mend {first.tap} first, then check again: much of what follows may come right with it."]


def _fault(part: PartVerdict) -> str:
    """Say whether the fault lies in the stage or before it."""
    if part.local is None:
        return "whether it is wrong by itself was not judged"
    if part.local:
        return "wrong by itself: it is also wrong when computed again from the port's own numbers"
    return "inherited: it is right for the port's own numbers before it"


def _doubts(report: CheckReport) -> str:
    """Add how many parts are suspicious or known to fail, where there are any."""
    suspicious = sum(part.verdict == "suspicious" for part in report.parts)
    known = len(report.expected_failures)
    said = [f"{count_text(suspicious, 'part')} suspicious"] if suspicious else []
    said += [f"{count_text(known, 'failure')} expected"] if known else []
    return f" But {' and '.join(said)}." if said else ""
