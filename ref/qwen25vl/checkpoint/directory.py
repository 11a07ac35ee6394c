"""Section 01 - checkpoint directory: which files hold the model, and is every tensor of it there?"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from qwen25vl.checkpoint.census import taken_census
from qwen25vl.checkpoint.names import canonical_name, expected_shapes, layout
from qwen25vl.checkpoint.safetensors import StoredTensor, open_file
from qwen25vl.config import Config
from qwen25vl.errors import BadInput
from qwen25vl.json_file import json_object
from qwen25vl.wording import named, shown

ONE_FILE = "model.safetensors"
"""A checkpoint in one file. Where it stands beside an index, it wins, as upstream."""

INDEX = "model.safetensors.index.json"
"""A checkpoint in several: its `weight_map` maps a tensor to its file. Its `total_size` is not relied on."""


MOST_NAMED = 8
"""Missing files that a message names; a list of tensors is given whole (C21)."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that fits its config: exactly the tensors of `expected_shapes`, none of them read yet."""

    tensors: Mapping[str, StoredTensor]
    """By released name, in the order in which the data flows."""

    files: tuple[Path, ...]
    """The files that the tensors lie in."""

    allow_nan: bool = False
    """Whether its tensors may hold values that are infinite or NaN."""


def open_checkpoint(directory: Path, config: Config, *, allow_nan: bool = False) -> Checkpoint:
    """Map a checkpoint into memory, reading headers only.

    Args:     directory: holds model.safetensors, or shards and their index.
              config: what `read_config` gave for the same directory.
              allow_nan: let values that are infinite or NaN pass; else reading such a tensor is refused (C28).
    Raises:   BadInput: a file is missing or broken, layouts are mixed, a tensor is stored twice, or the
              census is not clean; in that case every missing, unexpected and misshapen tensor is listed.
    Spec:     spec/01-config-checkpoint.md (C21, C22, C23, C24, C25)
    """
    files, weight_map = _files(directory)
    stored = _gathered(files, weight_map)
    _check_one_layout(directory, stored)
    tensors = {canonical_name(name): tensor for name, tensor in stored.items()}
    census = taken_census(tensors, config)
    if not census.clean:  # (C21)
        raise BadInput(
            f"{directory} does not hold the tensors of its config.json; take both from one checkpoint\n"
            f"{census.report()}"
        )
    wanted = {name: replace(tensors[name], allow_nan=allow_nan) for name in expected_shapes(config)}  # (C28)
    return Checkpoint(wanted, files, allow_nan=allow_nan)


def _files(directory: Path) -> tuple[tuple[Path, ...], dict[str, str]]:
    """The files to open, and the file name of each tensor where an index states it. (C24)"""
    if (directory / ONE_FILE).is_file():
        return (directory / ONE_FILE,), {}
    if not (directory / INDEX).is_file():
        raise BadInput(f"{directory} holds neither {ONE_FILE} nor {INDEX}; only safetensors checkpoints are read")
    weight_map = _weight_map(directory / INDEX)
    files = tuple(directory / name for name in sorted(set(weight_map.values())))
    absent = [file.name for file in files if not os.path.isfile(file)]  # noqa: PTH113 - long names are no error
    if absent:
        few = ", ".join(map(named, absent[:MOST_NAMED])) + (", ..." if len(absent) > MOST_NAMED else "")
        raise BadInput(f"{directory} lacks {few}, named in {INDEX}; download the rest of it")
    return files, weight_map


def _weight_map(path: Path) -> dict[str, str]:
    """The index: tensor name -> file name."""
    weight_map = json_object(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise BadInput(f"{path} must hold a weight_map from tensor names to file names; download it again")
    for name, file in weight_map.items():
        if not isinstance(file, str) or not file or Path(file).name != file:
            raise BadInput(
                f"{path} must place {named(name)} in a file beside it, got {shown(file)}; download it again"
            )
    return weight_map


def _gathered(files: tuple[Path, ...], weight_map: Mapping[str, str]) -> dict[str, StoredTensor]:
    """The tensors of all files by stored name, each in one file, and in the one that the index says. (C24)"""
    stored: dict[str, StoredTensor] = {}
    found_in: dict[str, str] = {}
    for file in files:
        for name, tensor in open_file(file).items():
            if name in stored:
                raise BadInput(
                    f"{file.parent} stores {named(name)} twice, in {found_in[name]} and in {file.name}; leave the "
                    "files of one checkpoint there"
                )
            stored[name], found_in[name] = tensor, file.name
    for name, want in weight_map.items():
        if found_in.get(name) != want:
            raise BadInput(
                f"{files[0].parent / INDEX} places {named(name)} in {want}, but it is "
                f"{_place(found_in.get(name))}; download the checkpoint again"
            )
    return stored


def _place(file: str | None) -> str:
    """Where a tensor is, in words."""
    return "in no file" if file is None else f"in {file}"


def _check_one_layout(directory: Path, stored: Mapping[str, StoredTensor]) -> None:
    """Refuse a mixture, in which two tensors could claim one canonical name. (C25)"""
    example = {layout(name): name for name in stored}
    if {"released", "new"} <= example.keys():
        raise BadInput(
            f"{directory} mixes two layouts of names: {named(example['released'])} is of the released one, "
            f"{named(example['new'])} of the new one; save it again in one layout"
        )
