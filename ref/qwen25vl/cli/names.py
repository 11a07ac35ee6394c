"""`qwen25vl names`: list every tap id, and what other implementations call it."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from qwen25vl.cli.options import add_command, print_json
from qwen25vl.errors import BadInput
from qwen25vl.port.maps.gguf import WEIGHTS
from qwen25vl.port.maps.name_map import name_map
from qwen25vl.port.maps.rules import Rule
from qwen25vl.port.maps.template import FIELD
from qwen25vl.table import aligned
from qwen25vl.tap_names import LEVELS, TAP_NAMES

LETTERS = (
    "P patches · M merged tokens · D vision width · N heads · K key/value heads · d head width · F MLP width · "
    "L tokens · E language width · V vocabulary rows · S sum of squared segment lengths · NN block number"
)
"""What the letters of the shapes mean."""

NOWHERE = "-"
"""Stands where nothing of a map is the tap."""

EXAMPLES = """\
  qwen25vl names
  qwen25vl names --json | python -m json.tool
  qwen25vl names --to hf
  qwen25vl golden out --image cat.jpg --taps "vision.blocks.07.attn.*" "Describe it."
"""
"""Shown at the end of the help."""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "names",
        help="list all tap ids with shape, section and meaning",
        description="List the id of every intermediate value that can be recorded, with its shape, the spec\n"
        "section it belongs to, the level that includes it, and its meaning. Each level includes\n"
        f"those before it: {', '.join(LEVELS)}.\n"
        "With --to, list what a dump under a map calls each of them.",
        examples=EXAMPLES,
    )
    parser.add_argument("--to", metavar="MAP", help="show the names of hf, gguf or a TOML file instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Carry the command out."""
    if options.to is not None:
        return _other_names(options)
    if options.json:
        print_json({"letters": LETTERS, "levels": LEVELS, "taps": [asdict(row) for row in TAP_NAMES]})
        return 0
    header = ("id", "shape", "section", "level", "meaning")
    rows = [header, *((row.id, row.shape, row.section, row.level, row.meaning) for row in TAP_NAMES)]
    print(f"{aligned(rows)}\n\n{LETTERS}")
    return 0


def _other_names(options: argparse.Namespace) -> int:
    """Print what a map calls each tap."""
    if options.to == "ours":
        raise BadInput("the ids are names of ours already; leave --to out, or give hf, gguf or a TOML file")
    rows = list(_mapped(name_map(options.to).rules))
    weights = WEIGHTS if options.to == "gguf" else {}
    if options.json:
        keys = ("id", "name", "how", "declared")
        taps = [dict(zip(keys, row, strict=True)) for row in rows]
        print_json({"map": options.to, "taps": taps, "weights": weights})
        return 0
    table = [("id", options.to, "how"), *((part, name or NOWHERE, how) for part, name, how, _ in rows)]
    print(aligned(table))
    if weights:
        print(f"\n{aligned([('weight', options.to), *weights.items()])}")
    return 0


def _mapped(rules: tuple[Rule, ...]) -> Iterator[tuple[str, str | None, str, bool]]:
    """List id, their name, how it is made and whether it should be there: what is no tap first, then every tap."""
    parts = [(FIELD.sub(lambda field: "NN" if field[2] else field[0], rule.part), rule) for rule in rules]
    ids = [row.id for row in TAP_NAMES]
    others = [part for part, _ in parts if part not in ids]
    for wanted in (*dict.fromkeys(others), *ids):
        found = [rule for part, rule in parts if part == wanted]
        yield from ((wanted, rule.source, rule.how, rule.declared) for rule in found)
        if not found:
            yield wanted, None, "", False
