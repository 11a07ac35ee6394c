"""Options that say how an answer is decoded; what is not given, the checkpoint says."""

import argparse
from typing import Any

from qwen25vl.cli.numbers import positive, whole

SETTINGS = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
"""Options that take the place of a value in generation_config.json."""


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """Add what changes how each token is chosen, and how many answers there are."""
    group = parser.add_argument_group(
        "decoding", "What is not given is taken from the checkpoint's generation_config.json."
    )
    group.add_argument(
        "--greedy",
        action="store_true",
        help="take the best score each time, without the checkpoint's sampling and penalty",
    )
    group.add_argument(
        "--temperature",
        type=number,
        metavar="T",
        help="above 1 more even, below 1 more certain; 0 takes the best score behind the penalty",
    )
    group.add_argument(
        "--top-k",
        type=whole,
        metavar="K",
        help="draw among the K best; 0: among all (a checkpoint that says nothing means 50)",
    )
    group.add_argument(
        "--top-p", type=number, metavar="P", help="draw among the likeliest that together reach P; 1: among all"
    )
    group.add_argument(
        "--min-p",
        type=number,
        metavar="P",
        help="leave out what is less likely than P times the likeliest; 0: none",
    )
    group.add_argument(
        "--repetition-penalty",
        type=number,
        metavar="R",
        help="make tokens of the prompt and of the answer less likely; 1: no penalty",
    )
    group.add_argument("--seed", type=whole, default=0, metavar="N", help="of the draws (default: 0)")
    group.add_argument(
        "--num-return-sequences", type=positive, default=1, metavar="N", help="answers to decode (default: 1)"
    )
    group.add_argument(
        "--logprobs",
        action="store_true",
        help="show each token on a line: log-probability, id, text; with --json, a list",
    )


def sampling_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options as arguments of `Model.generate`."""
    return {
        "greedy": options.greedy,
        "seed": options.seed,
        "num_return_sequences": options.num_return_sequences,
        **{name: getattr(options, name) for name in SETTINGS},
    }


def number(text: str) -> float:
    """Read a number; whether it is in range is checked where it is used."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"need a number, got {text!r}") from None
