"""Section 15 - the manifest: what does a golden say about itself, for whoever reads it without this package?"""

import hashlib
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from qwen25vl.api import Model
from qwen25vl.generate.answers import Generation
from qwen25vl.golden.folder import SCHEMA
from qwen25vl.inputs import Inputs
from qwen25vl.media.clip import Clip
from qwen25vl.media.picture import Picture

SCHEMA_VERSION = "0.2.0"
"""Major: the format; minor: what is covered; patch: corrections."""


def manifest_of(
    model: Model,
    inputs: Inputs,
    generation: Generation,
    parts: list[dict[str, Any]],
    *,
    sources: Sequence[tuple[str, str]],
    model_name: str,
) -> dict[str, Any]:
    """Put a manifest together. It holds no path, no time and no chance: a second run gives the same. (X10)

    Args:
        parts: one entry for each tensor.
        sources: kind and file name of each picture and video, in the order of the prompt.
        model_name: of the checkpoint.
    """
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "made_by": _makers(),
        "model": _model_entry(model, model_name),
        "prompt": inputs.text[0],
        "media": media_entries(inputs, sources),
        "generation": {"rule": "argmax, no penalty", **asdict(generation)},
        "parts": parts,
    }


def manifest_text(manifest: dict[str, Any]) -> str:
    """Return the text of the file: strict JSON, in ASCII."""
    return json.dumps(manifest, indent=1, allow_nan=False) + "\n"


def media_entries(inputs: Inputs, sources: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Say of each picture and video what became of it; sizes are height, width in pixels.

    Args:
        sources: `image` or `video`, and the name, of each, in the order of the prompt.
    """
    media: dict[str, Iterator[Picture | Clip]] = {"image": iter(inputs.pictures), "video": iter(inputs.clips)}
    return [_media_entry(kind, source, next(media[kind])) for kind, source in sources]


def _media_entry(kind: str, source: str, medium: Picture | Clip) -> dict[str, Any]:
    """Describe one of them."""
    entry = {
        "kind": kind,
        "source": source,
        "original_size": list(medium.original_size),
        "resized_size": list(medium.resized_size),
        "grid": list(medium.grid),
        "tokens": medium.tokens_m,
    }
    if isinstance(medium, Picture):
        return entry
    return entry | {
        "source_frames": medium.source_frames,
        "source_fps": medium.source_fps,
        "frames": medium.indices.tolist(),
        "times_s": medium.times_s.tolist(),
        "sampled_fps": medium.sampled_fps,
        "second_per_grid": medium.second_per_grid,
        "limits": list(medium.limits),
    }


def file_sha256(path: Path) -> str:
    """Hash a file without reading it into memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def _makers() -> dict[str, str]:
    """Name the versions that computed the numbers."""
    from qwen25vl import __version__

    return {"qwen25vl": __version__, "numpy": np.__version__, "machine": platform.machine()}
