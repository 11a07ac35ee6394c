"""Section 15 - stages: what should a port have computed, given what it computed before?

The reference runs in float64, and at every tap that the port reports it goes on with the port's number. So each
tap is computed from the port's own inputs, and what is off there is off by itself, not by inheritance. The same
run in the port's format, in several orders, gives the noise of each stage.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from qwen25vl.errors import BadInput
from qwen25vl.golden.case import Lab, Run
from qwen25vl.golden.deviation import Deviation, deviation
from qwen25vl.golden.execute import carried_out
from qwen25vl.golden.orders import ordered_ops
from qwen25vl.inputs import Inputs
from qwen25vl.ops import reference_ops
from qwen25vl.port.units import Floor, floor_of
from qwen25vl.precision import FLOAT64, PRECISIONS
from qwen25vl.tap import Tap
from qwen25vl.tap_names import IN_PARTS, tap_name

STAGE_ORDERS = ("given", "fused")
"""Orders in which the noise of a stage is measured: one rounds all that upstream rounds, the other does not."""

WIDE_STAGE_ORDERS = ("reversed", "pieces")
"""The same in float64, in which the truth itself is computed in the given order."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One tap, computed from the port's own inputs."""

    wanted: np.ndarray
    """In float64, or whole numbers."""
    floor: Floor | None
    """The noise of the stage; None for whole numbers, or where the format's range was left."""


def stages(run: Run, lab: Lab, values: Mapping[str, np.ndarray], *, precision: str) -> dict[str, Stage]:
    """Compute every tap that a port reports from what the port reports before it.

    Args:
        run: of the case, as restored from the golden.
        lab: with the case's weights.
        values: the port's arrays by part id; those that are no taps are passed over.
        precision: the port's format, whose noise is measured. No answer is decoded.

    Returns:
        The stages of those taps of `values` that the run computes.

    Spec: spec/15-golden-values.md (X27)
    """
    alone = Run(with_inputs(run.inputs, values), chunk=run.chunk, before=run.before)
    wanted = truths(run, lab, values)
    noise: dict[str, list[Deviation]] = {}
    level = _level(values)
    for order in WIDE_STAGE_ORDERS if precision == FLOAT64.name else STAGE_ORDERS:

        def noisy(name: str, array: np.ndarray) -> np.ndarray | None:
            if name not in wanted:
                return None
            if array.dtype.kind == "f":
                noise.setdefault(name, []).append(deviation(array, wanted[name], dims=tap_name(name).shape))
            port = _fit(name, values[name], array)
            return port if port is None or array.dtype.kind != "f" else PRECISIONS[precision].held(port)

        _driven(alone, lab.with_ops(ordered_ops(PRECISIONS[precision], order)), noisy, taps=level)
    return {
        name: Stage(array, floor_of(noise.get(name, [])))
        for name, array in wanted.items()
        if run.before is None or not _needs_earlier_tokens(name, values)
    }


def truths(
    run: Run,
    lab: Lab,
    values: Mapping[str, np.ndarray],
    *,
    watch: Callable[[str, np.ndarray], None] = lambda name, array: None,
) -> dict[str, np.ndarray]:
    """Compute every tap that a port reports from what the port reports before it: in float64, or whole numbers.

    The arguments are those of `stages`; `watch` is told each tap as it is computed. A tap that hangs on keys of an
    earlier prompt is among them.
    """
    alone = Run(with_inputs(run.inputs, values), chunk=run.chunk, before=run.before)
    wanted: dict[str, np.ndarray] = {}

    def truth(name: str, array: np.ndarray) -> np.ndarray | None:
        if name not in values:
            return None
        wanted[name] = array
        watch(name, array)
        return _fit(name, values[name], array)

    _driven(alone, lab.with_ops(reference_ops(FLOAT64)), truth, taps=_level(values))
    return wanted


def _level(values: Mapping[str, np.ndarray]) -> str:
    """Return which taps must report: probabilities, which are large, only where a port gives them."""
    return "all" if any(name.endswith("probs") for name in values) else "insides"


def with_inputs(inputs: Inputs, values: Mapping[str, np.ndarray]) -> Inputs:
    """Put in the pixel rows and positions that a port reports itself, where they have the right shape and type."""
    changes: dict[str, np.ndarray] = {}
    for field in ("image_rows", "video_rows", "positions"):
        port, ours = values.get(f"inputs.{field}"), getattr(inputs, field)
        if port is None:
            continue
        if field == "positions" and port.ndim == 2:  # one prompt has no batch axis in its file
            port = port[:, np.newaxis]
        if port.shape == ours.shape and port.dtype.kind == ours.dtype.kind:
            changes[field] = port.astype(ours.dtype)
    return replace(inputs, **changes)  # type: ignore[arg-type]


def _needs_earlier_tokens(name: str, values: Mapping[str, np.ndarray]) -> bool:
    """Whether a stage hangs on the keys and values of an earlier prompt, which a port does not report.

    What is attended to there is ours; so a mistake of the port's in that prompt would be charged to this stage.
    """
    plain = IN_PARTS.sub("", name, count=1)
    scope, (tower, *_) = name.removesuffix(plain), plain.split(".")
    if tower == "vision" or plain in ("language.embed.out", "language.positions") or ".rope." in plain:
        return False
    blocks = sorted({".".join(part.split(".")[:3]) for part in values if part.startswith("language.blocks.")})
    block = ".".join(plain.split(".")[:3]) if plain.startswith("language.blocks.") else ""
    if block:
        before_attention = plain.endswith(("norm1", "attn.q", "attn.k", "attn.v", "q_rope", "k_rope"))
        return not before_attention and (
            plain.endswith(("probs", "mixed")) or f"{scope}{block}.attn.mixed" not in values
        )
    return not blocks or f"{scope}{blocks[-1]}.resid_post" not in values


def _driven(run: Run, lab: Lab, sink: Callable[[str, np.ndarray], np.ndarray | None], *, taps: str) -> None:
    """Run with a sink that puts other numbers in."""
    try:
        with np.errstate(all="ignore"):
            carried_out(run, lab.model, tap=Tap(taps, sink=sink))
    except (ValueError, IndexError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"the port's own numbers cannot be computed with ({error})") from error


def _fit(name: str, port: np.ndarray, ours: np.ndarray) -> np.ndarray | None:
    """Return the port's array if a run can go on with it: of our shape, and no place outside its range.

    What is infinite or NaN goes its way, as it does in the port.
    """
    if port.shape != ours.shape or name.endswith("probs"):
        return None
    if ours.dtype.kind == "f":
        return port.astype(np.float64) if port.dtype.kind == "f" else None
    if port.dtype.kind != "i":
        return None
    if name.endswith("window_order"):
        return port if np.array_equal(np.sort(port), np.arange(len(port))) else None
    if name.endswith("_starts"):
        rises = len(port) < 2 or bool(np.all(np.diff(port) > 0))
        return port if rises and port[0] == ours[0] and port[-1] == ours[-1] else None
    return port
