"""Section 01 - config.json: which Config does a checkpoint directory state?"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qwen25vl.config import LARGEST_NUMBER, Config, TextConfig, VisionConfig
from qwen25vl.config_keys import (
    EOS_TOKEN_ID,
    TEXT_KEYS,
    TEXT_ROPE_THETA,
    TOKEN_KEYS,
    VISION_KEYS,
    VISION_ROPE_THETA,
    Key,
)
from qwen25vl.errors import BadInput
from qwen25vl.json_file import json_object
from qwen25vl.wording import shown

MODEL_TYPE = "qwen2_5_vl"
"""The `model_type` at the root; a sub-config says the same, or adds `_text` or `_vision`."""


def read_config(directory: Path) -> Config:
    """The Config of a checkpoint directory.

    Args:     directory: a checkpoint; its `config.json` is read and nothing else.
    Raises:   BadInput: no such file, malformed JSON, or what `parse_config` refuses; the text names the file.
    Spec:     spec/01-config-checkpoint.md (C1, C11)
    """
    path = directory / "config.json"
    if not path.is_file():  # (C11)
        raise BadInput(f"no config.json in {directory}; give the directory of a Qwen2.5-VL checkpoint")
    document = json_object(path)
    try:
        return parse_config(document)
    except BadInput as error:
        advice = "" if "; " in str(error) else "; take the config.json of the same checkpoint"
        raise BadInput(f"{path}: {error}{advice}") from None


def parse_config(document: Mapping[str, Any]) -> Config:
    """The Config that the object of a config.json states, in whichever of its three forms.

    Args:     document: the parsed JSON object, with the keys of VISION_KEYS, TEXT_KEYS and TOKEN_KEYS.
    Returns:  a Config in which every key left out has upstream's class default.
    Raises:   BadInput: a value of the wrong type or size, or a model that this package does not compute.
    Source:   transformers 5.23.0 configuration_qwen2_5_vl.py, Qwen2_5_VLConfig.__post_init__ and
              Qwen2_5_VLTextConfig.convert_rope_params_to_dict
    Spec:     spec/01-config-checkpoint.md (C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C27, C29)
    """
    nested = document.get("text_config") is not None
    text = _section(document, "text_config") if nested else document  # (C1)
    vision = _section(document, "vision_config")
    text_at = "text_config." if nested else ""
    _check_supported(document, text, vision, text_at=text_at)
    return Config(  # (C27)
        vision=_vision_config(vision),
        text=_text_config(text, at=text_at),
        tie_word_embeddings=_tied(document, text, at=text_at),
        eos_token_id=_eos_token_id(document, text, at=text_at),
        **_values(document, TOKEN_KEYS, at=""),
    )


def _section(document: Mapping[str, Any], name: str, *, at: str = "") -> Mapping[str, Any]:
    """The object under `name`, empty when left out or null."""
    section = document.get(name)
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        raise BadInput(f"{at}{name} must be an object, got {shown(section)}")
    return section


def _check_supported(
    root: Mapping[str, Any], text: Mapping[str, Any], vision: Mapping[str, Any], *, text_at: str
) -> None:
    """Refuse what would make it another model, rather than compute a wrong one. (C9)"""
    if root.get("model_type") != MODEL_TYPE:
        raise BadInput(f"model_type must be {MODEL_TYPE!r}, got {shown(root.get('model_type'))}")
    for part, at, suffix in ((text, text_at, "_text"), (vision, "vision_config.", "_vision")):
        if part.get("model_type", MODEL_TYPE) not in (MODEL_TYPE, MODEL_TYPE + suffix):
            raise BadInput(f"{at}model_type must be {MODEL_TYPE + suffix!r}, got {shown(part['model_type'])}")
        if part.get("hidden_act", "silu") != "silu":
            raise BadInput(f"{at}hidden_act must be 'silu', got {shown(part['hidden_act'])}")
    for part, at in ((root, ""), (text, text_at), (vision, "vision_config.")):
        if part.get("quantization_config") is not None:
            raise BadInput(
                f"{at}quantization_config is present and quantised checkpoints are not supported; "
                "use the unquantised release"
            )
    layer_types = text.get("layer_types") or []
    sliding = not isinstance(layer_types, list) or any(kind != "full_attention" for kind in layer_types)
    if sliding or _flag(text, "use_sliding_window", at=text_at):
        raise BadInput(
            f"{text_at}use_sliding_window: sliding-window attention is not supported; no release uses it"
        )


def _vision_config(vision: Mapping[str, Any]) -> VisionConfig:
    """The vision encoder's numbers."""
    at = "vision_config."
    values = _values(vision, VISION_KEYS, at=at)
    in_channels = values["in_channels"]
    if vision.get("in_chans", in_channels) != in_channels:  # (C4)
        raise BadInput(
            f"{at}in_chans is {shown(vision['in_chans'])}, but upstream reads in_channels, "
            f"which is {in_channels} here; make the two equal"
        )
    _, where = _rope(vision, ("axial", "default"), at=at)
    return VisionConfig(**values, rope_theta=_value(where, VISION_ROPE_THETA, at=at))


