"""Known bugs of pads, the places of media in a prompt (sections 04 and 10)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from qwen25vl.port.mutants.known._walk import runs
from qwen25vl.port.mutants.mutant import AnySwap, Swap, known_bug, other_way

RELEASED_IDS = {"image_token_id": 151655, "video_token_id": 151656}
"""Pads of every release, by their names in the config."""

MERGE_UNIT = 4
"""Patches of a merged token in every config."""


@known_bug(
    "pads-not-merged",
    mechanism="template",
    clauses=("P20",),
    symptom="An error about features and tokens, four times as many of these as of those.",
    cause="The area of the grid, in patches, is taken for the number of tokens.",
    hidden_by="Nothing with a picture.",
    fix="`T * H * W // merge_p**2` pads.",
)
def pads_not_merged() -> Iterator[Swap]:
    def by(right: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def expanded_ids(
            ids: Sequence[int], *, image_tokens: Sequence[int], video_tokens: Sequence[int], **pads: int
        ) -> np.ndarray:
            images, videos = ([count * MERGE_UNIT for count in counts] for counts in (image_tokens, video_tokens))
            return right(ids, image_tokens=images, video_tokens=videos, **pads)

        return expanded_ids

    yield Swap("prompt.layout.expanded_ids", by)


@known_bug(
    "vision-markers-repeated",
    mechanism="template",
    clauses=("P20",),
    symptom="Worse answers to pictures and videos; positions count markers that upstream does not have.",
    cause="The whole `<|vision_start|><|image_pad|><|vision_end|>` is repeated, not the pad alone; or each frame "
    "of a video gets markers of its own, as later members of the family do it.",
    hidden_by="A picture of one merged token.",
    fix="One start marker, all pads of the medium, one end marker.",
)
def vision_markers_repeated() -> Iterator[Swap]:
    def by(right: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def expanded_ids(ids: Sequence[int], **settings: Any) -> np.ndarray:
            right_ids = right(ids, **settings)
            found: list[int] = []
            for before, token_id in zip([-1, *right_ids[:-1]], right_ids, strict=True):
                is_pad = token_id in (settings["image_token_id"], settings["video_token_id"])
                if is_pad and token_id == before:
                    at = list(ids).index(token_id)
                    found += [ids[at + 1], ids[at - 1]]  # the markers behind and before a pad
                found.append(int(token_id))
            return np.array(found, dtype=np.int64)

        return expanded_ids

    yield Swap("prompt.layout.expanded_ids", by)


@known_bug(
    "pad-ids-hard-coded",
    mechanism="vision-token scatter",
    clauses=("P20", "D2"),
    symptom="None with a release; elsewhere no pad is found, and the picture is not seen.",
    cause="151655 and 151656 are written into the code that repeats pads, counts positions and puts rows in "
    "place.",
    hidden_by="Every release, even one with another number of embedding rows. In `tiny` pads are 511 and 512.",
    fix="Read `image_token_id` and `video_token_id` of the config.",
)
def pad_ids_hard_coded() -> Iterator[Swap]:
    image, video = RELEASED_IDS.values()

    def repeated(right: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def expanded_ids(
            ids: Sequence[int], *, image_tokens: Sequence[int], video_tokens: Sequence[int], **pads: int
        ) -> np.ndarray:
            counts = {
                "image_tokens": image_tokens[: list(ids).count(image)],
                "video_tokens": video_tokens[: list(ids).count(video)],
            }
            return right(ids, **counts, **RELEASED_IDS)

        return expanded_ids

    def counted(right: Callable[..., Any]) -> Callable[..., Any]:
        def mrope_positions(
            ids: np.ndarray,
            mask: np.ndarray,
            images: np.ndarray,
            videos: np.ndarray,
            seconds: np.ndarray,
            **config: int,
        ) -> Any:
            clips = len(list(runs(ids, video)))
            images = images[: len(list(runs(ids, image)))]
            return right(ids, mask, images, videos[:clips], seconds[:clips], **config | RELEASED_IDS)

        return mrope_positions

    def embedded_tokens(
        ids: np.ndarray, image_rows: np.ndarray, video_rows: np.ndarray, weights: Any, *, config: Any
    ) -> np.ndarray:
        x: np.ndarray = weights.rows("embed_tokens.weight", ids).copy()
        for pad_id, rows in ((image, image_rows), (video, video_rows)):
            places = np.flatnonzero(ids == pad_id)
            x[places] = rows[: len(places)]
        return x

    yield Swap("prompt.layout.expanded_ids", repeated)
    yield Swap("language.mrope.mrope_positions", counted)
    yield Swap("language.embed.embedded_tokens", lambda right: embedded_tokens)


@other_way(pad_ids_hard_coded, "model")
def pad_ids_hard_coded_in_model() -> Iterator[AnySwap]:
    """The processor reads the config and repeats pads; the model has the ids written into it."""
    _, *in_model = pad_ids_hard_coded()
    yield from in_model


@known_bug(
    "pads-by-modality",
    mechanism="several media",
    clauses=("D2",),
    symptom="Prompts with pictures and videos are answered as if these had changed places, or had been cut up.",
    cause="Rows of pictures and of videos are joined, and fill all pads of both kinds from the first one on.",
    hidden_by="One kind of medium, and prompts with all pictures in front of all videos.",
    fix="Fill image pads with rows of pictures, and video pads with rows of videos.",
)
def pads_by_modality() -> Iterator[Swap]:
    def embedded_tokens(
        ids: np.ndarray, image_rows: np.ndarray, video_rows: np.ndarray, weights: Any, *, config: Any
    ) -> np.ndarray:
        x: np.ndarray = weights.rows("embed_tokens.weight", ids).copy()
        x[np.isin(ids, [config.image_token_id, config.video_token_id])] = np.concatenate([image_rows, video_rows])
        return x

    yield Swap("language.embed.embedded_tokens", lambda right: embedded_tokens)
