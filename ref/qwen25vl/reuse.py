"""Section 10 - reuse: how much of an earlier prompt need not be run again?"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from qwen25vl.config import Config
from qwen25vl.inputs import Inputs


def shared_length(earlier: Inputs, inputs: Inputs, *, config: Config) -> int:
    """Count the tokens at the beginning of a prompt whose keys and values an earlier prompt left behind.

    Args:
        earlier: one prompt, without padding, that was run.
        inputs: one prompt, without padding, that is to be run.

    Returns:
        The length of the common beginning, in ids, in positions and in pixels; at most all tokens but
        one, for the last token's scores are not in a cache.

    Spec: spec/10-decoder.md (D15)
    """
    longest = min(earlier.ids.shape[1], inputs.ids.shape[1] - 1)  # (D15) something is left to run
    same = earlier.ids[0, :longest] == inputs.ids[0, :longest]
    same &= np.all(earlier.positions[:, 0, :longest] == inputs.positions[:, 0, :longest], axis=0)
    for place in _changed_media(earlier, inputs, config=config):
        same[place:] = False  # (D15) trap: two pictures of one size have the same ids and positions
    return longest if same.all() else int(np.argmin(same))


def remaining_media(inputs: Inputs, *, start: int, config: Config) -> Inputs:
    """Leave out the pictures and videos whose tokens all stand before index `start`.

    One that `start` cuts in two is kept: its tokens are encoded together. Text, ids and positions stay whole.

    Spec: spec/10-decoder.md (D14)
    """
    before, unit = inputs.ids[0, :start], config.vision.merge_unit
    images = _finished(before, inputs.image_grids, pad_id=config.image_token_id, merge_unit=unit)
    videos = _finished(before, inputs.video_grids, pad_id=config.video_token_id, merge_unit=unit)
    return replace(
        inputs,
        image_rows=inputs.image_rows[_row_count(inputs.image_grids[:images]) :],
        image_grids=inputs.image_grids[images:],
        video_rows=inputs.video_rows[_row_count(inputs.video_grids[:videos]) :],
        video_grids=inputs.video_grids[videos:],
        second_per_grid=inputs.second_per_grid[videos:],
        pictures=inputs.pictures[images:],
        clips=inputs.clips[videos:],
        media_counts=((len(inputs.image_grids) - images, len(inputs.video_grids) - videos),),
    )


def _changed_media(earlier: Inputs, inputs: Inputs, *, config: Config) -> Iterator[int]:
    """Give the index of the first pad of each picture and video whose pixels or grid are not those of earlier."""
    for pad_id, rows, grids, old_rows, old_grids in (
        (
            config.image_token_id,
            inputs.image_rows,
            inputs.image_grids,
            earlier.image_rows,
            earlier.image_grids,
        ),
        (
            config.video_token_id,
            inputs.video_rows,
            inputs.video_grids,
            earlier.video_rows,
            earlier.video_grids,
        ),
    ):
        pads = np.flatnonzero(inputs.ids[0] == pad_id)
        for i in range(min(len(grids), len(old_grids))):
            first, end = _row_count(grids[:i]), _row_count(grids[: i + 1])
            old_first, old_end = _row_count(old_grids[:i]), _row_count(old_grids[: i + 1])
            same_rows = np.array_equal(rows[first:end], old_rows[old_first:old_end])
            if not same_rows or not np.array_equal(grids[i], old_grids[i]):  # trap: 2 x 4 blocks, and 4 x 2
                yield int(pads[first // config.vision.merge_unit])


def _finished(
    before: Int64[np.ndarray, " start"], grids: Int64[np.ndarray, "media 3"], *, pad_id: int, merge_unit: int
) -> int:
    """Count the media whose last token is among the tokens before."""
    ends = np.cumsum(np.prod(grids, axis=1) // merge_unit)
    return int(np.sum(ends <= np.sum(before == pad_id)))


def _row_count(grids: Int64[np.ndarray, "media 3"]) -> int:
    """Count the patches of some media."""
    return int(np.sum(np.prod(grids, axis=1)))
