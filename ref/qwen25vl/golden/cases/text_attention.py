"""Section 15 - cases of the decoder's attention: which keys, through which heads, turned by which axis?"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64

from qwen25vl.golden.case import Lab, Part, Run
from qwen25vl.golden.cases.vision_taps import tapped_parts
from qwen25vl.golden.draws import drawn
from qwen25vl.golden.registry import case
from qwen25vl.language.attention import decoder_attention
from qwen25vl.language.mrope import mrope_rotation
from qwen25vl.tap import Tap

AROUND_A_PICTURE = (
    (0, 1, 2, 2, 2, 2, 2, 2, 5),
    (0, 1, 2, 2, 2, 3, 3, 3, 5),
    (0, 1, 2, 3, 4, 2, 3, 4, 5),
)
"""Two tokens, a picture of 2 x 3 merged tokens, one token: time, height, width."""

ONE_TIME = ((6,) * 8, (6, 6, 6, 6, 7, 7, 7, 7), (6, 7, 8, 9, 6, 7, 8, 9))
"""A picture of 2 x 4 merged tokens and nothing else."""


def attended(
    lab: Lab, x: np.ndarray, positions: Int64[np.ndarray, "3 L"], *, past: int, tap: Tap
) -> tuple[np.ndarray, ...]:
    """Run the first block's attention over the tokens from index `past` on, after a pass over those before.

    Args:
        lab: what to work with.
        x: normalised activations of all tokens.
        positions: of all tokens.
        past: tokens that are run first, silently where it is 0.
        tap: listens under the ids of a prompt in pieces where `past` is not 0.

    Returns:
        Keys and values of all tokens.
    """
    text = lab.config.text
    keys = values = np.empty((0, text.num_key_value_heads, text.head_dim), dtype=lab.ops.precision.dtype)
    weights = lab.model.network.weights.at("model.layers.0.self_attn")
    pieces = [slice(0, past), slice(past, len(x))] if past else [slice(0, len(x))]
    for i, piece in enumerate(pieces):
        scope = tap.at(f"chunks.{i:02d}.language") if past else tap.at("language")
        cos, sin = mrope_rotation(
            positions[:, piece],
            head_dim=text.head_dim,
            theta=text.rope_theta,
            sections=text.mrope_section,
            ops=lab.ops,
        )
        cos, sin = (lab.ops.precision.rounded(angle) for angle in (cos, sin))
        _, keys, values = decoder_attention(
            lab.held(x[piece]),
            scope("rope.cos", cos),
            scope("rope.sin", sin),
            keys,
            values,
            weights,
            config=text,
            ops=lab.ops,
            tap=scope.at("blocks.00.attn"),
        )
    return keys, values


@case(
    family="text",
    tier="unit",
    section="00",
    clauses=("N10", "N13", "D5"),
    kills=("kv-heads-tiled", "score-scale"),
    note="Six query heads over two key heads: 0, 1, 2 share the first. With one key head, or as many as queries, "
    "every rule gives the same.",
)
def query_heads_share_neighbouring_keys(lab: Lab) -> Iterator[Part | Run]:
    """Mix values through six query heads and two key heads."""
    q, k, v = drawn(521, (4, 6, 8)) * 2, drawn(522, (5, 2, 8)) * 2, drawn(523, (5, 2, 8))
    yield Part("inputs.q", q, "L N d", "queries")
    yield Part("inputs.k", k, "T K d", "keys")
    yield Part("inputs.v", v, "T K d", "values")
    probs = np.empty((6, 4, 5), dtype=lab.ops.precision.dtype)
    mixed = lab.ops.attention(lab.held(q), lab.held(k), lab.held(v), probs=probs)
    yield Part("outputs.probs", probs, "N L T", "attention probabilities")
    yield Part("outputs.mixed", mixed, "L N d", "mixed values")


@case(
    family="text",
    tier="unit",
    section="00",
    clauses=("N5", "N11", "N21"),
    kills=("mask-too-weak", "softmax-overflows"),
    note="Scores of -16384 and 16384. The first query sees only a key of the lowest score, and a hidden one has "
    "the highest: a fixed -10000 for hidden keys loses to it. Without the largest score taken off, exp overflows. "
    "Scores of common size hide both.",
)
def hidden_key_has_no_weight_whatever_its_score(lab: Lab) -> Iterator[Part | Run]:
    """Attend with a mask where a hidden key has by far the largest score."""
    q = np.full((4, 1, 4), 64.0)
    k = np.repeat([-128.0, 128.0, -128.0, -126.0], 4).reshape(4, 1, 4)
    v = drawn(524, (4, 1, 4))
    allowed = np.array([[1, 0, 0, 0], [1, 0, 1, 1], [1, 0, 1, 0], [1, 1, 1, 1]], dtype=bool)
    yield Part("inputs.q", q, "L N d", "queries")
    yield Part("inputs.k", k, "T K d", "keys")
    yield Part("inputs.v", v, "T K d", "values")
    yield Part("inputs.allowed", allowed, "L T", "true where a query may see a key")
    probs = np.empty((1, 4, 4), dtype=lab.ops.precision.dtype)
    mixed = lab.ops.attention(lab.held(q), lab.held(k), lab.held(v), allowed=allowed, probs=probs)
    yield Part("outputs.probs", probs, "N L T", "attention probabilities; exactly 0 where hidden")
    yield Part("outputs.mixed", mixed, "L N d", "mixed values")


@case(
    family="text",
    tier="block",
    section="10",
    clauses=("D3", "D5", "D6", "D20", "T10", "T11", "N9"),
    kills=(
        "sections-interleaved",
        "sections-repeated-whole",
        "sections-order",
        "sections-lost",
        "interleaved-channels",
        "rotation-sign",
        "theta-swapped",
        "values-rotated",
        "bias-forgotten",
        "kv-heads-tiled",
    ),
    note="Some tokens have three different positions. Text, where the three agree, gives the same under every "
    "layout of the sections.",
)
def each_axis_turns_its_own_channels(lab: Lab) -> Iterator[Part | Run]:
    """Run the first block's attention over tokens around a picture."""
    x, positions = drawn(525, (9, lab.config.text.hidden_size)), np.array(AROUND_A_PICTURE, dtype=np.int64)
    yield Part("inputs.x", x, "L E", "normalised activations")
    yield Part("inputs.positions", positions, "3 L", "time, height and width position of each token", "09")
    tap = Tap()
    attended(lab, x, positions, past=0, tap=tap)
    yield from tapped_parts(tap)


