"""Section 15 - the pytest plugin: how do the checks of a port become tests of its project, one item a case?

`qwen25vl_pytest`, which pytest loads, holds the options; this module is loaded when one of them is given.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from qwen25vl.api import load
from qwen25vl.errors import BadInput
from qwen25vl.golden.corpus_read import GoldenCase, open_goldens
from qwen25vl.golden.restore import restored_config
from qwen25vl.port.check import Check, weights_of
from qwen25vl.port.dump import joined_dump, open_dump
from qwen25vl.port.maps.name_map import NameMap, name_map
from qwen25vl.port.policy import read_policy
from qwen25vl.port.program import TIMEOUT_S, command_words, run_program
from qwen25vl.port.report_text import text_report
from qwen25vl.port.values import PortValues, golden_values
from qwen25vl.port.verdicts import CheckReport
from qwen25vl.port.xfails import Xfails, read_xfails
from qwen25vl.precision import PRECISIONS
from qwen25vl.wording import shown

REPORT_COLUMNS = 100
"""Width of the report of a failure."""


class GoldenPlugin:
    """Adds the cases to what pytest has collected."""

    def __init__(self, config: pytest.Config) -> None:
        """Keep the options; nothing is read before tests are collected."""
        self.options = {
            name.removeprefix("qwen25vl_"): value
            for name, value in vars(config.option).items()
            if name.startswith("qwen25vl_") and value is not None
        }

    @pytest.hookimpl(tryfirst=True)  # before `-k` and `--lf` choose
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Append one item a case, and one for what cannot be read, if there is any.

        Raises:
            pytest.UsageError: if an option, the dump or the golden values cannot be used.
        """
        try:
            goldens, problems = open_goldens(Path(self.options["golden"]))
            if not goldens:
                raise BadInput(f"no golden can be used: {problems[0]}")
            port = _port(self.options, goldens)
        except BadInput as refusal:
            raise pytest.UsageError(str(refusal)) from refusal
        cases: GoldenCases = GoldenCases.from_parent(session, name="qwen25vl", nodeid="qwen25vl")
        items += [GoldenItem.from_parent(cases, name=golden.id, golden=golden, port=port) for golden in goldens]
        if problems or port.problems:
            problems = (*problems, *port.problems)
            items.append(ProblemItem.from_parent(cases, name="everything can be read", problems=problems))


class GoldenCases(pytest.Collector):
    """The parent of all cases: `-k qwen25vl` chooses them."""

    def collect(self) -> Iterator[pytest.Item]:
        """Collect nothing: the cases are in the list of items already."""
        return iter(())


class GoldenItem(pytest.Item):
    """A case, as a test."""

    def __init__(self, *, golden: GoldenCase, port: "_Port", **node: Any) -> None:
        """Remember the case and whose numbers are held against it."""
        super().__init__(**node)
        self.golden, self.port = golden, port

    def runtest(self) -> None:
        """Check the case: fail with the report, or expect the failure where all that is wrong is known."""
        try:
            with tempfile.TemporaryDirectory(prefix="qwen25vl-") as workdir:
                report = self.port.report(self.golden, workdir=Path(workdir))
        except BadInput as refusal:
            pytest.fail(str(refusal), pytrace=False)
        if report.verdict != "pass":
            pytest.fail(text_report(report, colour=False, width=REPORT_COLUMNS), pytrace=False)
        if report.expected_failures:
            pytest.xfail(f"known to be wrong: {', '.join(report.expected_failures)}")

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return the directory of the case, and what the item is called."""
        return self.golden.directory, None, f"qwen25vl: {self.name}"


class ProblemItem(pytest.Item):
    """A test that fails: some of the golden values or of the dump cannot be read."""

    def __init__(self, *, problems: tuple[str, ...], **node: Any) -> None:
        """Remember the sentences."""
        super().__init__(**node)
        self.problems = problems

    def runtest(self) -> None:
        """Fail with the sentences."""
        pytest.fail("\n".join(self.problems), pytrace=False)


@dataclass(frozen=True, eq=False)
class _Port:
    """Whose numbers are held against golden values, and how."""

    check: Check
    xfails: Xfails
    values: Callable[[GoldenCase, Path], PortValues]
    """Gives the port's values of a case; it may use an empty directory."""
    problems: tuple[str, ...] = ()
    """Sentences about what cannot be read of a dump."""

    def report(self, golden: GoldenCase, *, workdir: Path) -> CheckReport:
        """Check one case; skip it if a program does not do it, or a dump has nothing for it.

        Raises:
            BadInput: if there is nothing to check.
        """
        values = self.values(golden, workdir)
        if not values.by_case.get(golden.id):
            pytest.skip("the dump has nothing for this case")
        report = self.check.of(values, [golden], golden_name=golden.id)
        expected, _ = self.xfails.expected(report.parts)  # lines about other cases are no news here
        return replace(report, expected_failures=expected)


def _port(options: Mapping[str, Any], goldens: Sequence[GoldenCase]) -> _Port:
    """Read what the options name.

    Raises:
        BadInput: if it cannot be used.
    """
    precision = options.get("precision")
    if precision not in (None, *PRECISIONS):
        raise BadInput(f"there is no precision {shown(precision)}; give one of {', '.join(PRECISIONS)}")
    model = load(options.get("model", "tiny"), precision="float64")
    policy = read_policy(Path(options["tolerances"]) if "tolerances" in options else None)
    check = Check(policy=policy, model=model, hashes=weights_of(model), precision=precision)
    xfails = read_xfails(Path(options["xfails"])) if "xfails" in options else Xfails()
    mapping = name_map(options.get("map", "ours"), config=restored_config(goldens[0].manifest))
    if "program" in options:
        command_words(options["program"])  # refused now, not by every case
        timeout_s = options.get("timeout", TIMEOUT_S)
        return _Port(check, xfails, partial(_computed, options["program"], mapping, timeout_s))
    found = golden_values(open_dump(Path(options["dump"])), mapping, goldens)
    quiet = replace(found, problems=())
    return _Port(check, xfails, lambda golden, workdir: quiet, found.problems)


def _computed(command: str, mapping: NameMap, timeout_s: float, golden: GoldenCase, workdir: Path) -> PortValues:
    """Run a program on a case."""
    (result,) = run_program(command, cases=[golden.directory], workdir=workdir, timeout_s=timeout_s)
    if result.skipped:
        pytest.skip("the program does not do this case")
    if result.dump is None:
        raise BadInput(result.problem)
    return golden_values(joined_dump(command, {golden.id: result.dump}), mapping, [golden])
