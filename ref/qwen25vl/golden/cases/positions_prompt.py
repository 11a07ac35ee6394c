"""Section 15 - prompts of position cases: which ids and grids make the prompts that positions go wrong on?

The ids are laid out by hand from the special ids of the config; other texts are ids from 1 on. Merge size and
positions per second are the release's, whatever the checkpoint has, so that the positions are the published ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from qwen25vl.config import Config
from qwen25vl.golden.case import Lab, Part, count_part
from qwen25vl.language.mrope import mrope_positions

MERGE_P = 2
"""Side of a merge block in patches, in every release."""

TOKENS_PER_SECOND = 2
"""Positions per second, in every release."""


@dataclass(frozen=True)
class Medium:
    """A picture or a video of a prompt."""

    kind: str
    """`image` or `video`."""
    grid_m: tuple[int, int, int]
    """Rows of time, height and width in merged tokens."""
    fps: float = 2.0
    """Frames per second of a video; a row of time holds two frames."""


def image(height_m: int, width_m: int) -> Medium:
    """Return a picture."""
    return Medium("image", (1, height_m, width_m))


def video(T: int, height_m: int, width_m: int, *, fps: float) -> Medium:
    """Return a video of T rows of time."""
    return Medium("video", (T, height_m, width_m), fps)


def prompt_ids(config: Config, *pieces: int | Medium) -> Int64[np.ndarray, " L"]:
    """Return the ids of a prompt of texts and media.

    Args:
        config: names the special ids.
        pieces: media, and between them lengths of text. A text holds the end marker of the medium before it and
            the start marker of the one behind it, so it has two tokens at least between media, else one.
    """
    ids: list[int] = []
    for place, piece in enumerate(pieces):
        if isinstance(piece, Medium):
            pad = config.image_token_id if piece.kind == "image" else config.video_token_id
            ids += [pad] * int(np.prod(piece.grid_m))
            continue
        text = [1 + (len(ids) + i) % 100 for i in range(piece)]
        if place > 0:
            text[0] = config.vision_end_token_id
        if place + 1 < len(pieces):
            text[-1] = config.vision_start_token_id
        ids += text
    return np.array(ids, dtype=np.int64)


def grids_p(media: Sequence[Medium], kind: str, *, merge_p: int) -> Int64[np.ndarray, "media 3"]:
    """Return the grids of the media of one kind, in patches."""
    grids_m = np.array([medium.grid_m for medium in media if medium.kind == kind], dtype=np.int64).reshape(-1, 3)
    return grids_m * np.array([1, merge_p, merge_p])


def batch_positions(
    lab: Lab,
    ids: Int64[np.ndarray, "B L"],
    mask: Bool[np.ndarray, "B L"],
    media: Sequence[Medium],
    *,
    merge_p: int = MERGE_P,
    tokens_per_second: int = TOKENS_PER_SECOND,
) -> Iterator[Part]:
    """Give a batch of prompts with its media, then `outputs.positions` and `outputs.delta`."""
    config = lab.config
    images, videos = (grids_p(media, kind, merge_p=merge_p) for kind in ("image", "video"))
    seconds = np.array([2.0 / medium.fps for medium in media if medium.kind == "video"])
    constants = [config.image_token_id, config.video_token_id, merge_p, tokens_per_second]
    meaning = "id of a picture's pad, of a video's pad, side of a merge block in patches, positions per second"
    yield Part("inputs.ids", ids, "B L", "token ids, pads expanded")
    yield Part("inputs.mask", mask, "B L", "false on padding")
    yield Part("inputs.image_grids", images, "images 3", "T, H, W in patches")
    yield Part("inputs.video_grids", videos, "videos 3", "T, H, W in patches")
    yield Part("inputs.second_per_grid", seconds, "videos", "seconds that a row of time spans")
    yield count_part("inputs.constants", constants, "constants", meaning)
    positions, delta = mrope_positions(
        ids,
        mask,
        images,
        videos,
        seconds,
        image_token_id=config.image_token_id,
        video_token_id=config.video_token_id,
        merge_p=merge_p,
        tokens_per_second=tokens_per_second,
    )
    yield Part("outputs.positions", positions, "3 B L", "time, height and width position of each token")
    yield Part("outputs.delta", delta, "B", "what the index of a later token lacks to its position")


def one_prompt(lab: Lab, *pieces: int | Medium, **constants: int) -> Iterator[Part]:
    """Give one prompt, without padding and without an axis for a batch; its positions are the tap."""
    ids = prompt_ids(lab.config, *pieces)
    media = [piece for piece in pieces if isinstance(piece, Medium)]
    mask = np.ones((1, len(ids)), dtype=bool)
    for part in batch_positions(lab, ids[np.newaxis], mask, media, **constants):
        if part.id == "inputs.ids":
            yield Part(part.id, ids, "L", part.meaning)
        elif part.id == "outputs.positions":
            yield Part("language.positions", part.array[:, 0], "3 L", part.meaning)
        elif part.id != "inputs.mask":
            yield part
