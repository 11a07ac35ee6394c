"""`qwen25vl check`: hold what a port computed against golden values."""

import argparse
import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from qwen25vl.api import load
from qwen25vl.cli.media_options import printable
from qwen25vl.cli.options import Progress, add_command, print_json
from qwen25vl.cli.output_file import check_output, write_output
from qwen25vl.errors import BadInput
from qwen25vl.golden.corpus_read import GoldenCase, open_goldens
from qwen25vl.golden.restore import restored_config
from qwen25vl.port.check import Check, weights_named, weights_of
from qwen25vl.port.dump import joined_dump, open_dump
from qwen25vl.port.maps.name_map import name_map
from qwen25vl.port.policy import Policy, read_policy
from qwen25vl.port.program import program_dumps, run_program
from qwen25vl.port.report_text import text_report
from qwen25vl.port.values import PortValues, golden_values
from qwen25vl.port.verdicts import CheckReport
from qwen25vl.port.xfails import Xfails, read_xfails
from qwen25vl.precision import PRECISIONS

EXAMPLES = """\
  qwen25vl check dump.safetensors --golden corpus/two_by_five_picture
  qwen25vl check dumps/ --golden corpus --map hf --report report.html
  qwen25vl check dump.npz --golden corpus --filter "*window*" --precision bfloat16 --json
  qwen25vl check --program "./my_port {case} {out}" --golden corpus
"""
"""Shown at the end of the help."""

EXIT_CODES = {"pass": 0, "fail": 1, "incomplete": 3}
"""What the shell is told."""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "check",
        help="find the first wrong number of a port",
        description="Hold what a port computed against golden values, tap by tap in the order of the data: is a\n"
        "number exact, as far off as rounding is, or wrong, and is it wrong by itself or does it\n"
        "inherit an earlier error?",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "dump",
        nargs="?",
        type=Path,
        metavar="DUMP",
        help="what the port computed: safetensors, npz, a directory of npy or of one file a case, or raw bin with "
        "index.json; names are part ids, behind CASE/ where there are several cases",
    )
    parser.add_argument("--golden", type=Path, required=True, metavar="DIR", help="a case or a whole corpus")
    parser.add_argument(
        "--map",
        default="ours",
        metavar="WHICH",
        help="what names mean: ours, hf, gguf or a TOML file (default: ours)",
    )
    parser.add_argument(
        "--model",
        metavar="DIR",
        help="checkpoint of the goldens, with which each stage is judged alone (default: tiny)",
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="format of the port's arithmetic (default: that of its numbers)"
    )
    parser.add_argument(
        "--forced", action="store_true", help="every stage of the port was given the golden inputs"
    )
    parser.add_argument(
        "--filter", action="append", default=[], metavar="GLOB", help="only cases whose id, family or tier matches"
    )
    parser.add_argument("--present", action="store_true", help="only cases of which the dump has something")
    parser.add_argument("--tolerances", type=Path, metavar="FILE", help="limits of your own, as tolerances.toml")
    parser.add_argument("--xfails", type=Path, metavar="FILE", help="what is known to be wrong: CASE/PART a line")
    parser.add_argument("--fail-fast", action="store_true", help="stop behind the first case that is wrong")
    parser.add_argument("--program", metavar="CMD", help="run a port instead of reading a dump")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds a case (default: 60)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a page to look at")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Carry the command out."""
    if (options.dump is None) == (options.program is None):
        raise BadInput("give either a DUMP to read, or --program CMD to run")
    if options.report is not None:
        _check_report(options.report)
    policy = read_policy(options.tolerances)
    xfails = Xfails() if options.xfails is None else read_xfails(options.xfails)
    known, problems = open_goldens(options.golden, verify=True)
    goldens = _chosen(known, options.filter, problems)
    model = load("tiny" if options.model is None else options.model, precision="float64")
    hashes = weights_of(model)
    if options.model is not None and all(hashes != weights_named(golden.manifest) for golden in goldens):
        raise BadInput(
            f"--model {options.model!r} is not the checkpoint of these goldens, which is "
            f"{goldens[0].manifest['model']['name']!r}; give that one, or leave --model out"
        )
    with Progress(total=len(goldens), unit="case") as progress:
        port = _port(options, goldens, others=[golden.id for golden in known])
        check = Check(
            policy=policy,
            model=model,
            hashes=hashes,
            precision=options.precision,
            forced=options.forced,
            xfails=xfails,
            fail_fast=options.fail_fast,
            watch=progress,
        )
        port = replace(port, problems=(*problems, *port.problems))
        if options.present:
            goldens = [golden for golden in goldens if port.by_case.get(golden.id)] or goldens
        report = check.of(port, goldens, golden_name=printable(str(options.golden)))
    _show(options, report, policy, goldens)
    return EXIT_CODES[report.verdict]


