"""Section 06 - 2-D rotary embedding: how does a patch know its row and column?"""

import numpy as np
from jaxtyping import Float, Float32, Int64

from qwen25vl.layers.rotary import inverse_frequencies
from qwen25vl.ops import Ops


def patch_coordinates(grids: Int64[np.ndarray, "media 3"], *, merge_p: int) -> Int64[np.ndarray, "P 2"]:
    """List row and column of every patch, in the order of the pixel rows.

    Args:
        grids: one row `(T, H, W)` for each picture or video, in patches.
        merge_p: side of a merge block, in patches.

    Returns:
        `(row, column)`, in patches, not in merged tokens, frame after frame, block after block. Time
        does not appear: every frame repeats the same coordinates.

    Raises:
        ValueError: if a side is not positive or not a multiple of `merge_p`.

    Source: transformers 5.23.0 vision_utils.py, get_vision_position_ids
    Spec: spec/06-rotary-2d.md (R1, R2)
    """
    if np.any(grids <= 0) or np.any(grids[:, 1:] % merge_p):
        raise ValueError(f"need positive sides that are multiples of {merge_p=}, got {grids.tolist()}")

    coordinates = [np.empty((0, 2), dtype=np.int64)]
    for T, H, W in grids.tolist():
        frame = [
            (top + row, left + column)  # (R1) two by two, as the merger will group them
            for top in range(0, H, merge_p)
            for left in range(0, W, merge_p)
            for row in range(merge_p)
            for column in range(merge_p)
        ]
        coordinates.append(np.tile(np.array(frame, dtype=np.int64), (T, 1)))  # (R2)
    return np.concatenate(coordinates)


def axis_frequencies(*, head_dim: int, theta: float) -> Float32[np.ndarray, " quarter"]:
    """List the frequencies, radians per patch, by which both rows and columns turn a head.

    Args:
        head_dim: width d of a head; each axis turns half of it, in pairs.
        theta: base of the frequencies.

    Source: transformers 5.23.0, compute_axial_rope_parameters
    Spec: spec/06-rotary-2d.md (R3)
    """
    return inverse_frequencies(width=head_dim // 2, theta=theta)  # (R3) of half a head, not of a whole one


def vision_rotation(
    coordinates: Int64[np.ndarray, "P 2"], *, head_dim: int, theta: float, ops: Ops
) -> tuple[Float[np.ndarray, "P d"], Float[np.ndarray, "P d"]]:
    """Compute cosine and sine of every channel's angle.

        angle = [row f_0 ... row f_last, column f_0 ... column f_last], then the same once more

    Args:
        coordinates: `(row, column)` of each patch, in patches.
        head_dim: width d of a head; each axis turns a quarter of it, in pairs.
        theta: base of the frequencies.
        ops: its precision is that of the angles; the frequencies are float32-valued in all of them.

    Source: transformers 5.23.0 Qwen2_5_VLVisionRotaryEmbedding
    Spec: spec/06-rotary-2d.md (R3, R4)
    """
    dtype = ops.precision.dtype
    frequencies = axis_frequencies(head_dim=head_dim, theta=theta).astype(dtype)  # (N2) [d/4]
    angles = coordinates[:, :, np.newaxis].astype(dtype) * frequencies  # [P, 2, d/4]
    half = angles.reshape(len(coordinates), head_dim // 2)  # (R3) rows first, then columns
    whole = np.concatenate([half, half], axis=-1)  # (R4) channel j pairs with j + d/2
    return ops.cos(whole), ops.sin(whole)
