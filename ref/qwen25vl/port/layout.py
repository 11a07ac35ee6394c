"""Section 15 - layout: what is known about the rows of a case's parts?"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.config import Config
from qwen25vl.golden.case import Run
from qwen25vl.port.error_view import Layout
from qwen25vl.tap_names import IN_PARTS
from qwen25vl.vision.windows import frame_starts, window_order

ORIGINAL_ORDER = ("vision.patch_embed.out", "vision.out")
"""Taps of the vision encoder that are not in window order."""


def layouts(run: Run | None, config: Config) -> Mapping[str, Layout]:
    """Describe the rows of a run: of its vision taps in window order, in their own order, and of its tokens.

    Args:
        run: of the case; None if it has none.
        config: of the checkpoint.

    Returns:
        `window`, `original` and `tokens`; of a batch the first prompt's.
    """
    if run is None:
        return {}
    inputs, vision = run.inputs.row(0), config.vision
    ids = inputs.ids[0]
    is_vision = (ids == config.image_token_id) | (ids == config.video_token_id)
    tokens = Layout(vision_rows=is_vision, sections=config.text.mrope_section)
    grids = np.concatenate([inputs.image_grids, inputs.video_grids])
    if len(grids) == 0:
        return {"tokens": tokens}
    order, starts_m = window_order(
        grids // np.array([1, vision.merge_p, vision.merge_p]), window_m=vision.window_m
    )
    frames = _segment_of_row(frame_starts(grids))
    windows = _segment_of_row(starts_m * vision.merge_unit)
    moved = (order[:, np.newaxis] * vision.merge_unit + np.arange(vision.merge_unit)).ravel()
    known: dict[str, Any] = {"merge_unit": vision.merge_unit, "window_order": order}
    return {
        "tokens": replace(tokens, window_order=order),
        "window": Layout(frame_of_row=frames[moved], window_of_row=windows, **known),
        "original": Layout(frame_of_row=frames, **known),
    }


def layout_of(part_id: str, known: Mapping[str, Layout]) -> Layout:
    """Choose the layout of a part's rows; of a later prompt of a batch, or a piece of one, it is not known."""
    plain = IN_PARTS.sub("", part_id, count=1)
    if part_id.removesuffix(plain) not in ("", "rows.00."):
        return Layout()
    if plain.startswith(("language.", "logits")):
        return known.get("tokens", Layout())
    if plain.startswith("vision.") and plain not in ORIGINAL_ORDER:
        return known.get("window", Layout())
    return known.get("original", Layout())


def patches_of_rows(run: Run, config: Config, part_id: str) -> np.ndarray | None:
    """Return the patch, in the order of the pixel rows, of each row of a tap of the first prompt, else None."""
    plain = IN_PARTS.sub("", part_id, count=1)
    if part_id.removesuffix(plain) not in ("", "rows.00."):
        return None
    known = layouts(run, config)
    if not plain.startswith("vision.") or "window" not in known or plain.endswith(("_order", "_starts")):
        return None
    order = known["window"].window_order
    if order is None:
        return None
    unit = config.vision.merge_unit
    count = len(order) * unit
    if plain in ORIGINAL_ORDER:
        return np.arange(count)
    return (order[:, np.newaxis] * unit + np.arange(unit)).ravel()


def _segment_of_row(starts: np.ndarray) -> np.ndarray:
    """Number the segment of each row."""
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))
