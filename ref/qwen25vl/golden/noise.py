"""Section 15 - noise: how far from the truth may a correct port be, tap by tap and precision by precision?

It is measured. A case is run again in float32 and in emulated bfloat16 and float16 (and in float64 by BLAS), in
each of the `ORDERS`. Free-running, errors add up along the model; stage by stage, every stage is given the truth.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from qwen25vl.golden.case import Case, Lab, Part, Run
from qwen25vl.golden.deviation import Deviation, deviation
from qwen25vl.golden.execute import carried_out
from qwen25vl.golden.folder import NOISE
from qwen25vl.golden.orders import ORDERS, ordered_ops
from qwen25vl.golden.parts import GoldenParts, golden_parts
from qwen25vl.precision import PRECISIONS
from qwen25vl.tap import Tap

NOISE_SCHEMA = "qwen25vl-noise"
"""What a file of noise says it is."""

Noise = dict[str, dict[str, dict[str, dict[str, float]]]]
"""By part, precision, mode (`free`, `stage`) and measure."""


@dataclass(frozen=True)
class NoisePlan:
    """Which runs are made to measure noise."""

    precisions: tuple[str, ...] = tuple(PRECISIONS)
    orders: tuple[str, ...] = ORDERS
    modes: tuple[str, ...] = ("free", "stage")


ALL_NOISE = NoisePlan()
"""Every precision in every order: 32 runs."""

LIGHT_NOISE = NoisePlan(precisions=("float32", "bfloat16"), orders=("given",), modes=("free",))
"""What a real checkpoint has time for: two runs."""

NO_NOISE = NoisePlan(precisions=())
"""None."""


def write_noise(
    folder: Path, case: Case, lab: Lab, *, run: Run | None, manifest: Mapping[str, Any], plan: NoisePlan
) -> None:
    """Measure the noise of a case that was written, and write it beside.

    Spec: spec/15-golden-values.md (X24, X25)
    """
    if not plan.precisions:
        return
    noise = measured_noise(folder, case, lab, run=run, manifest=manifest, plan=plan)
    lines = [f"{json.dumps(name)}: {json.dumps(entry, allow_nan=False)}" for name, entry in noise.items()]
    about = {"schema": NOISE_SCHEMA, "schema_version": manifest["schema_version"], "orders": list(plan.orders)}
    text = json.dumps(about)[:-1] + ', "parts": {\n' + ",\n".join(lines) + "\n}}\n"
    (folder / NOISE).write_text(text, encoding="ascii")


def measured_noise(
    folder: Path, case: Case, lab: Lab, *, run: Run | None, manifest: Mapping[str, Any], plan: NoisePlan
) -> Noise:
    """Run a case in other precisions and orders, and compare every floating-point part with the truth.

    Args:
        folder: that the case was written to.
        case: that was written.
        lab: the checkpoint.
        run: that the case yielded, if any.
        manifest: of the case.
        plan: which runs to make.

    Returns:
        For each part, precision and mode: `max`, `p99`, `rel_l2`, `rms` and, where the first side counts rows,
        `worst_token`, each the largest of all orders. Where a run left the range of its format: `overflow` 1.
    """
    truth, noise = golden_parts(folder, manifest), Noise()
    makes_more = run is None or any(part_id.startswith("outputs.") for part_id in truth)
    for precision, mode, order in product(plan.precisions, plan.modes, plan.orders):
        compared = partial(_compared, truth=truth, noise=noise, precision=precision, mode=mode)
        other = lab.with_ops(ordered_ops(PRECISIONS[precision], order))
        if run is not None:
            _run_again(run, other, truth=truth, mode=mode, taps=manifest["taps"], compared=compared)
        if mode == "free" and makes_more:
            _made_again(case, other, compared=compared)
    return noise


def _compared(
    part_id: str, found: np.ndarray, *, truth: GoldenParts, noise: Noise, precision: str, mode: str
) -> None:
    """Compare what was computed with the truth, if it is of floating point, and enter how far it is off."""
    if part_id not in truth or found.dtype.kind != "f":
        return
    apart = deviation(found, truth[part_id], dims=truth.entries[part_id]["dims"])
    _enter(noise.setdefault(part_id, {}).setdefault(precision, {}).setdefault(mode, {}), apart)


def _run_again(
    run: Run,
    lab: Lab,
    *,
    truth: Mapping[str, np.ndarray],
    mode: str,
    taps: str,
    compared: Callable[[str, np.ndarray], None],
) -> None:
    """Repeat a run; stage by stage, each tap goes on with the truth, in its format, and no answer is decoded."""
    again = run if mode == "free" else replace(run, answer_tokens=0)

    def sink(name: str, array: np.ndarray) -> np.ndarray | None:
        compared(name, array)
        if mode == "free" or array.dtype.kind != "f" or name not in truth:
            return None
        return lab.ops.precision.held(truth[name])

    parts, _ = carried_out(again, lab.model, tap=Tap(pattern=taps, sink=sink), follow=truth)
    for part in parts:
        compared(part.id, part.array)


def _made_again(case: Case, lab: Lab, *, compared: Callable[[str, np.ndarray], None]) -> None:
    """Go through a case once more, and compare what it computed."""
    for item in case.function(lab):
        if isinstance(item, Part) and not item.id.startswith("inputs."):
            compared(item.id, item.array)


def _enter(entry: dict[str, float], apart: Deviation) -> None:
    """Keep the larger of each measure."""
    measures: Iterable[tuple[str, float | None]] = (
        ("max", apart.max_abs),
        ("p99", apart.p99),
        ("rel_l2", apart.rel_l2),
        ("rms", apart.rms),
        ("worst_token", apart.worst_row_rel_l2),
    )
    for name, value in measures:
        if value is None:
            continue
        if not np.isfinite(value):
            entry["overflow"] = 1.0
        else:
            entry[name] = max(entry.get(name, 0.0), float(f"{value:.4g}"))
