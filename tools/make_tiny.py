"""Write the package's checkpoints `tiny` and `tiny-untied`: the same bytes on every machine.

    python tools/make_tiny.py            write them into the package
    python tools/make_tiny.py --out DIR  write them elsewhere (a test compares)

Weights are uniform numbers from raw PCG64 bits, a stream of their own for each tensor, scaled and rounded to
bfloat16: integer arithmetic and IEEE products, so neither a library's version nor a processor shows in them.
The scales make attention look at something and let the blocks outweigh the embedding. The seed was searched
for with search_tiny_seed.py. Published goldens depend on these bytes: never change them; a successor gets a
name of its own.
"""

import argparse
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tiny_tokenizer import (
    FIRST_WORDS,
    WORDS,
    bpe_vocabulary,
    chat_template,
    special_ids,
    tokenizer_config,
    tokenizer_json,
)

from qwen25vl.checkpoint.names import expected_shapes
from qwen25vl.config import TINY, Config

SEED = 5473
PACKAGE = Path(__file__).parent.parent / "ref" / "qwen25vl" / "checkpoints"

LINEAR_SCALES = {
    "patch_embed.proj.weight": 2.0,
    "attn.qkv.weight": 1.5,
    "attn.proj.weight": 1.2,
    "q_proj.weight": 1.5,
    "k_proj.weight": 1.5,
    "v_proj.weight": 1.4,
    "o_proj.weight": 1.4,
    "gate_proj.weight": 1.25,
    "up_proj.weight": 1.25,
    "down_proj.weight": 1.25,
    "merger.mlp.0.weight": 1.5,
    "merger.mlp.2.weight": 1.5,
}
"""By the end of a name: standard deviation of the weights, times the square root of their number of inputs."""

BIAS_SCALE, GAIN_SCALE = 0.3, 0.3
"""Deviation of a bias from 0 and of a norm's gain from 1."""

WORD_SCALE, END_SCALE, PIECE_SCALE = 0.25, 0.4, 0.05
"""Deviation of a vocabulary row: whole words, the end of the turn, and the rest. The rows weigh the scores too,
so the model answers in words, and comes to an end."""


def uniform(name: str, shape: tuple[int, ...], *, seed: int) -> np.ndarray:
    """Numbers of mean 0 and standard deviation 1."""
    key = int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "little")
    bits = np.random.PCG64(key).random_raw(int(np.prod(shape)))
    return ((bits >> np.uint64(11)) * 2.0**-52 - 1.0).reshape(shape) * 3.0**0.5


def tensor(name: str, shape: tuple[int, ...], *, seed: int) -> np.ndarray:
    """One weight of the checkpoint, in float64."""
    values = uniform(name, shape, seed=seed)
    if name.endswith("bias"):
        return BIAS_SCALE * values
    if "norm" in name or name.endswith("ln_q.weight"):
        return 1 + GAIN_SCALE * values
    if name in ("model.embed_tokens.weight", "lm_head.weight"):
        return row_scales(shape[0]) * values
    scale = next(scale for end, scale in LINEAR_SCALES.items() if name.endswith(end))
    return values * (scale / np.sqrt(np.prod(shape[1:])))


def row_scales(rows: int) -> np.ndarray:
    """The deviation of each vocabulary row, as a column."""
    words = [f"\u0120{word}" for group in WORDS.values() for word in group.split()] + FIRST_WORDS.split()
    scales = np.full((rows, 1), PIECE_SCALE)
    scales[[bpe_vocabulary()[word] for word in words]] = WORD_SCALE
    scales[special_ids()["<|im_end|>"]] = END_SCALE
    return scales


def bfloat16_bits(values: np.ndarray) -> np.ndarray:
    """Round to bfloat16, ties to even; through float32, as the weights of a real checkpoint once were."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype("<u2")


def safetensors_bytes(tensors: dict[str, np.ndarray]) -> bytes:
    """A safetensors file of bfloat16 bits: length of the header, header, data."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, bits in tensors.items():
        header[name] = {
            "dtype": "BF16",
            "shape": list(bits.shape),
            "data_offsets": [end, end + bits.nbytes],
        }
        end += bits.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(bits.tobytes() for bits in tensors.values())


