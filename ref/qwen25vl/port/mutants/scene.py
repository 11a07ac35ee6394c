"""Section 15 - scenes: one case of a port, and the reference made wrong in one way after another beside it.

Every tap is computed from the port's own numbers, by the right reference and by wrong ones. Where the port differs
from the right one and agrees with a wrong one, that one's bug may be the port's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from qwen25vl.golden.case import Lab, Part, Run
from qwen25vl.golden.corpus_read import GoldenCase
from qwen25vl.golden.deviation import deviation
from qwen25vl.golden.execute import carried_out, given_parts
from qwen25vl.golden.registry import cases_by_id
from qwen25vl.golden.restore import restored_run
from qwen25vl.port.bench import FORMAT_SHARE, Bench
from qwen25vl.port.extent import extent
from qwen25vl.port.floors import Floors
from qwen25vl.port.mutants.again import prepared_again
from qwen25vl.port.mutants.mutant import Mutant
from qwen25vl.port.mutants.planting import planted
from qwen25vl.port.part_shape import misfit
from qwen25vl.port.policy import Policy
from qwen25vl.port.stages import stages, truths
from qwen25vl.port.units import Floor, differing_share, units
from qwen25vl.precision import PRECISIONS
from qwen25vl.tap import Tap
from qwen25vl.tap_names import data_order

CLEARLY = 3.0
"""So many times nearer than the right reference must a wrong one be."""

UNLIKE = float("inf")
"""Units that whole numbers are off by where they differ, and arrays of another shape."""

ANSWERS = ("answer.ids", "answer.logits", "answer.logprobs")
"""Ends of the parts of an answer, which hang on everything before them."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One case: what a port computed, and which of it is wrong by itself."""

    golden: GoldenCase
    values: Mapping[str, np.ndarray]
    lab: Lab
    """With the weights of the golden, in float64."""
    bench: Bench
    wrong: Mapping[str, float]
    """Units that parts are off by that are wrong, given what the port computed before them; in the order of the
    data."""
    right: tuple[str, ...]
    """Parts that are not even suspicious."""

    def trial(self, mutants: tuple[Mutant, ...], *, needs: str | None = None) -> dict[str, float]:
        """Tell how many units off the port's parts are from what a wrong reference makes of the port's numbers.

        Args:
            mutants: what to plant.
            needs: a part that they have to reproduce; where they do not, they are abandoned there.

        Returns:
            Units by part. A part that is missing was not computed: a wrong reference may refuse what it meets.
        """

        def watch(part: str, array: np.ndarray) -> None:
            if part == needs and not self.reproduces(part, self.off(part, array)):
                raise Abandoned

        answers = any(part.endswith(ANSWERS) for part in self.wrong)
        try:
            with np.errstate(all="ignore"), planted(mutants, self.lab) as there:
                made = remade(self.golden, there.lab, self.values, answers=answers, watch=watch)
        except Exception:  # what a bug does to numbers that do not fit it is no matter here
            return {}
        return {part: self.off(part, made[part]) for part in (*self.wrong, *self.right) if part in made}

    def agrees(self, part: str, off: float) -> bool:
        """Whether a part that is so many units off is as far off as rounding is."""
        return off <= self.bench.floors.limits(part).suspicious

    def reproduces(self, part: str, off: float) -> bool:
        """Whether a wrong reference that is so many units off a wrong part has the port's number there."""
        return off <= self.bench.floors.limits(part).wrong and off * CLEARLY <= self.wrong[part]

    def differs(self, part: str, off: float) -> bool:
        """Whether a part that is so many units off is certainly another number."""
        return off > self.bench.floors.limits(part).wrong

    def off(self, part: str, right: np.ndarray) -> float:
        """Return how many units of its noise the port's part is off from another array."""
        return units_off(self.bench, part, right)


def scene_of(
    golden: GoldenCase, values: Mapping[str, np.ndarray], lab: Lab, *, policy: Policy, precision: str
) -> Scene:
    """Set a case up.

    Args:
        golden: of a checkpoint whose weights `lab` has.
        values: the port's arrays by part id, floats of 16 bits widened.
        lab: in float64.
        policy: limits of noise.
        precision: the port's format.

    Raises:
        BadInput: if the port's numbers lead nowhere.
    """
    run = restored_run(golden.parts, golden.manifest)
    floors = Floors(golden, policy, precision, mode="free")
    bench = Bench(
        golden=golden,
        values=values,
        alone={} if run is None else stages(run, lab, values, precision=precision),
        run=run,
        layouts={},
        config=lab.config,
        floors=floors,
        extent=extent(golden, values, noise_rms=floors.rms),
    )
    plain = Scene(golden, values, lab, bench, wrong={}, right=())
    offs = {part: plain.off(part, right) for part, right in _right_parts(bench).items()}
    wrong = {part: off for part, off in offs.items() if plain.differs(part, off)}
    if any(not part.endswith(ANSWERS) for part in wrong):  # then the answer inherits
        wrong = {part: off for part, off in wrong.items() if not part.endswith(ANSWERS)}
    right = tuple(part for part, off in offs.items() if plain.agrees(part, off) and not part.endswith(ANSWERS))
    return replace(plain, wrong=wrong, right=right)


