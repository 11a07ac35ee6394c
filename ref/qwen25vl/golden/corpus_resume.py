"""Section 15 - resuming a corpus: which of its cases need not be written again?"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen25vl.errors import BadInput
from qwen25vl.golden.case import Case
from qwen25vl.golden.corpus_read import LARGEST_NOISE_BYTES, file_faults, read_noise
from qwen25vl.golden.folder import NOISE
from qwen25vl.golden.manifest import SCHEMA_VERSION
from qwen25vl.golden.noise import NoisePlan
from qwen25vl.golden.read import read_manifest
from qwen25vl.json_file import json_object


@dataclass(frozen=True)
class CorpusSettings:
    """What all cases of a corpus have in common."""

    about: Mapping[str, Any]
    """Versions, weights, precision and arithmetic, see `about_model`."""
    taps: str | None
    """Which taps of every run are written; None leaves it to each case."""
    noise: NoisePlan
    """Which noise is measured beside it."""


def finished_manifest(
    directory: Path, case: Case, *, taps: str, settings: CorpusSettings, verify: bool
) -> dict[str, Any] | None:
    """Return the manifest of a case that is there already, and is what would be written now; else None.

    Args:
        directory: where the case would be.
        case: as it is registered now.
        taps: which taps of its run are wanted.
        settings: of the corpus.
        verify: whether the files are hashed; their sizes are looked at in any case.

    Spec: spec/15-golden-values.md (X22)
    """
    try:
        manifest = read_manifest(directory)
        wanted = _wanted(case, settings)
        if {name: manifest.get(name) for name in wanted} != wanted:
            return None
        if manifest.get("taps") != (taps if case.tier == "model" else None):
            return None
        if any(True for _ in file_faults(directory, manifest, verify=verify)):
            return None
        return manifest if _has_noise(directory, settings.noise) else None
    except BadInput:
        return None


def _wanted(case: Case, settings: CorpusSettings) -> dict[str, Any]:
    """Return what a manifest must say of a case that is registered, and of the corpus."""
    said = {
        "schema_version": SCHEMA_VERSION,
        "id": case.id,
        "title": case.title,
        "family": case.family,
        "tier": case.tier,
        "section": case.section,
        "clauses": case.clauses,
        "kills": case.kills,
        "flags": case.flags,
        "note": case.note,
        **settings.about,
    }
    return json.loads(json.dumps(said))  # lists for tuples, as they come back from a file


def _has_noise(directory: Path, plan: NoisePlan) -> bool:
    """Whether the noise of a case is what a plan would measure."""
    path = directory / NOISE
    if not path.is_file():
        return not plan.precisions
    if not plan.precisions:
        return False
    parts = read_noise(directory)
    if json_object(path, largest_bytes=LARGEST_NOISE_BYTES, remedy="write it again").get("orders") != list(
        plan.orders
    ):
        return False
    found = {(name, mode) for entry in parts.values() for name, modes in entry.items() for mode in modes}
    wanted = {(name, mode) for name in plan.precisions for mode in plan.modes}
    free = {(name, "free") for name in plan.precisions}
    return not found or found == wanted or found == free  # a case without a run has no stages