def config_json(config: Config) -> dict[str, Any]:
    """config.json in the flat form of the released 3B, 7B and 72B."""
    text, vision = config.text, config.vision
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "attention_dropout": 0.0,
        "bos_token_id": special_ids()["<|endoftext|>"],
        "eos_token_id": config.eos_token_id,
        "vision_start_token_id": config.vision_start_token_id,
        "vision_end_token_id": config.vision_end_token_id,
        "vision_token_id": special_ids()["<|vision_pad|>"],
        "image_token_id": config.image_token_id,
        "video_token_id": config.video_token_id,
        "hidden_act": "silu",
        "hidden_size": text.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": text.intermediate_size,
        "max_position_embeddings": text.max_position_embeddings,
        "max_window_layers": text.num_hidden_layers,
        "model_type": "qwen2_5_vl",
        "num_attention_heads": text.num_attention_heads,
        "num_hidden_layers": text.num_hidden_layers,
        "num_key_value_heads": text.num_key_value_heads,
        "rms_norm_eps": text.rms_norm_eps,
        "rope_theta": text.rope_theta,
        "sliding_window": 32768,
        "tie_word_embeddings": config.tie_word_embeddings,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": {
            "depth": vision.depth,
            "hidden_act": "silu",
            "hidden_size": vision.hidden_size,
            "intermediate_size": vision.intermediate_size,
            "num_heads": vision.num_heads,
            "in_chans": vision.in_channels,
            "out_hidden_size": vision.out_hidden_size,
            "patch_size": vision.patch_px,
            "spatial_merge_size": vision.merge_p,
            "spatial_patch_size": vision.patch_px,
            "window_size": vision.window_px,
            "fullatt_block_indexes": list(vision.full_attention_blocks),
            "tokens_per_second": vision.tokens_per_second,
            "temporal_patch_size": vision.temporal_patch_f,
        },
        "rope_scaling": {"type": "mrope", "mrope_section": list(text.mrope_section)},
        "vocab_size": text.vocab_size,
    }


PREPROCESSOR = {
    "min_pixels": 3136,
    "max_pixels": 1003520,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
}
"""As released, but for max_pixels: at most 1280 tokens a picture, so that a large photograph stays quick."""


def generation_config() -> dict[str, Any]:
    """generation_config.json, as released but for the ids."""
    end_of_text, end_of_turn = special_ids()["<|endoftext|>"], special_ids()["<|im_end|>"]
    return {
        "bos_token_id": end_of_text,
        "pad_token_id": end_of_text,
        "do_sample": True,
        "eos_token_id": [end_of_turn, end_of_text],
        "repetition_penalty": 1.05,
        "temperature": 0.000001,
    }


def checkpoint_files(config: Config, *, seed: int) -> dict[str, bytes]:
    """Every file of a checkpoint directory."""
    weights = {
        name: bfloat16_bits(tensor(name, shape, seed=seed)) for name, shape in expected_shapes(config).items()
    }
    documents = {
        "config.json": config_json(config),
        "generation_config.json": generation_config(),
        "preprocessor_config.json": PREPROCESSOR,
        "tokenizer.json": tokenizer_json(),
        "tokenizer_config.json": tokenizer_config(),
        "chat_template.json": {"chat_template": chat_template()},
    }
    files = {name: (json.dumps(value, indent=1) + "\n").encode() for name, value in documents.items()}
    return files | {"model.safetensors": safetensors_bytes(weights)}


def write_checkpoints(out: Path, *, seed: int = SEED) -> None:
    """Write both directories below `out`."""
    for name, config in (("tiny", TINY), ("tiny-untied", replace(TINY, tie_word_embeddings=False))):
        (out / name).mkdir(parents=True, exist_ok=True)
        for file, content in checkpoint_files(config, seed=seed).items():
            (out / name / file).write_bytes(content)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=PACKAGE, help="directory to write into")
    write_checkpoints(parser.parse_args().out)
