"""Section 15 - exports: how does a program without a reader of safetensors get at the parts of a golden?

Beside the golden's own files, from which they are copied: `parts.npz`, which NumPy reads, and many a language
besides; or the directory `bin`, bare bytes and an index in JSON and in plain lines, for a reader of 30 lines.
"""

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qwen25vl.golden.bin_format import write_bin
from qwen25vl.golden.parts import golden_parts

EXPORTS = {"npz": "parts.npz", "bin": "bin"}
"""Each form, and what it is called in the directory of a case."""

UNFINISHED = ".export"
"""What an export is called while it is written."""

EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The time that every entry of a zip file is given: the first that the format knows."""

PLAIN_FILE = 0o644 << 16
"""The rights of an entry, where a zip file holds them."""


def write_export(directory: Path, manifest: Mapping[str, Any], *, form: str) -> None:
    """Write the parts of a golden in another form, beside its files; an older export is replaced.

    Args:
        directory: of the golden, which is complete.
        manifest: its manifest.
        form: `npz` or `bin`.

    Spec: spec/15-golden-values.md (X23)
    """
    remove_path(directory / UNFINISHED)
    parts = golden_parts(directory, manifest)
    if form == "npz":
        write_npz(directory / UNFINISHED, parts)
    else:
        kinds = {entry["id"]: entry["dtype"] for entry in manifest["parts"]}
        (directory / UNFINISHED).mkdir()
        write_bin(directory / UNFINISHED, ((name, kinds[name], array) for name, array in parts.items()))
    remove_path(directory / EXPORTS[form])
    (directory / UNFINISHED).rename(directory / EXPORTS[form])


def write_npz(path: Path, parts: Mapping[str, np.ndarray]) -> None:
    """Write arrays as NumPy's `savez` does, without the time of day: a second run gives the same bytes. (X23)"""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in parts.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=EARLIEST)
            entry.create_system, entry.external_attr = 3, PLAIN_FILE  # as on Unix, wherever it is written
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), version=(1, 0), allow_pickle=False)


def remove_exports(directory: Path) -> None:
    """Take away what was exported from a golden that is to be replaced."""
    for name in (UNFINISHED, *EXPORTS.values()):
        remove_path(directory / name)


def remove_path(path: Path) -> None:
    """Take a file or a directory away, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