@case(
    family="text",
    tier="block",
    section="10",
    clauses=("D4", "N11"),
    kills=("causal-by-position", "picture-sees-itself"),
    note="All tokens have one time. A mask that compares positions in time lets every one see every other; so "
    "does a mask that frees pictures. Text has a position of its own for each token and shows nothing.",
)
def picture_tokens_see_earlier_places_only(lab: Lab) -> Iterator[Part | Run]:
    """Run the first block's attention over the tokens of one picture."""
    x, positions = drawn(526, (8, lab.config.text.hidden_size)), np.array(ONE_TIME, dtype=np.int64)
    yield Part("inputs.x", x, "L E", "normalised activations")
    yield Part("inputs.positions", positions, "3 L", "time, height and width position of each token", "09")
    tap = Tap("*.attn.[pmo]*")  # probabilities, mixed values, output
    attended(lab, x, positions, past=0, tap=tap)
    yield from tapped_parts(tap)


@case(
    family="decode",
    tier="block",
    section="10",
    clauses=("D4", "D7", "D8"),
    kills=("cache-unrotated-keys", "cache-in-16-bits", "chunk-mask"),
    note="Six tokens, then three whose positions are not their indices. Keys turned again, or turned by the place "
    "in the cache, differ from the second piece on; one pass over all tokens shows nothing.",
)
def cache_keeps_keys_as_turned(lab: Lab) -> Iterator[Part | Run]:
    """Run the first block's attention in two pieces, with keys and values kept between them."""
    x, positions = drawn(527, (9, lab.config.text.hidden_size)), np.array(AROUND_A_PICTURE, dtype=np.int64)
    yield Part("inputs.x", x, "L E", "normalised activations of six tokens, then of three")
    yield Part("inputs.positions", positions, "3 L", "time, height and width position of each token", "09")
    tap = Tap("*.attn.[pmo]*")
    keys, values = attended(lab, x, positions, past=6, tap=tap)
    yield from tapped_parts(tap)
    yield Part("outputs.keys", keys, "T K d", "keys as kept behind both pieces: turned, each by its own position")
    yield Part("outputs.values", values, "T K d", "values as kept")
