"""Section 15 - the map gguf: which part is each tensor of a graph of llama.cpp?

A dumped tensor is called as the callback of llama.cpp's graphs calls it (`attn_norm-0`, `l_out-27`). The two
graphs name some tensors alike, so those of the vision encoder stand behind `v.`, as their weights do: `v.Qcur-0`.
ggml counts axes from the fastest; a dump has the bytes as they are and the axes reversed, which is our order.

Of several tensors of one name in a graph the last counts: `Qcur` is there before the bias, behind it, and rotated.
A prompt with pictures comes to the decoder in pieces, and every picture to the encoder alone: a dump joins the
rows. Rows of tokens whose logits nobody asked for leave the last block early; ask for all of them.
"""

import re
from collections.abc import Iterator

from qwen25vl.config import Config
from qwen25vl.port.maps.rules import NameMap, Rule, declared_by
from qwen25vl.port.maps.steps import Step, alone, chained, heads, unknown, wide_integers

GRAPH_SOURCE = (
    "llama.cpp: src/models/qwen2vl.cpp at 19c2c34, src/llama-graph.cpp at 00395eb, "
    "tools/mtmd/models/qwen2vl.cpp at 06e514f, tools/mtmd/clip.cpp at 0024aa7"
)
"""Where the names were read."""

WEIGHTS = {
    "visual.patch_embed.proj": "v.patch_embd",
    "visual.blocks.NN.norm1": "v.blk.NN.ln1",
    "visual.blocks.NN.attn.q": "v.blk.NN.attn_q",
    "visual.blocks.NN.attn.k": "v.blk.NN.attn_k",
    "visual.blocks.NN.attn.v": "v.blk.NN.attn_v",
    "visual.blocks.NN.attn.proj": "v.blk.NN.attn_out",
    "visual.blocks.NN.norm2": "v.blk.NN.ln2",
    "visual.blocks.NN.mlp.gate_proj": "v.blk.NN.ffn_gate",
    "visual.blocks.NN.mlp.up_proj": "v.blk.NN.ffn_up",
    "visual.blocks.NN.mlp.down_proj": "v.blk.NN.ffn_down",
    "visual.merger.ln_q": "v.post_ln",
    "visual.merger.mlp.0": "mm.0",
    "visual.merger.mlp.2": "mm.2",
    "model.embed_tokens": "token_embd",
    "model.layers.NN.input_layernorm": "blk.NN.attn_norm",
    "model.layers.NN.self_attn.q_proj": "blk.NN.attn_q",
    "model.layers.NN.self_attn.k_proj": "blk.NN.attn_k",
    "model.layers.NN.self_attn.v_proj": "blk.NN.attn_v",
    "model.layers.NN.self_attn.o_proj": "blk.NN.attn_output",
    "model.layers.NN.post_attention_layernorm": "blk.NN.ffn_norm",
    "model.layers.NN.mlp.gate_proj": "blk.NN.ffn_gate",
    "model.layers.NN.mlp.up_proj": "blk.NN.ffn_up",
    "model.layers.NN.mlp.down_proj": "blk.NN.ffn_down",
    "model.norm": "output_norm",
    "lm_head": "output",
}
"""Modules by their released names, and what GGUF calls them. The file has the vision encoder's `attn.qkv` in three
pieces, and the two frames of `patch_embed.proj` as two tensors, the second with `.1` at its end."""

BLOCK = {
    "norm1": ("ln1", "attn_norm"),
    "attn.q": ("Qcur", None),
    "attn.k": ("Kcur", None),
    "attn.v": ("Vcur", "Vcur"),
    "attn.q_rope": ("Qcur_rope", "Qcur"),
    "attn.k_rope": ("Kcur_rope", "Kcur"),
    "attn.mixed": ("kqv_out", "kqv_out"),
    "attn.out": ("attn_out", None),
    "resid_mid": ("ffn_inp", "ffn_inp"),
    "norm2": ("ffn_inp_normed", "ffn_norm"),
    "mlp.gate": ("ffn_gate_b", "ffn_gate"),
    "mlp.up": ("ffn_up_b", "ffn_up"),
    "mlp.act": ("ffn_swiglu", "ffn_swiglu"),
    "mlp.out": ("ffn_out", "ffn_out"),
    "resid_post": ("layer_out", "l_out"),
}
"""Parts of a block, and what the graphs of the encoder and of the decoder call them; None: they do not."""


def gguf_map(config: Config | None) -> NameMap:
    """Return the map of llama.cpp's names.

    Args:
        config: of the golden's model; without it, names have a meaning, but heads cannot be told apart.

    Source: see `GRAPH_SOURCE`
    """
    rules = (*_vision(config), *_language(config))
    return NameMap("gguf", rules, declared_by(rules))


def _rule(part: str, source: str, *steps: Step, how: str = "", declared: bool = True) -> Rule:
    """Return the rule of one tensor; `NN` in its name is the number of a block."""
    pattern = re.compile(re.escape(source).replace("NN", r"(\d+)"))
    return Rule(part.replace("NN", "{1:02d}"), (pattern,), chained(*steps), source, how=how, declared=declared)


def _vision(config: Config | None) -> Iterator[Rule]:
    """Return the rules of the vision encoder."""
    note = "what gathers into window order, despite its name; an input of the graph"
    yield _rule("vision.window_order", "v.inv_window_idx", alone(1), wide_integers, how=note, declared=False)
    split = heads(config.vision.num_heads) if config else unknown
    for part, (name, _) in BLOCK.items():
        yield _block_rule(f"vision.blocks.NN.{part}", f"v.{name}-NN", split)
    last = config.vision.depth if config else "DEPTH"
    yield _rule("vision.merger.norm", f"v.norm_w-{last}", alone(2), how="the number is the count of blocks")
    yield _rule("vision.merger.hidden", "v.ffn_up_b", alone(2))
    yield _rule("vision.merger.act", "v.ffn_gelu", alone(2), how="by the tanh approximation, not exact")


def _language(config: Config | None) -> Iterator[Rule]:
    """Return the rules of the decoder."""
    yield _rule("language.embed.out", "embd", alone(2))
    split = heads(config.text.num_attention_heads) if config else unknown
    for part, (_, name) in BLOCK.items():
        if name is not None:
            how = "the last of that name" if "cur" in name else ""
            yield _block_rule(f"language.blocks.NN.{part}", f"{name}-NN", split, how=how)
    yield _rule("language.norm.out", "result_norm", alone(2))
    yield _rule("logits", "result_output", alone(2))


def _block_rule(part: str, source: str, split: Step, *, how: str = "") -> Rule:
    """Return the rule of a tensor of a block: `mixed` has its heads side by side, `q` has an axis of them."""
    if part.endswith(".mixed"):
        return _rule(part, source, alone(2), split, how="split into heads")
    return _rule(part, source, alone(3 if ".attn." in part and not part.endswith(".out") else 2), how=how)
