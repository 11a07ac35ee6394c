"""Section 04 - layout: how many places of the sequence does each image and each video take?"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64

from qwen25vl.errors import BadInput


def expanded_ids(
    ids: Sequence[int],
    *,
    image_tokens: Sequence[int],
    video_tokens: Sequence[int],
    image_token_id: int,
    video_token_id: int,
) -> Int64[np.ndarray, " L"]:
    """The ids of a prompt with each pad id repeated as often as its image or video has merged tokens.

        tokens = T * H * W / merge_p**2        (grid in patches)

    Args:
        ids: the tokenised prompt, with one pad id per image and per video.
        image_tokens: merged tokens of each image, in prompt order, at least 1 each.
        video_tokens: merged tokens of each video, likewise, counted apart from the images.
        image_token_id: the pad id of an image.
        video_token_id: the pad id of a video.

    Returns:  a new array; its pads are the rows that the vision tower fills, in order
    Raises:   BadInput: there are more or fewer pads than images or videos, or a count is not positive
    Source:   transformers 5.23.0 processing_qwen2_5_vl.py, replace_image_token (on the text, not the ids)
    Spec:     spec/04-prompt.md (P20, P21)
    """
    _check_counts(ids, pad=image_token_id, tokens=image_tokens, kind="image")
    _check_counts(ids, pad=video_token_id, tokens=video_tokens, kind="video")
    expanded: list[int] = []
    next_image = next_video = 0
    for token_id in ids:  # (P20)
        copies = 1
        if token_id == image_token_id:
            copies = image_tokens[next_image]
            next_image += 1
        elif token_id == video_token_id:
            copies = video_tokens[next_video]
            next_video += 1
        expanded.extend([token_id] * copies)
    return np.array(expanded, dtype=np.int64)


def check_positions(positions: Int64[np.ndarray, "3 B L"], mask: Bool[np.ndarray, "B L"], *, limit: int) -> None:
    """Refuse a prompt that needs more positions than the model has.

    Args:
        positions: time, height and width of each token.
        mask: False on padding.
        limit: positions of the model, from 0 [max_position_embeddings].

    Raises:   BadInput: with the number of the prompt, its largest position, the limit and the tokens
    Spec:     spec/04-prompt.md (P27)
    """
    for b, row in enumerate(mask):
        largest = int(positions[:, b, row].max(initial=0))
        if largest >= limit:  # (P27)
            which = "the prompt" if len(mask) == 1 else f"prompt {b}"
            raise BadInput(
                f"{which} of {int(row.sum())} tokens reaches position {largest}, but the model has positions 0 to "
                f"{limit - 1} (max_position_embeddings {limit}); shorten its text, or give fewer or smaller "
                "pictures and videos"
            )


def _check_counts(ids: Sequence[int], *, pad: int, tokens: Sequence[int], kind: str) -> None:
    """(P21) As many pads as media, and a place or more for each."""
    pads = sum(1 for token_id in ids if token_id == pad)
    if pads != len(tokens):
        raise BadInput(
            f"the prompt has {pads} {kind} pads (id {pad}) but {len(tokens)} {kind}s were given; "
            f"give one {kind} part per {kind}, and no pad in a text"
        )
    for place, count in enumerate(tokens):
        if count < 1:
            raise BadInput(f"{kind} {place} must have at least 1 merged token, got {count}")
