"""Section 07 - window boxes: where in a picture or a clip does each window lie?"""

import numpy as np
from jaxtyping import Int64

from qwen25vl.vision.windows import window_order


def window_boxes(grid_m: tuple[int, int, int], *, window_m: int) -> Int64[np.ndarray, "windows 5"]:
    """Give each window its box, in window order: (frame, top, left, height, width) in merged tokens.

    The boxes are read off `window_order`; nothing is decided here.

    Args:
        grid_m: `(T, Hm, Wm)` of one picture or video, in merged tokens.
        window_m: side of a square window, in merged tokens.

    Raises:
        ValueError: as in `window_order`.

    Spec: spec/07-windows.md (W1 to W3)
    """
    order, starts = window_order(np.array([grid_m], dtype=np.int64), window_m=window_m)
    places = np.stack(np.unravel_index(order, grid_m))  # frame, row and column of each token, [3, M]
    first = np.minimum.reduceat(places, starts[:-1], axis=1)  # [3, windows]
    last = np.maximum.reduceat(places, starts[:-1], axis=1)
    sides = last[1:] - first[1:] + 1
    return np.concatenate([first, sides]).T.astype(np.int64)
