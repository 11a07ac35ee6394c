"""Section 02 - report of a picture: what became of it, and which rule decided?"""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qwen25vl.errors import BadInput
from qwen25vl.media.picture import Picture, prepared_picture
from qwen25vl.media.resize import PROFILES, RULES, resize_target
from qwen25vl.media.settings import MediaSettings
from qwen25vl.media.stored import stored_image
from qwen25vl.vision.window_boxes import window_boxes


def picture_report(path: Path, *, settings: MediaSettings, window_m: int) -> tuple[Picture, dict[str, Any]]:
    """Prepare a picture and say what became of it.

    Args:
        path: an image file.
        settings: those that apply, the caller's limits and profile put in.
        window_m: side of an attention window, in merged tokens.

    Returns:
        The picture, and the facts, fit for JSON. Every size is height, width in pixels.

    Raises:
        BadInput: as in `prepared_picture`.

    Spec: spec/02-images.md (I8 to I13)
    """
    picture = prepared_picture(str(path), settings=settings)
    stored = stored_image(path)
    height, width = picture.original_size
    new_height, new_width = picture.resized_size
    return picture, {
        "kind": "picture",
        "format": stored.format if stored else None,
        "mode": stored.mode if stored else None,
        "animated": stored.animated if stored else False,
        "orientation": stored.orientation if stored else 1,
        "stored_size": list(stored.size) if stored else None,
        "original_size": [height, width],
        "resized_size": [new_height, new_width],
        "scale": [new_height / height, new_width / width],
        "resize": resize_facts(picture.original_size, settings=settings),
        **grid_facts(picture.grid, rows=picture.rows, settings=settings, window_m=window_m),
    }


def resize_facts(size_px: tuple[int, int], *, settings: MediaSettings) -> dict[str, Any]:
    """Say which rule of `smart_resize` decided, under which limits, and what other profiles would give.

    Args:
        size_px: original height and width, in pixels.
        settings: those that apply.

    Returns:
        `rule` is `nearest`, `max_pixels` or `min_pixels`; `within_limits` is False for a strip that a guard keeps
        above `max_pixels`; `profiles` gives each profile's height and width, or its refusal.
    """

    def target(profile: str) -> list[int] | str:
        try:
            other = _target(size_px, replace(settings, profile=profile))
        except BadInput as refusal:
            return str(refusal)
        return [other.height_px, other.width_px]

    found = _target(size_px, settings)
    area_px = found.height_px * found.width_px
    return {
        "rule": found.rule,
        "clause": RULES[found.rule],
        "profile": settings.profile,
        "factor_px": settings.factor_px,
        "min_pixels": settings.min_pixels,
        "max_pixels": settings.max_pixels,
        "area": area_px,
        "within_limits": settings.min_pixels <= area_px <= settings.max_pixels,
        "profiles": {profile: target(profile) for profile in PROFILES},
    }


def _target(size_px: tuple[int, int], settings: MediaSettings) -> Any:
    """Apply `resize_target` with the numbers of the settings."""
    return resize_target(
        *size_px,
        factor=settings.factor_px,
        min_pixels=settings.min_pixels,
        max_pixels=settings.max_pixels,
        profile=settings.profile,
    )


def grid_facts(
    grid: tuple[int, int, int], *, rows: np.ndarray, settings: MediaSettings, window_m: int
) -> dict[str, Any]:
    """Count patches, tokens, windows and bytes of a picture or a clip.

    Args:
        grid: `(T, H, W)` in patches.
        rows: the pixel rows.
    """
    T, H, W = grid
    grid_m = (T, H // settings.merge_p, W // settings.merge_p)
    boxes = window_boxes(grid_m, window_m=window_m)
    shapes = Counter((int(height), int(width)) for height, width in boxes[:, 3:])
    return {
        "patch_px": settings.patch_px,
        "grid": list(grid),
        "merged_grid": list(grid_m),
        "patches": T * H * W,
        "tokens": grid_m[0] * grid_m[1] * grid_m[2],
        "windows": {
            "side": window_m,
            "count": len(boxes),
            "full": shapes[window_m, window_m],
            "shapes": [[*shape, count] for shape, count in sorted(shapes.items(), reverse=True)],
        },
        "rows": {"shape": list(rows.shape), "dtype": rows.dtype.name, "bytes": rows.nbytes},
    }
