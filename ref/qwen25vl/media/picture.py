"""Section 02 - a picture: from any source to patch rows, every step kept."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from qwen25vl.errors import BadInput
from qwen25vl.media.image import decoded_rgb, resized_rgb
from qwen25vl.media.patches import normalised, patch_rows
from qwen25vl.media.resize import smart_resize
from qwen25vl.media.settings import MediaSettings

LARGEST_AREA_PX = 178_956_970
"""A picture is not enlarged beyond this area: where Pillow refuses to open a file."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A prepared still image, with the steps on the way.

    Spec: spec/02-images.md
    """

    rgb: UInt8[np.ndarray, "height width 3"]
    """As decoded."""
    resized: UInt8[np.ndarray, "resized_height resized_width 3"]
    """At the size of `smart_resize`, before normalisation."""
    rows: Float32[np.ndarray, "P D"]
    """What the vision encoder reads."""
    grid: tuple[int, int, int]
    """T, H, W in patches; T is 1."""
    merge_p: int
    """Side of the square of patches that becomes one merged token."""

    @property
    def original_size(self) -> tuple[int, int]:
        """Height and width as decoded, in pixels."""
        return self.rgb.shape[0], self.rgb.shape[1]

    @property
    def resized_size(self) -> tuple[int, int]:
        """Height and width after resizing, in pixels; the coordinates of an answer count its pixels (A1)."""
        return self.resized.shape[0], self.resized.shape[1]

    @property
    def tokens_m(self) -> int:
        """Merged tokens, that is pad ids in the prompt (I22)."""
        T, H, W = self.grid
        return T * H * W // self.merge_p**2


def prepared_picture(
    source: object,
    *,
    settings: MediaSettings,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
) -> Picture:
    """Decode, resize, normalise and cut a still image.

    Args:
        source: anything that `decoded_rgb` takes.
        settings: of the checkpoint.
        min_pixels: least area after resizing in pixels; None means the settings' own.
        max_pixels: largest area after resizing in pixels; None means the settings' own.

    Raises:
        BadInput: if a step refuses.

    Spec: spec/02-images.md (I25)
    """
    rgb = decoded_rgb(source)
    height_px, width_px = smart_resize(
        rgb.shape[0],
        rgb.shape[1],
        factor=settings.factor_px,
        min_pixels=settings.min_pixels if min_pixels is None else min_pixels,  # (I25)
        max_pixels=settings.max_pixels if max_pixels is None else max_pixels,
        profile=settings.profile,
    )
    if height_px * width_px > LARGEST_AREA_PX:
        raise BadInput(
            f"the picture would be resized to {height_px} x {width_px} pixels, more than {LARGEST_AREA_PX}; "
            "lower min_pixels and max_pixels"
        )
    return picture_of_size(rgb, height_px=height_px, width_px=width_px, settings=settings)


def picture_of_size(
    rgb: UInt8[np.ndarray, "height width 3"], *, height_px: int, width_px: int, settings: MediaSettings
) -> Picture:
    """Resize, normalise and cut a decoded image whose size is settled.

    Args:
        rgb: as decoded.
        height_px: of the resized image.
        width_px: likewise.
        settings: of the checkpoint.

    Spec: spec/02-images.md
    """
    resized = resized_rgb(rgb, height_px=height_px, width_px=width_px)
    frame = normalised(resized, mean=settings.mean, std=settings.std)
    rows, grid = patch_rows(
        frame[np.newaxis],
        patch_px=settings.patch_px,
        temporal_patch_f=settings.temporal_patch_f,
        merge_p=settings.merge_p,
    )
    return Picture(rgb=rgb, resized=resized, rows=rows, grid=grid, merge_p=settings.merge_p)
