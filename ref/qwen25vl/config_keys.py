"""Section 01 - the keys of config.json: what is each called, and what is it when left out?"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """One number of config.json: the field of ours that it fills, its key, and its value when left out."""

    field: str
    key: str
    default: int | float | tuple[int, ...]


# The defaults are upstream's class defaults (C2). They describe no released model: see the page's traps.
# Source: transformers 5.23.0 configuration_qwen2_5_vl.py; 4.49.0 and 4.52.4 have the same numbers.

VISION_KEYS = (
    Key("depth", "depth", 32),
    Key("hidden_size", "hidden_size", 3584),  # trap: 1280 in every release
    Key("intermediate_size", "intermediate_size", 3420),
    Key("num_heads", "num_heads", 16),
    Key("in_channels", "in_channels", 3),
    Key("patch_px", "patch_size", 14),
    Key("temporal_patch_f", "temporal_patch_size", 2),
    Key("merge_p", "spatial_merge_size", 2),
    Key("window_px", "window_size", 112),
    Key("full_attention_blocks", "fullatt_block_indexes", (7, 15, 23, 31)),
    Key("out_hidden_size", "out_hidden_size", 3584),
    Key("tokens_per_second", "tokens_per_second", 4),  # trap: 2 in every release
)
"""`vision_config`, field by field."""

TEXT_KEYS = (
    Key("vocab_size", "vocab_size", 152064),
    Key("hidden_size", "hidden_size", 8192),
    Key("intermediate_size", "intermediate_size", 29568),
    Key("num_hidden_layers", "num_hidden_layers", 80),
    Key("num_attention_heads", "num_attention_heads", 64),
    Key("num_key_value_heads", "num_key_value_heads", 8),
    Key("max_position_embeddings", "max_position_embeddings", 32768),  # trap: 128000 in every release
    Key("rms_norm_eps", "rms_norm_eps", 1e-5),  # trap: 1e-6 in every release
)
"""The language model's numbers: at the root of the flat form, in `text_config` of the nested one."""

TOKEN_KEYS = (
    Key("image_token_id", "image_token_id", 151655),
    Key("video_token_id", "video_token_id", 151656),
    Key("vision_start_token_id", "vision_start_token_id", 151652),
    Key("vision_end_token_id", "vision_end_token_id", 151653),
)
"""Special tokens, at the root in every form."""

VISION_ROPE_THETA = Key("rope_theta", "rope_theta", 10000.0)
"""Base of the 2-D rotary frequencies. No released file states it."""

TEXT_ROPE_THETA = Key("rope_theta", "rope_theta", 1000000.0)
"""Base of the language model's rotary frequencies."""

EOS_TOKEN_ID = 151645
"""Class default of `eos_token_id`, the token `<|im_end|>` that ends an answer."""
