"""Section 02 - patches: how do pixels become the rows that the vision encoder reads?"""

import numpy as np
from jaxtyping import Float32, UInt8

from qwen25vl.errors import BadInput

RESCALE = 1 / 255
"""A byte times this is a brightness from 0 to 1 [rescale_factor]."""


def normalised(
    rgb: UInt8[np.ndarray, "height width C"], *, mean: tuple[float, ...], std: tuple[float, ...]
) -> Float32[np.ndarray, "C height width"]:
    """Return the picture with zero mean and unit deviation per channel, channels first.

        (round32(byte * (1 / 255)) - mean) / std

    Args:
        rgb: bytes.
        mean: brightness to subtract, one per channel.
        std: brightness to divide by, one per channel, not zero.

    Raises:
        BadInput: if `mean` and `std` do not have one value per channel.

    Rounding: (I18) to float32 after the product, after the difference and after the quotient
    Source:   transformers 5.23.0 image_transforms.py, rescale and normalize
    Spec:     spec/02-images.md (I18)
    """
    if not len(mean) == len(std) == rgb.shape[-1]:
        raise BadInput(f"need one mean and std for each of {rgb.shape[-1]} channels, got {mean=} {std=}")
    brightness = (np.arange(256) * RESCALE).astype(np.float32)[rgb]  # (I18) looked up, [height, width, C]
    # trap: the torchvision path folds 1/255 into mean and std and rounds elsewhere
    unit = (brightness - np.array(mean, dtype=np.float32)) / np.array(std, dtype=np.float32)
    return np.ascontiguousarray(unit.transpose(2, 0, 1))


def patch_rows(
    frames: Float32[np.ndarray, "F C height width"],
    *,
    patch_px: int,
    temporal_patch_f: int,
    merge_p: int,
) -> tuple[Float32[np.ndarray, "P D"], tuple[int, int, int]]:
    """Return one row per patch, in the order in which patches merge, and the grid.

    Args:
        frames: normalised frames in order of time, all of one size; a still image is one frame.
        patch_px: side of a patch in pixels (14).
        temporal_patch_f: frames in a patch (2).
        merge_p: side of the square of patches that becomes one merged token (2).

    Returns:
        Rows of C * temporal_patch_f * patch_px**2 values, and the grid (T, H, W) in patches with
        T = ceil(F / temporal_patch_f), H = height / patch_px, W = width / patch_px; P = T * H * W.

    Raises:
        BadInput: if there is no frame, or a side is not a positive multiple of patch_px * merge_p.

    Source:   transformers 5.23.0 image_processing_pil_qwen2_vl.py, patchify; paper 2.1.1
    Spec:     spec/02-images.md (I19 to I22)
    """
    F, C, height, width = frames.shape
    factor = patch_px * merge_p
    if F == 0 or height == 0 or width == 0 or height % factor or width % factor:
        raise BadInput(
            f"need at least one frame and sides that are positive multiples of {factor} pixels, got {F} of "
            f"{height} x {width}; resize with smart_resize first"
        )
    T, H, W = -(-F // temporal_patch_f), height // patch_px, width // patch_px  # (I22)
    repeats = np.repeat(frames[-1:], T * temporal_patch_f - F, axis=0)  # (I19)
    whole = np.concatenate([frames, repeats])

    # axes:  0 t   1 frame in patch    2 channel
    #        3 block row       4 patch row in block       5 y in patch
    #        6 block column    7 patch column in block    8 x in patch
    split = whole.reshape(T, temporal_patch_f, C, H // merge_p, merge_p, patch_px, W // merge_p, merge_p, patch_px)
    ordered = split.transpose(0, 3, 6, 4, 7, 2, 1, 5, 8)  # (I20) the first five axes; (I21) the last four
    return ordered.reshape(T * H * W, C * temporal_patch_f * patch_px**2), (T, H, W)
