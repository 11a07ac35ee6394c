"""Section 15 - reading a golden: what does its manifest say, and is every file there?"""

import re
import sys
from pathlib import Path
from typing import Any

from qwen25vl.errors import BadInput
from qwen25vl.golden.folder import INTEGERS, MANIFEST, SCHEMA, TENSOR_FILES
from qwen25vl.golden.manifest import SCHEMA_VERSION
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

SEMANTIC = re.compile("(0|[1-9][0-9]{0,8})[.](0|[1-9][0-9]{0,8})[.](0|[1-9][0-9]{0,8})")
"""A version: three numbers, none of them absurd."""

READS = int(SCHEMA_VERSION.partition(".")[0])
"""The major version of manifests that is understood here: the one that is written."""

MANIFEST_TYPES: dict[str, type] = {
    "id": str,
    "title": str,
    "family": str,
    "tier": str,
    "section": str,
    "arithmetic": str,
    "model": dict,
    "prompts": list,
    "media": list,
    "generation": dict,
    "files": list,
    "parts": list,
}
"""What every manifest holds, and of which type."""

CONTENT = (*TENSOR_FILES, INTEGERS)
"""Files that a manifest may list."""

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
        BadInput: if there is no manifest, it is not one of ours, it is of another major version, or a file
            that it names is absent.

    Spec: spec/15-golden-values.md (X5, X9)
    """
    path = directory / MANIFEST
    document = json_object(path, remedy="write it again")
    if document.get("schema") != SCHEMA:
        raise BadInput(f"{path} is no manifest of a golden: its schema is {shown(document.get('schema'))}")
    check_schema_version(document.get("schema_version"), where=path, reads=READS)
    for name, kind in MANIFEST_TYPES.items():
        _need(document, name, kind, where=path)
    _check_run(document, where=path)
    for name, kind in {"name": str, "precision": str, "files": list, "config": dict}.items():
        _need(document["model"], name, kind, where=path, at="model.")
    for i, file in enumerate(document["model"]["files"]):
        _check_hashed(file, where=path, at=f"model.files[{i}]")
    _check_generation(document["generation"], where=path)
    for i, file in enumerate(document["files"]):
        _check_file(file, where=path, at=f"files[{i}]")
    for i, medium in enumerate(document["media"]):
        _check_medium(medium, where=path, at=f"media[{i}]")
    for i, part in enumerate(document["parts"]):
        _check_part(part, where=path, at=f"parts[{i}]")
    if len({part["id"] for part in document["parts"]}) < len(document["parts"]):
        raise BadInput(f"{path}: parts lists an id twice; write the golden again")
    entries = (*document["files"], *({"name": part["file"]} for part in document["parts"]))
    absent = sorted({entry["name"] for entry in entries if not (directory / entry["name"]).is_file()})
    if absent:
        raise BadInput(f"{directory} lacks {', '.join(absent)}, named in {MANIFEST}; copy the whole golden")
    return document


def check_schema_version(version: object, *, where: Path, reads: int) -> None:
    """Refuse what another major version of the format wrote; what a minor one adds is passed over.

    Args:
        version: as it stands in the file, `major.minor.patch`.
        where: the file.
        reads: the major version that is understood here.

    Raises:
        BadInput: if the version is another, or none.

    Spec: spec/15-golden-values.md (X5)
    """
    found = SEMANTIC.fullmatch(version) if isinstance(version, str) else None
    if found is None:
        raise BadInput(
            f"{where}: schema_version must be three numbers, as {reads}.0.0, got {shown(version)}; write it again"
        )
    major = int(found[1])
    if major > reads:
        raise BadInput(
            f"{where} was made by a newer version (schema {version}; this one reads {reads}.x); update qwen25vl"
        )
    if major < reads:
        raise BadInput(
            f"{where} was made by an older version (schema {version}; this one reads {reads}.x); write it again"
        )


def _check_run(document: dict[str, Any], *, where: Path) -> None:
    """Refuse what cannot be said of a run, or of none."""
    for name, kind in {"taps": str, "chunk": int}.items():
        if document.get(name) is not None:
            _need(document, name, kind, where=where)
    for i, prompt in enumerate(document["prompts"]):
        _check_kind(prompt, str, where=where, at=f"prompts[{i}]")


def _check_generation(generation: dict[str, Any], *, where: Path) -> None:
    """Refuse a rule or an answer that cannot be one."""
    for name, kind in {"rule": str, "answers": list}.items():
        _need(generation, name, kind, where=where, at="generation.")
    for i, answer in enumerate(generation["answers"]):
        _check_kind(answer, dict, where=where, at=f"generation.answers[{i}]")
        for name, kind in {"text": str, "ids": list, "stop": str}.items():
            _need(answer, name, kind, where=where, at=f"generation.answers[{i}].")


def _check_file(file: Any, *, where: Path, at: str) -> None:
    """Refuse an entry of `files` that cannot be one."""
    _check_hashed(file, where=where, at=at)
    if file["name"] not in CONTENT:
        raise BadInput(f"{where}: {at}.name must be one of {', '.join(CONTENT)}, got {shown(file['name'])}")


def _check_hashed(file: Any, *, where: Path, at: str) -> None:
    """Refuse what does not say a file's name, size and hash."""
    _check_kind(file, dict, where=where, at=at)
    for name, kind in {"name": str, "bytes": int, "sha256": str}.items():
        _need(file, name, kind, where=where, at=f"{at}.")


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
    if part["file"] not in TENSOR_FILES:
        raise BadInput(f"{where}: {at}.file must be one of {', '.join(TENSOR_FILES)}, got {shown(part['file'])}")
    for name in STATISTICS:
        if name in part and not is_finite(part[name]):
            raise BadInput(f"{where}: {at}.{name} must be a finite number, got {shown(part[name])}")


def _need(holder: dict[str, Any], name: str, kind: type, *, where: Path, at: str = "") -> None:
    """Refuse a value that is missing or of another kind."""
    _check_kind(holder.get(name), kind, where=where, at=at + name)


def _check_kind(value: Any, kind: type, *, where: Path, at: str) -> None:
    """Refuse a value of another kind; true and false are no numbers."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadInput(f"{where}: {at} must be {KINDS[kind]}, got {shown(value)}; write the golden again")


def _is_counts(value: Any) -> bool:
    """Whether a value is a list of whole numbers that are not negative."""
    return isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)


def is_finite(value: Any) -> bool:
    """Whether a value is a number that float64 holds."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max
