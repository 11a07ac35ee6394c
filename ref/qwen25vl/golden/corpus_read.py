"""Section 15 - reading a corpus: which cases of it are whole?"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen25vl.errors import BadInput
from qwen25vl.golden.folder import MANIFEST, NOISE
from qwen25vl.golden.manifest import SCHEMA_VERSION, file_sha256
from qwen25vl.golden.noise import NOISE_SCHEMA
from qwen25vl.golden.parts import GoldenParts, golden_parts
from qwen25vl.golden.read import READS, check_schema_version, is_finite, read_manifest
from qwen25vl.json_file import json_object
from qwen25vl.wording import named, shown

CORPUS = "corpus.json"
"""The file that lists a corpus; a run writes it last."""

CORPUS_SCHEMA = "qwen25vl-corpus"
"""What it says it is."""

CORPUS_VERSION = SCHEMA_VERSION
"""Of its format: one with the manifests'."""

CASE_ID = re.compile(r"[a-z][a-z0-9_]{0,99}")
"""What the id of a case, and so its directory, may be called."""

LARGEST_NOISE_BYTES = 100_000_000
"""A larger file of noise is refused unread: that of 171 parts has 0.15 MB."""


@dataclass(frozen=True, eq=False)
class GoldenCase:
    """One case of a corpus, or a golden of one prompt, open for reading."""

    id: str
    directory: Path
    manifest: Mapping[str, Any]
    parts: GoldenParts
    """Its arrays by id; what is not looked at is not read."""
    noise: Mapping[str, Any]
    """What `noise.json` holds under `parts`; empty if no noise was measured."""

    @property
    def given(self) -> tuple[str, ...]:
        """Ids of what a port is given."""
        return tuple(part for part in self.parts if part.startswith("inputs."))


def open_goldens(path: Path, *, verify: bool = False) -> tuple[tuple[GoldenCase, ...], tuple[str, ...]]:
    """Open the cases of a corpus, or one case.

    Args:
        path: the directory of a corpus, or of a golden.
        verify: whether the hash of every file is computed; its size is looked at in any case.

    Returns:
        The cases that are whole, in the order of `corpus.json`; and a sentence about each that is not.

    Raises:
        BadInput: if `path` is neither a corpus nor a golden, or `corpus.json` cannot be used.

    Spec: spec/15-golden-values.md (X22)
    """
    listed: list[dict[str, Any]]
    problems: list[str] = []
    if (path / MANIFEST).is_file():
        listed = [{"id": path.absolute().name, "directory": path}]
    elif (path / CORPUS).is_file():
        listed = read_corpus(path)["cases"]
    else:
        listed, problems = _unlisted(path)
    cases = []
    for entry in listed:
        try:
            cases.append(_opened(entry.get("directory", path / entry["id"]), entry, verify=verify))
        except BadInput as refusal:
            problems.append(f"the case {entry['id']} cannot be used: {refusal}")
    return tuple(cases), tuple(problems)


def read_corpus(path: Path) -> dict[str, Any]:
    """Read the list of a corpus; its cases are not opened.

    Raises:
        BadInput: if it is no list of a corpus, is damaged, or is of another major version.
    """
    where = path / CORPUS
    document = json_object(where, remedy="write it again")
    if document.get("schema") != CORPUS_SCHEMA:
        raise BadInput(f"{where} is no list of a corpus: its schema is {shown(document.get('schema'))}")
    check_schema_version(document.get("schema_version"), where=where, reads=READS)
    cases = document.get("cases")
    if not isinstance(cases, list) or not all(_is_entry(entry) for entry in cases):
        raise BadInput(f"{where}: cases must list ids and hashes of manifests; write the corpus again")
    if len({entry["id"] for entry in cases}) < len(cases):
        raise BadInput(f"{where}: cases lists an id twice; write the corpus again")
    return document


