"""Known bugs of the vision encoder, planted into upstream: attention, norms, patches, merger."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from upstream_port import Plant, Port

Split = Callable[[Any, int], Any]
"""Makes queries, keys and values, each [P, N, d], of what the fused layer gives and the number of heads."""

Seen = Callable[[Any, Any], Any]
"""What is added to the scores [P, P], from the boundaries of segments and an array like the rows."""


# --------------------------------------------------------------------------------------- attention


def in_thirds(joined: Any, heads: int) -> Any:
    return joined.reshape(len(joined), 3, heads, -1).unbind(1)


def head_by_head(joined: Any, heads: int) -> Any:
    return joined.reshape(len(joined), heads, 3, -1).unbind(2)


def segments(starts: Any, rows: Any) -> Any:
    """Mark what two rows of one segment are to each other [P, P], as mask builders do: slice by slice."""
    same = rows.new_zeros(len(rows), len(rows), dtype=bool)
    ends = starts.tolist()
    for start, end in itertools.pairwise(ends):
        same[start:end, start:end] = True
    return same


def hidden(same: Any, rows: Any) -> Any:
    """What a mask adds: 0, or the lowest number."""
    import oracle

    lowest = oracle.torch.finfo(rows.dtype).min
    return rows.new_zeros(same.shape).masked_fill(~same, lowest)


def plain_mask(starts: Any, rows: Any) -> Any:
    return hidden(segments(starts, rows), rows)


def mask_of_ones(starts: Any, rows: Any) -> Any:
    return segments(starts, rows).to(rows.dtype)


def causal(starts: Any, rows: Any) -> Any:
    return hidden(segments(starts, rows).tril(), rows)


def in_tokens(starts: Any, rows: Any) -> Any:
    return plain_mask(starts // 4, rows)


def lengths_for_starts(starts: Any, rows: Any) -> Any:
    """Slices from one length to the next; a row of which nothing is marked gets the mean of all."""
    return plain_mask(starts.diff(), rows)


def masked_attention(*, mask: Seen = plain_mask, split: Split = in_thirds, values_turn: bool = False) -> Plant:
    """Compute attention over all patches at once, under a mask, as most ports do."""

    def plant(port: Port) -> None:
        def forward(self: Any, hidden_states: Any, cu_seqlens: Any, position_embeddings: Any, **_: Any) -> Any:
            q, k, v = split(self.qkv(hidden_states), self.num_heads)
            q, k = port.upstream.apply_rotary_pos_emb_vision(q, k, *position_embeddings)
            if values_turn:
                v, _ = port.upstream.apply_rotary_pos_emb_vision(v, v, *position_embeddings)
            q, k, v = (x.transpose(0, 1) for x in (q, k, v))
            scores = q @ k.transpose(1, 2) * self.scaling + mask(cu_seqlens, hidden_states)
            probs = scores.softmax(dim=-1, dtype=port.torch.float32).to(q.dtype)
            return self.proj((probs @ v).transpose(0, 1).reshape(hidden_states.shape))

        port.run_as("Qwen2_5_VLVisionAttention", forward)

    return plant


def scaled_by_the_width(port: Port) -> None:
    for block in port.visual.blocks:
        block.attn.scaling = block.attn.dim**-0.5


# ----------------------------------------------------------------------------- norms, MLP, residual


def root(x: Any) -> Any:
    return x.square().mean(-1, keepdim=True).sqrt()


def unit_row(x: Any, eps: float) -> Any:
    return x / (root(x).square() + eps).sqrt()


def with_eps_outside(x: Any, eps: float) -> Any:
    return x / (root(x) + eps)


def other_norm(*, unit: Callable[[Any, float], Any] = unit_row, gain: Callable[[Any], Any] = lambda w: w) -> Plant:
    """Normalise in another way, in both towers: the unit row has 32 bits."""

    def forward(self: Any, x: Any) -> Any:
        return gain(self.weight) * unit(x.float(), self.variance_epsilon).to(x.dtype)

    return lambda port: port.run_as("Qwen2_5_VLRMSNorm", forward)


def activation_of_up(name: str) -> Plant:
    """Of either tower's MLP, by the name of its class."""

    def forward(self: Any, x: Any) -> Any:
        return self.down_proj(self.gate_proj(x) * self.act_fn(self.up_proj(x)))

    return lambda port: port.run_as(name, forward)


