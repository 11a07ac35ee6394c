"""Section 15 - the map hf: which part does a hook on which module of transformers see?

A dumped tensor is called by the path of its module, with `.input` behind it for the first thing the module was
given, `.input.KEY` for what it was given by keyword, and `.0`, `.1` for the members of a tuple, `.pooler_output`
for a named one. Old paths (`visual.blocks.0`, `model.layers.0`) and new ones (`model.visual.blocks.0`,
`model.language_model.layers.0`) mean the same.

A prompt with pictures and a video calls the vision encoder twice. A dump joins what both calls report: rows behind
rows, the pictures' first; boundaries count on.
"""

import re
from collections.abc import Iterator

import numpy as np

from qwen25vl.config import Config
from qwen25vl.port.maps.rules import NameMap, Rule, declared_by
from qwen25vl.port.maps.steps import Step, alone, chained, heads, piece, unknown, wide_integers, widths

WRAPPED = r"(?:module\.|_orig_mod\.)*"
"""What a module that is spread over devices, or compiled, puts before its paths."""

TOWERS = {
    "visual": rf"{WRAPPED}(?:model\.)?visual",
    "language_model": rf"{WRAPPED}(?:model\.language_model|language_model|model)",
    "lm_head": rf"{WRAPPED}lm_head",
}
"""How paths begin: in this map, and in every layout of transformers."""

VISION_BLOCK = "visual.blocks.NN"
LANGUAGE_BLOCK = "language_model.layers.NN"


def hf_map(config: Config | None) -> NameMap:
    """Return the map of transformers' module paths.

    Args:
        config: of the golden's model; without it, names have a meaning, but heads cannot be told apart.

    Source: transformers 5.23.0 and 4.51.3 modeling_qwen2_5_vl.py, forward of every module
    """
    rules = (*_vision(config), *_blocks("vision", config), *_merger(config), *_language(config))
    rules += (*_blocks("language", config), *_ends())
    return NameMap("hf", rules, declared_by(rules))


def _rule(
    part: str, source: str, *steps: Step, how: str = "", declared: bool = True, blocks: str = r"\d+"
) -> Rule:
    """Return the rule of one path; `NN` in it is a number of `blocks`, a bracket may be left out."""
    start = next(prefix for prefix in TOWERS if source.startswith(prefix))
    rest = re.escape(source.removeprefix(start)).replace("NN", f"({blocks})")
    pattern = TOWERS[start] + rest.replace(r"\[", "(?:").replace(r"\]", ")?")
    shown = source if start == "lm_head" else f"model.{source}"
    return Rule(
        part.replace("NN", "{1:02d}"),
        (re.compile(pattern),),
        chained(*steps),
        source=re.sub(r"\[.*\]", "", shown),
        how=how,
        declared=declared,
    )


def _vision(config: Config | None) -> Iterator[Rule]:
    """Return the rules of what stands before the vision blocks."""
    yield _rule("vision.patch_embed.out", "visual.patch_embed", alone(2))
    source = f"{VISION_BLOCK}[.attn].input."
    for part, segments in (("window_starts", "windows"), ("frame_starts", "whole frames")):
        how, blocks = f"of a block that attends to {segments}", _blocks_of(segments, config)
        if config is None:
            yield _rule(f"vision.{part}", f"{source}cu_seqlens", unknown, how=how)
        elif blocks:
            yield _rule(f"vision.{part}", f"{source}cu_seqlens", wide_integers, how=how, blocks=blocks)
    for i, part in enumerate(("cos", "sin")):
        yield _rule(f"vision.rope.{part}", f"{source}position_embeddings.{i}", how="of any block")


def _blocks_of(segments: str, config: Config | None) -> str:
    """Return an expression for the vision blocks that attend to windows or to whole frames; empty if none does."""
    if config is None:
        return ""
    full = config.vision.full_attention_blocks
    return "|".join(str(i) for i in range(config.vision.depth) if (i in full) == (segments == "whole frames"))


