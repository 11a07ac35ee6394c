"""Section 15 - writing a case: how do its parts get into files, each the moment it is computed?"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qwen25vl.errors import BadInput
from qwen25vl.generate.answers import Generation
from qwen25vl.golden.case import Case, Lab, Part, Run
from qwen25vl.golden.estimate import expected_ids
from qwen25vl.golden.execute import carried_out, given_parts
from qwen25vl.golden.folder import INTEGERS, MANIFEST, TENSOR_FILES
from qwen25vl.golden.manifest import file_entry, manifest_of, manifest_text
from qwen25vl.golden.stream import TensorWriter
from qwen25vl.overflow import OverflowWatch
from qwen25vl.tap import Tap
from qwen25vl.tap_names import IN_PARTS, tap_name

INPUTS_FILE, TAPS_FILE, OUTPUTS_FILE, ANSWER_FILE = TENSOR_FILES

MOST_INTEGERS = 20_000
"""Longer arrays are left out of `integers.json`."""


def write_case(
    folder: Path,
    case: Case,
    lab: Lab,
    *,
    taps: str,
    about: Mapping[str, Any],
    watch: Callable[[str], None] = lambda name: None,
) -> tuple[dict[str, Any], Run | None]:
    """Carry a case out and write its files into an empty folder.

    Args:
        folder: to write to.
        case: what to write.
        lab: the checkpoint, in the precision and the arithmetic of the golden.
        taps: which taps of a run are written; a level or a glob.
        about: of the model, see `about_model`.
        watch: told the id of each tap as it is written.

    Returns:
        The manifest, and the run that the case yielded, if any.

    Spec: spec/15-golden-values.md (X3, X4, X7, X8, X20)
    """
    parts, run = _collected(case, lab)
    tables: dict[str, list[Part]] = {name: [] for name in TENSOR_FILES}
    for part in parts:
        tables[file_of(part.id)].append(part)
    entries = {name: _write_table(folder / name, table, case=case) for name, table in tables.items() if table}
    answers: list[Generation] = []
    if run is not None:
        entries[TAPS_FILE], whole, found, answers = _write_run(folder, run, lab, taps=taps, watch=watch)
        if found:
            entries[ANSWER_FILE] = _write_table(folder / ANSWER_FILE, found, case=case)
        parts += whole + found
    (folder / INTEGERS).write_text(integers_text(parts), encoding="utf-8")
    manifest = manifest_of(
        case,
        taps=taps,
        about=about,
        run=run,
        answers=answers,
        parts=[entry for name in TENSOR_FILES for entry in entries.get(name, [])],
        files=[file_entry(folder / name) for name in (*TENSOR_FILES, INTEGERS) if (folder / name).exists()],
    )
    (folder / MANIFEST).write_text(manifest_text(manifest), encoding="ascii")
    return manifest, run


def file_of(part_id: str) -> str:
    """Name the file that a part lies in. (X20)"""
    plain = IN_PARTS.sub("", part_id, count=1)
    for start, name in (("inputs.", INPUTS_FILE), ("outputs.", OUTPUTS_FILE), ("answer.", ANSWER_FILE)):
        if plain.startswith(start):
            return name
    return TAPS_FILE


def integers_text(parts: Sequence[Part]) -> str:
    """Return whole numbers, truth values and texts as JSON, one line for each part; pixels are left out. (X21)"""
    lines = []
    for part in parts:
        if part.dims == "bytes":
            value: Any = part.array.tobytes().decode("utf-8", errors="replace")
        elif part.array.dtype.kind in "ib" and part.array.size <= MOST_INTEGERS:
            value = part.array.tolist()
        else:
            continue
        lines.append(f"{json.dumps(part.id)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _collected(case: Case, lab: Lab) -> tuple[list[Part], Run | None]:
    """Go through a case: its parts, those of its prompt first, and its run."""
    items = list(case.function(lab))
    runs = [item for item in items if isinstance(item, Run)]
    if len(runs) > 1:
        raise ValueError(f"the case {case.id} yields {len(runs)} runs; ids would meet twice")
    given = [part for run in runs for part in given_parts(run)]
    return given + [item for item in items if isinstance(item, Part)], runs[0] if runs else None


def _write_run(
    folder: Path, run: Run, lab: Lab, *, taps: str, watch: Callable[[str], None]
) -> tuple[list[dict[str, Any]], list[Part], list[Part], list[Generation]]:
    """Run the prompts once, and write every tap the moment it is computed; keep whole numbers alone. (X3, X21)"""
    entries: list[dict[str, Any]] = []
    whole: list[Part] = []
    overflow, overflows = OverflowWatch(), lab.ops.precision.on_overflow is not None

    def write(name: str, array: np.ndarray) -> None:
        row = tap_name(IN_PARTS.sub("", name, count=1))
        about = {"dims": row.shape, "section": row.section, "meaning": row.meaning}
        entries.append({"id": name, **writer.add(name, array), **about})
        if array.dtype.kind != "f":
            whole.append(Part(name, array, row.shape, row.meaning))
        if overflows:
            overflow(name, array)
        watch(name)

    most = len(expected_ids(run, config=lab.config, taps=taps))
    try:
        with TensorWriter(folder / TAPS_FILE, most=most) as writer:
            found, answers = carried_out(run, lab.model, tap=Tap(pattern=taps, sink=write))
    except BadInput as refusal:  # scores that are NaN: say where it began
        if overflow.first is None:
            raise
        raise BadInput(f"{refusal}; of the taps that were asked for, {overflow.first}") from refusal
    return entries, whole, found, answers


def _write_table(path: Path, table: Sequence[Part], *, case: Case) -> list[dict[str, Any]]:
    """Write parts that are there already."""
    with TensorWriter(path, most=len(table)) as writer:
        return [
            {
                "id": part.id,
                **writer.add(part.id, part.array),
                "dims": part.dims,
                "section": part.section or case.section,
                "meaning": part.meaning,
                **({"format": part.format} if part.format else {}),  # (X32)
            }
            for part in table
        ]
