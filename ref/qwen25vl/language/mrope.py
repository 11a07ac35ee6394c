"""Section 09 - MRoPE: which time, height and width position does each token get?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from qwen25vl.layers.rotary import inverse_frequencies
from qwen25vl.ops import Ops

PADDED_POSITION = 1
"""What stands in the slots of padding. Nothing reads it; upstream to 4.51.3 leaves 1 there."""


@dataclass(frozen=True)
class _Medium:
    """One picture or video, as the walk over the ids meets it."""

    pad_id: int
    grid_m: tuple[int, int, int]
    second_per_grid: float
    """Seconds between neighbouring rows of the time axis; 0 for a picture."""


def mrope_positions(
    ids: Int64[np.ndarray, "B L"],
    mask: Bool[np.ndarray, "B L"],
    image_grids: Int64[np.ndarray, "images 3"],
    video_grids: Int64[np.ndarray, "videos 3"],
    second_per_grid: Float[np.ndarray, " videos"],
    *,
    image_token_id: int,
    video_token_id: int,
    merge_p: int,
    tokens_per_second: int,
) -> tuple[Int64[np.ndarray, "3 B L"], Int64[np.ndarray, " B"]]:
    """Give each token its three positions, and each sequence the offset with which decoding goes on.

    Args:
        ids: token ids, padded to one length.
        mask: False on padding.
        image_grids: `(T, H, W)` in patches, in prompt order, running on through the batch.
        video_grids: likewise.
        second_per_grid: seconds that one row of a video's time axis spans.
        image_token_id: id whose run stands for a picture.
        video_token_id: id whose run stands for a video.
        merge_p: side of a merge block, in patches.
        tokens_per_second: temporal positions per second.

    Returns:
        positions (time, height, width), and `delta`: the token at index i of the padded sequence, where
        i is beyond the prompt, has position `i + delta` on all three axes.

    Raises:
        ValueError: if a run of pad ids does not fit its grid, or grids are left over or too few.

    Source: paper 2.1.3; transformers 4.51.3 get_rope_index; the authors' get_rope_index_25
    Spec: spec/09-mrope.md (T1 to T9)
    """
    images = iter([_Medium(image_token_id, _merged(g, merge_p), 0.0) for g in image_grids.tolist()])
    videos = iter(
        _Medium(video_token_id, _merged(g, merge_p), s)
        for g, s in zip(video_grids.tolist(), second_per_grid.tolist(), strict=True)
    )
    media = {image_token_id: images, video_token_id: videos}  # (T8) counted on through the batch

    positions = np.full((3, *ids.shape), PADDED_POSITION, dtype=np.int64)  # (T9)
    delta = np.zeros(len(ids), dtype=np.int64)
    for b in range(len(ids)):
        row = _row_positions(ids[b, mask[b]], media, tokens_per_second=tokens_per_second)
        positions[:, b, mask[b]] = row
        delta[b] = row.max(initial=-1) + 1 - ids.shape[1]  # (T7) against the padded length
    if any(next(rest, None) is not None for rest in media.values()):
        raise ValueError("more pictures or videos than runs of pad ids in the prompt")
    return positions, delta


def _row_positions(
    ids: Int64[np.ndarray, " L"], media: dict[int, Iterator[_Medium]], *, tokens_per_second: int
) -> Int64[np.ndarray, "3 L"]:
    """Walk over one sequence without padding: text, medium, text, medium ... text."""
    segments = [np.empty((3, 0), dtype=np.int64)]
    start = 0  # the next segment's smallest position
    at = 0
    while at < len(ids):
        pad_id = int(ids[at])
        if pad_id in media:
            medium = next(media[pad_id], None)
            segment = _medium_positions(ids, medium, at=at, tokens_per_second=tokens_per_second)
        else:
            pads = np.flatnonzero(np.isin(ids[at:], list(media)))
            length = pads[0] if len(pads) else len(ids) - at
            segment = np.tile(np.arange(length), (3, 1))  # (T1) text: three equal positions
        segments.append(segment + start)  # (T2) a medium starts where the text before it ended
        start = next_start(segments[-1])
        at += segment.shape[1]
    return np.concatenate(segments, axis=1)


def next_start(segment: Int64[np.ndarray, "3 _"]) -> int:
    """Return the smallest position of what comes behind a text or a medium.

    Args:
        segment: positions of the text or the medium.

    Spec: spec/09-mrope.md (T2, T3)
    """
    return int(segment.max()) + 1  # (T3) after the largest of all three axes


def _medium_positions(
    ids: Int64[np.ndarray, " L"], medium: _Medium | None, *, at: int, tokens_per_second: int
) -> Int64[np.ndarray, "3 M"]:
    """Give the run of pad ids at index `at` its positions, counted from 0, if it fits its grid."""
    if medium is None:
        raise ValueError(f"pad id {ids[at]} at index {at} of the prompt has no picture or video left")
    T, Hm, Wm = medium.grid_m
    run = ids[at : at + T * Hm * Wm]
    if len(run) < T * Hm * Wm or np.any(run != medium.pad_id):
        raise ValueError(
            f"the grid {medium.grid_m} in merged tokens needs {T * Hm * Wm} ids {medium.pad_id} from index {at} "
            "of the prompt on"
        )
    return block_positions(
        medium.grid_m, second_per_grid=medium.second_per_grid, tokens_per_second=tokens_per_second
    )


def block_positions(
    grid_m: tuple[int, int, int], *, second_per_grid: float, tokens_per_second: int
) -> Int64[np.ndarray, "3 M"]:
    """Give the tokens of one medium their positions, counted from 0.

    Args:
        grid_m: `(T, Hm, Wm)` in merged tokens.
        second_per_grid: seconds from one row of the time axis to the next; 0 keeps time constant.
        tokens_per_second: temporal positions per second.

    Spec: spec/09-mrope.md (T4)
    """
    T, Hm, Wm = grid_m
    times = row_times(T, second_per_grid=second_per_grid, tokens_per_second=tokens_per_second)
    axes = np.meshgrid(times, np.arange(Hm), np.arange(Wm), indexing="ij")  # (T4) frame, row, column
    return np.stack([axis.ravel() for axis in axes])


def row_times(T: int, *, second_per_grid: float, tokens_per_second: int) -> Int64[np.ndarray, " {T}"]:
    """Give each row of a medium's time axis its position, counted from 0.

    Spec: spec/09-mrope.md (T5, T6)
    """
    seconds = np.arange(T, dtype=np.float32) * np.float32(second_per_grid)  # (T5) float32, this product first
    # trap: truncating `second_per_grid` before the product freezes time above 2 fps (transformers 4.52 to 5.17)
    return np.trunc(seconds * np.float32(tokens_per_second)).astype(np.int64)  # (T6)


def later_positions(index: int, count: int, *, delta: int) -> Int64[np.ndarray, "3 {count}"]:
    """Give the tokens that follow a prompt their positions, equal on all three axes.

    Args:
        index: of the first of them, in the sequence.
        count: of the tokens.
        delta: of the prompt.

    Spec: spec/09-mrope.md (T7)
    """
    return np.tile(index + np.arange(count) + delta, (3, 1))  # (T7)


def mrope_rotation(
    positions: Int64[np.ndarray, "3 L"],
    *,
    head_dim: int,
    theta: float,
    sections: tuple[int, int, int],
    ops: Ops,
) -> tuple[Float[np.ndarray, "L d"], Float[np.ndarray, "L d"]]:
    """Compute cosine and sine of every channel's angle: each frequency follows one of the three axes.

    Args:
        positions: time, height and width of each token.
        head_dim: width d of a head.
        theta: base of the frequencies.
        sections: how many frequencies follow time, height and width, in this order.
        ops: its precision is that of the angles; the frequencies are float32-valued in all of them.

    Source: transformers 5.23.0 Qwen2_5_VLRotaryEmbedding, recomposition_frequencies
    Spec: spec/09-mrope.md (T10, T11)
    """
    dtype = ops.precision.dtype
    frequencies = inverse_frequencies(width=head_dim, theta=theta).astype(dtype)  # (N2) [d/2]
    axis = np.repeat([0, 1, 2], sections)  # (T10) contiguous, [d/2]: the first frequencies follow time
    half = positions[axis].T.astype(dtype) * frequencies  # [L, d/2]
    whole = np.concatenate([half, half], axis=-1)  # (T11) channel j pairs with j + d/2
    return ops.cos(whole), ops.sin(whole)


def _merged(grid: list[int], merge_p: int) -> tuple[int, int, int]:
    """Turn `(T, H, W)` in patches into merged tokens."""
    T, H, W = grid
    return T, H // merge_p, W // merge_p
