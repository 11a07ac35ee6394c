"""Section 15 - golden values: one run written to disk, everything it was given and everything it computed."""

import hashlib
import json
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import qwen25vl.tap_names as names
from qwen25vl.api import Generation, Model
from qwen25vl.errors import BadInput
from qwen25vl.generate.greedy import Step
from qwen25vl.golden.stream import TensorWriter
from qwen25vl.inputs import Inputs
from qwen25vl.tap import Tap

SCHEMA = "qwen25vl-golden"
SCHEMA_VERSION = "0.1.0"
"""Major: the format; minor: what is covered; patch: corrections."""


def write_golden(
    out: Path,
    model: Model,
    inputs: Inputs,
    *,
    sources: Sequence[str],
    model_name: str,
    max_new_tokens: int,
    taps: str = "all",
    watch: Callable[[str], None] = lambda name: None,
) -> dict[str, Any]:
    """Run a prompt and write a golden: three safetensors files and a manifest.

    Args:
        out: directory to write; an older golden there is replaced, anything else is refused.
        model: in the precision that the golden is to have.
        inputs: one prompt.
        sources: names of the picture files, for the manifest.
        model_name: of the checkpoint, for the manifest.
        max_new_tokens: the most greedy steps; argmax, no penalty.
        taps: a level or a glob, as in `Tap`.
        watch: told the id of each tap as it is written.

    Returns:
        The manifest.

    Raises:
        BadInput: if `out` exists and is not a golden, or cannot be written.

    Spec: spec/15-golden-values.md (X1 to X5)
    """
    check_replaceable(out)
    partial = out.with_name(f".{out.name}.partial")  # (X1) renamed when all is there
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        parts = _write_inputs(partial, inputs)
        parts += _write_taps(partial, model, inputs, taps=taps, watch=watch)
        generation, more = _write_answer(partial, model, inputs, max_new_tokens=max_new_tokens)
        manifest = {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "made_by": _makers(),
            "model": _model_entry(model, model_name),
            "prompt": inputs.text[0],
            "media": media_entries(inputs, sources),
            "generation": {"rule": "argmax, no penalty", **asdict(generation)},
            "parts": parts + more,
        }
        (partial / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
        partial.rename(out)
    except OSError as error:
        raise BadInput(
            f"cannot write the golden to {str(out)!r} ({error.strerror}); choose another directory"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def check_replaceable(out: Path) -> None:
    """Refuse to replace anything but an older golden or an empty directory."""
    if out.is_dir():
        files = {path.name for path in out.iterdir()}
        if not files or _is_golden(out / "manifest.json"):
            return
    elif not out.exists():
        return
    raise BadInput(f"{str(out)!r} exists and is not a golden of an earlier run; choose another directory")


def media_entries(inputs: Inputs, sources: Sequence[str]) -> list[dict[str, Any]]:
    """Say of each picture what became of it; sizes are height, width in pixels."""
    return [
        {
            "source": source,
            "original_size": list(picture.original_size),
            "resized_size": list(picture.resized_size),
            "grid": list(picture.grid),
            "tokens": picture.tokens_m,
        }
        for source, picture in zip(sources, inputs.pictures, strict=True)
    ]


def _is_golden(path: Path) -> bool:
    """Say whether a file is a manifest of ours."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("schema") == SCHEMA


def _write_inputs(folder: Path, inputs: Inputs) -> list[dict[str, Any]]:
    """Write what the model is given, and the pictures it comes from. (X2)"""
    arrays = {
        "inputs.ids": inputs.ids[0],
        "inputs.image_rows": inputs.image_rows,
        "inputs.image_grids": inputs.image_grids,
        "inputs.positions": inputs.positions[:, 0],
        "inputs.delta": inputs.delta,
    }
    for i, picture in enumerate(inputs.pictures):
        arrays[f"inputs.pictures.{i:02d}.rgb"] = picture.rgb
        arrays[f"inputs.pictures.{i:02d}.resized"] = picture.resized
    with TensorWriter(folder / "inputs.safetensors", most=len(arrays)) as writer:
        return [{"id": name, **writer.add(name, array)} for name, array in arrays.items()]


def _write_taps(
    folder: Path, model: Model, inputs: Inputs, *, taps: str, watch: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Run the prompt once, and write every tap the moment it is computed. (X3)"""
    parts = []

    def write(name: str, array: np.ndarray) -> None:
        row = names.tap_name(name)
        parts.append(
            {
                "id": name,
                **writer.add(name, array),
                "dims": row.shape,
                "section": row.section,
                "meaning": row.meaning,
            }
        )
        watch(name)

    blocks = model.config.vision.depth + model.config.text.num_hidden_layers
    most = len(names.TAP_NAMES) * (blocks + 1)
    with TensorWriter(folder / "taps.safetensors", most=most) as writer:
        model.forward(inputs, taps=Tap(pattern=taps, sink=write))
    return parts


def _write_answer(
    folder: Path, model: Model, inputs: Inputs, *, max_new_tokens: int
) -> tuple[Generation, list[dict[str, Any]]]:
    """Decode greedily; write each step's scores and the ids. (X4)"""
    steps: list[Step] = []
    generation = model.generate(inputs, max_new_tokens=max_new_tokens, on_step=steps.append)[0]
    arrays = {
        "answer.ids": np.array(generation.ids, dtype=np.int64),
        "answer.logits": np.stack([step.logits for step in steps]),
        "answer.logprobs": np.array(generation.logprobs),
    }
    with TensorWriter(folder / "answer.safetensors", most=len(arrays)) as writer:
        return generation, [{"id": name, **writer.add(name, array)} for name, array in arrays.items()]


def _model_entry(model: Model, name: str) -> dict[str, Any]:
    """Say exactly which weights these are. (X5)"""
    files = model.network.weights.checkpoint.files
    return {
        "name": name,
        "precision": model.network.ops.precision.name,
        "files": [
            {"name": path.name, "bytes": path.stat().st_size, "sha256": file_sha256(path)} for path in files
        ],
        "config": asdict(model.config),
    }


def file_sha256(path: Path) -> str:
    """Hash a file without reading it into memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _makers() -> dict[str, str]:
    """Name the versions that computed the numbers."""
    from qwen25vl import __version__

    return {"qwen25vl": __version__, "numpy": np.__version__, "machine": platform.machine()}
