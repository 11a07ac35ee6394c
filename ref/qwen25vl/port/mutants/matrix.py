"""Section 15 - measuring the kill matrix: each known bug, planted, against each case that it can reach."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qwen25vl.golden.case import Case, Lab
from qwen25vl.golden.corpus_read import GoldenCase
from qwen25vl.golden.orders import ordered_ops
from qwen25vl.port.bench import Bench
from qwen25vl.port.extent import Extent
from qwen25vl.port.floors import Floors
from qwen25vl.port.mutants.kills import FORMATS, MOST_UNITS, Kill, KillMatrix
from qwen25vl.port.mutants.mutant import AnySwap, Mutant, NumberSwap, OpsSwap, Swap
from qwen25vl.port.mutants.planting import planted
from qwen25vl.port.mutants.running import parts_of_case
from qwen25vl.port.mutants.scene import units_off
from qwen25vl.port.policy import Policy
from qwen25vl.precision import PRECISIONS
from qwen25vl.tap_names import data_order

STOPPED = "stops"
"""Kind of an error where the wrong reference gives nothing at all: it refuses, or breaks."""


@dataclass(frozen=True)
class Cell:
    """A bug in a case, in one precision."""

    bug: str
    case: str
    precision: str
    first: str = ""
    """The first part that is wrong; "" if the case does not see the bug."""
    kind: str = "noise"
    units: float = 0.0
    """How many units of noise that part is off."""
    digest: str = ""
    """Of everything that the case gives with the bug; "" if that is what it gives without."""


def cells_of(
    case: Case,
    golden: GoldenCase,
    lab: Lab,
    mutants: Sequence[Mutant],
    *,
    policy: Policy,
    precision: str,
    watch: Callable[[str], None] = lambda bug: None,
) -> Iterator[Cell]:
    """Run a case with each bug that it reaches.

    Args:
        case: to be run.
        golden: of it, with the noise of the precision.
        lab: the checkpoint.
        mutants: to be planted, one at a time.
        policy: limits of noise.
        precision: in which the wrong references compute.
        watch: told each bug.

    Raises:
        ValueError: if the right reference does not pass.
    """
    port = lab.with_ops(ordered_ops(PRECISIONS[precision], "given"))
    with np.errstate(all="ignore"):
        right = computed_parts(parts_of_case(case, port))
        wrong = first_wrong(golden, right, policy=policy, precision=precision)
        if wrong is not None:
            raise ValueError(f"{case.id} in {precision}: the right reference is off at {wrong}")
        reached = reached_targets(case, port, mutants)
        for mutant in mutants:
            if not reached & {target_of(swap) for swap in mutant.swaps()}:
                continue
            watch(mutant.id)
            yield _cell(case, golden, port, mutant, policy=policy, precision=precision, right=_digest(right))


def reached_targets(case: Case, lab: Lab, mutants: Sequence[Mutant]) -> set[str]:
    """Return which of the functions that the mutants exchange a case calls; numbers of the config count as called
    by whatever runs a block."""
    targets = {target_of(swap): swap for mutant in mutants for swap in mutant.swaps()}
    same = tuple(_unchanged(swap) for swap in targets.values() if not isinstance(swap, NumberSwap))
    numbers = {target for target, swap in targets.items() if isinstance(swap, NumberSwap)}
    watcher = Mutant("none", "", "", (), "", "", "", "", swaps=lambda: iter(same))
    with planted((watcher,), lab) as there:
        parts_of_case(case, there.lab)
    return {name for name, count in there.calls.items() if count} | (numbers if case.tier != "unit" else set())


def target_of(swap: AnySwap) -> str:
    """Name what a swap exchanges."""
    if isinstance(swap, Swap):
        return swap.target
    return f"ops.{swap.name}" if isinstance(swap, OpsSwap) else swap.name


def first_wrong(
    golden: GoldenCase, values: Mapping[str, np.ndarray], *, policy: Policy, precision: str
) -> tuple[str, str, float] | None:
    """Return the first part that is wrong, what its error looks like, and its units; None if none is."""
    bench = Bench(
        golden=golden,
        values=values,
        alone={},
        run=None,
        layouts={},
        config=None,
        floors=Floors(golden, policy, precision, mode="free"),
        extent=Extent(),
    )
    for part in sorted(values, key=data_order):
        if part not in golden.parts:
            return part, "other", MOST_UNITS
        off = units_off(bench, part, np.asarray(golden.parts[part]))
        if off > policy.limits(part, precision=precision).wrong:
            return part, bench.verdict(part).kind, min(off, MOST_UNITS)
    return None


def matrix_of(cells: Sequence[Cell], bugs: Sequence[str]) -> KillMatrix:
    """Put the cells of all cases together.

    Args:
        cells: of every case in the order of the corpus.
        bugs: ids of all bugs, in the order of the catalogue.
    """
    kills: dict[str, dict[str, Kill]] = {bug: {} for bug in bugs}
    digests: dict[str, list[str]] = {bug: [] for bug in bugs}
    for cell in cells:
        if cell.digest:
            digests[cell.bug].append(f"{cell.case} {cell.precision} {cell.digest}")
        if not cell.first:
            continue
        known = kills[cell.bug].get(cell.case)
        if known is None:
            kills[cell.bug][cell.case] = Kill(cell.case, cell.first, cell.kind, {cell.precision: cell.units})
        else:
            units = {name: {**known.units, cell.precision: cell.units}.get(name) for name in FORMATS}
            found = {name: off for name, off in units.items() if off is not None}
            wide = cell if FORMATS.index(cell.precision) == 0 else known
            kills[cell.bug][cell.case] = Kill(cell.case, wide.first, wide.kind, found)
    groups: dict[tuple[str, ...], list[str]] = {}
    for bug, lines in digests.items():
        if kills[bug]:
            groups.setdefault(tuple(sorted(lines)), []).append(bug)
    twins = {bug: tuple(one for one in group if one != bug) for group in groups.values() for bug in group}
    return KillMatrix(
        kills={bug: tuple(found.values()) for bug, found in kills.items()},
        twins={bug: others for bug, others in twins.items() if others},
    )


def _cell(
    case: Case, golden: GoldenCase, port: Lab, mutant: Mutant, *, policy: Policy, precision: str, right: str
) -> Cell:
    """Run a case with a bug; `right` is the digest of what it gives without."""
    try:
        with planted((mutant,), port) as there:
            values = computed_parts(parts_of_case(case, there.lab))
    except Exception as error:  # a bug may make the reference refuse, in whatever way
        text = type(error).__name__
        return Cell(mutant.id, case.id, precision, next(iter(golden.parts)), STOPPED, MOST_UNITS, digest=text)
    digest = _digest(values)
    if digest == right:
        return Cell(mutant.id, case.id, precision)
    wrong = first_wrong(golden, values, policy=policy, precision=precision) or ("", "noise", 0.0)
    return Cell(mutant.id, case.id, precision, *wrong, digest=digest)


def _digest(values: Mapping[str, np.ndarray]) -> str:
    """Return a hash of everything that a case gives."""
    digest = hashlib.sha256()
    for name in sorted(values):
        digest.update(name.encode() + str(values[name].shape).encode() + values[name].tobytes())
    return digest.hexdigest()


def computed_parts(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Leave out what a port is given: pictures, and the inputs of a function alone."""
    whole = "inputs.ids" in values
    given = ("inputs.pictures.", "inputs.clips.", "inputs.before.") if whole else ("inputs.",)
    return {name: array for name, array in values.items() if not name.startswith(given)}


def _unchanged(swap: AnySwap) -> AnySwap:
    """Exchange a function for itself, to see whether it is called."""
    if isinstance(swap, OpsSwap):
        name = swap.name
        return OpsSwap(name, lambda right: getattr(right, name))
    assert isinstance(swap, Swap)
    return Swap(swap.target, lambda right: right)