def _check_report(out: Path) -> None:
    """Refuse, before any work, to write the page over a file that is none."""
    check_output(out, what="the report")
    if out.is_file() and out.stat().st_size:
        with out.open("rb") as file:
            if file.read(9).lower() != b"<!doctype":
                raise BadInput(
                    f"--report {str(out)!r} exists and is no page of an earlier check; choose another name"
                )


def _chosen(goldens: Sequence[GoldenCase], globs: Sequence[str], problems: Sequence[str]) -> Sequence[GoldenCase]:
    """Keep the cases that a glob matches."""
    if not goldens:
        raise BadInput(f"no golden can be used: {problems[0]}")
    chosen = [golden for golden in goldens if not globs or any(_matches(golden, glob) for glob in globs)]
    if not chosen:
        named = ", ".join(repr(glob) for glob in globs)
        raise BadInput(
            f"no case of {len(goldens)} matches {named}; give a glob over their ids, a family or a tier"
        )
    return chosen


def _matches(golden: GoldenCase, glob: str) -> bool:
    """Whether a glob means a case, its family or its tier."""
    return any(fnmatchcase(golden.manifest[name], glob) for name in ("id", "family", "tier"))


def _port(options: argparse.Namespace, goldens: Sequence[GoldenCase], *, others: Sequence[str]) -> PortValues:
    """Read the dump, or run the program for one."""
    mapping = name_map(options.map, config=restored_config(goldens[0].manifest))
    if options.program is None:
        return golden_values(open_dump(options.dump), mapping, goldens, others=others)
    workdir = Path(tempfile.mkdtemp(prefix="qwen25vl-check-"))
    atexit.register(shutil.rmtree, workdir, ignore_errors=True)  # its files are read until the report is made
    cases = [golden.directory for golden in goldens]
    with Progress(total=len(cases), unit="run") as progress:
        results = run_program(
            options.program, cases=cases, workdir=workdir, timeout_s=options.timeout, watch=progress
        )
        found = program_dumps(results)
    port = golden_values(joined_dump(options.program, found.dumps), mapping, goldens, others=others)
    return replace(port, problems=(*found.problems, *port.problems), skipped=found.skipped)


def _show(options: argparse.Namespace, report: CheckReport, policy: Policy, goldens: Sequence[GoldenCase]) -> None:
    """Write the page, and print."""
    if options.report is not None:
        from qwen25vl.port.report_html import html_report  # takes a template engine along

        limits = policy.limits("", precision=report.precision)
        full = goldens[0].manifest["model"]["config"]["vision"]["full_attention_blocks"]
        page = html_report(report, limits=(limits.suspicious, limits.wrong), full_attention_blocks=full)
        write_output(options.report, page.encode(), what="the report")
    if options.json:
        print_json(report.json)
        return
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(text_report(report, colour=colour, width=shutil.get_terminal_size((100, 24)).columns))
    if options.report is not None:
        print(f"\nThe page is {printable(str(options.report))}.")
