"""Section 15 - systematic faults of weights: each one forgotten, transposed, or exchanged with its neighbour."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from qwen25vl.port.mutants.mutant import Mutant, Swap
from qwen25vl.port.mutants.slip import slip

READ = "checkpoint.weights.Weights.__getitem__"
"""Whatever reads a whole weight."""

VISION, TEXT = "visual.blocks.N", "model.layers.N"
"""Scopes of the blocks; N stands for every block."""

BIASES = (
    *(f"{VISION}.{name}" for name in ("attn.qkv", "attn.proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")),
    "visual.merger.mlp.0",
    "visual.merger.mlp.2",
    *(f"{TEXT}.self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj")),
)
"""Linear layers that have a bias."""

GAINS = (
    f"{VISION}.norm1",
    f"{VISION}.norm2",
    "visual.merger.ln_q",
    f"{TEXT}.input_layernorm",
    f"{TEXT}.post_attention_layernorm",
    "model.norm",
)
"""Norms."""

SQUARE = (f"{VISION}.attn.proj", "visual.merger.mlp.0", f"{TEXT}.self_attn.q_proj", f"{TEXT}.self_attn.o_proj")
"""Linear layers whose weight may be transposed and still fits; q and o are square in most releases."""

ALIKE = (
    (f"{VISION}.norm1", f"{VISION}.norm2"),
    (f"{VISION}.mlp.gate_proj", f"{VISION}.mlp.up_proj"),
    (f"{TEXT}.input_layernorm", f"{TEXT}.post_attention_layernorm"),
    (f"{TEXT}.self_attn.q_proj", f"{TEXT}.self_attn.o_proj"),
    (f"{TEXT}.self_attn.k_proj", f"{TEXT}.self_attn.v_proj"),
    (f"{TEXT}.mlp.gate_proj", f"{TEXT}.mlp.up_proj"),
)
"""Layers of one shape in one block."""


def weight_faults() -> Iterator[Mutant]:
    """Forget, transpose and exchange weights."""
    for layer in BIASES:
        yield slip(
            f"no-bias {layer}",
            f"The bias of `{layer}` is left out.",
            "linear layers",
            ("N3",),
            _read_as(f"{layer}.bias", np.zeros_like),
        )
    for layer in GAINS:
        yield slip(
            f"no-gain {layer}",
            f"The gain of `{layer}` is left out.",
            "norms",
            ("N4",),
            _read_as(f"{layer}.weight", np.ones_like),
        )
    for layer in SQUARE:
        yield slip(
            f"transposed {layer}",
            f"The weight of `{layer}` is used transposed: it is stored output-first.",
            "linear layers",
            ("N3",),
            _read_as(f"{layer}.weight", np.transpose),
        )
    for one, other in ALIKE:
        short = other.rsplit(".", 1)[-1]
        yield slip(
            f"exchanged {one} {short}",
            f"The weights of `{one}` and `{other}` are exchanged.",
            "norms" if "norm" in one else "linear layers",
            ("N4",) if "norm" in one else ("N3",),
            Swap(READ, partial(_exchanged, one, other)),
        )


def _read_as(name: str, change: Callable[[Any], Any]) -> Swap:
    """Change one weight of every block, or of the model."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def read(weights: Any, relative: str) -> np.ndarray:
            found = right(weights, relative)
            full = weights.full_name(relative)
            return np.asarray(change(found)) if _pattern(full) == name else found

        return read

    return Swap(READ, by)


def _exchanged(one: str, other: str, right: Callable[..., Any]) -> Callable[..., Any]:
    """Read the weights, and biases, of one layer for another's."""
    ends = {_end(one): _end(other), _end(other): _end(one)}

    def read(weights: Any, relative: str) -> np.ndarray:
        full = weights.full_name(relative)
        layer, _, kind = _pattern(full).rpartition(".")
        if layer not in (one, other):
            return np.asarray(right(weights, relative))
        wrong = f"{full.removesuffix(f'{_end(layer)}.{kind}')}{ends[_end(layer)]}.{kind}"
        shorter = wrong.removeprefix(f"{weights.prefix}.") if weights.prefix else wrong
        return np.asarray(right(weights, shorter if shorter in weights else relative))

    return read


def _end(layer: str) -> str:
    """Return the last word of a layer's name."""
    return layer.rsplit(".", 1)[-1]


def _pattern(name: str) -> str:
    """Return a name with N for the number of its block."""
    words = name.split(".")
    if len(words) > 2 and words[1] in ("blocks", "layers"):
        words[2] = "N"
    return ".".join(words)
