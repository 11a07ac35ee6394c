"""`qwen25vl run`: answer a prompt about pictures."""

import argparse
from typing import Any

from qwen25vl.cli.options import (
    Progress,
    add_command,
    add_prompt_options,
    block_count,
    prepared,
    print_json,
    printable,
)
from qwen25vl.generate.greedy import Step
from qwen25vl.golden.manifest import media_entries
from qwen25vl.prompt.tokenizer import Tokenizer, complete_text
from qwen25vl.tap import Tap

EXAMPLES = """\
  qwen25vl run --image cat.jpg "What is in the picture?"
  qwen25vl run --image left.png --image right.png "What differs?" --max-new-tokens 40
  qwen25vl run --model ~/Qwen2.5-VL-3B-Instruct --image cat.jpg "Describe it." --json
"""
"""Shown at the end of the help."""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "run",
        help="answer a prompt about pictures",
        description="Answer a prompt about any number of pictures. The text appears as it is decoded, the\n"
        "best-scored token each time. The bundled tiny checkpoint is no trained model: it\n"
        "shows that everything runs, and its answers mean nothing.",
        examples=EXAMPLES,
    )
    add_prompt_options(parser, precision="float32", max_new_tokens=128)
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Carry the command out."""
    model, inputs = prepared(options)
    stream = None if options.json else _Stream(model.processor.tokenizer)
    with Progress(total=block_count(model, inputs), unit="block") as progress:

        def show(step: Step) -> None:
            progress.close()  # the prompt is done; now the text has the terminal to itself
            if stream is not None:
                stream.add(step.id)

        answer = model.generate(
            inputs,
            max_new_tokens=options.max_new_tokens,
            taps=Tap(pattern="*.resid_post", sink=progress),
            on_step=show,
        )[0]
    if stream is not None:
        stream.finish(answer.text)
        return 0
    print_json(
        {
            "text": answer.text,
            "ids": answer.ids,
            "prompt_tokens": inputs.ids.shape[1],
            "stop": answer.stop,
            "media": media_entries(inputs, [printable(path) for path in options.image]),
        }
    )
    return 0


class _Stream:
    """Prints each token's text as soon as its last character is complete."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.ids: list[int] = []
        self.shown = 0

    def add(self, token_id: int) -> None:
        """Print what a token completes."""
        self.ids.append(token_id)
        text = complete_text(self.tokenizer, self.ids)
        print(text[self.shown :], end="", flush=True)
        self.shown = len(text)

    def finish(self, text: str) -> None:
        """Print the rest of the whole answer: bytes that never became a character show as U+FFFD."""
        print(text[self.shown :])
