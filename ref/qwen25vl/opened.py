"""Sections 02 and 03 - opening: how does a part of a message become a picture or a clip?"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from qwen25vl.errors import BadInput
from qwen25vl.media.clip import Clip, prepared_clip
from qwen25vl.media.picture import Picture, prepared_picture
from qwen25vl.media.settings import MediaSettings
from qwen25vl.media.video_settings import video_profile
from qwen25vl.prompt.messages import MediaPart

IMAGE_KEYS: Mapping[str, str] = {"min_pixels": "min_pixels", "max_pixels": "max_pixels"}
"""Keys of an image part that are read, and the arguments that they become."""

VIDEO_KEYS: Mapping[str, str] = {
    **IMAGE_KEYS,
    "total_pixels": "total_pixels",
    "fps": "fps",
    "nframes": "nframes",
    "min_frames": "min_frames",
    "max_frames": "max_frames",
    "video_start": "start_s",
    "video_end": "end_s",
}
"""Likewise of a video part; the keys are those of qwen-vl-utils."""


@dataclass(frozen=True)
class Limits:
    """What a caller asks of all pictures and videos of a prompt; None leaves it to the checkpoint."""

    min_pixels: int | None = None
    max_pixels: int | None = None
    total_pixels: int | None = None
    fps: float | None = None
    nframes: int | None = None
    profile: str | None = None


def opened_media(part: MediaPart, *, settings: MediaSettings, limits: Limits) -> Picture | Clip:
    """Open the picture or video of one part; a refusal says which part it is about.

    Args:
        part: of a checked conversation. What it asks for itself wins over `limits`.
        settings: of the checkpoint.
        limits: for all parts.

    Raises:
        BadInput: if the medium cannot be used, or the part holds a key that nobody reads.

    Spec: spec/04-prompt.md (P23)
    """
    keys = IMAGE_KEYS if part.kind == "image" else VIDEO_KEYS
    unread = sorted(set(map(str, part.options)) - set(keys))
    if unread:  # (P23)
        raise BadInput(
            f"{part.where} holds {unread[0][:60]!r}, which no {part.kind} part has; remove it, or give one of "
            f"{', '.join(keys)}"
        )
    asked = {keys[key]: value for key, value in part.options.items()}
    arguments = _general(part, asked, limits) | asked  # (P23) the part wins
    try:
        if part.kind == "image":
            guards = settings.profile if limits.profile is None else video_profile(limits.profile).guards
            chosen = replace(settings, profile=guards)
            return prepared_picture(part.source, settings=chosen, **arguments)
        return prepared_clip(part.source, settings=settings, profile=limits.profile, **arguments)
    except BadInput as refusal:
        name = repr(os.fspath(part.source)[:200]) if isinstance(part.source, str | os.PathLike) else part.where
        if name in str(refusal):
            raise
        raise BadInput(f"{name}: {refusal}") from refusal


def each_opened(parts: Iterable[MediaPart], *, settings: MediaSettings, limits: Limits) -> list[Picture | Clip]:
    """Open the pictures and videos of a conversation in their order, each for itself (I25)."""
    return [opened_media(part, settings=settings, limits=limits) for part in parts]


def _general(part: MediaPart, asked: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Return what the limits ask of this kind of part, but for a choice of frames that it makes itself."""
    general: dict[str, Any] = {"min_pixels": limits.min_pixels, "max_pixels": limits.max_pixels}
    if part.kind == "video":
        general["total_pixels"] = limits.total_pixels
        if "fps" not in asked and "nframes" not in asked:  # (P23) the two are one choice
            general |= {"fps": limits.fps, "nframes": limits.nframes}
    return general
