"""Dumps of wrong ports that owe nothing to the reference: upstream's model, made wrong by patching its modules.

A name is the id of a known bug, or has one in front of a stroke where a bug can be made in another way, too.
"""

import copy
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import upstream_bugs_inputs
import upstream_bugs_language
import upstream_bugs_outside
import upstream_bugs_rotation
import upstream_bugs_vision
import upstream_bugs_windows
import upstream_positions
from qwen25vl.bundled import checkpoint_directory
from qwen25vl.config import TINY
from qwen25vl.golden.case import Run
from qwen25vl.golden.corpus_read import GoldenCase
from qwen25vl.golden.restore import restored_run
from qwen25vl.inputs import Inputs
from upstream_hooks import Recording
from upstream_port import Plant, Port

UPSTREAM: Mapping[str, Plant] = {
    **upstream_bugs_inputs.PLANTS,
    **upstream_positions.PLANTS,
    **upstream_bugs_rotation.PLANTS,
    **upstream_bugs_vision.PLANTS,
    **upstream_bugs_windows.PLANTS,
    **upstream_bugs_language.PLANTS,
}
"""Known bugs."""

OUTSIDE: Mapping[str, Plant] = upstream_bugs_outside.PLANTS
"""Mistakes that are no known bug."""


def known_bug(name: str) -> str:
    """Return the id of the bug that a name of `UPSTREAM` plants."""
    return name.partition("/")[0]


def recorded(
    name: str | None,
    case: GoldenCase | Run,
    *,
    precision: str = "float32",
    given: bool = False,
) -> dict[str, np.ndarray]:
    """Record what upstream computes for a case of `tiny`, under our ids, with one bug or without.

    Args:
        name: of `UPSTREAM` or `OUTSIDE`; None plants nothing.
        case: one prompt, without padding.
        precision: `float32`, `bfloat16` or `float16`; floats of 16 bits come widened.
        given: whether the dump also has what the model was given, as `inputs.*`.
    """
    import oracle

    run = restored_run(case.parts, case.manifest) if isinstance(case, GoldenCase) else case
    assert run is not None
    with pytest.MonkeyPatch.context() as patch:
        port = Port(copy.deepcopy(upstream_model(precision)), run.inputs, TINY, patch)
        if name is not None:
            (UPSTREAM | OUTSIDE)[name](port)
        recording = Recording(port.model, TINY)
        with port.torch.no_grad():
            port.model(**oracle.upstream_arguments(port.model, port.inputs), use_cache=False)
        dump = recording.taps
    return (_given(port.inputs) if given else {}) | dump


@functools.cache
def upstream_model(precision: str) -> Any:
    """Upstream's model of `tiny`, as it loads it."""
    import oracle

    model = oracle.opened_model(checkpoint_directory("tiny"), dtype=precision)
    return model if precision == "float32" else oracle.with_float32_frequencies(model, TINY)


def _given(inputs: Inputs) -> dict[str, np.ndarray]:
    """What the model was given."""
    parts = {"ids": inputs.ids[0], "positions": inputs.positions[:, 0]}
    parts |= {"image_rows": inputs.image_rows, "image_grids": inputs.image_grids}
    if len(inputs.video_grids):
        parts |= {"video_rows": inputs.video_rows, "video_grids": inputs.video_grids}
    return {f"inputs.{name}": array for name, array in parts.items()}
