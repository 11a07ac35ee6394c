"""Mistakes that are on no list of known bugs, planted into upstream: nothing may be named for them.

Each could be made by somebody; what it does to the numbers is like what a known bug does.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from upstream_bugs_inputs import DEVIATION, MEAN, other_rows
from upstream_port import Plant, Port

# ------------------------------------------------------------------------------------ what is given


def mirrored(patches: np.ndarray) -> np.ndarray:
    """Each patch by itself, not the picture."""
    return patches[..., ::-1]


def limited_range(patches: np.ndarray) -> np.ndarray:
    """Bytes as a video holds them: 16 to 235."""
    bytes_ = (patches * DEVIATION + MEAN) * 255
    return ((16 + bytes_ * 219 / 255) / 255 - MEAN) / DEVIATION


def next_ids(port: Port) -> None:
    """Ids of text are one too large: a token was added in front of the vocabulary."""
    ids = port.inputs.ids
    text = ids < port.config.eos_token_id - 1
    port.inputs = replace(port.inputs, ids=np.where(text, ids + 1, ids))


# ---------------------------------------------------------------------------------- vision encoder


def patch_column_zeroed(port: Port) -> None:
    kernel = port.visual.patch_embed.proj.weight
    changed = kernel.detach().clone()
    changed[..., -1] = 0
    port.fill(kernel, changed)


def head_zeroed(port: Port) -> None:
    """What one head of a vision block gives is not projected."""
    attention = port.visual.blocks[2].attn
    changed = attention.proj.weight.detach().clone()
    changed[:, : attention.head_dim] = 0
    port.fill(attention.proj.weight, changed)


def eps_of_a_thousandth(port: Port) -> None:
    for module in port.model.modules():
        if hasattr(module, "variance_epsilon"):
            module.variance_epsilon = 1e-3


def angles_of_another_place(port: Port) -> None:
    """One block turns each window by the angles of the rows in front of it."""

    def hook(module: Any, args: Any, kwargs: Any) -> Any:
        turns = tuple(turn.roll(4, dims=0) for turn in kwargs["position_embeddings"])
        return args, {**kwargs, "position_embeddings": turns}

    port.visual.blocks[2].attn.register_forward_pre_hook(hook, with_kwargs=True)


def vision_block_skipped(port: Port) -> None:
    """The merger reads the last block but one, as other models do."""
    taken = []
    port.visual.blocks[-2].register_forward_hook(lambda module, args, out: taken.append(out))
    port.visual.merger.register_forward_pre_hook(lambda module, args: (taken[-1],))


def merged_rows_clamped(port: Port) -> None:
    """What the merger gives is limited, for the sake of 8 bits."""
    port.visual.merger.register_forward_hook(lambda module, args, out: out.clamp(-out.std(), out.std()))


# ----------------------------------------------------------------------------------------- decoder


def layer_run_twice(port: Port) -> None:
    """The second time without being recorded."""
    again = copy.deepcopy(port.decoder.layers[2])
    port.decoder.layers[2].register_forward_hook(
        lambda module, args, kwargs, out: again(out, **kwargs), with_kwargs=True
    )


def layers_exchanged(port: Port) -> None:
    """Two blocks have each other's weights."""
    one, other = port.decoder.layers[1], port.decoder.layers[2]
    kept = {name: weight.clone() for name, weight in one.state_dict().items()}
    one.load_state_dict(other.state_dict())
    other.load_state_dict(kept)


def after_linear(choose: Callable[[Any], Any], change: Callable[[Any, Any], Any]) -> Plant:
    """Change what some layers of each decoder block give: `change(torch, out)`."""

    def plant(port: Port) -> None:
        for block in port.decoder.layers:
            choose(block).register_forward_hook(lambda module, args, out: change(port.torch, out))

    return plant


def dropped_out(torch: Any, out: Any) -> Any:
    """Training is left on."""
    torch.manual_seed(0)
    return torch.nn.functional.dropout(out, p=0.1, training=True)


def unit_heads(torch: Any, out: Any) -> Any:
    """Each head is normalised, as in Qwen3."""
    heads = out.unflatten(-1, (2, -1))
    return torch.nn.functional.normalize(heads, dim=-1).flatten(-2) * heads.shape[-1] ** 0.5


def residual_halved(port: Port) -> None:
    """Of the decoder's second block, what attention adds."""
    port.decoder.layers[1].self_attn.register_forward_hook(lambda module, args, out: (out[0] * 0.5, *out[1:]))


def sliding_window(port: Port) -> None:
    """A token sees the eight before it, and itself."""

    def by(right: Any) -> Any:
        def mask(*, inputs_embeds: Any, **settings: Any) -> Any:
            L = inputs_embeds.shape[1]
            seen = port.torch.ones(L, L, dtype=port.torch.bool).tril().triu(-8)
            lowest = port.torch.finfo(inputs_embeds.dtype).min
            return inputs_embeds.new_zeros(L, L).masked_fill(~seen, lowest)[None, None]

        return mask

    port.exchange("create_causal_mask", by)


def four_bits(port: Port) -> None:
    """Weights of the decoder's MLP are held in 4 bits, one scale for each row."""
    for block in port.decoder.layers:
        for layer in (block.mlp.gate_proj, block.mlp.up_proj, block.mlp.down_proj):
            step = layer.weight.detach().abs().amax(dim=1, keepdim=True) / 7
            port.fill(layer.weight, (layer.weight.detach() / step).round() * step)


def rows_one_late(port: Port) -> None:
    """Rows of pictures are scattered one token too late."""

    def change(rows: Any) -> Any:
        places = port.pads.nonzero()[:, 0]
        pictures, first = rows[places], places[0]
        rows[first] = port.decoder.embed_tokens.weight[port.ids[first]]
        rows[places + 1] = pictures
        return rows

    port.embed(change)


def other_logits(change: Callable[[Any], Any]) -> Plant:
    return lambda port: port.model.lm_head.register_forward_hook(lambda module, args, out: change(out)) and None


PLANTS: Mapping[str, Plant] = {
    "patches-mirrored": other_rows(mirrored),
    "pixels-of-limited-range": other_rows(limited_range),
    "ids-one-too-large": next_ids,
    "patch-column-zeroed": patch_column_zeroed,
    "vision-head-zeroed": head_zeroed,
    "eps-of-a-thousandth": eps_of_a_thousandth,
    "angles-of-another-place": angles_of_another_place,
    "last-vision-block-skipped": vision_block_skipped,
    "merged-rows-clamped": merged_rows_clamped,
    "layer-run-twice": layer_run_twice,
    "layers-exchanged": layers_exchanged,
    "dropout-left-on": after_linear(lambda block: block.mlp, dropped_out),
    "queries-scaled": after_linear(lambda block: block.self_attn.q_proj, lambda torch, out: out * 1.1),
    "keys-normalised": after_linear(lambda block: block.self_attn.k_proj, unit_heads),
    "residual-halved": residual_halved,
    "sliding-window": sliding_window,
    "mlp-in-four-bits": four_bits,
    "rows-one-late": rows_one_late,
    "logits-scaled": other_logits(lambda out: out * 0.5),
    "logits-capped": other_logits(lambda out: out.tanh()),
}
"""By name."""
