"""What other implementations would dump, made from our own taps by undoing what their maps do."""

from collections.abc import Mapping

import numpy as np

from qwen25vl.config import Config


def flat(x: np.ndarray) -> np.ndarray:
    """Put heads side by side."""
    return x.reshape(len(x), -1)


def hf_dump(taps: Mapping[str, np.ndarray], config: Config) -> dict[str, np.ndarray]:
    """What hooks on a transformers model see of a prompt with pictures, by its new paths."""
    full = config.vision.full_attention_blocks
    windowed = next(i for i in range(config.vision.depth) if i not in full)
    dump = {
        "model.visual.patch_embed": taps["vision.patch_embed.out"],
        f"model.visual.blocks.{windowed}.input.cu_seqlens": taps["vision.window_starts"].astype(np.int32),
        f"model.visual.blocks.{full[0]}.input.cu_seqlens": taps["vision.frame_starts"].astype(np.int32),
        "model.visual.merger.ln_q": taps["vision.merger.norm"],
        "model.visual.merger.mlp.0": taps["vision.merger.hidden"],
        "model.visual.merger.mlp.1": taps["vision.merger.act"],
        "model.visual.merger": taps["vision.merger.out"],
        "model.visual.pooler_output": taps["vision.out"],
        "model.language_model.layers.0.input": taps["language.embed.out"][np.newaxis],
        "model.language_model.input.position_ids": taps["language.positions"][:, np.newaxis],
        "model.language_model.norm": taps["language.norm.out"][np.newaxis],
        "lm_head": taps["logits"][np.newaxis],
    }
    for i, angle in enumerate(("cos", "sin")):
        dump[f"model.visual.blocks.0.input.position_embeddings.{i}"] = taps[f"vision.rope.{angle}"]
        dump[f"model.language_model.rotary_emb.{i}"] = taps[f"language.rope.{angle}"][np.newaxis]
    for i in range(config.vision.depth):
        at, ours = f"model.visual.blocks.{i}", f"vision.blocks.{i:02d}"
        qkv = [flat(taps[f"{ours}.attn.{name}"]) for name in "qkv"]
        dump[f"{at}.attn.qkv"] = np.concatenate(qkv, axis=1)
        dump |= _hf_block(taps, at, ours, ("norm1", "norm2", "attn", "proj"))
    for i in range(config.text.num_hidden_layers):
        at, ours = f"model.language_model.layers.{i}", f"language.blocks.{i:02d}"
        names = ("input_layernorm", "post_attention_layernorm", "self_attn", "o_proj")
        block = _hf_block(taps, at, ours, names)
        block |= {f"{at}.self_attn.{name}_proj": flat(taps[f"{ours}.attn.{name}"]) for name in "qkv"}
        block[f"{at}.self_attn.1"] = taps[f"{ours}.attn.probs"]
        dump |= {name: array[np.newaxis] for name, array in block.items()}
    return dump


def _hf_block(
    taps: Mapping[str, np.ndarray], at: str, ours: str, names: tuple[str, str, str, str]
) -> dict[str, np.ndarray]:
    """What is alike in the blocks of both towers."""
    norm1, norm2, attn, proj = names
    return {
        f"{at}.{norm1}": taps[f"{ours}.norm1"],
        f"{at}.{attn}.{proj}.input": flat(taps[f"{ours}.attn.mixed"]),
        f"{at}.{attn}": taps[f"{ours}.attn.out"],
        f"{at}.{norm2}.input": taps[f"{ours}.resid_mid"],
        f"{at}.{norm2}": taps[f"{ours}.norm2"],
        f"{at}.mlp.gate_proj": taps[f"{ours}.mlp.gate"],
        f"{at}.mlp.up_proj": taps[f"{ours}.mlp.up"],
        f"{at}.mlp.down_proj.input": taps[f"{ours}.mlp.act"],
        f"{at}.mlp": taps[f"{ours}.mlp.out"],
        at: taps[f"{ours}.resid_post"],
    }


def old_path(name: str) -> str:
    """The path of the same module before transformers 4.52."""
    return name.replace("model.visual", "visual").replace("model.language_model", "model")


def parts_of(mapping, dump: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every part that a map makes of a dump."""
    mapped, _ = mapping.mapped(list(dump))
    return {one.part: one.make([dump[source] for source in one.sources]) for one in mapped}
