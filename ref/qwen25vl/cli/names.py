"""`qwen25vl names`: list every tap id."""

import argparse
from dataclasses import asdict
from typing import Any

from qwen25vl.cli.options import add_command, print_json
from qwen25vl.report.table import aligned
from qwen25vl.tap_names import LEVELS, TAP_NAMES

LETTERS = (
    "P patches · M merged tokens · D vision width · N heads · K key/value heads · d head width · F MLP width · "
    "L tokens · E language width · V vocabulary rows · S sum of squared segment lengths · NN block number"
)
"""What the letters of the shapes mean."""

EXAMPLES = """\
  qwen25vl names
  qwen25vl names --json | python -m json.tool
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
        f"those before it: {', '.join(LEVELS)}.",
        examples=EXAMPLES,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Carry the command out."""
    if options.json:
        print_json({"letters": LETTERS, "levels": LEVELS, "taps": [asdict(row) for row in TAP_NAMES]})
        return 0
    header = ("id", "shape", "section", "level", "meaning")
    rows = [header, *((row.id, row.shape, row.section, row.level, row.meaning) for row in TAP_NAMES)]
    print(f"{aligned(rows)}\n\n{LETTERS}")
    return 0
