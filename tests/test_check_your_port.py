"""The page `check-your-port.md`: all that a newcomer is told to write and to run is written and run, in order."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "spec" / "check-your-port.md"

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# (\w+\.\w+)\n")
EXIT_CODE = re.compile(r"#\s*ends with (\d+)$")

CHOSEN = (
    "odd_grid_restores_the_order_of_rows",
    "text_alone_has_three_equal_positions",
    "two_windows_side_by_side",
    "odd_grid_leaves_partial_windows",
    "time_at_three_halves_is_cut_last",
    "silu_survives_large_arguments",
)
"""The cases of the corpus here: other tests write all of them, which takes a minute."""

SHIMS = {
    "qwen25vl": f"""
        case "$1 $2" in "golden corpus") set -- "$@" {" ".join(f"--cases {case}" for case in CHOSEN)};; esac
        exec {sys.executable} -m qwen25vl.cli.main "$@"
    """,
    "python": f'exec {sys.executable} "$@"',
    "pytest": f'exec {sys.executable} -m pytest -p qwen25vl_pytest "$@"',
    "pip": '[ "$1" = install ] && [ -f "$2/pyproject.toml" ]  # the tests have everything, and no network',
}
"""Commands of the page, as an installation would provide them."""


def blocks() -> list[tuple[str, str]]:
    """Every fenced block of the page: its language and its text."""
    return BLOCK.findall(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> dict[str, str]:
    """Go through the page in an empty directory; what each command printed."""
    home, tools = tmp_path_factory.mktemp("newcomer"), tmp_path_factory.mktemp("bin")
    for name, text in SHIMS.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "ref"),
        "QWEN25VL": str(ROOT),
        "COLUMNS": "100",
    }
    printed = {}
    for language, text in blocks():
        if language != "sh":
            (home / FILE_NAME.match(text)[1]).write_text(text)
            continue
        for command in text.splitlines():
            ended = subprocess.run(
                command, shell=True, cwd=home, env=environment, capture_output=True, text=True, check=False
            )
            wanted = EXIT_CODE.search(command)
            assert ended.returncode == (int(wanted[1]) if wanted else 0), (
                f"{command}\n{ended.stdout}{ended.stderr}"
            )
            assert "Traceback" not in ended.stderr, command
            printed[command] = ended.stdout
    assert (home / "report.html").stat().st_size > 10_000
    return printed


def said(ran: dict[str, str], *words: str) -> str:
    """What the one command with these words printed, in one line."""
    (found,) = (text for command, text in ran.items() if all(word in command for word in words))
    return " ".join(found.split())


@pytest.mark.oracle
@pytest.mark.skipif(sys.platform == "win32", reason="the page is written for a POSIX shell")
def test_every_command_of_the_page_ends_as_the_page_says(ran):
    assert "PASS: " in said(ran, "dumps/", "--map hf")
    assert "PASS: " in said(ran, "check dumps ", "--map hf", "--present")
    assert "PASS: " in said(ran, "--map names.toml")
    assert "4 within rounding noise" in said(ran, "--map names.toml")
    assert "Qcur" in said(ran, "names --to gguf")
    assert re.search(r"\d+ passed, \d+ skipped", said(ran, "pytest --qwen25vl-golden"))


@pytest.mark.oracle
def test_the_report_that_the_page_quotes_is_what_is_printed(ran):
    quoted = re.search(r"^    (FAIL: .*?)\n\n", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[1]
    assert " ".join(quoted.split()) in said(ran, "--program", "ends with 1")


@pytest.mark.oracle
def test_the_bug_of_the_page_is_named_and_its_remedy_leads_to_a_passing_check(ran):
    named = re.search(r"^    (EXPLAINED: [\w-]+)\.", PAGE.read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert f"{named}." in said(ran, "explain wrong.npz")
    assert said(ran, "mended.safetensors").startswith("PASS")


def test_every_block_of_the_page_is_run_or_written():
    assert {language for language, _ in blocks()} == {"sh", "python", "toml"}
    assert all(language == "sh" or FILE_NAME.match(text) for language, text in blocks())


def test_the_page_is_short_enough_for_ten_minutes():
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) <= 215
