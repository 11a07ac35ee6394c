"""Sections 05 to 10 - the model: the whole forward pass on one screen."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import Config
from qwen25vl.inputs import Inputs
from qwen25vl.language.cache import Cache, empty_cache
from qwen25vl.language.decoder import decoded_tokens
from qwen25vl.language.embed import embedded_tokens
from qwen25vl.ops import Ops
from qwen25vl.tap import SILENT, Tap
from qwen25vl.vision.encoder import encoded_vision


@dataclass(frozen=True)
class Network:
    """Weights, what they mean, and what to compute with."""

    config: Config
    weights: Weights
    ops: Ops


def prefill(inputs: Inputs, network: Network, *, tap: Tap = SILENT) -> tuple[Float[np.ndarray, "L E"], Cache]:
    """Run a prompt: encode its media, put them in place, decode.

    Args:
        inputs: one prompt; more than one row is refused.

    Returns:
        The hidden states behind the final norm, and the cache from which decoding goes on.

    Spec: spec/10-decoder.md
    """
    config, weights, ops = network.config, network.weights, network.ops
    if len(inputs.ids) != 1 or not inputs.mask.all():
        raise ValueError(f"need one prompt without padding, got mask {inputs.mask.shape}")

    media_rows = encoded_media(inputs, network, tap=tap.at("vision"))
    image_count = int(np.sum(np.prod(inputs.image_grids, axis=1))) // config.vision.merge_unit
    x = embedded_tokens(
        inputs.ids[0], media_rows[:image_count], media_rows[image_count:], weights.at("model"), config=config
    )
    text = config.text
    cache = empty_cache(
        layers=text.num_hidden_layers,
        kv_heads=text.num_key_value_heads,
        head_dim=text.head_dim,
        dtype=ops.precision.dtype,
    )
    return decoded_tokens(
        x, inputs.positions[:, 0], cache, weights.at("model"), config=text, ops=ops, tap=tap.at("language")
    )


def encoded_media(inputs: Inputs, network: Network, *, tap: Tap = SILENT) -> Float[np.ndarray, "M E"]:
    """Encode all pictures, then all videos: the merged tokens one after the other."""
    grids = np.concatenate([inputs.image_grids, inputs.video_grids])
    if len(grids) == 0:
        return np.empty((0, network.config.text.hidden_size), dtype=network.ops.precision.dtype)
    return encoded_vision(
        np.concatenate([inputs.image_rows, inputs.video_rows]),
        grids,
        network.weights.at("visual"),
        config=network.config.vision,
        ops=network.ops,
        tap=tap,
    )


def decode_step(
    ids: Int64[np.ndarray, " L"], cache: Cache, network: Network, *, delta: int, tap: Tap = SILENT
) -> tuple[Float[np.ndarray, "L E"], Cache]:
    """Run text tokens that follow the tokens of a cache.

    Args:
        ids: the new tokens. A pad id among them is a token like any other: no vision row takes its place.
        delta: of the prompt: a token at index i of the sequence has position i + delta on all three axes.

    Spec: spec/10-decoder.md (D11)
    """
    config, weights = network.config, network.weights
    positions = np.tile(cache.length + np.arange(len(ids)) + delta, (3, 1))  # (D11)
    x = weights.at("model").rows("embed_tokens.weight", ids)
    return decoded_tokens(
        x, positions, cache, weights.at("model"), config=config.text, ops=network.ops, tap=tap.at("language")
    )


def vocabulary_scores(hidden: Float[np.ndarray, "L E"], network: Network) -> Float[np.ndarray, "L V"]:
    """Score every vocabulary row for each hidden state: the logits.

    Spec: spec/10-decoder.md (D12)
    """
    tied = network.config.tie_word_embeddings
    head = network.weights["model.embed_tokens.weight" if tied else "lm_head.weight"]  # (D12)
    return network.ops.linear(hidden, head)
