"""`qwen25vl explain`: name the known bug that makes the reference as wrong as a port is."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qwen25vl.cli.media_options import printable
from qwen25vl.cli.numbers import rate
from qwen25vl.cli.options import Progress, add_command, print_json, terminal
from qwen25vl.cli.port_options import add_port_options, dumped_values, opened_goldens, present_goldens
from qwen25vl.golden.corpus_read import GoldenCase
from qwen25vl.port.check import Check
from qwen25vl.port.explain import Explainer
from qwen25vl.port.explanation import Explanation
from qwen25vl.port.mutants.catalogue import every_mutant
from qwen25vl.port.mutants.kills import kill_matrix
from qwen25vl.port.report_explain import explanation_text
from qwen25vl.port.values import PortValues
from qwen25vl.port.verdicts import CheckReport

EXAMPLES = """\
  qwen25vl explain dump.safetensors --golden corpus/two_by_five_picture
  qwen25vl explain dumps/ --golden corpus --map hf --filter smoke
  qwen25vl explain dump.npz --golden corpus --precision bfloat16 --json
"""
"""Shown at the end of the help."""

SECONDS = 40.0
"""How long suspects are tried where nobody says otherwise."""

MOST_SUSPECTS = 300
"""The end of the progress bar; most searches end far before."""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "explain",
        help="name the bug of a port",
        description="Check what a port computed, and look for its bug among those that ports are known to have:\n"
        "each suspected one is planted into the reference, which then goes on from the port's own\n"
        "numbers. A bug is named if the reference is then as wrong as the port. Where nothing fits, it\n"
        "says so, and what is certain: the stage, whether it is wrong by itself, what was ruled out.\n"
        "Exit code 0 if the bug is named or nothing is wrong, 1 if not.",
        examples=EXAMPLES,
    )
    parser.add_argument("dump", type=Path, metavar="DUMP", help="what the port computed, as for `qwen25vl check`")
    add_port_options(parser)
    parser.add_argument(
        "--seconds",
        type=rate,
        default=SECONDS,
        metavar="S",
        help=f"how long suspects are tried, the likeliest first (default: {SECONDS:.0f})",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Carry the command out: 0 if nothing is wrong or the bug is named, 1 if it is not."""
    opened = opened_goldens(options)
    port = dumped_values(options.dump, opened)
    goldens = present_goldens(options, opened.goldens, port)
    with Progress(total=len(goldens), unit="case") as progress:
        check = Check(
            opened.policy,
            model=opened.model,
            hashes=opened.hashes,
            precision=options.precision,
            watch=progress,
        )
        report = check.of(port, goldens, golden_name=printable(str(options.golden)))
    explanation = explained(check, report, port, goldens, seconds=options.seconds)
    problems = [*opened.problems, *report.problems]
    if options.json:
        print_json({"verdict": report.verdict, "problems": problems, **explanation.json})
    else:
        for problem in problems:
            print(f"note: {printable(problem)}", file=sys.stderr)
        print(explanation_text(explanation, **terminal()))
    return 0 if explanation.confident or not explanation.certain.stage else 1


def explained(
    check: Check, report: CheckReport, port: PortValues, goldens: Sequence[GoldenCase], *, seconds: float
) -> Explanation:
    """Look for the bug behind what a check found wrong, with a bar on a terminal."""
    with Progress(total=MOST_SUSPECTS, unit="bug") as progress:
        explainer = Explainer(check, every_mutant(), kill_matrix(), seconds=seconds, watch=progress)
        return explainer.of(report, port, goldens)
