"""`qwen25vl show`: say what a picture, a video, a checkpoint or a golden is."""

import argparse
from pathlib import Path
from typing import Any

from qwen25vl.bundled import BUNDLED
from qwen25vl.cli.media_options import VIDEO_OPTIONS, add_media_limits, printable
from qwen25vl.cli.options import add_command, print_json
from qwen25vl.cli.plot_file import check_plot, ending_of, write_plot
from qwen25vl.cli.show_kinds import SHOWN
from qwen25vl.errors import BadInput, NotAVideo
from qwen25vl.golden.folder import MANIFEST
from qwen25vl.media.stored import stored_image

EXAMPLES = """\
  qwen25vl show photo.jpg --plot grid.png
  qwen25vl show clip.mp4 --fps 1 --model path/to/Qwen2.5-VL-3B-Instruct
  qwen25vl show --video dance.gif
  qwen25vl show tiny --json
"""
"""Shown at the end of the help."""

MEDIA_OPTIONS = ("model", "profile", "min_pixels", "max_pixels")
"""Options that act on pictures and videos."""

ACTING = {
    "picture": MEDIA_OPTIONS,
    "video": (*MEDIA_OPTIONS, *VIDEO_OPTIONS, "video"),
    "checkpoint": (),
    "golden": (),
}
"""Each kind of thing, and which of these options act on it."""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "show",
        help="say what a picture, a video, a checkpoint or a golden is",
        description="Say what THING is. A picture or a video: what preprocessing makes of it, and which\n"
        "limits decided. A checkpoint: what it holds, without reading the weights. A golden: what\n"
        "was run, and how large its numbers are. --plot draws it.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "thing",
        metavar="THING",
        help=f"a picture, a video, a checkpoint directory (or {' or '.join(BUNDLED)}), or a golden's directory",
    )
    parser.add_argument(
        "--model",
        metavar="DIR",
        help="the checkpoint whose settings a picture or a video is prepared with (default: tiny)",
    )
    parser.add_argument(
        "--video",
        action="store_true",
        default=None,
        help="take a picture's file for a video: an animated GIF is both, and counts as a picture otherwise",
    )
    add_media_limits(parser)
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="OUT",
        help="draw it to a .png, .svg or .pdf file: the patch grid and its windows, the frames in time, the "
        "parameters by part, or the residual stream by depth",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Carry the command out."""
    kind = recognised(options.thing)
    if options.video and kind == "picture":
        kind = "video"
    _check_options(options, kind)
    if options.plot is not None:
        check_plot(options.plot, thing=Path(options.thing))
    try:
        shown = SHOWN[kind](options)
    except BadInput as refusal:
        raise _about(options.thing, refusal, as_video=options.video is True) from refusal
    plot = None
    if options.plot is not None:
        from qwen25vl.plot import figure_bytes

        write_plot(options.plot, figure_bytes(shown.figure(), ending=ending_of(options.plot)))
        plot = printable(str(options.plot))
    if options.json:
        print_json({"thing": printable(options.thing), **shown.facts, "plot": plot})
    else:
        print(f"{printable(options.thing)}: {shown.text}" + (f"\n\ndrawn in {plot}" if plot else ""))
    return 0


def recognised(thing: str) -> str:
    """Say what a thing is: `picture`, `video` (any other file), `checkpoint` or `golden`.

    Raises:
        BadInput: if it is none of them, as far as can be seen without reading it all.
    """
    path = Path(thing)
    if thing in BUNDLED:
        return "checkpoint"
    if thing and path.is_dir():
        if (path / MANIFEST).is_file():
            return "golden"
        if (path / "config.json").is_file():
            return "checkpoint"
        raise BadInput(
            f"the directory {thing!r} has neither a config.json, as a checkpoint, nor a {MANIFEST}, as a golden; "
            "name another"
        )
    if not thing or not path.exists():
        raise BadInput(
            f"there is no {thing!r}; give a picture, a video, the directory of a checkpoint or of a golden, or "
            f"{' or '.join(BUNDLED)}"
        )
    if path.suffix in (".json", ".safetensors"):
        raise BadInput(f"{thing!r} is one file of a checkpoint or a golden; give the directory that it lies in")
    if not path.is_file():
        raise BadInput(f"{thing!r} is neither a file nor a directory; give a picture or a video")
    return "video" if stored_image(path) is None else "picture"


def _check_options(options: argparse.Namespace, kind: str) -> None:
    """Refuse an option that would act on nothing."""
    for name in ACTING["video"]:
        if getattr(options, name) is not None and name not in ACTING[kind]:
            raise BadInput(
                f"--{name.replace('_', '-')} does not act on a {kind}, and {options.thing!r} is one; leave it out"
            )


def _about(thing: str, refusal: BadInput, *, as_video: bool) -> BadInput:
    """Name the thing in a refusal; a file that is no picture need not be a video either."""
    if isinstance(refusal, NotAVideo) and not as_video:
        return BadInput(f"{thing!r} is in no picture format that Pillow knows, and as a video: {refusal}")
    return refusal if thing in str(refusal) else BadInput(f"{thing!r}: {refusal}")
