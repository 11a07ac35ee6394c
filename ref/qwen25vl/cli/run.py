"""`qwen25vl run`: answer a prompt about pictures."""

import argparse
import json
import sys
from typing import Any

from qwen25vl.api import load
from qwen25vl.cli.options import Progress, add_prompt_options, conversation
from qwen25vl.generate.greedy import Step
from qwen25vl.golden.write import media_entries
from qwen25vl.prompt.tokenizer import Tokenizer, complete_text
from qwen25vl.tap import Tap


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "run",
        help="answer a prompt about pictures",
        description="Answer a prompt about any number of pictures. The text appears as it is decoded, the "
        "best-scored token each time. The bundled tiny checkpoint has random weights: its answers mean nothing.",
    )
    add_prompt_options(parser, precision="float32", max_new_tokens=128)
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Carry the command out."""
    model = load(options.model, precision=options.precision)
    inputs = model.prepare(conversation(options), min_pixels=options.min_pixels, max_pixels=options.max_pixels)
    stream = None if options.json else _Stream(model.processor.tokenizer)
    with Progress(model.config, has_media=bool(options.image)) as progress:
        answer = model.generate(
            inputs,
            max_new_tokens=options.max_new_tokens,
            taps=Tap(pattern="*.resid_post", sink=progress),
            on_step=stream,
        )[0]
    if options.json:
        report = {
            "text": answer.text,
            "ids": answer.ids,
            "prompt_tokens": inputs.ids.shape[1],
            "stop": answer.stop,
            "media": media_entries(inputs, options.image),
        }
        print(json.dumps(report, ensure_ascii=False))
    else:
        print()
    return 0


class _Stream:
    """Prints each token's text as soon as its last character is complete."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.ids: list[int] = []
        self.shown = 0

    def __call__(self, step: Step) -> None:
        self.ids.append(step.id)
        text = complete_text(self.tokenizer, self.ids)
        sys.stdout.write(text[self.shown :])
        sys.stdout.flush()
        self.shown = len(text)
