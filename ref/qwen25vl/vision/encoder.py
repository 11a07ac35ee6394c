"""Sections 05 to 08 - the vision encoder: from pixel rows to rows of the language model's width."""

import numpy as np
from jaxtyping import Float, Float32, Int64

from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import VisionConfig
from qwen25vl.ops import Ops
from qwen25vl.tap import Tap
from qwen25vl.vision.block import vision_block
from qwen25vl.vision.merger import merged_tokens
from qwen25vl.vision.patch_embed import patch_embedding
from qwen25vl.vision.rope_2d import patch_coordinates, vision_rotation
from qwen25vl.vision.windows import frame_starts, inverse_order, patch_starts, reordered, window_order


def encoded_vision(
    rows: Float32[np.ndarray, "P patch_dim"],
    grids: Int64[np.ndarray, "media 3"],
    weights: Weights,
    *,
    config: VisionConfig,
    ops: Ops,
    tap: Tap,
) -> Float[np.ndarray, "M E"]:
    """Encode pictures and videos, all in one call; none of them sees another.

    Args:
        rows: pixel rows of all media, one after the other, each in merge-block order.
        grids: one row `(T, H, W)` for each picture or video, in patches.
        weights: the scope `visual`.

    Returns:
        One row per merged token, in the order of `rows`: medium, frame, row, column.

    Raises:
        ValueError: if the grids do not account for every row.

    Source: paper 2.1.1; transformers 5.23.0 Qwen2_5_VisionTransformerPretrainedModel.forward
    Spec: spec/07-windows.md (W4, W5, W11, W12), spec/08-merger.md (M4)
    """
    if len(rows) != np.sum(np.prod(grids, axis=1)):
        raise ValueError(f"grids {grids.tolist()} need {np.sum(np.prod(grids, axis=1))} rows, got {len(rows)}")

    embedded = tap("patch_embed.out", patch_embedding(rows, weights["patch_embed.proj.weight"], ops=ops))
    cos, sin = vision_rotation(
        patch_coordinates(grids, merge_p=config.merge_p),
        head_dim=config.head_dim,
        theta=config.rope_theta,
        ops=ops,
    )
    grids_m = grids // np.array([1, config.merge_p, config.merge_p])
    order, starts_m = window_order(grids_m, window_m=config.window_m)  # (W12) not window_px
    order = tap("window_order", order)
    windows = tap("window_starts", patch_starts(starts_m, merge_unit=config.merge_unit))
    frames = tap("frame_starts", frame_starts(grids))

    x = reordered(embedded, order, merge_unit=config.merge_unit)
    # (W5) the angles move with their patches
    cos = tap("rope.cos", reordered(cos, order, merge_unit=config.merge_unit))
    sin = tap("rope.sin", reordered(sin, order, merge_unit=config.merge_unit))

    for i in range(config.depth):
        starts = frames if i in config.full_attention_blocks else windows  # (W11)
        x = vision_block(
            x,
            cos,
            sin,
            starts,
            weights.at(f"blocks.{i}"),
            config=config,
            ops=ops,
            tap=tap.at(f"blocks.{i:02d}"),
        )

    merged = merged_tokens(x, weights.at("merger"), config=config, ops=ops, tap=tap.at("merger"))
    return tap("out", merged[inverse_order(order)])  # (M4)
