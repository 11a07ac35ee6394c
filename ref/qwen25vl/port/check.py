"""Section 15 - the check: where is the first number of a port that is wrong, and is it wrong or only rounded?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from qwen25vl.api import Model
from qwen25vl.errors import BadInput
from qwen25vl.golden.case import Lab
from qwen25vl.golden.corpus_read import GoldenCase
from qwen25vl.golden.manifest import file_entry
from qwen25vl.port.judge import Judge
from qwen25vl.port.policy import Policy
from qwen25vl.port.values import PortValues
from qwen25vl.port.verdicts import CheckReport, Evidence, PartVerdict
from qwen25vl.port.xfails import Xfails


@dataclass(frozen=True, eq=False)
class Check:
    """How a dump is checked."""

    policy: Policy
    model: Model | None = None
    """With the weights of the goldens; its stages are judged alone with them."""
    hashes: frozenset[str] = frozenset()
    """Of the model's files, see `weights_of`."""
    precision: str | None = None
    """Format of the port's arithmetic; None takes that of its numbers."""
    forced: bool = False
    """Whether each stage of the port was given the golden inputs."""
    xfails: Xfails = field(default_factory=Xfails)
    fail_fast: bool = False
    """Whether the first wrong part ends the check."""
    watch: Callable[[str], None] = lambda name: None
    """Told the id of each case."""

    def of(self, port: PortValues, goldens: Sequence[GoldenCase], *, golden_name: str) -> CheckReport:
        """Check a port's values against goldens.

        Args:
            port: what the port computed.
            goldens: the cases to hold it against.
            golden_name: what they are called in the report.

        Spec: spec/15-golden-values.md (X25 to X30)
        """
        precision = self.precision or port.precision
        problems, notes = list(port.problems), dict.fromkeys(port.notes)
        present = [golden for golden in goldens if port.by_case.get(golden.id)]
        absent = [golden.id for golden in goldens if golden not in present and golden.id not in port.skipped]
        if port.skipped:
            notes[f"the port does not do {len(port.skipped)} of {len(goldens)} cases"] = None
        if absent:
            named = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
            problems.append(
                f"the dump has nothing for {len(absent)} of {len(goldens)} cases ({named}); compute them too, or "
                "choose cases with --filter"
            )
        parts: list[PartVerdict] = []
        evidence: list[Evidence] = []
        for golden in present:
            self.watch(golden.id)
            lab, trouble = self.lab(golden)
            notes |= {trouble: None} if trouble else {}
            judge = Judge(self.policy, precision, lab, declares=port.declares, forced=self.forced)
            values, damaged = readable(port.by_case[golden.id])
            problems += damaged
            try:
                found, shown = judge.verdicts(golden, values)
            except BadInput as refusal:  # its numbers lead nowhere: it is judged as it ran
                problems.append(f"{golden.id}: {refusal}")
                found, shown = replace(judge, lab=None).verdicts(golden, values)
            unknown = sorted(set(values) - {part.tap for part in found})
            if unknown:
                count = f"{len(unknown)} parts of the dump ({unknown[0]}{', ...' if len(unknown) > 1 else ''})"
                notes[f"{golden.id}: {count} are neither in the golden nor in the model, and were not judged"] = (
                    None
                )
            if not golden.noise and any(entry["dtype"] == "F64" for entry in golden.parts.entries.values()):
                notes[f"{golden.id}: no noise was measured with it, so its limits are assumed ones"] = None
            parts += found
            evidence += shown if len(evidence) < 2 else []
            known, _ = self.xfails.expected(found)
            if self.fail_fast and any(part.verdict == "wrong" and part.name not in known for part in found):
                break
        expected, stale = self.xfails.expected(parts, judged=[golden.id for golden in present])
        return CheckReport(
            dump=port.name,
            golden=golden_name,
            model=goldens[0].manifest["model"]["name"] if goldens else "",
            precision=precision,
            parts=tuple(parts),
            problems=(*problems, *([] if self.fail_fast else stale)),
            notes=tuple(notes),
            expected_failures=expected,
            evidence=tuple(evidence),
        )

    def lab(self, golden: GoldenCase) -> tuple[Lab | None, str]:
        """Return the weights of a case, or say why its stages cannot be judged alone."""
        name = golden.manifest["model"]["name"]
        if self.model is not None and self.hashes == weights_named(golden.manifest):
            return Lab(self.model), ""
        return None, (
            f"the goldens are of {name}, whose weights are not at hand, so no stage was judged alone; give its "
            "checkpoint with --model DIR"
        )


def readable(values: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Read the arrays of one case; of those that turn out to be damaged, say so."""
    found, damaged = {}, []
    for part in values:
        try:
            found[part] = values[part]
        except BadInput as refusal:
            damaged.append(f"{part} cannot be read: {refusal}")
    return found, damaged


def weights_of(model: Model) -> frozenset[str]:
    """Return the hashes of a checkpoint's files of weights."""
    return frozenset(file_entry(path)["sha256"] for path in model.network.weights.checkpoint.files)


def weights_named(manifest: Mapping[str, Any]) -> frozenset[str]:
    """Return the hashes of the files of weights that a golden was made with."""
    return frozenset(file["sha256"] for file in manifest["model"]["files"])