def _is_entry(entry: Any) -> bool:
    """Whether an entry of `cases` holds what is needed to find and to check its case."""
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("id"), str)
        and CASE_ID.fullmatch(entry["id"]) is not None
        and isinstance(entry.get("manifest_sha256"), str)
        and isinstance(entry.get("noise_sha256"), str | None)
    )


def _unlisted(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Find the cases of a corpus whose run has not ended. Each of them is whole; how many lack, nobody knows."""
    found = sorted(directory.parent.name for directory in path.glob(f"*/{MANIFEST}"))
    ids = [name for name in found if CASE_ID.fullmatch(name)]
    if not ids:
        raise BadInput(
            f"{str(path)!r} holds neither a {MANIFEST}, as a golden, nor a {CORPUS}, as a corpus; give the "
            "directory of one (`qwen25vl golden OUT` writes a corpus)"
        )
    lacks = f"{path} lacks {CORPUS}: the run that wrote the corpus did not end; run `qwen25vl golden` again"
    return [{"id": name} for name in ids], [lacks]


def _opened(directory: Path, entry: Mapping[str, Any], *, verify: bool) -> GoldenCase:
    """Open one case. What the list of the corpus says about it must be so.

    Raises:
        BadInput: if a file is missing, has another size or hash than it should, or cannot be read.
    """
    manifest = read_manifest(directory)
    if "manifest_sha256" in entry and manifest["id"] != entry["id"]:
        raise BadInput(f"{directory} holds the case {shown(manifest['id'])}; write the corpus again")
    for name, field in ((MANIFEST, "manifest_sha256"), (NOISE, "noise_sha256")):
        wanted = entry.get(field)
        if wanted is not None and (not (directory / name).is_file() or file_sha256(directory / name) != wanted):
            raise BadInput(f"{directory / name} is not the file that {CORPUS} lists; write the corpus again")
    for fault in file_faults(directory, manifest, verify=verify):
        raise BadInput(fault)
    return GoldenCase(
        id=manifest["id"],
        directory=directory,
        manifest=manifest,
        parts=golden_parts(directory, manifest),
        noise=read_noise(directory),
    )


def file_faults(directory: Path, manifest: Mapping[str, Any], *, verify: bool) -> Iterator[str]:
    """Say which files of a golden are not those that its manifest lists.

    Args:
        directory: of the golden.
        manifest: its manifest, as `read_manifest` gives it.
        verify: whether files of the right size are hashed.
    """
    for file in manifest["files"]:
        path = directory / named(file["name"])
        size = path.stat().st_size
        if size != file["bytes"]:
            yield f"{path} has {size} bytes, the manifest says {file['bytes']}; copy it, or write it, again"
        elif verify and file_sha256(path) != file["sha256"]:
            yield f"{path} has another hash than the manifest says; copy it, or write it, again"


def read_noise(directory: Path) -> dict[str, Any]:
    """Read the noise of a golden by part; nothing, if none was measured.

    Raises:
        BadInput: if the file is damaged or of another major version.
    """
    path = directory / NOISE
    if not path.is_file():
        return {}
    document = json_object(path, largest_bytes=LARGEST_NOISE_BYTES, remedy="write it again")
    if document.get("schema") != NOISE_SCHEMA:
        raise BadInput(f"{path} is no file of noise: its schema is {shown(document.get('schema'))}")
    check_schema_version(document.get("schema_version"), where=path, reads=READS)
    parts = document.get("parts")
    if not isinstance(parts, dict) or not all(_is_measured(entry) for entry in parts.values()):
        raise BadInput(f"{path}: parts must hold measures by precision and mode; write the golden again")
    return parts


def _is_measured(entry: Any) -> bool:
    """Whether an entry holds numbers by precision, mode and measure."""
    return isinstance(entry, dict) and all(
        isinstance(modes, dict)
        and all(isinstance(found, dict) and all(map(is_finite, found.values())) for found in modes.values())
        for modes in entry.values()
    )
