"""Section 15 - the manifest: what does a golden say about itself, for whoever reads it without this package?"""

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from qwen25vl.api import Model
from qwen25vl.generate.answers import Generation
from qwen25vl.golden.case import Case, Run
from qwen25vl.golden.folder import SCHEMA
from qwen25vl.inputs import Inputs
from qwen25vl.media.clip import Clip
from qwen25vl.media.picture import Picture

SCHEMA_VERSION = "1.0.0"
"""Major: the format; minor: what is covered; patch: corrections."""

RULE = "argmax, no penalty"
"""How answers are decoded."""


def manifest_of(
    case: Case,
    *,
    taps: str,
    about: Mapping[str, Any],
    run: Run | None,
    answers: Sequence[Generation],
    parts: list[dict[str, Any]],
    files: list[dict[str, Any]],
) -> dict[str, Any]:
    """Put a manifest together. It holds no path, no time and no chance: a second run gives the same. (X10)

    Args:
        case: what was written.
        taps: which taps of the run were.
        about: `model_entry` and what else is the same for every case of a corpus.
        run: of the case, if it has one.
        answers: one for each prompt, if any was decoded.
        parts: one entry for each tensor.
        files: name, bytes and hash of each file of tensors.
    """
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "id": case.id,
        "title": case.title,
        "family": case.family,
        "tier": case.tier,
        "section": case.section,
        "clauses": list(case.clauses),
        "kills": list(case.kills),
        "flags": list(case.flags),
        "note": case.note,
        **about,
        "taps": taps if run else None,
        "chunk": run.chunk if run else None,
        "prompts": list(run.inputs.text) if run else [],
        "media": media_entries(run.inputs, run.sources) if run else [],
        "generation": {"rule": RULE, "answers": [asdict(answer) for answer in answers]},
        "files": files,
        "parts": parts,
    }


def manifest_text(manifest: dict[str, Any]) -> str:
    """Return the text of the file: strict JSON, in ASCII."""
    return json.dumps(manifest, indent=1, allow_nan=False) + "\n"


def media_entries(inputs: Inputs, sources: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Say of each picture and video what became of it; sizes are height, width in pixels.

    Args:
        inputs: with what became of the pictures and clips.
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


def file_entry(path: Path) -> dict[str, Any]:
    """Say of a file what it is called, how long it is, and what it hashes to."""
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": file_sha256(path)}


def about_model(model: Model, *, name: str, arithmetic: str) -> dict[str, Any]:
    """Say exactly which weights these are, and what computed with them. (X5)

    Args:
        model: in the precision of the golden.
        name: of the checkpoint.
        arithmetic: `strict`, or `blas`: sums in an order that depends on the machine. (X19)
    """
    return {
        "made_by": _makers(),
        "arithmetic": arithmetic,
        "model": {
            "name": name,
            "precision": model.network.ops.precision.name,
            "files": [file_entry(path) for path in model.network.weights.checkpoint.files],
            "config": asdict(model.config),
        },
    }


def _makers() -> dict[str, str]:
    """Name the versions that computed the numbers."""
    from qwen25vl import __version__

    return {"qwen25vl": __version__, "numpy": np.__version__, "machine": platform.machine()}
