"""Known bugs of batches: what do padding and a prompt's neighbours change (sections 09, 10)?"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.language.mrope import PADDED_POSITION
from qwen25vl.port.mutants.known._padding import Padding, behind, in_front, remembered_padding
from qwen25vl.port.mutants.known._walk import changed_positions, offsets, runs, unchecked_media
from qwen25vl.port.mutants.mutant import Swap, known_bug


@known_bug(
    "padding-counted",
    mechanism="padding and batches",
    clauses=("T7", "T9", "D13"),
    symptom="An answer depends on which prompts it shares a batch with.",
    cause="Positions are computed from the padded ids, without the mask: padding counts like a text.",
    hidden_by="Prompts of one length, and a batch of one. A shift of all positions alone changes nothing "
    "but rounding: compare positions and offsets.",
    fix="Walk over the ids that are not padding, and write positions back to their places.",
)
def padding_counted() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda ids, mask, *media, **config: right(ids, np.ones_like(mask), *media, **config)

    yield Swap("language.mrope.mrope_positions", by)


@known_bug(
    "right-padding-assumed",
    mechanism="padding and batches",
    clauses=("T9", "P22", "D13"),
    symptom="In a batch all but the longest prompt are answered with nonsense.",
    cause="Positions of a prompt are written to the first slots of its row, or cut from them, while padding "
    "stands in front.",
    hidden_by="Padding behind the prompts, prompts of one length, and a batch of one.",
    fix="Write positions where the mask is true.",
    threads=("verl-project/verl#4243", "huggingface/trl#5785"),
)
def right_padding_assumed() -> Iterator[Swap]:
    def change(ids: np.ndarray, mask: np.ndarray, positions: np.ndarray, *_: Any) -> tuple[np.ndarray, np.ndarray]:
        found = np.full_like(positions, PADDED_POSITION)
        for b, real in enumerate(mask):
            found[:, b, : real.sum()] = positions[:, b, real]
        return found, offsets(positions, mask)

    yield changed_positions(change)


@known_bug(
    "padding-position-zero",
    mechanism="padding and batches",
    clauses=("T9",),
    symptom="None: nothing reads it. A comparison of whole arrays of positions stops there.",
    cause="Positions are initialised with 0.",
    hidden_by="A batch of one, and every comparison that leaves padding out.",
    fix="Initialise with 1, or compare under the mask.",
    versions="transformers 5.3.0 to 5.23.0",
)
def padding_position_zero() -> Iterator[Swap]:
    def change(ids: np.ndarray, mask: np.ndarray, positions: np.ndarray, *_: Any) -> tuple[np.ndarray, np.ndarray]:
        return positions * mask, offsets(positions, mask)

    yield changed_positions(change)


@known_bug(
    "batch-grids-restart",
    mechanism="padding and batches",
    clauses=("T8",),
    symptom="The second prompt of a batch is answered as if its picture had the shape of the first one's.",
    cause="The counter of pictures is set back to 0 for each prompt, while the list of grids is the batch's.",
    hidden_by="A batch of one, pictures of one size, and pictures in the first prompt only.",
    fix="Let the counters of pictures and of videos run on through the batch.",
)
def batch_grids_restart() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def mrope_positions(
            ids: np.ndarray,
            mask: np.ndarray,
            images: np.ndarray,
            videos: np.ndarray,
            seconds: np.ndarray,
            **config: Any,
        ) -> Any:
            found = []
            for b in range(len(ids)):
                row = ids[b : b + 1]
                i, v = (len([*runs(row, config[pad])]) for pad in ("image_token_id", "video_token_id"))
                found.append(right(row, mask[b : b + 1], images[:i], videos[:v], seconds[:v], **config))
            positions, delta = zip(*found, strict=True)
            return np.concatenate(positions, axis=1), np.concatenate(delta)

        return mrope_positions

    yield Swap("language.mrope.mrope_positions", by)
    yield unchecked_media()


@known_bug(
    "padding-attended",
    mechanism="padding and batches",
    clauses=("D13",),
    symptom="The shorter prompts of a batch get other, often worse answers than alone.",
    cause="The mask of the batch is lost on the way to attention, so padding is seen: by all tokens where it "
    "stands in front, by those of the answer where it stands behind the prompt.",
    hidden_by="Prompts of one length, and a batch of one; padding behind the prompts in a single pass without an "
    "answer.",
    fix="Mask the keys of padding, or run each prompt without it.",
    threads=("Blaizzy/mlx-vlm#1542", "Blaizzy/mlx-vlm#1543"),
)
def padding_attended() -> Iterator[Swap]:
    padding: dict[int, Padding] = {}
    seen: list[Padding] = []  # by the tokens that run

    def prefill_by(right: Callable[..., Any]) -> Callable[..., Any]:
        def prefill(inputs: Any, network: Any, **settings: Any) -> Any:
            its_own = [padding[id(inputs)]] if id(inputs) in padding else []
            seen[:] = [one for one in its_own if one.in_front]
            found = right(inputs, network, **settings)
            seen[:] = its_own
            return found

        return prefill

    def decoded_by(right: Callable[..., Any]) -> Callable[..., Any]:
        def decoded_tokens(x: np.ndarray, positions: np.ndarray, cache: Any, weights: Any, **settings: Any) -> Any:
            if not seen:
                return right(x, positions, cache, weights, **settings)
            _, pads = seen[0].run(right, cache.first(0), weights, **settings)
            hidden, longer = right(x, positions, in_front(pads, cache), weights, **settings)
            return hidden, behind(longer, pads.length)

        return decoded_tokens

    yield remembered_padding(padding)
    yield Swap("model.prefill", prefill_by)
    yield Swap("language.decoder.decoded_tokens", decoded_by)


@known_bug(
    "last-column-of-right-padding",
    mechanism="padding and batches",
    clauses=("D13", "P22"),
    symptom="The shorter prompts of a batch begin their answers with chatter, or with words from nowhere.",
    cause="The scores of the next token are read in the last column of the batch, `logits[:, -1]`, while padding "
    "stands behind the prompts.",
    hidden_by="Padding in front of the prompts, prompts of one length, and a batch of one.",
    fix="Pad in front for decoding, or read the scores at the last token that is not padding.",
    threads=(
        "QwenLM/Qwen3-VL#759",
        "QwenLM/Qwen3-VL#1296",
        "EvolvingLMMs-Lab/lmms-eval#830",
        "EvolvingLMMs-Lab/lmms-eval#889",
    ),
)
def last_column_of_right_padding() -> Iterator[Swap]:
    padding: dict[int, Padding] = {}
    last: list[Padding] = []  # behind the prompt that is answered

    def prefill_by(right: Callable[..., Any]) -> Callable[..., Any]:
        def prefill(inputs: Any, network: Any, **settings: Any) -> Any:
            last[:] = [padding[id(inputs)]] if id(inputs) in padding else []
            return right(inputs, network, **settings)

        return prefill

    def steps_by(right: Callable[..., Any]) -> Callable[..., Any]:
        def answer_steps(
            last_hidden: np.ndarray, cache: Any, ids: np.ndarray, network: Any, **settings: Any
        ) -> Any:
            for one in last:
                if not one.in_front:
                    last_hidden = one.run_behind(cache, network)[-1]
            return right(last_hidden, cache, ids, network, **settings)

        return answer_steps

    yield remembered_padding(padding)
    yield Swap("model.prefill", prefill_by)
    yield Swap("generate.answer.answer_steps", steps_by)
