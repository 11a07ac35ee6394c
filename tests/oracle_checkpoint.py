"""What upstream saves, reads and defaults to: the oracle of section 01.

Written for transformers 5.23.0 on torch 2.13.0. Everything is imported inside the functions.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qwen25vl.config import Config


def _random_upstream(config: Config, *, dtype: str, seed: int = 0) -> Any:
    """An upstream model, every parameter random in `dtype`."""
    import torch
    import transformers

    import oracle

    torch.manual_seed(seed)
    model = transformers.Qwen2_5_VLForConditionalGeneration(oracle.upstream_config(config))
    model.to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def _released_state(model: Any) -> dict[str, Any]:
    """Its tensors by released name; a tied matrix once."""
    state = model.state_dict()
    if model.config.tie_word_embeddings:
        del state["lm_head.weight"]
    return {
        name.replace("model.visual.", "visual.").replace("model.language_model.", "model."): tensor
        for name, tensor in state.items()
    }


def upstream_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of the model that upstream builds."""
    return {name: tuple(t.shape) for name, t in _released_state(_random_upstream(config, dtype="float32")).items()}


def saved_checkpoint(
    directory: Path, config: Config, *, dtype: str, layout: str, max_shard_size: str
) -> dict[str, np.ndarray]:
    """Save a random model as upstream does; its tensors as float32, by released name.

    transformers 5 writes the released names by itself. The new layout, which 4.52 and later 4.x wrote, is
    made by renaming.
    """
    model = _random_upstream(config, dtype=dtype)
    model.save_pretrained(directory, max_shard_size=max_shard_size)
    if layout == "new":
        _rename_files(directory)
    return {name: tensor.float().cpu().numpy() for name, tensor in _released_state(model).items()}


def _rename_files(directory: Path) -> None:
    """Put every file of a checkpoint into the new layout."""
    from safetensors.torch import load_file, save_file

    from checkpoint_files import new_name

    for path in directory.glob("*.safetensors"):
        tensors = {new_name(name): tensor.clone() for name, tensor in load_file(path).items()}
        path.unlink()
        save_file(tensors, path)
    index = directory / "model.safetensors.index.json"
    if index.exists():
        document = json.loads(index.read_text())
        document["weight_map"] = {new_name(name): file for name, file in document["weight_map"].items()}
        index.write_text(json.dumps(document))


def loaded_checkpoint(directory: Path) -> dict[str, np.ndarray]:
    """Load a checkpoint with upstream, refusing what it would let pass; its tensors by released name."""
    import transformers

    model, info = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
        directory, output_loading_info=True
    )
    assert not any(info.values()), info
    return {name: tensor.float().cpu().numpy() for name, tensor in _released_state(model).items()}


def loaded_head(directory: Path) -> tuple[np.ndarray, bool]:
    """The output matrix that upstream would use, and whether it is the embedding itself."""
    import transformers

    model = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(directory)
    head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    return head.detach().float().cpu().numpy(), head is embedding


def saved_config(directory: Path, config: Config) -> dict[str, Any]:
    """Save config.json as upstream does, nested and without what equals its defaults; what it wrote."""
    import oracle

    oracle.upstream_config(config).save_pretrained(directory)
    return dict(json.loads((directory / "config.json").read_text()))


def class_defaults() -> dict[str, dict[str, Any]]:
    """What upstream takes for each key that a config.json leaves out."""
    return upstream_reading({"model_type": "qwen2_5_vl"})


def upstream_reading(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What upstream understands a config.json to say: `root`, `text` and `vision`, by its own keys."""
    import copy

    import transformers

    read = transformers.Qwen2_5_VLConfig.from_dict(copy.deepcopy(dict(document)))
    eos = transformers.GenerationConfig.from_model_config(read).eos_token_id
    return {
        "root": {**read.to_dict(), "eos_token_id": eos},
        "text": read.text_config.to_dict(),
        "vision": read.vision_config.to_dict(),
    }
