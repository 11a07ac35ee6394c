"""Options for pictures and videos, and the parts of a message that they become."""

import argparse
import os
from collections.abc import Sequence
from typing import Any

from qwen25vl.cli.numbers import positive, rate, seconds
from qwen25vl.errors import BadInput
from qwen25vl.media.video_settings import FRAME_TOKENS_M, VIDEO_PROFILES

VIDEO_OPTIONS = {
    "fps": "fps",
    "nframes": "nframes",
    "start": "video_start",
    "end": "video_end",
    "total_pixels": "total_pixels",
}
"""Options that concern videos alone, and the keys of a video part that they become."""


def add_media(parser: argparse.ArgumentParser) -> None:
    """Add pictures and videos, which keep the order in which they are given."""
    for kind, word in (("image", "picture"), ("video", "video")):
        parser.add_argument(
            f"--{kind}",
            action=_AddMedium,
            dest="media",
            default=[],
            metavar="FILE",
            help=f"a {word}; give the option once for each",
        )


class _AddMedium(argparse.Action):
    """Puts a picture or a video behind those that were given before it."""

    def __call__(
        self, parser: argparse.ArgumentParser, options: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Keep the kind, which the option is called by, and the file."""
        kind = str(option).removeprefix("--")
        setattr(options, self.dest, [*getattr(options, self.dest), (kind, values)])


def add_media_limits(parser: argparse.ArgumentParser) -> None:
    """Add what says how pictures and videos are brought to size, and which frames are taken."""
    least, largest = (tokens * 28**2 for tokens in FRAME_TOKENS_M)
    for name, word, usual in (("--min-pixels", "least", least), ("--max-pixels", "largest", largest)):
        parser.add_argument(
            name,
            type=positive,
            metavar="N",
            help=f"{word} area of a resized picture or frame, in pixels (default: the checkpoint's for pictures, "
            f"{usual} for frames)",
        )
    parser.add_argument(
        "--profile",
        choices=VIDEO_PROFILES,
        metavar="NAME",
        help=f"whose rules bring them to size and choose frames: {', '.join(VIDEO_PROFILES)} (default: hf)",
    )
    group = parser.add_argument_group("videos")
    group.add_argument("--fps", type=rate, metavar="R", help="frames per second to take (default: 2)")
    group.add_argument("--nframes", type=positive, metavar="N", help="frames to take, instead of a rate")
    group.add_argument("--start", type=seconds, metavar="S", help="second from which frames are taken")
    group.add_argument("--end", type=seconds, metavar="S", help="second up to which frames are taken")
    group.add_argument(
        "--total-pixels",
        type=positive,
        metavar="N",
        help="largest area of all pairs of frames of a video together",
    )


def media_parts_of(media: Sequence[tuple[str, str]], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the parts of a message for pictures and videos.

    Args:
        media: kind (`image` or `video`) and file of each.
        options: holds what `add_media_limits` adds.

    Raises:
        BadInput: if an option for videos is given without one, or two contradict each other.
    """
    asked = {key: value for name, key in VIDEO_OPTIONS.items() if (value := getattr(options, name)) is not None}
    if asked and all(kind != "video" for kind, _ in media):
        first = next(name for name, key in VIDEO_OPTIONS.items() if key in asked)
        raise BadInput(f"--{first.replace('_', '-')} needs a video to act on; add --video FILE, or leave it out")
    if "fps" in asked and "nframes" in asked:
        raise BadInput(f"--fps {asked['fps']:g} and --nframes {asked['nframes']} are two ways to choose; give one")
    return [{"type": kind, kind: file, **(asked if kind == "video" else {})} for kind, file in media]


def media_sources(options: argparse.Namespace) -> list[tuple[str, str]]:
    """Return kind and name of each picture and video, in the order of the prompt."""
    return [(kind, printable(path)) for kind, path in options.media]


def printable(path: str) -> str:
    """Return a file name as text; bytes that are no UTF-8 become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace")
