"""Section 02 - settings: what does a checkpoint say about its pictures?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qwen25vl.errors import BadInput
from qwen25vl.json_file import json_object
from qwen25vl.limits import finite_number, whole_number
from qwen25vl.media.resize import PROFILES
from qwen25vl.wording import shown

CLASS_DEFAULTS: Mapping[str, object] = {  # (I23)
    "size": {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 1280},
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
"""What transformers uses for a key that the file lacks; the released files allow 12,845,056 pixels."""

FIXED: Mapping[str, object] = {  # (I24)
    "do_resize": True,
    "resample": 3,  # bicubic, as Pillow numbers it
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "do_convert_rgb": True,
}
"""Keys whose other values would change pixels in a way that no Qwen2.5-VL checkpoint uses."""

ADVICE = "take the file of the released checkpoint"
"""What to do about a file that says what cannot be."""

PROCESSOR_TYPES = ("Qwen2VLImageProcessor", "Qwen2_5_VLImageProcessor")
"""Image processors that do what this section says; a suffix (Fast, Pil) names an engine."""


@dataclass(frozen=True)
class MediaSettings:
    """How pictures are brought to patch rows.

    Spec: spec/02-images.md (I23)
    """

    min_pixels: int
    """Least area after resizing, in pixels [size.shortest_edge, which is no edge]."""
    max_pixels: int
    """Largest area after resizing, in pixels [size.longest_edge]."""
    patch_px: int
    """Side of a patch, in pixels [patch_size]."""
    temporal_patch_f: int
    """Frames in a patch [temporal_patch_size]."""
    merge_p: int
    """Side of the square of patches that becomes one merged token [merge_size]."""
    mean: tuple[float, float, float]
    """Brightness (0 to 1) subtracted from red, green, blue [image_mean]."""
    std: tuple[float, float, float]
    """Brightness divided by, for red, green, blue [image_std]."""
    profile: str = "hf"
    """Whose guards `smart_resize` applies; no file has a key for it."""

    def __post_init__(self) -> None:
        """Refuse what no picture could be prepared with."""
        for name in ("min_pixels", "max_pixels", "patch_px", "temporal_patch_f", "merge_p"):
            whole_number(getattr(self, name), name=f"image settings: {name}")  # (I26)
        if self.min_pixels > self.max_pixels:
            raise BadInput(
                f"image settings: min_pixels {self.min_pixels} exceeds max_pixels {self.max_pixels}; change one"
            )
        for mean, std in zip(self.mean, self.std, strict=True):
            finite_number(mean, name="image settings: a mean")
            finite_number(std, name="image settings: a deviation", above=0.0)
        if not isinstance(self.profile, str) or self.profile not in PROFILES:
            raise BadInput(f"unknown resize profile {shown(self.profile)}; choose one of {', '.join(PROFILES)}")

    @property
    def factor_px(self) -> int:
        """Both sides of a resized picture are multiples of this (28 in every release)."""
        return self.patch_px * self.merge_p


def read_settings(directory: str | Path) -> MediaSettings:
    """Read the image settings of a checkpoint, in the released form or in the form transformers 5 saves.

    Args:
        directory: holds processor_config.json with an `image_processor` in it, or preprocessor_config.json.

    Raises:
        BadInput: if there is no such file, it is not a JSON object, a value is of the wrong kind, or a value
            asks for a step that this specification does not have.

    Source:   transformers 5.23.0 image_processing_base.py (which file), image_processing_pil_qwen2_vl.py
    Spec:     spec/02-images.md (I23, I24)
    """
    values, where = _image_values(Path(directory))
    for key, only in FIXED.items():
        if values.get(key, only) != only:  # (I24) null too: it would switch the step off
            raise BadInput(
                f"{where}: {key} is {shown(values[key])}, but only {only!r} is specified; remove the key"
            )
    kind = str(values.get("image_processor_type", PROCESSOR_TYPES[0]))
    if not kind.startswith(PROCESSOR_TYPES):  # (I24)
        raise BadInput(
            f"{where}: image_processor_type {shown(kind)} is none of {', '.join(PROCESSOR_TYPES)}; {ADVICE}"
        )
    size = _value(values, "size")
    if not isinstance(size, dict):
        raise BadInput(
            f"{where}: size must be an object with shortest_edge and longest_edge, got {shown(size)}; {ADVICE}"
        )
    limits = {  # (I23) min_pixels and max_pixels win over size
        "min_pixels or size.shortest_edge": _first(values.get("min_pixels"), size.get("shortest_edge")),
        "max_pixels or size.longest_edge": _first(values.get("max_pixels"), size.get("longest_edge")),
    }
    least = _count(limits, "min_pixels or size.shortest_edge", where)
    most = _count(limits, "max_pixels or size.longest_edge", where)
    if least > most:
        raise BadInput(f"{where}: min_pixels {least} exceeds max_pixels {most}; {ADVICE}")
    return MediaSettings(
        min_pixels=least,
        max_pixels=most,
        patch_px=_count(values, "patch_size", where),
        temporal_patch_f=_count(values, "temporal_patch_size", where),
        merge_p=_count(values, "merge_size", where),
        mean=_per_channel(values, "image_mean", where),
        std=_per_channel(values, "image_std", where),
    )


def _image_values(directory: Path) -> tuple[dict[str, object], Path]:
    """Find the file that speaks, and read it."""
    combined = directory / "processor_config.json"
    if combined.is_file():
        nested = json_object(combined).get("image_processor")
        if isinstance(nested, dict):  # (I23) it wins over the older file
            return nested, combined
    older = directory / "preprocessor_config.json"
    if not older.is_file():
        raise BadInput(
            f"{directory} has neither a preprocessor_config.json nor a processor_config.json with an "
            "image_processor in it; copy one from the released checkpoint"
        )
    return json_object(older), older


def _first(preferred: object, fallback: object) -> object:
    """Return the first that is given; null in the file counts as not given."""
    return fallback if preferred is None else preferred


def _value(values: Mapping[str, object], key: str) -> object:
    """Look a key up, with the class default behind it."""
    return _first(values.get(key), CLASS_DEFAULTS.get(key))


def _count(values: Mapping[str, object], key: str, where: Path) -> int:
    """Read a whole number."""
    return whole_number(_value(values, key), name=f"{where}: {key}")


def _per_channel(values: Mapping[str, object], key: str, where: Path) -> tuple[float, float, float]:
    """Read three numbers."""
    value = _value(values, key)
    if not isinstance(value, list) or len(value) != 3 or not all(type(v) in (int, float) for v in value):
        raise BadInput(f"{where}: {key} must be a list of three numbers, got {shown(value)}; {ADVICE}")
    above = 0.0 if key == "image_std" else -math.inf
    red, green, blue = (finite_number(v, name=f"{where}: each value of {key}", above=above) for v in value)
    return red, green, blue
