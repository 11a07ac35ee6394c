"""Section 15 - reading a golden: what does its manifest say, and is every file there?"""

import sys
from pathlib import Path
from typing import Any

from qwen25vl.errors import BadInput
from qwen25vl.golden.folder import FILES, MANIFEST, SCHEMA
from qwen25vl.json_file import json_object
from qwen25vl.wording import shown

PART_TYPES: dict[str, type] = {
    "id": str,
    "file": str,
    "dtype": str,
    "shape": list,
    "dims": str,
    "section": str,
    "meaning": str,
}
"""What every entry of `parts` holds, and of which type."""

KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}
"""What the types of JSON are called in a sentence."""

STATISTICS = ("min", "max", "mean", "rms", "nonfinite")
"""Numbers that an entry may hold besides. (X9)"""


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read the manifest of a golden, and see that its files are there; they are not opened.

    Returns:
        The manifest: its `model`, `prompt`, `media`, `generation` and `parts` are of the kinds that
        `write_golden` gives them.

    Raises:
        BadInput: if there is no manifest, it is not one of ours, or a file that it names is absent.

    Spec: spec/15-golden-values.md (X5, X9)
    """
    path = directory / MANIFEST
    document = json_object(path)
    if document.get("schema") != SCHEMA:
        raise BadInput(f"{path} is no manifest of a golden: its schema is {shown(document.get('schema'))}")
    for name, kind in {"model": dict, "prompt": str, "media": list, "generation": dict, "parts": list}.items():
        _need(document, name, kind, where=path)
    for name, kind in {"name": str, "precision": str, "files": list, "config": dict}.items():
        _need(document["model"], name, kind, where=path, at="model.")
    for name, kind in {"text": str, "ids": list, "stop": str, "rule": str}.items():
        _need(document["generation"], name, kind, where=path, at="generation.")
    for i, medium in enumerate(document["media"]):
        _check_medium(medium, where=path, at=f"media[{i}]")
    for i, part in enumerate(document["parts"]):
        _check_part(part, where=path, at=f"parts[{i}]")
    absent = sorted({part["file"] for part in document["parts"] if not (directory / part["file"]).is_file()})
    if absent:
        raise BadInput(f"{directory} lacks {', '.join(absent)}, named in {MANIFEST}; copy the whole golden")
    return document


def _check_medium(medium: Any, *, where: Path, at: str) -> None:
    """Refuse an entry of `media` that lacks what every picture and video has."""
    if not isinstance(medium, dict):
        raise BadInput(f"{where}: {at} must be an object, got {shown(medium)}")
    _need(medium, "source", str, where=where, at=f"{at}.")
    _need(medium, "tokens", int, where=where, at=f"{at}.")
    for name, count in {"original_size": 2, "resized_size": 2, "grid": 3}.items():
        if not _is_counts(medium.get(name)) or len(medium[name]) != count:
            raise BadInput(f"{where}: {at}.{name} must hold {count} counts, got {shown(medium.get(name))}")


def _check_part(part: Any, *, where: Path, at: str) -> None:
    """Refuse an entry of `parts` that cannot be one."""
    if not isinstance(part, dict):
        raise BadInput(f"{where}: {at} must be an object, got {shown(part)}")
    for name, kind in PART_TYPES.items():
        _need(part, name, kind, where=where, at=f"{at}.")
    if not _is_counts(part["shape"]):
        raise BadInput(f"{where}: {at}.shape must hold counts, got {shown(part['shape'])}")
    if part["file"] not in FILES:
        raise BadInput(f"{where}: {at}.file must be one of {', '.join(FILES)}, got {shown(part['file'])}")
    for name in STATISTICS:
        if name in part and not _is_finite(part[name]):
            raise BadInput(f"{where}: {at}.{name} must be a finite number, got {shown(part[name])}")


def _need(holder: dict[str, Any], name: str, kind: type, *, where: Path, at: str = "") -> None:
    """Refuse a value that is missing or of another kind; true and false are no numbers."""
    value = holder.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadInput(f"{where}: {at}{name} must be {KINDS[kind]}, got {shown(value)}; write the golden again")


def _is_counts(value: Any) -> bool:
    """Whether a value is a list of whole numbers that are not negative."""
    return isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)


def _is_finite(value: Any) -> bool:
    """Whether a value is a number that float64 holds."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max
