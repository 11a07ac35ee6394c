"""Known bugs of window order and of the segments of attention (section 07)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.port.mutants.mutant import Swap, known_bug


@known_bug(
    "order-for-inverse",
    mechanism="window order",
    clauses=("M4", "W4"),
    symptom="Pictures are described as if they had been cut up and shuffled, at some sizes only; boxes and text "
    "suffer first.",
    cause="The inverse of the window order is taken to be the order itself, or a gather stands where a scatter "
    "must: `rows[order]` for `restored[order] = rows`.",
    hidden_by="Any picture of one window, and every one of 448 pixels of width whose height in merged tokens is "
    "0 or 1 modulo 4, where the order is its own inverse.",
    fix="Put row i to place order[i]: `restored[order] = rows`, or `rows[argsort(order)]`.",
    threads=("lablup/mlxcel#1601", "lablup/mlxcel#1596", "lablup/mlxcel#1600"),
)
def order_for_inverse() -> Iterator[Swap]:
    yield Swap("vision.windows.inverse_order", lambda right: lambda order: order)


@known_bug(
    "no-window-order",
    mechanism="window order",
    clauses=("W2",),
    symptom="Fluent answers with wrong details: each patch attends to others than those around it.",
    cause="Windows are cut from the tokens as they come, row by row, without moving them first.",
    hidden_by="A picture of up to four merged tokens in width, or of one row: its order is the identity.",
    fix="Reorder tokens and rotation angles with `window_order` in front of the first block.",
)
def no_window_order() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def window_order(grids: np.ndarray, *, window_m: int) -> tuple[np.ndarray, np.ndarray]:
            order, starts = right(grids, window_m=window_m)
            return np.arange(len(order)), starts

        return window_order

    yield Swap("vision.windows.window_order", by)


@known_bug(
    "window-in-patches",
    mechanism="window order",
    clauses=("W12",),
    symptom="Fluent answers with wrong details: windows have four times the area that the model was trained with.",
    cause="`window_size`, 112 pixels, is divided by the patch and not by the merge size, or is taken for a "
    "number of tokens as it is.",
    hidden_by="A picture that fits one window of the right side. A config with other numbers (a window of 56 "
    "pixels, patches of 16) tells the units apart better than the released one.",
    fix="`window_px // merge_p // patch_px`: 4 merged tokens in every release.",
    threads=("ByteDance-Seed/VeOmni#1024",),
)
def window_in_patches() -> Iterator[Swap]:
    yield Swap("config.VisionConfig.window_m", lambda right: lambda config: config.window_px // config.patch_px)


@known_bug(
    "window-side-fixed",
    mechanism="window order",
    clauses=("W12",),
    symptom="None with a release; a checkpoint with another window is read wrong.",
    cause="The side of 4 merged tokens, or 112 pixels, is written into the code.",
    hidden_by="Every released config.",
    fix="Compute the side from `window_size`, `patch_size` and `spatial_merge_size` of the config.",
)
def window_side_fixed() -> Iterator[Swap]:
    yield Swap("config.VisionConfig.window_m", lambda right: lambda config: 4)


@known_bug(
    "whole-windows-only",
    mechanism="window order",
    clauses=("W3",),
    symptom="Right where both sides are multiples of 112 pixels; elsewhere patches at the right and at the "
    "bottom attend to some that lie far away.",
    cause="The rows in window order are cut into pieces of 16 merged tokens, as if no window were short.",
    hidden_by="Pictures whose sides in merged tokens are multiples of 4, such as 224 x 224 and 448 x 448 pixels.",
    fix="A window at the edge holds just the tokens that exist: take its length from the grid.",
    threads=("vllm-project/vllm-gaudi#698",),
)
def whole_windows_only() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def window_order(grids: np.ndarray, *, window_m: int) -> tuple[np.ndarray, np.ndarray]:
            order, _ = right(grids, window_m=window_m)
            return order, np.array([*range(0, len(order), window_m**2), len(order)])

        return window_order

    yield Swap("vision.windows.window_order", by)


@known_bug(
    "patches-leave-their-block",
    mechanism="window order",
    clauses=("W4",),
    symptom="Noise instead of a description: the merger joins patches that lie far apart.",
    cause="Rows are viewed as `[merge_unit, tokens]` for `[tokens, merge_unit]` before they are gathered.",
    hidden_by="A picture of one merge block, and one of a single colour.",
    fix="View rows as `[tokens, merge_unit, width]`, gather along the first axis, and flatten again.",
)
def patches_leave_their_block() -> Iterator[Swap]:
    def reordered(rows: np.ndarray, order: np.ndarray, *, merge_unit: int) -> np.ndarray:
        return rows.reshape(merge_unit, len(order), *rows.shape[1:])[:, order].reshape(rows.shape)

    yield Swap("vision.windows.reordered", lambda right: reordered)
