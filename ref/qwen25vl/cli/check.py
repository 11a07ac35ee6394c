"""`qwen25vl check`: hold what a port computed against golden values."""

import argparse
import atexit
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qwen25vl.cli.explain import SECONDS, explained
from qwen25vl.cli.media_options import printable
from qwen25vl.cli.options import Progress, add_command, print_json, terminal
from qwen25vl.cli.output_file import check_output, write_output
from qwen25vl.cli.port_options import Opened, add_port_options, dumped_values, opened_goldens, present_goldens
from qwen25vl.errors import BadInput
from qwen25vl.golden.corpus_read import GoldenCase
from qwen25vl.port.check import Check
from qwen25vl.port.dump import joined_dump
from qwen25vl.port.explanation import Explanation
from qwen25vl.port.policy import Policy
from qwen25vl.port.program import program_dumps, run_program
from qwen25vl.port.report_explain import explanation_text
from qwen25vl.port.report_text import text_report
from qwen25vl.port.values import PortValues, golden_values
from qwen25vl.port.verdicts import CheckReport
from qwen25vl.port.xfails import Xfails, read_xfails

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
    add_port_options(parser)
    parser.add_argument(
        "--forced", action="store_true", help="every stage of the port was given the golden inputs"
    )
    parser.add_argument("--xfails", type=Path, metavar="FILE", help="what is known to be wrong: CASE/PART a line")
    parser.add_argument("--fail-fast", action="store_true", help="stop behind the first case that is wrong")
    parser.add_argument("--program", metavar="CMD", help="run a port instead of reading a dump")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds a case (default: 60)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a page to look at")
    parser.add_argument(
        "--no-explain", action="store_true", help="do not look for the bug where something is wrong"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Carry the command out."""
    if (options.dump is None) == (options.program is None):
        raise BadInput("give either a DUMP to read, or --program CMD to run")
    if options.report is not None:
        _check_report(options.report)
    xfails = Xfails() if options.xfails is None else read_xfails(options.xfails)
    opened = opened_goldens(options)
    with Progress(total=len(opened.goldens), unit="case") as progress:
        port = _port(options, opened)
        check = Check(
            policy=opened.policy,
            model=opened.model,
            hashes=opened.hashes,
            precision=options.precision,
            forced=options.forced,
            xfails=xfails,
            fail_fast=options.fail_fast,
            watch=progress,
        )
        goldens = present_goldens(options, opened.goldens, port)
        report = check.of(port, goldens, golden_name=printable(str(options.golden)))
    explanation = None
    if report.verdict == "fail" and not options.no_explain:
        explanation = explained(check, report, port, goldens, seconds=SECONDS)
    _show(options, report, opened.policy, goldens, explanation)
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


def _port(options: argparse.Namespace, opened: Opened) -> PortValues:
    """Read the dump, or run the program for one."""
    if options.program is None:
        port = dumped_values(options.dump, opened)
        return replace(port, problems=(*opened.problems, *port.problems))
    workdir = Path(tempfile.mkdtemp(prefix="qwen25vl-check-"))
    atexit.register(shutil.rmtree, workdir, ignore_errors=True)  # its files are read until the report is made
    cases = [golden.directory for golden in opened.goldens]
    with Progress(total=len(cases), unit="run") as progress:
        results = run_program(
            options.program, cases=cases, workdir=workdir, timeout_s=options.timeout, watch=progress
        )
        found = program_dumps(results)
    dump = joined_dump(options.program, found.dumps)
    port = golden_values(dump, opened.mapping, opened.goldens, others=opened.others)
    problems = (*opened.problems, *found.problems, *port.problems)
    return replace(port, problems=problems, skipped=found.skipped)


def _show(
    options: argparse.Namespace,
    report: CheckReport,
    policy: Policy,
    goldens: Sequence[GoldenCase],
    explanation: Explanation | None,
) -> None:
    """Write the page, and print."""
    if options.report is not None:
        from qwen25vl.port.report_html import html_report  # takes a template engine along

        limits = policy.limits("", precision=report.precision)
        full = goldens[0].manifest["model"]["config"]["vision"]["full_attention_blocks"]
        page = html_report(report, limits=(limits.suspicious, limits.wrong), full_attention_blocks=full)
        write_output(options.report, page.encode(), what="the report")
    if options.json:
        print_json({**report.json, "explanation": None if explanation is None else explanation.json})
        return
    print(text_report(report, **terminal()))
    if explanation is not None:
        print(f"\n{explanation_text(explanation, **terminal())}")
    if options.report is not None:
        print(f"\nThe page is {printable(str(options.report))}.")
