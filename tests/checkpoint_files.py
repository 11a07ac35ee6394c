"""Checkpoint files written byte by byte, so that nothing of the reader under test helps to make them."""

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qwen25vl.checkpoint.names import expected_shapes
from qwen25vl.config import Config

Part = tuple[str, tuple[int, ...], bytes]
"""The dtype's word, the shape and the bits of one tensor."""


def file_of(header: Any, data: bytes = b"") -> bytes:
    """Put a safetensors file together: `header` as JSON (or as the bytes that it is), then the data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def packed(parts: Mapping[str, Part]) -> bytes:
    """A well-formed file of `parts`, its data in their order."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, (dtype, shape, bits) in parts.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(bits)]}
        data += bits
    return file_of(header, data)


def float32_part(values: Any) -> Part:
    """An array as an F32 tensor."""
    array = np.asarray(values, dtype="<f4")
    return "F32", array.shape, array.tobytes()


def new_name(name: str) -> str:
    """A released name in the new layout."""
    if name.startswith("visual."):
        return f"model.{name}"
    return f"model.language_model.{name[len('model.') :]}" if name.startswith("model.") else name


def random_parts(config: Config, *, seed: int = 0) -> dict[str, Part]:
    """Every tensor of a model, filled at random, by released name."""
    rng = np.random.default_rng(seed)
    shapes = expected_shapes(config)
    return {name: float32_part(rng.standard_normal(shape, dtype=np.float32)) for name, shape in shapes.items()}


def written_shards(
    directory: Path, parts: Mapping[str, Part], *, shards: int, place: Callable[[int], int] | None = None
) -> None:
    """Deal the tensors out to `shards` files and write the index."""
    files = [f"model-{number + 1:05}-of-{shards:05}.safetensors" for number in range(shards)]
    where = {name: files[index % shards if place is None else place(index)] for index, name in enumerate(parts)}
    for file in files:
        (directory / file).write_bytes(packed({name: parts[name] for name in parts if where[name] == file}))
    index = {"metadata": {"total_size": 1}, "weight_map": where}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