def _blocks(tower: str, config: Config | None) -> Iterator[Rule]:
    """Return the rules of the blocks of a tower: transformers builds both alike, under other names."""
    vision = tower == "vision"
    block, part = (VISION_BLOCK, "vision.blocks.NN") if vision else (LANGUAGE_BLOCK, "language.blocks.NN")
    attn, proj = ("attn", "proj") if vision else ("self_attn", "o_proj")
    norm1, norm2 = ("norm1", "norm2") if vision else ("input_layernorm", "post_attention_layernorm")
    member = "" if vision else "[.0]"  # of a tuple, in versions whose decoder blocks return one
    rows = alone(2)
    queries = _heads(config, "vision" if vision else "query")
    yield _rule(f"{part}.norm1", f"{block}.{norm1}", rows)
    yield from _projections(block, part, config) if not vision else _joined(block, part, queries)
    if not vision:  # eager attention alone returns them
        yield _rule(f"{part}.attn.probs", f"{block}.{attn}.1", alone(3), how="eager only", declared=False)
    yield _rule(f"{part}.attn.mixed", f"{block}.{attn}.{proj}.input", rows, queries, how="split into heads")
    yield _rule(f"{part}.attn.out", f"{block}.{attn}{member}", rows)
    yield _rule(f"{part}.attn.out", f"{block}.{attn}.{proj}", rows)
    yield _rule(f"{part}.resid_mid", f"{block}.{norm2}.input", rows)
    yield _rule(f"{part}.norm2", f"{block}.{norm2}", rows)
    yield _rule(f"{part}.mlp.gate", f"{block}.mlp.gate_proj", rows)
    yield _rule(f"{part}.mlp.up", f"{block}.mlp.up_proj", rows)
    yield _rule(f"{part}.mlp.act", f"{block}.mlp.down_proj.input", rows)
    yield _rule(f"{part}.mlp.out", f"{block}.mlp", rows)
    yield _rule(f"{part}.mlp.out", f"{block}.mlp.down_proj", rows)
    yield _rule(f"{part}.resid_post", f"{block}{member}", rows)


def _joined(block: str, part: str, queries: Step) -> Iterator[Rule]:
    """Return the rules of queries, keys and values that one linear layer makes, one behind the other."""
    for i, name in enumerate("qkv"):
        how = f"third {i + 1} of 3 of each row, split into heads"
        yield _rule(f"{part}.attn.{name}", f"{block}.attn.qkv", alone(2), piece(1, i, 3), queries, how=how)


def _projections(block: str, part: str, config: Config | None) -> Iterator[Rule]:
    """Return the rules of queries, keys and values that have a linear layer each."""
    for name, kind in (("q", "query"), ("k", "key"), ("v", "key")):
        source = f"{block}.self_attn.{name}_proj"
        yield _rule(f"{part}.attn.{name}", source, alone(2), _heads(config, kind), how="split into heads")


def _merger(config: Config | None) -> Iterator[Rule]:
    """Return the rules of what stands behind the vision blocks."""
    rows = alone(2)
    for part, module in (("norm", "ln_q"), ("hidden", "mlp.0"), ("act", "mlp.1"), ("out", ""), ("out", "mlp.2")):
        yield _rule(f"vision.merger.{part}", f"visual.merger.{module}".removesuffix("."), rows)
    yield _rule("vision.out", "visual.pooler_output", rows)
    tokens = widths(config.vision.out_hidden_size, "dump pooler_output, the merged tokens") if config else rows
    yield _rule("vision.out", "visual", rows, tokens, how="in versions that return nothing else")
    if config:
        last = f"vision.blocks.{config.vision.depth - 1:02d}.resid_post"
        yield _rule(last, "visual.last_hidden_state", rows)


def _language(config: Config | None) -> Iterator[Rule]:
    """Return the rules of what stands before the decoder's blocks."""
    yield _rule("inputs.ids", "language_model.embed_tokens.input", alone(1), wide_integers, declared=False)
    yield _rule("language.embed.out", "language_model.layers.0.input", alone(2))
    yield _rule("language.embed.out", "language_model.input.inputs_embeds", alone(2))
    positions = "language_model.input.position_ids"
    yield _rule("language.positions", positions, _three_axes, alone(2, at=1), wide_integers)
    for i, part in enumerate(("cos", "sin")):
        for source in (f"rotary_emb.{i}", f"layers.NN[.self_attn].input.position_embeddings.{i}"):
            yield _rule(f"language.rope.{part}", f"language_model.{source}", _one_angle(config), alone(2))


def _ends() -> Iterator[Rule]:
    """Return the rules of what stands behind the decoder's blocks."""
    yield _rule("language.norm.out", "language_model.norm", alone(2))
    yield _rule("language.norm.out", "language_model.last_hidden_state", alone(2))
    yield _rule("logits", "lm_head", alone(2))


def _heads(config: Config | None, kind: str) -> Step:
    """Return what splits rows into heads, of the count that the config has for queries or keys."""
    if config is None:
        return unknown
    text = config.text
    counts = {
        "vision": config.vision.num_heads,
        "query": text.num_attention_heads,
        "key": text.num_key_value_heads,
    }
    return heads(counts[kind])


def _one_angle(config: Config | None) -> Step:
    """Return what chooses between time, height and width, where a version does that behind the module."""

    def step(x: np.ndarray) -> np.ndarray:
        if x.ndim != 4:
            return x  # transformers 5 chooses inside
        if config is None:
            return unknown(x)
        ends = np.cumsum(config.text.mrope_section * 2)[:-1]
        pieces = np.split(x, ends, axis=-1)
        return np.concatenate([piece[i % 3] for i, piece in enumerate(pieces)], axis=-1)

    return step


def _three_axes(x: np.ndarray) -> np.ndarray:
    """Take time, height and width, where a text position stands before them."""
    return x[-3:] if len(x) == 4 else x