def _text_config(text: Mapping[str, Any], *, at: str) -> TextConfig:
    """The language model's numbers."""
    stated = {key: value for key, value in text.items() if (key, value) != ("num_key_value_heads", None)}
    values = _values(stated, TEXT_KEYS, at=at)
    if len(stated) < len(text):  # (C6)
        values["num_key_value_heads"] = values["num_attention_heads"]
    rope, where = _rope(text, ("mrope", "default"), at=at)
    config = TextConfig(
        **values,
        rope_theta=_value(where, TEXT_ROPE_THETA, at=at),
        mrope_section=_mrope_section(rope, at=at),
    )
    if text.get("head_dim") not in (None, config.head_dim):
        raise BadInput(
            f"{at}head_dim must be hidden_size over num_attention_heads, {config.head_dim}, "
            f"got {shown(text['head_dim'])}"
        )
    return config


def _rope(
    section: Mapping[str, Any], types: tuple[str, ...], *, at: str
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The object of rotary settings that upstream would take, and the object that states `rope_theta`."""
    name = "rope_scaling" if _section(section, "rope_scaling", at=at) else "rope_parameters"  # (C7)
    rope = _section(section, name, at=at)
    rope_type = rope.get("rope_type", rope.get("type", "default"))
    if rope_type not in types:  # (C8)
        raise BadInput(
            f"{at}{name}: rope type {shown(rope_type)} is not supported, only {' and '.join(types)}; "
            "take the rotary settings of the release"
        )
    return rope, rope if "rope_theta" in rope else section


def _mrope_section(rope: Mapping[str, Any], *, at: str) -> tuple[int, int, int]:
    """How the frequencies are dealt to time, height and width. (C8)"""
    name = f"{at}mrope_section"
    if rope.get("mrope_section") is None:
        raise BadInput(f"{name} is missing from the rotary settings; the releases have [16, 24, 24]")
    section = _integers(rope["mrope_section"], name)
    if len(section) != 3:
        raise BadInput(f"{name} must hold 3 integers, for time, height and width, got {list(section)}")
    return section[0], section[1], section[2]


def _tied(root: Mapping[str, Any], text: Mapping[str, Any], *, at: str) -> bool:
    """True if either object says so. (C5)"""
    key = "tie_word_embeddings"
    return any([_flag(root, key), _flag(text, key, at=at)])


def _eos_token_id(root: Mapping[str, Any], text: Mapping[str, Any], *, at: str) -> int:
    """The root's id before the language model's; the first one of a list. (C10)"""
    stated_at, value = "", root.get("eos_token_id")
    if value is None:
        stated_at, value = at, text.get("eos_token_id")
    if value is None:
        return EOS_TOKEN_ID
    name = f"{stated_at}eos_token_id"
    if not isinstance(value, list):
        return _integer(value, name)
    if not value:
        raise BadInput(f"{name} must name a token, got an empty list")
    return _integers(value, name)[0]


def _values(section: Mapping[str, Any], keys: tuple[Key, ...], *, at: str) -> dict[str, Any]:
    """The fields that `keys` fill, each stated or defaulted."""
    return {key.field: _value(section, key, at=at) for key in keys}


def _value(section: Mapping[str, Any], key: Key, *, at: str) -> Any:
    """One value, of the type of its default. A null is a wrong value, not a missing one. (C3)"""
    if key.key not in section:  # (C2)
        return key.default
    value, name = section[key.key], f"{at}{key.key}"
    if isinstance(key.default, tuple):
        return _integers(value, name)
    if isinstance(key.default, int):
        return _integer(value, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf < value < math.inf:
        raise BadInput(f"{name} must be a finite number, got {shown(value)}")
    try:
        return float(value)
    except OverflowError:  # (C29)
        raise BadInput(f"{name} must be a finite number, got {shown(value)}, beyond float64") from None


def _integer(value: Any, name: str) -> int:
    """An integer that is not negative; true and 1.0 are none."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadInput(f"{name} must be an integer of 0 or more, got {shown(value)}")
    if value > LARGEST_NUMBER:  # (C29)
        raise BadInput(f"{name} must be an integer of at most {LARGEST_NUMBER}, got {shown(value)}")
    return value


def _integers(value: Any, name: str) -> tuple[int, ...]:
    """A list of such integers."""
    if not isinstance(value, list | tuple):
        raise BadInput(f"{name} must be a list of integers, got {shown(value)}")
    return tuple(_integer(item, name) for item in value)


def _flag(section: Mapping[str, Any], key: str, *, at: str = "") -> bool:
    """A boolean, false when left out or null."""
    value = section.get(key)
    if value is not None and not isinstance(value, bool):
        raise BadInput(f"{at}{key} must be true or false, got {shown(value)}")
    return bool(value)
