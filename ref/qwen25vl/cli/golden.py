"""`qwen25vl golden`: write golden values of one prompt, or the whole corpus of cases."""

import argparse
from pathlib import Path
from typing import Any

from qwen25vl.cli.golden_corpus import listed_cases, written_corpus
from qwen25vl.cli.golden_options import NOISE_PLANS
from qwen25vl.cli.golden_prompt import written_prompt
from qwen25vl.cli.media_options import VIDEO_OPTIONS, add_media, add_media_limits
from qwen25vl.cli.numbers import positive
from qwen25vl.cli.options import add_command
from qwen25vl.errors import BadInput
from qwen25vl.golden.estimate import LARGE_BYTES
from qwen25vl.golden.export import EXPORTS
from qwen25vl.precision import PRECISIONS

FOR_A_PROMPT = ("min_pixels", "max_pixels", "profile", *VIDEO_OPTIONS, "max_new_tokens")
"""Options that act on the golden of a prompt alone."""

FOR_A_CORPUS = ("cases", "slice", "jobs", "export", "list")
"""Options that act on a corpus alone."""

UNSET = (None, False)
"""What an option holds that was not given."""

EXAMPLES = """\
  qwen25vl golden out/corpus
  qwen25vl golden out/windows --cases "*window*" --cases rope --export bin
  qwen25vl golden out/3b --model ~/Qwen2.5-VL-3B-Instruct --slice 1/4
  qwen25vl golden out/cat --image cat.jpg "Describe the picture."
  qwen25vl golden out/rope --image cat.jpg "Describe it." --taps "*.q_rope" --precision float32
"""
"""Shown at the end of the help."""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "golden",
        help="write golden values of one prompt, or of every case",
        description="With a prompt: run it and write everything: the inputs, every tap, the scores and the\n"
        "greedy answer, as safetensors files and a manifest. An older golden at OUT is replaced when\n"
        "the new one is complete.\n"
        "Without: write the corpus, a golden of every case that a port is checked with. What an\n"
        "earlier run has finished there with the same settings is kept; with others, it is replaced.\n"
        "Anything else at OUT is refused.",
        examples=EXAMPLES,
    )
    parser.add_argument("out", type=Path, nargs="?", metavar="OUT", help="directory to write")
    parser.add_argument(
        "prompt", nargs="?", help="the text; pictures and videos stand before it, in the order given"
    )
    add_media(parser)
    parser.add_argument(
        "--model",
        default="tiny",
        metavar="DIR",
        help="a checkpoint directory, or the bundled tiny or tiny-untied (default: tiny)",
    )
    parser.add_argument(  # (X14)
        "--precision", choices=PRECISIONS, default="float64", help="format of every number (default: float64)"
    )
    parser.add_argument(
        "--taps",
        metavar="WHICH",
        help="stages, insides, all, or a glob over tap ids, see `qwen25vl names` (default: of a prompt all; of a "
        "corpus what each case names, with a released checkpoint stages)",
    )
    parser.add_argument(  # (X19)
        "--blas", action="store_true", help="let BLAS add up: faster, in an order that depends on the machine"
    )
    parser.add_argument(
        "--noise",
        choices=NOISE_PLANS,
        help="how often everything is run again to measure what rounding does: full 32 times, light twice "
        "(default: full with a bundled checkpoint, else light; only in float64)",
    )
    parser.add_argument(
        "--allow-nan", action="store_true", help="compute with weights that are infinite or NaN, too"
    )
    parser.add_argument("--yes", action="store_true", help=f"write it even above {LARGE_BYTES / 1e9:.0f} GB")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    _add_corpus_options(parser.add_argument_group("the corpus"))
    parser.add_argument(
        "--max-new-tokens", type=positive, metavar="N", help="longest answer to a prompt (default: 24)"
    )
    add_media_limits(parser)
    parser.set_defaults(function=run)
    _let_the_prompt_stand_behind_options(parser)


def _let_the_prompt_stand_behind_options(parser: argparse.ArgumentParser) -> None:
    """Take a prompt behind options, which argparse takes for superfluous before Python 3.13.

    With OUT it has taken the prompt as left out already; what it returns as unknown is the prompt then.
    """
    plain = parser.parse_known_args

    def parsed(arguments: Any = None, namespace: Any = None) -> tuple[argparse.Namespace, list[str]]:
        options, unknown = plain(arguments, namespace)
        words = unknown[1:] if unknown[:1] == ["--"] else unknown
        if len(words) == 1 and options.prompt is None and (words != unknown or not words[0].startswith("-")):
            options.prompt, unknown = words[0], []
        return options, unknown

    parser.parse_known_args = parsed  # type: ignore[method-assign, assignment]


def _add_corpus_options(group: Any) -> None:
    """Describe what acts on a corpus alone."""
    group.add_argument(
        "--cases",
        action="append",
        metavar="GLOB",
        help="only cases whose id or family matches; give it once for each glob (default: all; with a released "
        "checkpoint those that run the whole model)",
    )
    group.add_argument("--list", action="store_true", help="list the chosen cases, and write nothing")
    group.add_argument(
        "--slice", type=_share, metavar="I/N", help="only share I of N, all of about one size: for N machines"
    )
    group.add_argument("--jobs", type=positive, metavar="N", help="processes that write cases (default: 1)")
    group.add_argument(
        "--export",
        action="append",
        choices=EXPORTS,
        help="write every case in this form, too: npz for NumPy, bin for a program without libraries",
    )


def run(options: argparse.Namespace) -> int:
    """Carry the command out."""
    is_prompt = options.prompt is not None or bool(options.media)
    for name in FOR_A_CORPUS if is_prompt else FOR_A_PROMPT:
        if not any(getattr(options, name) is value for value in UNSET):  # 0.0 equals False
            acts = "a corpus, and a prompt or medium is given" if is_prompt else "a prompt, and none is given"
            raise BadInput(f"--{name.replace('_', '-')} acts on {acts}; leave one of the two out")
    if options.list:
        return listed_cases(options)
    if options.out is None:
        raise BadInput("OUT is missing; name the directory to write, as in `qwen25vl golden out/corpus`")
    return written_prompt(options) if is_prompt else written_corpus(options)


def _share(text: str) -> tuple[int, int]:
    """Read a number of a share and how many there are."""
    first, slash, last = text.partition("/")
    try:
        i, n = positive(first), positive(last)
    except argparse.ArgumentTypeError:
        i, n = 1, 0
    if not slash or i > n:
        raise argparse.ArgumentTypeError(f"need a share I/N with I from 1 to N, as 2/4, got {text!r}")
    return i, n
