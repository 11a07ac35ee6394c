"""Options that commands share, and what they stand for."""

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tqdm import tqdm

from qwen25vl.config import Config
from qwen25vl.precision import PRECISIONS


def add_prompt_options(parser: argparse.ArgumentParser, *, precision: str, max_new_tokens: int) -> None:
    """Add what describes a run: prompt, pictures, checkpoint, precision, length."""
    parser.add_argument("prompt", help="the text; the pictures stand before it, in the order given")
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="FILE",
        help="a picture; give the option once for each",
    )
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
    for name, word in (("--min-pixels", "least"), ("--max-pixels", "largest")):
        parser.add_argument(
            name,
            type=positive,
            metavar="N",
            help=f"{word} area of a resized picture (default: the checkpoint's)",
        )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"need a whole number of at least 1, got {text!r}")
    return int(text)


def conversation(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the one user turn that the options describe."""
    pictures: list[dict[str, Any]] = [{"type": "image", "image": path} for path in options.image]
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": options.prompt}]}]


class Progress(AbstractContextManager["Progress"]):
    """A bar over the blocks of both towers, on a terminal only."""

    def __init__(self, config: Config, *, has_media: bool) -> None:
        """Count the blocks that a prompt runs through."""
        blocks = config.text.num_hidden_layers + (config.vision.depth if has_media else 0)
        hidden = not sys.stderr.isatty()
        self.bar: Any = nullcontext() if hidden else tqdm(total=blocks, unit="block", leave=False)

    def __call__(self, name: str, array: object = None) -> None:
        """Move on when a block has reported its end; fits a tap's sink."""
        if name.endswith(".resid_post") and isinstance(self.bar, tqdm):
            self.bar.update()

    def __exit__(self, *error: object) -> None:
        """Remove the bar."""
        if isinstance(self.bar, tqdm):
            self.bar.close()
