"""Section 01 - report of a checkpoint: which model is it, how large is each part, and how is it stored?"""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qwen25vl.checkpoint.census import HEAD
from qwen25vl.checkpoint.directory import INDEX, ONE_FILE, open_checkpoint
from qwen25vl.checkpoint.names import expected_shapes, layout
from qwen25vl.checkpoint.parts import part_sizes
from qwen25vl.checkpoint.safetensors import StoredTensor
from qwen25vl.config import QWEN25_VL_3B, QWEN25_VL_7B, QWEN25_VL_32B, QWEN25_VL_72B, TINY, Config
from qwen25vl.config_json import read_config

RELEASES = {
    "Qwen2.5-VL-3B": QWEN25_VL_3B,
    "Qwen2.5-VL-7B": QWEN25_VL_7B,
    "Qwen2.5-VL-32B": QWEN25_VL_32B,
    "Qwen2.5-VL-72B": QWEN25_VL_72B,
    "tiny": TINY,
}
"""Configurations that have a name."""


def checkpoint_report(directory: Path) -> dict[str, Any]:
    """Say what a checkpoint holds. Headers are read, weights are not, whatever their size.

    One exception, (C23): where a tied config stands beside a stored lm_head.weight, the two matrices are compared.

    Args:     directory: a checkpoint; one that has a config.json and no weights at all is described too.
    Returns:  the facts, fit for JSON; `weights` is None where the directory holds none.
    Raises:   BadInput: as in `read_config` and `open_checkpoint`.
    Spec:     spec/01-config-checkpoint.md (C19 to C25)
    """
    config = read_config(directory)
    shapes = expected_shapes(config)
    parts = part_sizes(shapes)
    totals = {tower: sum(part.parameters for part in parts if part.tower == tower) for tower in ("vision", "text")}
    return {
        "kind": "checkpoint",
        "release": next((name for name, known in RELEASES.items() if same_shape(known, config)), None),
        "config": asdict(config),
        "tied": config.tie_word_embeddings,
        "tensors": len(shapes),
        "parts": [asdict(part) for part in parts],
        "parameters": {**totals, "total": sum(totals.values())},
        "weights": _weights(directory, config),
    }


def same_shape(one: Config, other: Config) -> bool:
    """Whether two configurations have exactly the same tensors and the same tie."""
    shapes = expected_shapes(one) == expected_shapes(other)
    return shapes and one.tie_word_embeddings == other.tie_word_embeddings


def _weights(directory: Path, config: Config) -> dict[str, Any] | None:
    """Describe the files and the types of their tensors, if there are any."""
    if not any((directory / name).exists() for name in (ONE_FILE, INDEX)):
        return None
    checkpoint = open_checkpoint(directory, config)
    tensors = list(checkpoint.tensors.values())
    layouts = {layout(tensor.name) for tensor in tensors} - {"either"}
    return {
        "files": [{"name": file.name, "bytes": file.stat().st_size} for file in checkpoint.files],
        "names": layouts.pop() if layouts else "either",
        "head": "stored" if HEAD in checkpoint.tensors else "the embedding",
        "types": _types(tensors),
        "bytes": sum(tensor.raw.nbytes for tensor in tensors),
    }


def _types(tensors: list[StoredTensor]) -> dict[str, dict[str, int]]:
    """Count the tensors and the bytes of each stored type."""
    counts = Counter(tensor.dtype for tensor in tensors)
    return {
        dtype: {
            "tensors": count,
            "bytes": sum(tensor.raw.nbytes for tensor in tensors if tensor.dtype == dtype),
        }
        for dtype, count in sorted(counts.items())
    }
