"""Section 15 - templates of a map: which id does the name of a dumped tensor give, and which could it give?"""

import re

from qwen25vl.tap_names import OTHER_PARTS, TAP_NAMES

FIELD = re.compile(r"\{(\d+)(?::0(\d+)d)?\}")
"""What stands for a group of a regular expression: `{1}` for its text, `{1:02d}` for its number in two digits."""

RUN = re.compile(r"^(rows\.(\d+|\{\d+(:0\d+d)?\})\.)?(chunks\.(\d+|\{\d+(:0\d+d)?\})\.)?")
"""What a template may have before an id: the number of a prompt, of a piece of one."""

BLOCKS = 100
"""Ids have two digits for the number of a block."""


def filled(template: str, found: re.Match[str]) -> str | None:
    """Return the id that a match gives; None if a number is asked for of what is none."""
    for group, digits in FIELD.findall(template):
        text = found[int(group)]
        if text is None or (digits and not text.isdecimal()):
            return None
    return FIELD.sub(lambda field: _text(found[int(field[1])], field[2]), template)


def _text(text: str, digits: str | None) -> str:
    """Return what a field stands for."""
    return text if digits is None else text.lstrip("0").zfill(max(1, int(digits)))


def fault_of(template: str, source: re.Pattern[str]) -> str | None:
    """Say what is wrong with a template for the groups of an expression; None if nothing is."""
    if "{" in FIELD.sub("", template) or "}" in FIELD.sub("", template):
        return f"a brace of {template!r} belongs to no field such as {{1}} or {{1:02d}}"
    missing = [group for group, _ in FIELD.findall(template) if not 1 <= int(group) <= source.groups]
    if missing:
        return f"{template!r} asks for group {missing[0]}, and {source.pattern!r} has {source.groups}"
    if not _could_be_a_part(template, source):
        return f"{template!r} is no id that `qwen25vl names` lists"
    return None


def possible(template: str, source: re.Pattern[str]) -> re.Pattern[str]:
    """Return an expression over every id that a template can give, without `rows.NN.` and `chunks.NN.`."""
    plain = RUN.sub("", template, count=1)
    pieces, end = [], 0
    for field in FIELD.finditer(plain):
        digits = rf"\d{{{field[2]},}}" if field[2] else _group(source, int(field[1]))
        pieces += [re.escape(plain[end : field.start()]), digits]
        end = field.end()
    return re.compile("".join([*pieces, re.escape(plain[end:])]))


def _could_be_a_part(template: str, source: re.Pattern[str]) -> bool:
    """Whether a template gives at least one id of ours."""
    if RUN.sub("", template, count=1).startswith(tuple(OTHER_PARTS)):
        return True
    pattern = possible(template, source)
    return any(
        pattern.fullmatch(row.id.replace("NN", f"{block:02d}"))
        for row in TAP_NAMES
        for block in range(BLOCKS if "NN" in row.id else 1)
    )


def _group(source: re.Pattern[str], number: int) -> str:
    """Return the expression of a group of an expression; anything, if it cannot stand alone."""
    text, opened, starts = source.pattern, 0, []
    i = 0
    while i < len(text):
        if text[i] == "\\":
            i += 2
            continue
        if text[i] == "[":
            i = _end_of_set(text, i)
        elif text[i] == "(":
            named = re.compile(r"\((\?P<\w+>)?(?!\?)").match(text, i)
            opened += named is not None
            starts.append((opened if named else 0, named.end() if named else i))
        elif text[i] == ")":
            group, start = starts.pop()
            if group == number:
                return _alone(text[start:i])
        i += 1
    return ".+"


def _end_of_set(text: str, start: int) -> int:
    """Return where a set of characters ends: at its bracket. One that comes first belongs to the set."""
    i = start + 1 + (text[start + 1] == "^")
    i += text[i] == "]"
    while text[i] != "]":
        i += 2 if text[i] == "\\" else 1
    return i


def _alone(text: str) -> str:
    """Return a part of an expression as one of its own; anything, if it refers to other groups."""
    try:
        re.compile(text)
    except re.error:
        return ".+"
    return f"(?:{text})"
