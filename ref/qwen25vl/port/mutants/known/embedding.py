"""Known bugs of the embedding: which row of which picture takes which place (section 10)."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import Config
from qwen25vl.language.cache import Cache
from qwen25vl.language.decoder import decoded_tokens
from qwen25vl.language.mrope import later_positions
from qwen25vl.model import Network
from qwen25vl.port.mutants.mutant import AnySwap, Swap, known_bug, other_way
from qwen25vl.tap import SILENT, Tap


def last_medium_first(rows: np.ndarray, is_pad: np.ndarray) -> np.ndarray:
    """Put the rows of the media of one kind behind each other from the last to the first."""
    begins = np.flatnonzero(is_pad & ~np.roll(is_pad, 1))  # a marker stands in front of every medium
    starts = np.cumsum(is_pad)[begins] - 1
    return np.concatenate(np.split(rows, starts[1:])[::-1])


@known_bug(
    "scatter-by-picture",
    mechanism="vision-token scatter",
    clauses=("D2",),
    symptom="Each picture is described as another one of the prompt; with one picture all is well.",
    cause="Pictures are encoded in another order than the prompt's (sorted by size, taken from the end of a list, "
    "or turn by turn), and their rows are not put back in order.",
    hidden_by="A prompt of one picture, and one of equal pictures.",
    fix="The n-th pad takes the n-th row, counted over all pictures in the order of the prompt.",
    threads=("Blaizzy/mlx-vlm#377", "Blaizzy/mlx-vlm#378"),
)
def scatter_by_picture() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def embedded_tokens(
            ids: np.ndarray, images: np.ndarray, videos: np.ndarray, weights: Weights, *, config: Config
        ) -> Any:
            images = last_medium_first(images, ids == config.image_token_id)
            videos = last_medium_first(videos, ids == config.video_token_id)
            return right(ids, images, videos, weights, config=config)

        return embedded_tokens

    yield Swap("language.embed.embedded_tokens", by)


@known_bug(
    "scatter-pad-embedding",
    mechanism="vision-token scatter",
    clauses=("D2",),
    symptom="The model says that it sees no picture, or invents one; text is answered well.",
    cause="Rows are written into a copy that nobody reads, or the id that is looked for is not the pad's.",
    hidden_by="Prompts without a picture.",
    fix="Put the encoder's rows in the places of the pad ids before the first block.",
)
def scatter_pad_embedding() -> Iterator[Swap]:
    def embedded_tokens(
        ids: np.ndarray, images: np.ndarray, videos: np.ndarray, weights: Weights, *, config: Config
    ) -> Any:
        return weights.rows("embed_tokens.weight", ids)

    yield Swap("language.embed.embedded_tokens", lambda right: embedded_tokens)


@known_bug(
    "embedding-scaled",
    mechanism="vision-token scatter",
    clauses=("D1",),
    symptom="Nonsense, with and without a picture: beside a stream so large no block counts.",
    cause="The root of the width, by which Gemma multiplies its embeddings, comes with a shared decoder.",
    hidden_by="The attention of the first block, whose norm takes a common factor out again: the residual stream "
    "shows it.",
    fix="Take the rows of the embedding, and those of pictures, as they are.",
)
def embedding_scaled() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def rows(weights: Weights, name: str, ids: np.ndarray) -> Any:
            found = right(weights, name, ids)
            return weights.rounded(found * found.dtype.type(math.sqrt(found.shape[-1])))

        return rows

    yield Swap("checkpoint.weights.Weights.rows", by)


def pictures_scaled() -> Swap:
    """Multiply the rows of pictures and videos by the root of their width."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def embedded_tokens(
            ids: np.ndarray, images: np.ndarray, videos: np.ndarray, weights: Weights, *, config: Config
        ) -> Any:
            images, videos = (
                weights.rounded(rows * rows.dtype.type(math.sqrt(config.text.hidden_size)))
                for rows in (images, videos)
            )
            return right(ids, images, videos, weights, config=config)

        return embedded_tokens

    return Swap("language.embed.embedded_tokens", by)


@other_way(embedding_scaled, "all")
def all_rows_scaled() -> Iterator[AnySwap]:
    """Scale the embedded prompt, with the rows of pictures in their places."""
    yield from embedding_scaled()
    yield pictures_scaled()


@other_way(embedding_scaled, "pictures")
def picture_rows_scaled() -> Iterator[Swap]:
    """Scale the rows of pictures alone, against a division that the decoder does not make."""
    yield pictures_scaled()


@known_bug(
    "sampled-pad-scattered",
    mechanism="vision-token scatter",
    clauses=("D1", "D11"),
    symptom="Rare: an answer that holds a pad id turns to nonsense, or ends in an error about the number of rows.",
    cause="Decoding runs the function that puts pictures in the places of pads, and the pictures are still at "
    "hand.",
    hidden_by="Every answer without a pad id, which is nearly every one; a training run samples them in time.",
    fix="Look up the embedding of every decoded id, whatever it is, or forbid pads while sampling.",
    threads=("StarsfieldAI/R1-V#91", "verl-project/verl#3469"),
)
def sampled_pad_scattered() -> Iterator[Swap]:
    pictures: list[np.ndarray] = []

    def remembered(right: Callable[..., Any]) -> Callable[..., Any]:
        def embedded_tokens(ids: np.ndarray, images: np.ndarray, *rest: Any, **settings: Any) -> Any:
            pictures[:] = [images]
            return right(ids, images, *rest, **settings)

        return embedded_tokens

    def decode_step(ids: np.ndarray, cache: Cache, network: Network, *, delta: int, tap: Tap = SILENT) -> Any:
        config, weights = network.config, network.weights.at("model")
        x = weights.rows("embed_tokens.weight", ids).copy()
        pads = np.flatnonzero(ids == config.image_token_id)
        rows = pictures[0][: len(pads)] if pictures else x[:0]
        x[pads[: len(rows)]] = rows
        positions = later_positions(cache.length, len(ids), delta=delta)
        return decoded_tokens(
            x, positions, cache, weights, config=config.text, ops=network.ops, tap=tap.at("language")
        )

    yield Swap("language.embed.embedded_tokens", remembered)
    yield Swap("model.decode_step", lambda right: decode_step)
