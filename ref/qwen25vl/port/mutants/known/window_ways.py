"""Other ways to the known bugs of windows and of the list of full-attention blocks (section 07)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.config import VisionConfig
from qwen25vl.ops import Ops
from qwen25vl.port.mutants.known.full_attention import all_blocks_full, full_blocks_windowed, segments_swapped
from qwen25vl.port.mutants.known.segments import windows_span_frames
from qwen25vl.port.mutants.known.windows import (
    no_window_order,
    patches_leave_their_block,
    whole_windows_only,
    window_in_patches,
)
from qwen25vl.port.mutants.mutant import Swap, other_way

MERGE_P = 2
"""Side of a merge block, in patches."""

# -------------------------------------------------------------------------------------- window order


@other_way(no_window_order, "not-put-back")
def merged_tokens_stay_in_window_order() -> Iterator[Swap]:
    """Tokens are moved, and the merged ones are handed over as they lie."""
    yield Swap("vision.windows.inverse_order", lambda right: lambda order: np.arange(len(order)))


@other_way(window_in_patches, "pixels-as-tokens")
def window_in_pixels() -> Iterator[Swap]:
    """`window_size` is taken for a number of tokens: one window holds most pictures."""
    yield Swap("config.VisionConfig.window_m", lambda right: lambda config: config.window_px)


@other_way(windows_span_frames, "tall-picture")
def frames_as_a_tall_picture() -> Iterator[Swap]:
    """Windows are cut from `T * H` rows, as if the frames of a clip were one picture."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def window_order(grids: np.ndarray, *, window_m: int) -> tuple[np.ndarray, np.ndarray]:
            T, Hm, Wm = grids.T
            order, starts = right(np.stack([np.ones_like(T), T * Hm, Wm], axis=1), window_m=window_m)
            return order, starts

        return window_order

    yield Swap("vision.windows.window_order", by)


@other_way(patches_leave_their_block, "single-patches")
def patches_moved_one_by_one() -> Iterator[Swap]:
    """Rows move by an order of single patches, as if they came row by row and not block by block."""
    latest: list[np.ndarray] = []

    def remembered(right: Callable[..., Any]) -> Callable[..., Any]:
        def window_order(grids: np.ndarray, *, window_m: int) -> tuple[np.ndarray, np.ndarray]:
            grids_p = grids * np.array([1, MERGE_P, MERGE_P])
            latest[:] = [right(grids_p, window_m=MERGE_P * window_m)[0]]
            order, starts = right(grids, window_m=window_m)
            return order, starts

        return window_order

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def reordered(rows: np.ndarray, order: np.ndarray, *, merge_unit: int) -> Any:
            known = bool(latest) and len(latest[0]) == len(rows)
            return rows[latest[0]] if known else right(rows, order, merge_unit=merge_unit)

        return reordered

    yield Swap("vision.windows.window_order", remembered)
    yield Swap("vision.windows.reordered", by)


@other_way(whole_windows_only, "filled-up")
def windows_filled_up() -> Iterator[Swap]:
    """Windows at the edge are filled up with zeros, and queries see keys and values of the filling."""
    block = [0]

    def restarted(right: Callable[..., Any]) -> Callable[..., Any]:
        def encoded_vision(*arrays: Any, **settings: Any) -> Any:
            block[0] = 0
            return right(*arrays, **settings)

        return encoded_vision

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def vision_block(*arrays: Any, config: VisionConfig, ops: Ops, **settings: Any) -> Any:
            whole = config.window_m**2 * config.merge_unit

            def filled(x: np.ndarray) -> np.ndarray:
                return np.concatenate([x, np.zeros((max(0, whole - len(x)), *x.shape[1:]), x.dtype)])

            def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, **s: Any) -> np.ndarray:
                return ops.attention(q, filled(k), filled(v), **{**s, "probs": None})

            windowed = block[0] not in config.full_attention_blocks
            block[0] += 1
            other = replace(ops, attention=attention) if windowed else ops
            return right(*arrays, config=config, ops=other, **settings)

        return vision_block

    yield Swap("vision.encoder.encoded_vision", restarted)
    yield Swap("vision.block.vision_block", by)


# ------------------------------------------------------------------------- boundaries handed over


def other_boundaries(*, windows: bool, frames: bool) -> Iterator[Swap]:
    """Put the boundaries of frames in the place of those of windows (`windows`), or the reverse (`frames`)."""
    grids_m: list[np.ndarray] = []
    starts_p: list[np.ndarray] = []

    def order_remembered(right: Callable[..., Any]) -> Callable[..., Any]:
        def window_order(grids: np.ndarray, *, window_m: int) -> tuple[np.ndarray, np.ndarray]:
            grids_m[:] = [grids]
            order, starts = right(grids, window_m=window_m)
            return order, starts

        return window_order

    def of_windows(right: Callable[..., Any]) -> Callable[..., Any]:
        def patch_starts(starts: np.ndarray, *, merge_unit: int) -> Any:
            starts_p[:] = [right(starts, merge_unit=merge_unit)]
            if not windows or not grids_m:
                return starts_p[0]
            sizes = [Hm * Wm for T, Hm, Wm in grids_m[0].tolist() for _ in range(T)]
            return right(np.cumsum([0, *sizes]), merge_unit=merge_unit)

        return patch_starts

    def of_frames(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda grids: starts_p[0] if frames and starts_p else right(grids)

    yield Swap("vision.windows.window_order", order_remembered)
    yield Swap("vision.windows.patch_starts", of_windows)
    yield Swap("vision.windows.frame_starts", of_frames)


@other_way(all_blocks_full, "boundaries")
def frames_for_windows() -> Iterator[Swap]:
    """The blocks that should have windows are handed the boundaries of frames."""
    yield from other_boundaries(windows=True, frames=False)


@other_way(full_blocks_windowed, "boundaries")
def windows_for_frames() -> Iterator[Swap]:
    """The blocks of full attention are handed the boundaries of windows."""
    yield from other_boundaries(windows=False, frames=True)


@other_way(segments_swapped, "boundaries")
def windows_and_frames_exchanged() -> Iterator[Swap]:
    """The two arrays of boundaries have each other's name."""
    yield from other_boundaries(windows=True, frames=True)
