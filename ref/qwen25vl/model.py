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
from qwen25vl.language.mrope import later_positions
from qwen25vl.ops import Ops
from qwen25vl.reuse import remaining_media, shared_length
from qwen25vl.tap import SILENT, Tap
from qwen25vl.vision.encoder import encoded_vision


@dataclass(frozen=True)
class Network:
    """Weights, what they mean, and what to compute with."""

    config: Config
    weights: Weights
    ops: Ops


@dataclass(frozen=True, eq=False)
class Past:
    """A prompt that was run, and what it left."""

    inputs: Inputs
    """One prompt, without padding."""
    cache: Cache


def prefill(
    inputs: Inputs, network: Network, *, chunk: int | None = None, past: Past | None = None, tap: Tap = SILENT
) -> tuple[Float[np.ndarray, "L E"], Cache]:
    """Run a prompt: encode its media, put them in place, decode.

    Args:
        inputs: one prompt, without padding (`Inputs.row` gives it).
        chunk: the most tokens that the decoder is given at once; None gives it all.
        past: an earlier prompt; what both begin with is not run again.

    Returns:
        The hidden states behind the final norm, of the tokens that were run, and the cache from which
        decoding goes on.

    Spec: spec/10-decoder.md (D13, D14, D15)
    """
    config, weights = network.config, network.weights.at("model")
    if len(inputs.ids) != 1 or not inputs.mask.all():
        raise ValueError(f"need one prompt without padding, got mask {inputs.mask.shape}")

    start = 0 if past is None else shared_length(past.inputs, inputs, config=config)  # (D15)
    cache = _empty_cache(network) if past is None else past.cache.first(start)
    x = _embedded_prompt(inputs, network, start=start, tap=tap)

    length = len(x) if chunk is None else chunk
    hidden = []
    for i, first in enumerate(range(0, len(x), length)):
        piece = x[first : first + length]  # (D14)
        scope = "language" if chunk is None else f"chunks.{i:02d}.language"
        out, cache = decoded_tokens(
            piece,
            piece_positions(inputs, first=start + first, count=len(piece)),
            cache,
            weights,
            config=config.text,
            ops=network.ops,
            tap=tap.at(scope),
        )
        hidden.append(out)
    return np.concatenate(hidden), cache


def piece_positions(inputs: Inputs, *, first: int, count: int) -> Int64[np.ndarray, "3 {count}"]:
    """Return the positions of some neighbouring tokens of a prompt.

    Args:
        inputs: the whole prompt.
        first: index of the first of the tokens in the prompt.
        count: of the tokens.

    Spec: spec/10-decoder.md (D14)
    """
    return inputs.positions[:, 0, first : first + count]  # (D14) those that the whole prompt gives them


def _embedded_prompt(inputs: Inputs, network: Network, *, start: int, tap: Tap) -> Float[np.ndarray, "L E"]:
    """Embed the tokens of a prompt from index `start` on, with the vision rows in their places."""
    config, ids = network.config, inputs.ids[0, start:]
    media = remaining_media(inputs, start=start, config=config)
    rows = encoded_media(media, network, tap=tap.at("vision"))
    image_count = int(np.sum(np.prod(media.image_grids, axis=1))) // config.vision.merge_unit
    images, videos = rows[:image_count], rows[image_count:]
    return embedded_tokens(
        ids,
        images[len(images) - np.sum(ids == config.image_token_id) :],  # of a medium cut in two, the rest
        videos[len(videos) - np.sum(ids == config.video_token_id) :],
        network.weights.at("model"),
        config=config,
    )


def _empty_cache(network: Network) -> Cache:
    """Return a cache of no tokens."""
    text = network.config.text
    return empty_cache(
        layers=text.num_hidden_layers,
        kv_heads=text.num_key_value_heads,
        head_dim=text.head_dim,
        dtype=network.ops.precision.dtype,
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
    positions = later_positions(cache.length, len(ids), delta=delta)  # (D11)
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
