"""`qwen25vl run`: answer a prompt about pictures and videos."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from qwen25vl.cli.media_options import media_sources
from qwen25vl.cli.options import (
    Progress,
    add_command,
    add_prompt_options,
    block_count,
    prepared,
    print_json,
)
from qwen25vl.cli.sampling import add_sampling_options, sampling_arguments
from qwen25vl.generate.answer import Step
from qwen25vl.generate.answers import Generation
from qwen25vl.golden.manifest import media_entries
from qwen25vl.inputs import Inputs
from qwen25vl.overflow import OverflowWatch
from qwen25vl.tap import Tap

EXAMPLES = """\
  qwen25vl run --image cat.jpg "What is in the picture?"
  qwen25vl run --image left.png --image right.png "What differs?" --max-new-tokens 40
  qwen25vl run --video clip.mp4 --fps 1.5 --start 10 --end 40 "What happens?"
  qwen25vl run --model ~/Qwen2.5-VL-3B-Instruct --image cat.jpg "Describe it." --json
  qwen25vl run --image cat.jpg "A title?" --temperature 0.8 --top-p 0.9 --seed 7 --num-return-sequences 3
"""
"""Shown at the end of the help."""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "run",
        help="answer a prompt about pictures and videos",
        description="Answer a prompt about any number of pictures and videos. The text appears as it is decoded,\n"
        "in the way that the checkpoint's generation_config.json asks for. The bundled tiny checkpoint\n"
        "is no trained model: it shows that everything runs, and its answers mean nothing.",
        examples=EXAMPLES,
    )
    add_prompt_options(parser, precision="float32", max_new_tokens=128)
    add_sampling_options(parser)
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Carry the command out."""
    model, inputs = prepared(options)
    printer = _Printer(several=options.num_return_sequences > 1, logprobs=options.logprobs)
    can_overflow = model.network.ops.precision.on_overflow is not None
    watch = OverflowWatch()
    with Progress(total=block_count(model, inputs), unit="block") as progress:

        def look(name: str, array: np.ndarray) -> None:
            if can_overflow:
                watch(name, array)
            if name.endswith(".resid_post"):
                progress(name)

        def show(step: Step) -> None:
            progress.close()  # the prompt is done; now the text has the terminal to itself
            _warn_once(watch, options.precision)
            if not options.json:
                printer.add(step)

        try:
            answers = model.generate(
                inputs,
                max_new_tokens=options.max_new_tokens,
                **sampling_arguments(options),
                taps=Tap(pattern="insides" if can_overflow else "*.resid_post", sink=look),
                on_step=show,
            )
        finally:  # scores that are NaN are refused: say where they come from
            progress.close()
            _warn_once(watch, options.precision)
    if options.json:
        print_json(_report(answers, inputs, options))
    return 0


def _warn_once(watch: OverflowWatch, precision: str) -> None:
    """Say on stderr where the prompt first left the range of the format, if it did."""
    if watch.first is not None:
        print(f"warning: {watch.first}; {precision} is too narrow here", file=sys.stderr)
    watch.seen.clear()


def _report(answers: Sequence[Generation], inputs: Inputs, options: argparse.Namespace) -> dict[str, Any]:
    """Return the JSON object: the first answer and the prompt, and all answers if there are several."""
    fields: list[dict[str, Any]] = [
        {
            "text": answer.text,
            "ids": answer.ids,
            "stop": answer.stop,
            **({"logprobs": answer.logprobs} if options.logprobs else {}),
        }
        for answer in answers
    ]
    first = fields[0]
    return {
        "text": first["text"],
        "ids": first["ids"],
        "prompt_tokens": inputs.ids.shape[1],
        **first,
        "media": media_entries(inputs, media_sources(options)),
        **({"answers": fields} if len(fields) > 1 else {}),
    }


class _Printer:
    """Prints each step as it comes: its text, or a line about it."""

    def __init__(self, *, several: bool, logprobs: bool) -> None:
        self.several = several
        self.logprobs = logprobs
        self.count = 0
        self.begins = True

    def add(self, step: Step) -> None:
        """Print what a step brings; a number before each of several answers."""
        if self.begins and self.several:
            print(f"[{self.count + 1}]")
        if self.logprobs:
            print(f"{step.logprob:10.4f} {step.id:>7} {json.dumps(step.text, ensure_ascii=False)}", flush=True)
        else:
            print(step.text, end="\n" if step.is_last else "", flush=True)
        self.begins = step.is_last
        self.count += step.is_last
