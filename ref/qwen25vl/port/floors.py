"""Section 15 - floors: how far off may each part of a case be?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qwen25vl.golden.corpus_read import GoldenCase
from qwen25vl.port.policy import Limits, Policy
from qwen25vl.port.stages import Stage
from qwen25vl.port.units import Floor, assumed_floor, measured_floor, smallest_rms


@dataclass(frozen=True, eq=False)
class Floors:
    """The noise of one case in one precision, and the limits in units of it."""

    golden: GoldenCase
    policy: Policy
    precision: str
    mode: str
    """Which of the golden's noises counts: `free`, or `stage` if the port was given each stage's golden inputs."""

    def limits(self, part_id: str) -> Limits:
        """Return the limits of a part."""
        return self.policy.limits(part_id, precision=self.precision)

    def of(self, part_id: str, wanted: np.ndarray) -> Floor:
        """Return the noise floor of a part as the golden has it, or an assumed one."""
        return measured_floor(self._noise(part_id)) or self._assumed(part_id, wanted)

    def of_stage(self, part_id: str, stage: Stage, wanted: np.ndarray) -> Floor:
        """Return the noise floor of a stage that was computed from the port's inputs, or an assumed one."""
        return stage.floor or self._assumed(part_id, wanted)

    def rms(self, part_id: str, wanted: np.ndarray) -> float:
        """Return the root mean square of the noise of a part."""
        return self.of(part_id, wanted).rms

    def element(self, floor: Floor, wanted: np.ndarray) -> float:
        """Return what one element may be off by: the noise, or the rounding of the largest value."""
        return max(floor.rms, smallest_rms(wanted, precision=self.precision))

    def overflows(self, part_id: str) -> bool:
        """Whether our own run left the range of the format there: infinity and NaN say nothing then."""
        return bool(self._noise(part_id).get("overflow"))

    def _noise(self, part_id: str) -> Mapping[str, float]:
        """Return the measured noise of a part; a function alone is one stage, and has but one."""
        modes = self.golden.noise.get(part_id, {}).get(self.precision, {})
        found: Mapping[str, float] = modes.get(self.mode) or modes.get("free") or {}
        return found

    def _assumed(self, part_id: str, wanted: np.ndarray) -> Floor:
        """Return the floor of a part whose noise was not measured."""
        return assumed_floor(wanted, roundoffs=self.limits(part_id).floor, precision=self.precision)
