"""Section 15 - the list of a corpus: what does `corpus.json` say?"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qwen25vl.golden.corpus_place import UNFINISHED_CORPUS
from qwen25vl.golden.corpus_read import CORPUS, CORPUS_SCHEMA, CORPUS_VERSION
from qwen25vl.golden.corpus_resume import CorpusSettings
from qwen25vl.golden.export import EXPORTS
from qwen25vl.golden.folder import FILES, MANIFEST, NOISE
from qwen25vl.golden.manifest import file_sha256
from qwen25vl.golden.read import read_manifest


def corpus_list(out: Path, ids: Sequence[str], *, settings: CorpusSettings) -> dict[str, Any]:
    """Put the list of a corpus together; it holds no path and no time.

    Args:
        out: directory of the corpus.
        ids: of its cases, all complete, in the order of the list.
        settings: what the cases have in common.

    Spec: spec/15-golden-values.md (X22)
    """
    return {
        "schema": CORPUS_SCHEMA,
        "schema_version": CORPUS_VERSION,
        **settings.about,
        "taps": settings.taps,
        "noise": {name: list(values) for name, values in asdict(settings.noise).items()},
        "cases": [_entry(out / case_id) for case_id in ids],
    }


def write_list(out: Path, listed: dict[str, Any]) -> None:
    """Put the list into its place at once. (X22)"""
    text = json.dumps(listed, indent=1, allow_nan=False) + "\n"
    (out / UNFINISHED_CORPUS).write_text(text, encoding="ascii")
    (out / UNFINISHED_CORPUS).replace(out / CORPUS)


def _entry(directory: Path) -> dict[str, Any]:
    """Say of a case what it is, and what its files hash to."""
    manifest = read_manifest(directory)
    return {
        **{name: manifest[name] for name in ("id", "family", "tier", "title")},
        "parts": len(manifest["parts"]),
        "bytes": sum((directory / name).stat().st_size for name in FILES if (directory / name).is_file()),
        "exports": [form for form, name in EXPORTS.items() if (directory / name).exists()],
        "manifest_sha256": file_sha256(directory / MANIFEST),
        "noise_sha256": file_sha256(directory / NOISE) if (directory / NOISE).is_file() else None,
    }
