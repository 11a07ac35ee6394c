r"""Section 15 - maps in a file: how does a porter say what their own names mean?

    [[map]]
    from = 'enc\.(\d+)\.qkv'                  # a regular expression over the whole name; or a list of them
    to = "vision.blocks.{1:02d}.attn.k"       # {1} is what group 1 found, {1:02d} its number in two digits
    steps = [{ split = { axis = 1, part = 1, of = 3 } }, { reshape = ["P", "N", "d"] }]

An entry makes one part. One tensor may serve several entries; where entries make the same part, the first counts.
With a list in `from`, each expression finds one tensor, and `combine` says how they become one: `"sum"`, or
`{ concat = AXIS }`. Then come the steps, in their order:

    { reshape = [SIDE, ...] }    a side is a number, a letter of `qwen25vl names` (`"4D"` is four times D),
                                 or, once, a letter that no config fixes (P, M, L, S): what is left
    { transpose = [AXIS, ...] }  the axes in their new order
    { split = { axis = A, part = I, of = N } }           piece I, counted from 0, of N equal ones
    { split = { axis = A, part = I, sizes = [SIDE, ...] } }   ... of pieces of these sizes
    { take = { axis = A, index = I } }                   one entry of an axis, which goes
    { squeeze = AXIS }           an axis of length 1 goes

A part that the file maps and a dump does not hold is missing; with `declared = false` in its entry it may be.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qwen25vl.config import Config
from qwen25vl.errors import BadInput
from qwen25vl.port.maps.rules import NameMap, Rule
from qwen25vl.port.maps.template import fault_of, possible
from qwen25vl.port.maps.toml_steps import make_of
from qwen25vl.wording import shown

KEYS = ("from", "to", "combine", "steps", "declared")
"""What an entry may say."""

LARGEST_BYTES = 1_000_000
"""A larger file is refused unread."""


def toml_map(path: Path, *, config: Config | None) -> NameMap:
    """Read a map from a TOML file.

    Args:
        path: the file; its format is described above.
        config: of the golden's model, for letters in shapes.

    Raises:
        BadInput: if the file cannot be read or is no TOML, or an entry is wrong; the text names file and entry.
    """
    entries = _entries(path)
    rules = []
    for number, entry in enumerate(entries, start=1):
        try:
            rules.append(_rule(entry, config))
        except ValueError as error:
            raise BadInput(f"{path}, entry {number} of [[map]]: {error}") from None
    patterns = [possible(rule.part, rule.sources[0]) for rule in rules if rule.declared]
    return NameMap(str(path), tuple(rules), lambda part: any(pattern.fullmatch(part) for pattern in patterns))


def _entries(path: Path) -> Sequence[Any]:
    """Return what stands under `[[map]]`."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise BadInput(f"{path} is larger than {LARGEST_BYTES} bytes, which no map is; give the map's file")
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); give ours, hf, gguf or a TOML file") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path} is no valid TOML ({error}); mend it there") from None
    entries = document.get("map")
    if set(document) != {"map"} or not isinstance(entries, list) or not entries:
        raise BadInput(f"{path} must hold [[map]] entries and nothing else; see spec/check-your-port.md")
    return entries


def _rule(entry: Any, config: Config | None) -> Rule:
    """Return the rule that an entry states. A `ValueError` says what is wrong with the entry."""
    if not isinstance(entry, Mapping) or not {"from", "to"} <= set(entry) <= set(KEYS):
        raise ValueError(f"it needs from and to, and may have {', '.join(KEYS[2:])}; got {shown(entry)}")
    texts, part, declared = entry["from"], entry["to"], entry.get("declared", True)
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"from must be a regular expression or a list of them, got {shown(entry['from'])}")
    if not isinstance(part, str) or not isinstance(declared, bool):
        raise ValueError(f"to must be a text, and declared true or false; got {shown([part, declared])}")
    sources = tuple(_pattern(text) for text in texts)
    faults = [fault_of(part, source) for source in sources]
    if any(faults):
        raise ValueError(next(fault for fault in faults if fault))
    steps, combine = entry.get("steps", []), entry.get("combine")
    make = make_of(steps, combine, len(sources), part=part, config=config)
    how = [json.dumps(what) for what in ([combine] if combine else []) + steps]
    return Rule(part, sources, make, source=" and ".join(texts), how=", ".join(how), declared=declared)


def _pattern(text: str) -> re.Pattern[str]:
    """Return a regular expression."""
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression ({error})") from None