class Abandoned(Exception):
    """A bug does not give the part that it should explain."""


def remade(
    golden: GoldenCase,
    lab: Lab,
    values: Mapping[str, np.ndarray],
    *,
    answers: bool,
    watch: Callable[[str, np.ndarray], None],
) -> dict[str, np.ndarray]:
    """Make the parts of a case again, with the reference as it is at this moment.

    Args:
        golden: the case; its own function makes it if it is registered, else its prompt is prepared again.
        lab: to compute with.
        values: the port's arrays, from which each tap is computed.
        answers: whether answers are decoded, too; behind the golden's prompt, not the port's.
        watch: told each part as it is made.
    """
    made: dict[str, np.ndarray] = {}
    case = cases_by_id().get(golden.id)
    for item in case.function(lab) if case is not None else [prepared_again(golden, lab)]:
        if isinstance(item, Part):
            made[item.id] = item.array
            watch(item.id, item.array)
        elif item is not None:
            given = {part.id: part.array for part in given_parts(item)}
            for part, array in given.items():
                watch(part, array)
            made |= given | truths(item, lab, values, watch=watch)
            made |= _answers(item, lab, values) if answers else {}
    return made


def _answers(run: Run, lab: Lab, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Decode the answer, and score the port's own one where it is another."""
    found = {part.id: part.array for part in carried_out(run, lab.model, tap=Tap(""))[0]}
    ids = [name for name in found if name.endswith("answer.ids")]
    if all(name in values and np.array_equal(values[name], found[name]) for name in ids):
        return found
    follow = {name: values.get(name, found[name]) for name in ids}
    scored = {part.id: part.array for part in carried_out(run, lab.model, tap=Tap(""), follow=follow)[0]}
    return scored | {name: found[name] for name in ids}


def _right_parts(bench: Bench) -> dict[str, np.ndarray]:
    """Give what parts should be: a tap from the port's own numbers, another one as the golden has it."""
    found = {}
    for part in bench.values:
        computed = part in bench.alone or part.endswith(ANSWERS) or part.startswith("outputs.")
        prepared = part.startswith("inputs.") and bench.run is not None
        function = bench.run is None and not part.startswith("inputs.")
        if part in bench.alone:
            found[part] = bench.alone[part].wanted
        elif part in bench.golden.parts and (computed or prepared or function):
            found[part] = np.asarray(bench.golden.parts[part])
    return dict(sorted(found.items(), key=lambda item: data_order(item[0])))


def units_off(bench: Bench, part: str, right: np.ndarray) -> float:
    """Return how many units of noise a part of a port is off from an array."""
    right = bench.extent.of_golden(part, right)
    found = bench.found(part, right)
    if misfit(found, right):
        return UNLIKE
    if right.dtype.kind != "f":
        return 0.0 if np.array_equal(found, right) else UNLIKE
    narrow = PRECISIONS[bench.floors.precision].held(right)
    if np.array_equal(found, narrow, equal_nan=True):
        return 0.0
    if bench.format(part):
        return 0.0 if differing_share(found, right) <= FORMAT_SHARE else UNLIKE
    stage = bench.alone.get(part)
    if stage is None:
        floor = bench.floors.of(part, right)
    else:
        floor = larger(bench.floors.of_stage(part, stage, right), right, stage.wanted)
    apart = deviation(found, right, dims=bench.dims(part))
    off = units(apart, floor, right, precision=bench.floors.precision)
    return off if np.isfinite(off) else UNLIKE


def larger(floor: Floor, array: np.ndarray, measured: np.ndarray) -> Floor:
    """Give an array the noise that was measured with another: absolute errors grow with what is computed."""
    sizes = [float(np.linalg.norm(one[np.isfinite(one)])) for one in (array, measured)]
    factor = sizes[0] / sizes[1] if sizes[1] > 0 else 1.0
    if not np.isfinite(factor) or factor <= 1:
        return floor
    return replace(floor, max_abs=floor.max_abs * factor, rms=floor.rms * factor)
