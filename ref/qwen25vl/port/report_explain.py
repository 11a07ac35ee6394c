"""Section 15 - an explanation for a terminal: which known bug is it, what speaks for it, and how is it mended?"""

import textwrap
from collections.abc import Iterator, Sequence

from qwen25vl.port.explanation import THRESHOLD, Candidate, Certain, Explanation
from qwen25vl.port.report_text import LEAST_WIDTH, paint
from qwen25vl.table import aligned, count_text
from qwen25vl.wording import named

SHOWN_PARTS = 6
"""Reproduced parts that are listed of the first candidate."""

SHOWN_OTHERS = 4
"""Further candidates that are listed."""


def explanation_text(explanation: Explanation, *, colour: bool, width: int) -> str:
    """Say what an explanation found: the answer, the evidence, what is certain, the other candidates.

    Args:
        explanation: of a port's numbers.
        colour: whether to write ANSI colours.
        width: columns of the terminal.

    Returns:
        Lines of text; no line end behind the last.
    """
    width = max(width, LEAST_WIDTH)
    blocks = [_answer(explanation, width=width)]
    if explanation.candidates:
        first, *others = explanation.candidates
        if first.score > 0:
            blocks.append(_bug(first, width=width, is_sure=explanation.confident))
            blocks.append(_evidence(first))
        if others:
            blocks.append(_others(others))
    blocks.append(_certain(explanation.certain, width=width))
    text = "\n\n".join(block for block in blocks if block)
    head, rest = text.split(":", 1)
    return f"{paint(head, 'title', colour=colour)}:{rest}"


def _answer(explanation: Explanation, *, width: int) -> str:
    """Say first whether the bug is known."""
    if not explanation.certain.stage:
        return "NOTHING TO EXPLAIN: no part is wrong."
    tried = f"{count_text(explanation.tried, 'bug')} tried on {count_text(len(explanation.cases), 'case')}."
    if explanation.ran_out:
        tried += " The time was up before all suspects were tried: give more --seconds, or a smaller case."
    alike = [one for one in explanation.candidates if one.score >= THRESHOLD]
    if explanation.confident:
        first = explanation.candidates[0]
        twins = f" (or {' or '.join(first.twins)}: no case tells them apart)" if first.twins else ""
        parts = count_text(len(first.reproduced), "wrong part")
        said = f"EXPLAINED: {first.id}{twins}. It reproduces {parts}; score {first.score:.2f}."
    elif len(alike) > 1:
        case = explanation.told_apart_by
        apart = f"; the case {case} does" if case else ""
        names = ", ".join(one.id for one in alike)
        said = f"ONE OF {len(alike)}: {names}. These numbers do not tell them apart{apart}."
    elif alike:
        thin = "; it rests on too few numbers: give more cases" if alike[0].is_thin else ""
        said = f"PERHAPS: {alike[0].id}, with a score of {alike[0].score:.2f}{thin}."
    else:
        said = (
            f"NOT EXPLAINED: nothing that is known gives these numbers (a score of {THRESHOLD} would). What is "
            "certain stands below."
        )
    return _filled(f"{said} {tried}", width)


def _bug(candidate: Candidate, *, width: int, is_sure: bool) -> str:
    """Say what the bug is, and how to mend it."""
    lines = [] if is_sure else [f"The nearest, with a score of {candidate.score:.2f}: {candidate.id}"]
    for mutant in candidate.mutants:
        clauses = ", ".join(f"({clause})" for clause in mutant.clauses)
        for label, text in (
            ("what", f"{mutant.title} Breaks {clauses} of the specification."),
            ("cause", mutant.cause),
            ("mend", mutant.fix),
            ("hidden by", mutant.hidden_by),
            ("happened", ", ".join(mutant.threads)),
            ("versions", mutant.versions),
        ):
            if text:
                lines.append(_filled(text, width, label=label))
    if candidate.shown_by:
        lines.append(_filled(f"{candidate.shown_by} shows it, and runs least", width, label="case"))
    return "\n".join(lines)


def _evidence(candidate: Candidate) -> str:
    """List what the bug reproduces, and what it does not."""
    rows = [("part", "off the right one", "off the bug's")]
    rows += [
        (f"{one.case}/{one.part}", _units(one.reference_units), _units(one.mutant_units))
        for one in candidate.reproduced[:SHOWN_PARTS]
    ]
    text = "Evidence, in units of the noise\n" + aligned(rows, right=(1, 2), indent=2)
    more = len(candidate.reproduced) - SHOWN_PARTS
    if more > 0:
        text += f"\n  ... and {more} more"
    for what, parts in (("not explained", candidate.missed), ("right, though the bug", candidate.contradicted)):
        if parts:
            end = " would make it wrong" if what.startswith("right") else ""
            text += f"\n  {count_text(len(parts), 'part')} {what}{end}: {named(parts[0])}"
            text += ", ..." if len(parts) > 1 else ""
    return text


def _others(candidates: Sequence[Candidate]) -> str:
    """List what else was near."""
    rows = [("score", "bug", "explains")]
    rows += [
        (f"{one.score:.2f}", one.id, count_text(len(one.reproduced), "part")) for one in candidates[:SHOWN_OTHERS]
    ]
    return "Other candidates\n" + aligned(rows, right=(0,), indent=2)


def _certain(certain: Certain, *, width: int) -> str:
    """Say what holds whatever the bug is."""
    if not certain.stage:
        return ""
    return "Certain\n" + "\n".join(_filled(line, width, label="-") for line in _facts(certain))


def _facts(certain: Certain) -> Iterator[str]:
    """Give what is certain, one sentence each."""
    place = {
        True: "is wrong by itself: what it was computed from is right",
        False: "inherits an error: what comes before it is wrong already",
        None: "is the first that is wrong; whether by itself was not judged",
    }[certain.local]
    yield f"{named(certain.case)}/{named(certain.stage)} {place}"
    if certain.detail:
        yield f"its error: {certain.detail} ({certain.kind})"
    if certain.right_before:
        count = count_text(len(certain.right_before), "part")
        yield f"right before it: {count}, the last {certain.right_before[-1]}"
    if certain.ruled_out:
        some = ", ".join(certain.ruled_out[:8]) + (", ..." if len(certain.ruled_out) > 8 else "")
        yield f"ruled out, since they give other numbers: {some}"


def _filled(text: str, width: int, *, label: str = "") -> str:
    """Wrap a sentence, behind a label if there is one."""
    indent = "  - " if label == "-" else f"  {label:<10}" if label else ""
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _units(units: float) -> str:
    """Say units; what is another whole number or shape has none."""
    return "other" if units == float("inf") else f"{units:,.1f}" if units < 1e6 else f"{units:.1e}"
