"""Known bugs of the decoder: what a token sees, through which heads, and what the head is given (section 10)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.model import Network
from qwen25vl.ops import Ops
from qwen25vl.port.mutants.known._keys import masked_by_marks
from qwen25vl.port.mutants.mutant import OpsSwap, Swap, known_bug, other_way

BEFORE_ALL = np.array(-1)
"""A time for keys that nothing is known of: every query sees them."""


def masked_by_time(rule: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> Iterator[Swap]:
    """Mask with `rule(allowed, times of keys [T], times of queries [L, 1])`."""
    latest: list[np.ndarray] = []

    def remembered(right: Callable[..., Any]) -> Callable[..., Any]:
        def mrope_rotation(positions: np.ndarray, **settings: Any) -> Any:
            latest[:] = [positions[0]]
            return right(positions, **settings)

        return mrope_rotation

    yield Swap("language.mrope.mrope_rotation", remembered)
    yield masked_by_marks(lambda count: latest[0], rule, otherwise=BEFORE_ALL)


@known_bug(
    "causal-by-position",
    mechanism="causal mask",
    clauses=("D4",),
    symptom="Pictures are described well, boxes are off; the answer changes with the size of the pieces that a "
    "prompt is run in.",
    cause="The cache knows a token by its position, and the mask compares positions in time, of which all tokens "
    "of a picture have one.",
    hidden_by="Text alone: each token has a time of its own.",
    fix="Keep the place of a token in the sequence beside its position, and compare places.",
    threads=("ggml-org/llama.cpp#15474", "ggml-org/llama.cpp#16745", "ggml-org/llama.cpp#13694"),
)
def causal_by_position() -> Iterator[Swap]:
    yield from masked_by_time(lambda allowed, times, queries: times <= queries)


@known_bug(
    "picture-sees-itself",
    mechanism="causal mask",
    clauses=("D4",),
    symptom="A little less exact with pictures, boxes first: the model was not trained so.",
    cause="Other families (PaliGemma, Gemma 3) free the tokens of a picture from the causal mask.",
    hidden_by="Text alone. A mask by positions in time gives the same: no input tells the two apart.",
    fix="One causal mask for all tokens, those of pictures included.",
)
def picture_sees_itself() -> Iterator[Swap]:
    yield from masked_by_time(lambda allowed, times, queries: allowed | (times == queries))


@known_bug(
    "kv-heads-tiled",
    mechanism="key and value heads",
    clauses=("N10", "D5"),
    symptom="Nonsense: most query heads meet keys of another head.",
    cause="Keys and values are repeated as whole blocks (`tile`, `repeat` of PyTorch) instead of head by head "
    "(`repeat_interleave`).",
    hidden_by="One key head, or as many as there are query heads, as in the vision encoder.",
    fix="Query head n uses key head n // (N / K).",
)
def kv_heads_tiled() -> Iterator[OpsSwap]:
    def by(right: Ops) -> Callable[..., np.ndarray]:
        def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, **settings: Any) -> np.ndarray:
            heads = np.arange(q.shape[1]) % k.shape[1]
            return right.attention(q, k[:, heads], v[:, heads], **settings)

        return attention

    yield OpsSwap("attention", by)


@known_bug(
    "hidden-without-final-norm",
    mechanism="head and tying",
    clauses=("D10", "D12"),
    symptom="Answers are flat or wander, though the hidden states agree: every score has another size.",
    cause="What a decoder returns is behind the final norm already, and the head is exported together with a norm "
    "of its own; or the norm is left out of both.",
    hidden_by="A greedy first token, often: the order of the best scores hardly changes. A gain of one, where a "
    "second norm does nothing.",
    fix="Apply the final norm once, behind the last block, and give the head its result.",
)
def hidden_without_final_norm() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def vocabulary_scores(hidden: np.ndarray, network: Network) -> Any:
            gain, eps = network.weights["model.norm.weight"], network.config.text.rms_norm_eps
            return right(network.ops.rms_norm(hidden, gain, eps=eps), network)

        return vocabulary_scores

    yield Swap("model.vocabulary_scores", by)


@other_way(hidden_without_final_norm, "left-out")
def final_norm_left_out() -> Iterator[Swap]:
    """The head is given the residual stream behind the last block, of which the norm is taken elsewhere."""
    streams: list[np.ndarray] = []

    def remembered(right: Callable[..., Any]) -> Callable[..., Any]:
        def decoded_tokens(*arguments: Any, ops: Ops, **settings: Any) -> Any:
            normed: list[np.ndarray] = []

            def rms_norm(x: np.ndarray, *rest: Any, **eps: float) -> np.ndarray:
                normed[:] = [x]
                return ops.rms_norm(x, *rest, **eps)

            found = right(*arguments, ops=replace(ops, rms_norm=rms_norm), **settings)
            streams.extend(normed)
            return found

        return decoded_tokens

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def vocabulary_scores(hidden: np.ndarray, network: Network) -> Any:
            scored = np.concatenate(streams)[-len(hidden) :] if streams else hidden
            streams.clear()
            return right(scored, network)

        return vocabulary_scores

    yield Swap("language.decoder.decoded_tokens", remembered)
    yield Swap("model.vocabulary_scores", by)
