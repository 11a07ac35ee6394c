"""Section 03 - report of a clip: which frames were chosen, and at which positions of time do they stand?"""

from typing import Any

import numpy as np

from qwen25vl.language.mrope import block_positions
from qwen25vl.media.clip import Clip
from qwen25vl.media.settings import MediaSettings
from qwen25vl.report.picture import grid_facts


def clip_report(clip: Clip, *, settings: MediaSettings, window_m: int, tokens_per_second: int) -> dict[str, Any]:
    """Say what became of a video.

    Args:
        clip: what `prepared_clip` gave.
        settings: with which it was prepared.
        window_m: side of an attention window, in merged tokens.
        tokens_per_second: temporal positions per second.

    Returns:
        The facts, fit for JSON. Sizes are height, width in pixels; `time_ids` has one entry for each row of the
        grid's time axis, counted from the clip's own start.

    Spec: spec/09-mrope.md (T5, T6)
    """
    height, width = clip.original_size
    new_height, new_width = clip.resized_size
    return {
        "kind": "video",
        "source_frames": clip.source_frames,
        "source_fps": clip.source_fps,
        "duration_s": clip.source_frames / clip.source_fps,
        "indices": clip.indices.tolist(),
        "times_s": clip.times_s.tolist(),
        "sampled_fps": clip.sampled_fps,
        "second_per_grid": clip.second_per_grid,
        "tokens_per_second": tokens_per_second,
        "time_ids": time_ids(clip, tokens_per_second=tokens_per_second),
        "temporal_patch_f": settings.temporal_patch_f,
        "limits": list(clip.limits),
        "original_size": [height, width],
        "resized_size": [new_height, new_width],
        "scale": [new_height / height, new_width / width],
        **grid_facts(clip.grid, rows=clip.rows, settings=settings, window_m=window_m),
    }


def time_ids(clip: Clip, *, tokens_per_second: int) -> list[int]:
    """Give each row of the time axis its temporal position, counted from 0.

    Spec: spec/09-mrope.md (T4 to T6)
    """
    positions = block_positions(
        (clip.grid[0], 1, 1), second_per_grid=clip.second_per_grid, tokens_per_second=tokens_per_second
    )
    ids: np.ndarray = positions[0]  # one token stands for its row: all of them have one time
    return ids.tolist()
