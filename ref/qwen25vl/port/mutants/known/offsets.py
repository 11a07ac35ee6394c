"""Known bugs of the offset for decoding: where does an answer go on (sections 09, 10)?"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.port.mutants.known._walk import changed_offsets
from qwen25vl.port.mutants.mutant import Swap, known_bug


@known_bug(
    "delta-missing",
    mechanism="delta and cache",
    clauses=("D11", "T7"),
    symptom="The first word of an answer is right, then it drifts; boxes are off.",
    cause="Decoding takes the length of the cache for the position, as a text model does.",
    hidden_by="Text alone, and the first token of an answer, which the prompt's own pass gives.",
    fix="Add the offset of the prompt to the index, on all three axes.",
    threads=(
        "ml-explore/mlx-swift-lm#239",
        "huggingface/transformers#41176",
        "Blaizzy/mlx-vlm#1621",
        "jundot/omlx#689",
    ),
)
def delta_missing() -> Iterator[Swap]:
    def by(right: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        return lambda index, count, *, delta: right(index, count, delta=0)

    yield Swap("language.mrope.later_positions", by)


@known_bug(
    "delta-unpadded",
    mechanism="delta and cache",
    clauses=("T7", "D13"),
    symptom="In a batch the answers to shorter prompts drift; alone they are right.",
    cause="The offset is counted from the length without padding, and added to an index that counts padding.",
    hidden_by="Prompts of one length, and a batch of one.",
    fix="Count the offset from the padded length, or add it to the number of real tokens: one rule for both.",
    versions="transformers 5.3.0 to 5.23.0 count it so, and add it to the number of real tokens, which is right; "
    "the offset of the one with the index of the other is not",
)
def delta_unpadded() -> Iterator[Swap]:
    yield changed_offsets(lambda delta, mask: delta + np.sum(~mask, axis=1))


@known_bug(
    "delta-of-other-prompt",
    mechanism="delta and cache",
    clauses=("T7", "D11", "D13"),
    symptom="In a batch, or with several users at once, answers drift; alone they are right.",
    cause="Offsets are kept in one place of the model, and read for another row than they were computed for.",
    hidden_by="A batch of one, and prompts whose pictures have one size.",
    fix="Keep the offset with the prompt, beside its cache.",
    threads=(
        "Blaizzy/mlx-vlm#1143",
        "Blaizzy/mlx-vlm#1095",
        "huggingface/transformers#39749",
        "huggingface/transformers#39756",
    ),
)
def delta_of_other_prompt() -> Iterator[Swap]:
    yield changed_offsets(lambda delta, mask: np.roll(delta, 1))


@known_bug(
    "delta-kept",
    mechanism="delta and cache",
    clauses=("D11", "G4"),
    symptom="The first answer of a process is right, later ones drift, those to text alone as well.",
    cause="The offset is computed only where the model has none yet, and not taken away behind an answer.",
    hidden_by="One call, and calls whose pictures have one size.",
    fix="Compute the offset with every prompt, and keep it with the prompt.",
    threads=(
        "huggingface/transformers#36009",
        "huggingface/transformers#36013",
        "huggingface/transformers#43952",
        "Blaizzy/mlx-vlm#756",
    ),
    versions="transformers before February 2025 in `forward`, before February 2026 in a second `generate`",
)
def delta_kept() -> Iterator[Swap]:
    kept: list[int] = []

    def prefill_by(right: Callable[..., Any]) -> Callable[..., Any]:
        def prefill(inputs: Any, *rest: Any, **settings: Any) -> Any:
            kept.append(int(inputs.delta[0]))
            return right(inputs, *rest, **settings)

        return prefill

    def later_by(right: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        return lambda index, count, *, delta: right(index, count, delta=kept[0] if kept else delta)

    yield Swap("model.prefill", prefill_by)
    yield Swap("language.mrope.later_positions", later_by)
