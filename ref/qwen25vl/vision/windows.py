"""Section 07 - windows: which merged tokens may attend to each other, and in what order do they lie?"""

import numpy as np
from jaxtyping import Int64


def window_order(
    grids: Int64[np.ndarray, "media 3"], *, window_m: int
) -> tuple[Int64[np.ndarray, " M"], Int64[np.ndarray, " boundaries"]]:
    """List merged tokens window by window, and where each window begins.

    Args:
        grids: one row `(T, Hm, Wm)` for each picture or video, in merged tokens.
        window_m: side of a square window, in merged tokens (4 in every release).

    Returns:
        `order`, such that `tokens[order]` is the window-major sequence, and `starts`, such that window
        i is `order[starts[i]:starts[i + 1]]`; the last entry of `starts` is the number of tokens.

    Raises:
        ValueError: if a grid has an empty side, or `window_m` is not positive.

    Source: paper 2.1.1; transformers 5.23.0 vision_utils.py, get_vision_window_index
    Spec: spec/07-windows.md (W0 to W3)
    """
    if window_m <= 0 or np.any(grids <= 0):
        raise ValueError(f"need positive sides, got {window_m=} and {grids.tolist()=}")

    windows = [np.empty(0, dtype=np.int64)]
    first_token = 0
    for T, Hm, Wm in grids.tolist():
        token = first_token + np.arange(T * Hm * Wm).reshape(T, Hm, Wm)
        for t in range(T):  # (W1) a window never spans two frames
            for top in range(0, Hm, window_m):
                for left in range(0, Wm, window_m):  # (W2) row-major windows
                    window = token[t, top : top + window_m, left : left + window_m]
                    windows.append(window.ravel())  # (W3) short where the grid ends, never empty
        first_token += T * Hm * Wm

    order = np.concatenate(windows)  # (W0) every token once
    starts = np.cumsum([len(window) for window in windows])
    return order, starts


def patch_starts(starts: Int64[np.ndarray, " boundaries"], *, merge_unit: int) -> Int64[np.ndarray, " boundaries"]:
    """Tell where windows begin in patches, the unit of everything that attends.

    Args:
        starts: first merged token of each window, and the end.
        merge_unit: patches in one merged token (4 in every release).

    Spec: spec/07-windows.md (W4)
    """
    return starts * merge_unit  # (W4) whole blocks


def frame_starts(grids: Int64[np.ndarray, "media 3"]) -> Int64[np.ndarray, " boundaries"]:
    """List where each frame begins: the segments of full attention.

    Args:
        grids: one row `(T, H, W)` for each picture or video; the result counts in the same unit.

    Returns:
        Frame i holds tokens `starts[i]` to `starts[i + 1]`; the last entry is the number of tokens.

    Source: transformers 5.23.0 vision_utils.py, get_vision_cu_seqlens
    Spec: spec/07-windows.md (W6)
    """
    sizes = [H * W for T, H, W in grids.tolist() for _ in range(T)]  # (W6) one segment per frame
    return np.cumsum([0, *sizes], dtype=np.int64)


def inverse_order(order: Int64[np.ndarray, " M"]) -> Int64[np.ndarray, " M"]:
    """List the place of each merged token in the window order: it leads back to the first order.

    Args:
        order: the merged token at each place.

    Source: transformers 5.23.0 Qwen2_5_VisionTransformerPretrainedModel.forward, torch.argsort(window_index)
    Spec: spec/07-windows.md (W4), spec/08-merger.md (M4)
    """
    places = np.empty_like(order)
    places[order] = np.arange(len(order))  # trap: the order itself is its own inverse at 448 x 448 pixels
    return places


def reordered(rows: np.ndarray, order: Int64[np.ndarray, " M"], *, merge_unit: int) -> np.ndarray:
    """Move whole merge blocks: the `merge_unit` rows of a merged token stay together, in their order.

    Args:
        rows: one row per patch, in merge-block order.
        order: a permutation of the merged tokens.
        merge_unit: patches in one merged token (4 in every release).

    Spec: spec/07-windows.md (W4)
    """
    blocks = rows.reshape(len(order), merge_unit, *rows.shape[1:])
    return blocks[order].reshape(rows.shape)  # (W4)
