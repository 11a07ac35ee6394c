"""Known bugs of the decoder and of its head, planted into upstream."""

from collections.abc import Callable, Mapping
from typing import Any

from upstream_port import Plant, Port, both
from upstream_positions import sequential

# --------------------------------------------------------------------------------------- attention


def allowed(rule: Callable[[Port, Any, Any], Any]) -> Plant:
    """Decide otherwise what a token sees: `rule(port, by_place, by_time)` of two masks [L, L]."""

    def plant(port: Port) -> None:
        time = port.torch.from_numpy(port.inputs.positions[0, 0].copy())
        place = port.torch.arange(len(time))
        by_place, by_time = (x[None] <= x[:, None] for x in (place, time))
        seen = rule(port, by_place, by_time)

        def mask(*, inputs_embeds: Any, **settings: Any) -> Any:
            lowest = port.torch.finfo(inputs_embeds.dtype).min
            return inputs_embeds.new_zeros(seen.shape).masked_fill(~seen, lowest)[None, None]

        port.exchange("create_causal_mask", lambda right: mask)

    return plant


def as_packed(port: Port, by_place: Any, by_time: Any) -> Any:
    """Where time does not go on by one another prompt begins: so are packed prompts recognised."""
    time = port.torch.from_numpy(port.inputs.positions[0, 0].copy())
    prompt = (time.diff(prepend=time[:1] - 1) != 1).cumsum(0)
    return by_place & (prompt[None] == prompt[:, None])


def within_pictures(port: Port, by_place: Any, by_time: Any) -> Any:
    """Whether two tokens are of one run of pads."""
    pads = port.pads
    run = (pads.int().diff(prepend=pads[:1].int()) != 0).cumsum(0)
    return (run[None] == run[:, None]) & pads[None] & pads[:, None]


def scaled_by_the_width(port: Port) -> None:
    for block in port.decoder.layers:
        block.self_attn.scaling = block.self_attn.hidden_size**-0.5


def without_bias(port: Port) -> None:
    for block in port.decoder.layers:
        for layer in (block.self_attn.q_proj, block.self_attn.k_proj, block.self_attn.v_proj):
            layer.bias = None


def activation_of_up(self: Any, x: Any) -> Any:
    return self.down_proj(self.gate_proj(x) * self.act_fn(self.up_proj(x)))


def onto_the_norm(self: Any, hidden_states: Any, **settings: Any) -> Any:
    x = self.input_layernorm(hidden_states)
    x = x + self.self_attn(hidden_states=x, **settings)[0]
    y = self.post_attention_layernorm(x)
    return y + self.mlp(y)


def gelu_for_silu(port: Port) -> None:
    for block in port.decoder.layers:
        block.mlp.act_fn = port.torch.nn.GELU()


# --------------------------------------------------------------------------------- rows and head


def exchanged(port: Port) -> None:
    """Pictures are scattered last one first, and clips likewise."""
    for name, grids in (("image", port.inputs.image_grids), ("video", port.inputs.video_grids)):
        counts = (grids.prod(axis=1) // 4).tolist()
        places = (port.ids == getattr(port.config, f"{name}_token_id")).nonzero()[:, 0]

        def change(rows: Any, counts: list[int] = counts, places: Any = places) -> Any:
            if counts:
                rows[places] = port.torch.cat(rows[places].split(counts)[::-1])
            return rows

        port.embed(change)


def by_modality(port: Port) -> None:
    """Rows of pictures stand before those of clips, whatever the order of the pads."""
    image, video = (port.ids == pad for pad in (port.config.image_token_id, port.config.video_token_id))

    def change(rows: Any) -> Any:
        rows[port.pads] = port.torch.cat([rows[image], rows[video]])
        return rows

    port.embed(change)


def pads_kept(port: Port) -> None:
    def change(rows: Any) -> Any:
        rows[port.pads] = port.decoder.embed_tokens.weight[port.ids[port.pads]]
        return rows

    port.embed(change)


def scaled(choose: Callable[[Any], Any]) -> Plant:
    """Multiply some rows by the root of their width, as Gemma does: `choose(pads)`."""

    def plant(port: Port) -> None:
        factor = port.torch.where(choose(port.pads), port.config.text.hidden_size**0.5, 1.0)[:, None]
        port.embed(lambda rows: rows * factor.to(rows.dtype))

    return plant


def head_input(change: Callable[[Port, Any, Any], Any]) -> Plant:
    """Change what the head is given: `change(port, normed, stream)`."""

    def plant(port: Port) -> None:
        streams = []
        port.decoder.layers[-1].register_forward_hook(lambda module, args, out: streams.append(out))
        port.model.lm_head.register_forward_pre_hook(lambda module, args: (change(port, args[0], streams[-1]),))

    return plant


def normed_again(port: Port, normed: Any, stream: Any) -> Any:
    return port.decoder.norm.forward(normed)  # no hook sees it


def head_from_elsewhere(port: Port) -> None:
    """The head is made, and never tied."""
    right = port.model.lm_head
    port.model.lm_head = port.torch.nn.Linear(right.in_features, right.out_features, bias=False).to(right.weight)
    weights_as_made("lm_head")(port)


def weights_as_made(*parts: str) -> Plant:
    """Leave the weights of some modules as a new model has them."""

    def plant(port: Port) -> None:
        port.torch.manual_seed(0)
        for part in parts:
            for name, weight in port.model.get_submodule(part).named_parameters():
                is_norm = weight.ndim == 1 and name.endswith("weight")
                made = port.torch.ones(weight.shape) if is_norm else port.torch.zeros(weight.shape)
                port.fill(weight, made.normal_(0, 0.02) if weight.ndim > 1 else made)

    return plant


PLANTS: Mapping[str, Plant] = {
    "kv-heads-tiled": lambda port: port.exchange("repeat_kv", lambda right: lambda x, n: x.repeat(1, n, 1, 1)),
    "causal-by-position": allowed(lambda port, by_place, by_time: by_time),
    "time-cuts-prompt": allowed(as_packed),
    "picture-sees-itself": allowed(lambda port, *masks: masks[0] | within_pictures(port, *masks)),
    "score-scale/language": scaled_by_the_width,
    "bias-forgotten/language": without_bias,
    "gate-up-swapped/language": lambda port: port.run_as("Qwen2MLP", activation_of_up),
    "gelu-for-silu/language": gelu_for_silu,
    "residual-from-norm": lambda port: port.run_as("Qwen2_5_VLDecoderLayer", onto_the_norm),
    "scatter-by-picture": exchanged,
    "pads-by-modality": by_modality,
    "scatter-pad-embedding": pads_kept,
    "pad-ids-hard-coded": both(pads_kept, sequential),
    "embedding-scaled": scaled(lambda pads: ~pads),
    "embedding-scaled/all": scaled(lambda pads: pads | ~pads),
    "embedding-scaled/pictures": scaled(lambda pads: pads),
    "hidden-without-final-norm": head_input(lambda port, normed, stream: stream),
    "hidden-without-final-norm/twice": head_input(normed_again),
    "head-not-tied": head_from_elsewhere,
    "names-not-mapped": weights_as_made("model.language_model.layers"),
    "vision-names-not-mapped": weights_as_made("model.visual"),
    "embedding-names-not-mapped": weights_as_made(
        "model.language_model.embed_tokens", "model.language_model.norm"
    ),
}
"""By id; behind a stroke, another way to the same bug."""
