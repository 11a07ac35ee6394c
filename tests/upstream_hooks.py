"""Recording upstream by plain hooks, as a porter would: what its modules take and give, under our ids."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.config import Config

Take = Callable[[Any, Any, Any], Iterator[tuple[str, Any]]]
"""Gives names and tensors, of what a module was given, by place and by keyword, and what it gave."""


class Recording:
    """Hooks on a model. What the calls for pictures and for clips report is joined."""

    def __init__(self, model: Any, config: Config) -> None:
        self.config = config
        self.pieces: dict[str, list[np.ndarray]] = defaultdict(list)
        self._vision(model.model.visual)
        self._decoder(model.model.language_model)
        self._out(model.lm_head, "logits")

    @property
    def taps(self) -> dict[str, np.ndarray]:
        return {name: joined(name, pieces) for name, pieces in self.pieces.items()}

    def _hear(self, module: Any, take: Take) -> None:
        def hook(module: Any, args: Any, kwargs: Any, out: Any) -> None:
            for name, tensor in take(args, kwargs, out):
                wide = tensor.detach().float() if tensor.is_floating_point() else tensor.detach().long()
                rows = wide[0] if wide.ndim > 2 and name.startswith(("language", "logits")) else wide
                self.pieces[name].append(self._by_heads(name, np.array(rows.numpy())))

        module.register_forward_hook(hook, with_kwargs=True)

    def _out(self, module: Any, name: str) -> None:
        self._hear(module, lambda args, kwargs, out: iter([(name, out[0] if isinstance(out, tuple) else out)]))

    def _given(self, module: Any, name: str) -> None:
        self._hear(module, lambda args, kwargs, out: iter([(name, args[0])]))

    def _by_heads(self, name: str, rows: np.ndarray) -> np.ndarray:
        if name.rpartition(".")[2] not in ("q", "k", "v", "mixed"):
            return rows
        tower = self.config.vision if name.startswith("vision") else self.config.text
        return rows.reshape(len(rows), -1, tower.head_dim)

    def _vision(self, visual: Any) -> None:
        full = self.config.vision.full_attention_blocks
        self._out(visual.patch_embed, "vision.patch_embed.out")
        for i, block in enumerate(visual.blocks):
            name = f"vision.blocks.{i:02d}"
            self._block(name, block, block.norm1, block.norm2, block.attn, block.attn.proj)
            self._hear(block.attn.qkv, lambda a, k, out, name=name: thirds(f"{name}.attn", out))
            if i == 0:
                self._hear(block, lambda a, k, out: turns("vision.rope", k["position_embeddings"]))
            if i in (0, full[0]):
                starts = "vision.frame_starts" if i in full else "vision.window_starts"
                self._hear(block, lambda a, k, out, starts=starts: iter([(starts, k["cu_seqlens"])]))
        merger = visual.merger
        for module, part in ((merger.ln_q, "norm"), (merger.mlp[0], "hidden"), (merger.mlp[1], "act")):
            self._out(module, f"vision.merger.{part}")
        self._out(merger, "vision.merger.out")
        self._hear(visual, lambda a, k, out: iter([("vision.out", out.pooler_output)]))

    def _decoder(self, decoder: Any) -> None:
        self._hear(decoder, lambda a, k, out: iter([("language.embed.out", k["inputs_embeds"])]))
        self._hear(decoder, lambda a, k, out: iter([("language.positions", k["position_ids"][:, 0])]))
        self._hear(decoder.rotary_emb, lambda a, k, out: turns("language.rope", out))
        for i, block in enumerate(decoder.layers):
            name, attn = f"language.blocks.{i:02d}", block.self_attn
            norms = block.input_layernorm, block.post_attention_layernorm
            self._block(name, block, *norms, attn, attn.o_proj)
            for part, layer in (("q", attn.q_proj), ("k", attn.k_proj), ("v", attn.v_proj)):
                self._out(layer, f"{name}.attn.{part}")
        self._out(decoder.norm, "language.norm.out")

    def _block(self, name: str, block: Any, norm1: Any, norm2: Any, attn: Any, proj: Any) -> None:
        self._out(norm1, f"{name}.norm1")
        self._given(proj, f"{name}.attn.mixed")
        self._out(attn, f"{name}.attn.out")
        self._given(norm2, f"{name}.resid_mid")
        self._out(norm2, f"{name}.norm2")
        self._out(block.mlp.gate_proj, f"{name}.mlp.gate")
        self._out(block.mlp.up_proj, f"{name}.mlp.up")
        self._given(block.mlp.down_proj, f"{name}.mlp.act")
        self._out(block.mlp, f"{name}.mlp.out")
        self._out(block, f"{name}.resid_post")


def thirds(name: str, joined_rows: Any) -> Iterator[tuple[str, Any]]:
    """Queries, keys and values, as the layer lays them out."""
    return zip((f"{name}.q", f"{name}.k", f"{name}.v"), joined_rows.chunk(3, dim=-1), strict=True)


def turns(name: str, both: Any) -> Iterator[tuple[str, Any]]:
    return zip((f"{name}.cos", f"{name}.sin"), both, strict=True)


def joined(name: str, pieces: list[np.ndarray]) -> np.ndarray:
    """Rows behind rows; starts count on."""
    if not name.endswith("_starts"):
        return np.concatenate(pieces)
    made = pieces[0]
    for piece in pieces[1:]:
        made = np.concatenate([made, piece[1:] + made[-1]])
    return made
