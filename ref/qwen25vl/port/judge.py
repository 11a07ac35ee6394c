"""Section 15 - the judge: of the parts of one case, which are right, which are rounded, and which are wrong?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from qwen25vl.golden.case import Lab, Run
from qwen25vl.golden.corpus_read import GoldenCase
from qwen25vl.golden.restore import restored_run
from qwen25vl.port.bench import Bench
from qwen25vl.port.evidence import evidence_of
from qwen25vl.port.extent import extent
from qwen25vl.port.floors import Floors
from qwen25vl.port.layout import layouts
from qwen25vl.port.policy import Policy
from qwen25vl.port.stages import Stage, stages
from qwen25vl.port.verdicts import Evidence, PartVerdict
from qwen25vl.tap_names import data_order


@dataclass(frozen=True, eq=False)
class Judge:
    """How the parts of a case are judged."""

    policy: Policy
    precision: str
    """The port's format."""
    lab: Lab | None
    """With the weights of the goldens; None if they are not at hand, and no stage can be judged alone."""
    declares: Callable[[str], bool] = lambda part_id: True
    """Whether the port's map can deliver a part at all."""
    forced: bool = False
    """Whether the port was given the golden inputs of every stage, and its parts are results of single stages."""

    def verdicts(
        self, golden: GoldenCase, values: Mapping[str, np.ndarray]
    ) -> tuple[list[PartVerdict], list[Evidence]]:
        """Judge one case.

        Args:
            golden: the case.
            values: the port's arrays by part id, floats of 16 bits widened.

        Returns:
            One verdict for each part that the port gives, or its map declares and the port does not give, in the
            order of the data; and the numbers behind the first that is wrong.

        Spec: spec/15-golden-values.md (X25 to X29)
        """
        run = restored_run(golden.parts, golden.manifest)
        floors = Floors(golden, self.policy, self.precision, mode="stage" if self.forced else "free")
        bench = Bench(
            golden=golden,
            values=values,
            alone=self._stages(run, values),
            run=run,
            layouts={} if self.lab is None else layouts(run, self.lab.config),
            config=None if self.lab is None else self.lab.config,
            floors=floors,
            extent=extent(golden, values, noise_rms=floors.rms),
        )
        found = []
        for part_id in sorted({*golden.parts, *values}, key=data_order):
            if part_id in values:
                found += [bench.verdict(part_id)] if bench.knows(part_id) else []
            elif not part_id.startswith("inputs.") and self.declares(part_id):  # (X28)
                found.append(bench.said(part_id, "missing", "other", "the dump does not have it"))
        first = next((verdict for verdict in found if verdict.verdict == "wrong"), None)
        return found, [] if first is None or first.at is None else [evidence_of(first, bench)]

    def _stages(self, run: Run | None, values: Mapping[str, np.ndarray]) -> Mapping[str, Stage]:
        """Compute each stage from the port's inputs, if that can be done."""
        if run is None or self.lab is None or self.forced:
            return {}
        return stages(run, self.lab, values, precision=self.precision)