def gelu_for_silu(port: Port) -> None:
    for block in port.visual.blocks:
        block.mlp.act_fn = port.torch.nn.GELU()


def without_bias(*paths: str) -> Plant:
    """Leave the biases of some layers out, of every block."""

    def plant(port: Port) -> None:
        for block in (*port.visual.blocks, port.visual):
            for path in paths:
                name, _, leaf = path.rpartition(".")
                owner = block.get_submodule(name) if hasattr(block, path.partition(".")[0]) else None
                if owner is not None:
                    owner.get_submodule(leaf).bias = None

    return plant


def onto_the_norm(self: Any, hidden_states: Any, **settings: Any) -> Any:
    x = self.norm1(hidden_states)
    x = x + self.attn(x, **settings)
    y = self.norm2(x)
    return y + self.mlp(y)


# -------------------------------------------------------------------------------- patches, merger


def other_kernel(change: Callable[[Any], Any]) -> Plant:
    """Change the kernel [D, channel, frame, y, x]."""

    def plant(port: Port) -> None:
        kernel = port.visual.patch_embed.proj.weight
        port.fill(kernel, change(kernel.detach().clone()).reshape(kernel.shape))

    return plant


def merger(change: Callable[[Any, Any, Any], Any]) -> Plant:
    """Make the joined rows [M, 4 D] in another way: `change(self, x, four)`."""

    def forward(self: Any, x: Any) -> Any:
        return self.mlp(change(self, x, x.shape[-1]).reshape(-1, self.hidden_size))

    return lambda port: port.run_as("Qwen2_5_VLPatchMerger", forward)


def columns_first(self: Any, x: Any, D: int) -> Any:
    return self.ln_q(x).reshape(-1, 2, 2, D).swapaxes(1, 2)


def norm_behind(self: Any, x: Any, D: int) -> Any:
    joined = x.reshape(-1, self.hidden_size).float()
    return self.ln_q.weight.repeat(4) * unit_row(joined, self.ln_q.variance_epsilon).to(x.dtype)


def layer_norm(self: Any, x: Any, D: int) -> Any:
    wide = x.float()
    unit = unit_row(wide - wide.mean(-1, keepdim=True), self.ln_q.variance_epsilon)
    return self.ln_q.weight * unit.to(x.dtype)


def gelu_by_tanh(port: Port) -> None:
    port.visual.merger.mlp[1] = port.torch.nn.GELU(approximate="tanh")


PLANTS: Mapping[str, Plant] = {
    "values-rotated/vision": masked_attention(values_turn=True),
    "no-window-mask": masked_attention(mask=lambda starts, rows: 0),
    "mask-of-ones": masked_attention(mask=mask_of_ones),
    "causal-vision": masked_attention(mask=causal),
    "starts-in-tokens": masked_attention(mask=in_tokens),
    "lengths-for-starts": masked_attention(mask=lengths_for_starts),
    "qkv-layout": masked_attention(split=head_by_head),
    "score-scale": scaled_by_the_width,
    "norm-eps-outside": other_norm(unit=with_eps_outside),
    "norm-subtracts-mean": other_norm(unit=lambda x, eps: unit_row(x - x.mean(-1, keepdim=True), eps)),
    "norm-gain-plus-one": other_norm(gain=lambda w: 1 + w),
    "gate-up-swapped": activation_of_up("Qwen2_5_VLMLP"),
    "gelu-for-silu": gelu_for_silu,
    "bias-forgotten": without_bias("attn.qkv"),
    "bias-forgotten/all": without_bias(
        "attn.qkv", "attn.proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "merger.mlp.0", "merger.mlp.2"
    ),
    "residual-from-norm/vision": lambda port: port.run_as("Qwen2_5_VLVisionBlock", onto_the_norm),
    "patch-weight-layout": other_kernel(lambda w: w.permute(0, 2, 3, 4, 1)),
    "patch-weight-layout/frame-first": other_kernel(lambda w: w.permute(0, 2, 1, 3, 4)),
    "patch-slices-summed": other_kernel(lambda w: w[:, :, [0, 0]]),
    "merge-order": merger(columns_first),
    "merger-norm-behind": merger(norm_behind),
    "merger-layer-norm": merger(layer_norm),
    "gelu-tanh": gelu_by_tanh,
}
"""By id; behind a stroke, another way to the same bug."""
