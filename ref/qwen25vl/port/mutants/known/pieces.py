"""Known bugs of prompts in pieces, and of prompts that are taken for several (section 10)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.port.mutants.mutant import AnySwap, OpsSwap, Swap, known_bug


@known_bug(
    "chunk-positions-restart",
    mechanism="chunks",
    clauses=("D14",),
    symptom="Prompts longer than one piece end at once or repeat the question; shorter ones are right.",
    cause="Positions are cut to the length of the piece from the front, or computed from the piece's own ids.",
    hidden_by="Prompts that fit one piece, 512 or 2048 tokens in common programs.",
    fix="Take the positions of the whole prompt from the index of the piece's first token on.",
    threads=("Blaizzy/mlx-vlm#1737", "Blaizzy/mlx-vlm#1741", "Blaizzy/mlx-vlm#1755"),
)
def chunk_positions_restart() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda inputs, *, first, count: right(inputs, first=0, count=count)

    yield Swap("model.piece_positions", by)


@known_bug(
    "chunk-positions-from-end",
    mechanism="chunks",
    clauses=("D14",),
    symptom="Prompts longer than one piece are answered wrong, all the more the more pieces there are.",
    cause="The positions of a piece are the last ones of the prompt, as many as it has tokens.",
    hidden_by="Prompts that fit one piece, and the last piece of each.",
    fix="Take the positions of the whole prompt from the index of the piece's first token on.",
    threads=("EricLBuehler/mistral.rs#2083",),
)
def chunk_positions_from_end() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda inputs, *, first, count: right(inputs, first=inputs.ids.shape[1] - count, count=count)

    yield Swap("model.piece_positions", by)


@known_bug(
    "time-cuts-prompt",
    mechanism="causal mask",
    clauses=("D4", "T1"),
    symptom="Questions about pictures are answered 10 and more points worse; text alone is right.",
    cause="Row 0 of the three rows of positions, time, is taken for the positions of packed texts: a new text "
    "seems to begin wherever time does not go on by one, at each token of a picture.",
    hidden_by="Text alone, and a comparison of short answers. Single tokens of decoding have no mask.",
    fix="Give the mask text positions of its own, or none; time is not a place in the sequence.",
    threads=(
        "huggingface/transformers#40136",
        "huggingface/transformers#40154",
        "huggingface/transformers#40490",
        "huggingface/transformers#41180",
        "QwenLM/Qwen-VL#515",
    ),
    versions="transformers 4.54 to 4.56",
)
def time_cuts_prompt() -> Iterator[AnySwap]:
    texts: list[np.ndarray] = []  # while a prompt runs: which of the packed texts each token seems to belong to

    def decoded_by(right: Callable[..., Any]) -> Callable[..., Any]:
        def decoded_tokens(x: np.ndarray, positions: np.ndarray, cache: Any, *rest: Any, **settings: Any) -> Any:
            if cache.length == 0:
                steps = np.diff(positions[0], prepend=positions[0, :1] - 1)
                texts.append(np.cumsum(steps != 1))
            found = right(x, positions, cache, *rest, **settings)
            texts.clear()
            return found

        return decoded_tokens

    def attention_by(right: Any) -> Callable[..., np.ndarray]:
        def attention(*qkv: np.ndarray, allowed: Any = None, probs: Any = None) -> Any:
            if texts:
                allowed = allowed & (texts[0] == texts[0][:, np.newaxis])
            return right.attention(*qkv, allowed=allowed, probs=probs)

        return attention

    yield Swap("language.decoder.decoded_tokens", decoded_by)
    yield OpsSwap("attention", attention_by)
