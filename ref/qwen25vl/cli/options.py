"""Options that commands share, and what they stand for."""

import argparse
import json
import os
import shutil
import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from qwen25vl.api import Model, load
from qwen25vl.cli.media_options import add_media, add_media_limits, media_parts_of
from qwen25vl.cli.numbers import positive
from qwen25vl.errors import BadInput
from qwen25vl.inputs import Inputs
from qwen25vl.precision import PRECISIONS

if TYPE_CHECKING:
    from tqdm import tqdm


def add_command(commands: Any, name: str, *, examples: str, **texts: str) -> argparse.ArgumentParser:
    """Add a command whose help ends in examples."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **texts,
    )
    return parser


def add_prompt_options(parser: argparse.ArgumentParser, *, precision: str, max_new_tokens: int) -> None:
    """Add what describes a run: prompt, pictures and videos, checkpoint, precision, length."""
    parser.add_argument("prompt", help="the text; pictures and videos stand before it, in the order given")
    add_media(parser)
    parser.add_argument(
        "--model",
        default="tiny",
        metavar="DIR",
        help="a checkpoint directory, or the bundled tiny or tiny-untied (default: tiny)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=precision,
        help=f"format of every number (default: {precision})",
    )
    parser.add_argument(
        "--max-new-tokens",
        type=positive,
        default=max_new_tokens,
        metavar="N",
        help=f"longest answer (default: {max_new_tokens})",
    )
    add_media_limits(parser)
    parser.add_argument(
        "--allow-nan", action="store_true", help="compute with weights that are infinite or NaN, too"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def prepared(options: argparse.Namespace) -> tuple[Model, Inputs]:
    """Open the checkpoint, and prepare the one user turn that the options describe.

    Raises:
        BadInput: if the prompt or a limit cannot be used; and whatever `load` and `prepare` refuse.
    """
    _check_text(options)
    model = load(options.model, precision=options.precision, allow_nan=options.allow_nan)
    for pad in (model.config.image_token_id, model.config.video_token_id):
        if model.processor.tokenizer.token(pad) in options.prompt:
            raise BadInput(
                f"the prompt contains {model.processor.tokenizer.token(pad)!r}, which stands for a picture or a "
                "video; remove it, and give media with --image FILE or --video FILE"
            )
    _check_limits(options, model)
    media = media_parts_of(options.media, options)
    messages = [{"role": "user", "content": [*media, {"type": "text", "text": options.prompt}]}]
    return model, model.prepare(
        messages, min_pixels=options.min_pixels, max_pixels=options.max_pixels, profile=options.profile
    )


def _check_text(options: argparse.Namespace) -> None:
    """Refuse a prompt that asks nothing, and bytes of the command line that are no text."""
    if not options.prompt and not options.media:
        raise BadInput("the prompt is empty and there is no picture; give a text, --image FILE, or both")
    for i, sign in enumerate(options.prompt):
        if "\ud800" <= sign <= "\udfff":  # the byte 0xNN of a command line that is no UTF-8 arrives as U+DCNN
            raise BadInput(
                f"the prompt is not UTF-8: character {i} is {sign!r}; give it in UTF-8, or leave it out"
            )


def _check_limits(options: argparse.Namespace, model: Model) -> None:
    """Refuse a least area above the largest; with a picture, one of the two may be the checkpoint's."""
    if options.media and all(kind == "video" for kind, _ in options.media):
        return  # a video has usual limits of its own, and checks them
    settings = model.processor.settings
    least = settings.min_pixels if options.min_pixels is None else options.min_pixels
    most = settings.max_pixels if options.max_pixels is None else options.max_pixels
    if least > most:
        named = [
            f"{name} {value}" + (" (the checkpoint's)" if given is None else "")
            for name, value, given in (
                ("--min-pixels", least, options.min_pixels),
                ("--max-pixels", most, options.max_pixels),
            )
        ]
        raise BadInput(f"{named[0]} exceeds {named[1]}; change one, or give both")


def print_json(value: object) -> None:
    """Print one JSON object; signs that the terminal's encoding lacks are written as escapes."""
    is_unicode = "utf" in str(getattr(sys.stdout, "encoding", "")).lower()
    print(json.dumps(value, ensure_ascii=not is_unicode))


def terminal() -> dict[str, Any]:
    """Say how text for stdout may look: `colour`, and `width` in columns."""
    is_colourful = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return {"colour": is_colourful, "width": shutil.get_terminal_size((100, 24)).columns}


class Progress(AbstractContextManager["Progress"]):
    """A bar that moves on with each call, on a terminal only."""

    bar: "tqdm[Any] | None" = None

    def __init__(self, *, total: int, unit: str) -> None:
        """Show an empty bar.

        Args:
            total: the number of calls to come.
            unit: what each call stands for.
        """
        if sys.stderr is not None and sys.stderr.isatty():
            from tqdm import tqdm  # takes time to import, and only terminals need it

            self.bar = tqdm(total=total, unit=unit, leave=False)

    def __call__(self, name: str, array: object = None) -> None:
        """Move on; fits a tap's sink."""
        if self.bar is not None:
            self.bar.update()

    def close(self) -> None:
        """Remove the bar, so that text can take its place."""
        if self.bar is not None:
            self.bar.close()

    def __exit__(self, *error: object) -> None:
        """Remove the bar."""
        self.close()


def block_count(model: Model, inputs: Inputs) -> int:
    """Count the blocks that a prompt runs through."""
    has_media = len(inputs.image_rows) + len(inputs.video_rows) > 0
    return model.config.text.num_hidden_layers + (model.config.vision.depth if has_media else 0)
