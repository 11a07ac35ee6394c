"""Section 01 - tensor names: what is every tensor called, and what is its shape?"""

from qwen25vl.config import Config, TextConfig, VisionConfig

Shapes = dict[str, tuple[int, ...]]
"""Tensor name -> shape, in the order in which the data flows."""

NEW_VISION = "model.visual."
"""In the new layout, the prefix of the vision encoder. Released files have `visual.`."""

NEW_TEXT = "model.language_model."
"""In the new layout, the prefix of the language model. Released files have `model.`."""


def canonical_name(name: str) -> str:
    """The released name of a tensor, whichever layout it was saved in; other names come back unchanged.

    Source:   transformers 5.23.0 conversion_mapping.py, Qwen2VLForConditionalGeneration, in reverse
    Spec:     spec/01-config-checkpoint.md (C18)
    """
    if name.startswith(NEW_VISION):  # (C18)
        return "visual." + name.removeprefix(NEW_VISION)
    if name.startswith(NEW_TEXT):
        return "model." + name.removeprefix(NEW_TEXT)
    return name


def layout(name: str) -> str:
    """`new` or `released`; `either` for a name that both have, such as lm_head.weight."""
    if name.startswith((NEW_VISION, NEW_TEXT)):
        return "new"
    return "released" if name.startswith(("visual.", "model.")) else "either"


def is_ignored(name: str) -> bool:
    """Whether a stored tensor is left unread: rotary frequencies, which the config already fixes.

    Source:   transformers 5.23.0 modeling_utils.py, _adjust_missing_and_unexpected_keys
    Spec:     spec/01-config-checkpoint.md (C22)
    """
    return "rotary_emb.inv_freq" in name  # (C22)


def expected_shapes(config: Config) -> Shapes:
    """Every tensor of a model, by released name, with its shape. A linear weight is [outputs, inputs].

    Spec:     spec/01-config-checkpoint.md (C19, C20)
    """
    text = config.text
    shapes = _vision_shapes(config.vision)
    shapes["model.embed_tokens.weight"] = (text.vocab_size, text.hidden_size)
    for layer in range(text.num_hidden_layers):
        shapes |= _text_layer_shapes(f"model.layers.{layer}", text)
    shapes["model.norm.weight"] = (text.hidden_size,)
    if not config.tie_word_embeddings:  # (C20)
        shapes["lm_head.weight"] = (text.vocab_size, text.hidden_size)
    return shapes


def _vision_shapes(vision: VisionConfig) -> Shapes:
    """6 tensors, and 12 for each block. (C19)"""
    merged = vision.hidden_size * vision.merge_unit
    patch = (vision.in_channels, vision.temporal_patch_f, vision.patch_px, vision.patch_px)
    shapes: Shapes = {"visual.patch_embed.proj.weight": (vision.hidden_size, *patch)}
    for block in range(vision.depth):
        shapes |= _vision_block_shapes(f"visual.blocks.{block}", vision)
    shapes["visual.merger.ln_q.weight"] = (vision.hidden_size,)
    shapes |= _linear("visual.merger.mlp.0", merged, merged)
    shapes |= _linear("visual.merger.mlp.2", vision.out_hidden_size, merged)
    return shapes


def _vision_block_shapes(at: str, vision: VisionConfig) -> Shapes:
    """Two gains; every linear of a vision block has a bias."""
    D, F = vision.hidden_size, vision.intermediate_size
    return {
        f"{at}.norm1.weight": (D,),
        **_linear(f"{at}.attn.qkv", 3 * D, D),
        **_linear(f"{at}.attn.proj", D, D),
        f"{at}.norm2.weight": (D,),
        **_linear(f"{at}.mlp.gate_proj", F, D),
        **_linear(f"{at}.mlp.up_proj", F, D),
        **_linear(f"{at}.mlp.down_proj", D, F),
    }


def _text_layer_shapes(at: str, text: TextConfig) -> Shapes:
    """Two gains; of the linears only q, k and v have a bias."""
    E, F = text.hidden_size, text.intermediate_size
    queries, keys = text.num_attention_heads * text.head_dim, text.num_key_value_heads * text.head_dim
    return {
        f"{at}.input_layernorm.weight": (E,),
        **_linear(f"{at}.self_attn.q_proj", queries, E),
        **_linear(f"{at}.self_attn.k_proj", keys, E),
        **_linear(f"{at}.self_attn.v_proj", keys, E),
        f"{at}.self_attn.o_proj.weight": (E, queries),
        f"{at}.post_attention_layernorm.weight": (E,),
        f"{at}.mlp.gate_proj.weight": (F, E),
        f"{at}.mlp.up_proj.weight": (F, E),
        f"{at}.mlp.down_proj.weight": (E, F),
    }


def _linear(at: str, outputs: int, inputs: int) -> Shapes:
    """A linear with a bias."""
    return {f"{at}.weight": (outputs, inputs), f"{at}.bias": (outputs,)}
