"""Known bugs of names of weights, and of the head (section 01)."""

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.checkpoint.weights import Weights
from qwen25vl.model import Network
from qwen25vl.port.mutants.mutant import Swap, known_bug

INITIAL_DEVIATION = 0.02
"""Deviation of a new matrix, `initializer_range` of every config."""


def as_made(name: str, right: np.ndarray, weights: Weights) -> np.ndarray:
    """Return a weight as a new model has it: a gain of 1, no bias, a small random matrix."""
    shape = right.shape
    if len(shape) == 1:
        return np.full_like(right, 1 if name.endswith("weight") else 0)
    drawn = np.random.default_rng(zlib.crc32(name.encode())).normal(0, INITIAL_DEVIATION, shape)
    return weights.rounded(drawn.astype(np.float32).astype(weights.dtype))


def left_as_made(*begins: str) -> Iterator[Swap]:
    """Let weights whose released names begin so be as a new model has them."""

    def whole(read: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def item(weights: Weights, name: str) -> np.ndarray:
            full = weights.full_name(name)
            right = read(weights, name)
            return as_made(full, right, weights) if full.startswith(begins) else right

        return item

    def some_rows(read: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def rows(weights: Weights, name: str, ids: np.ndarray) -> np.ndarray:
            full = weights.full_name(name)
            return weights[name][ids] if full.startswith(begins) else read(weights, name, ids)

        return rows

    yield Swap("checkpoint.weights.Weights.__getitem__", whole)
    yield Swap("checkpoint.weights.Weights.rows", some_rows)


@known_bug(
    "names-not-mapped",
    mechanism="checkpoint names",
    clauses=("C18", "C21"),
    symptom="Word salad from the first token on, with and without pictures, and no error.",
    cause="The file has the other set of names, `model.language_model.*` for `model.*` (saved by transformers "
    "4.52 and later), names that are not found are passed over (`strict=False`), and the blocks of the decoder "
    "stay as they were made.",
    hidden_by="Nothing that runs the decoder; a file with the expected names.",
    fix="Map both sets to one, and refuse a file with a missing or an unexpected name.",
    threads=("vllm-project/vllm#19054", "sgl-project/sglang#19850", "invoke-ai/InvokeAI#9333"),
)
def names_not_mapped() -> Iterator[Swap]:
    yield from left_as_made("model.layers.")


@known_bug(
    "vision-names-not-mapped",
    mechanism="checkpoint names",
    clauses=("C18", "C21"),
    symptom="Text is answered well; every picture is described as noise or as something it is not.",
    cause="Names of the language model are mapped and those of the vision encoder are not (`visual.*` against "
    "`model.visual.*`); names that are not found are passed over.",
    hidden_by="Every prompt without a picture.",
    fix="Map both sets to one, and refuse a file with a missing or an unexpected name.",
    threads=("NVIDIA-NeMo/Automodel#2431", "microsoft/olive-recipes#380"),
)
def vision_names_not_mapped() -> Iterator[Swap]:
    yield from left_as_made("visual.")


@known_bug(
    "embedding-names-not-mapped",
    mechanism="checkpoint names",
    clauses=("C18", "C21"),
    symptom="Word salad from the first token on, and no error.",
    cause="A rule of renaming matches `layers` alone, so that the embedding and the final norm are not found and "
    "stay as they were made.",
    hidden_by="Nothing that begins with token ids; whatever begins with embedded rows.",
    fix="Map every name of a prefix, and refuse a file with a missing or an unexpected name.",
    threads=("illuin-tech/colpali#414",),
)
def embedding_names_not_mapped() -> Iterator[Swap]:
    yield from left_as_made("model.embed_tokens.", "model.norm.")


@known_bug(
    "head-not-tied",
    mechanism="head and tying",
    clauses=("C20", "D12"),
    symptom="Hidden states are right, and each token is drawn from noise.",
    cause="A tied checkpoint, the 3B, stores no `lm_head.weight`, and the head stays as it was made; or the rule "
    "of the 3B is written into the code, and an untied checkpoint is given its embedding for a head.",
    hidden_by="Checkpoints of one kind: an untied one shows nothing of the former, a tied one nothing of the "
    "latter.",
    fix="Take the embedding for the head exactly where `tie_word_embeddings` is true.",
    threads=("2U1/Qwen-VL-Series-Finetune#87", "zhangfaen/finetune-Qwen2-VL#35"),
)
def head_not_tied() -> Iterator[Swap]:
    def vocabulary_scores(hidden: np.ndarray, network: Network) -> Any:
        embedding = network.weights["model.embed_tokens.weight"]
        is_tied = network.config.tie_word_embeddings
        head = as_made("lm_head.weight", embedding, network.weights) if is_tied else embedding
        return network.ops.linear(hidden, head)

    yield Swap("model.vocabulary_scores", lambda right: vocabulary_scores)
