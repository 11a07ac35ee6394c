"""`qwen25vl golden`: write golden values of one prompt."""

import argparse
import os
from pathlib import Path
from typing import Any

from qwen25vl.api import Model
from qwen25vl.cli.media_options import media_sources, printable
from qwen25vl.cli.options import (
    Progress,
    add_command,
    add_prompt_options,
    prepared,
    print_json,
)
from qwen25vl.errors import BadInput
from qwen25vl.golden.estimate import LARGE_BYTES, expected_bytes, expected_taps
from qwen25vl.golden.folder import MANIFEST, check_replaceable
from qwen25vl.golden.write import TAPS_FILE, write_golden
from qwen25vl.inputs import Inputs
from qwen25vl.report.table import byte_text, count_text

EXAMPLES = """\
  qwen25vl golden out/cat --image cat.jpg "Describe the picture."
  qwen25vl golden out/cat --image cat.jpg "Describe it." --taps stages --max-pixels 100352
  qwen25vl golden out/rope --image cat.jpg "Describe it." --taps "*.q_rope" --precision float32
"""
"""Shown at the end of the help."""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "golden",
        help="write golden values of one prompt",
        description="Run a prompt and write everything: the inputs, every tap, the scores and the greedy\n"
        "answer, as safetensors files and a manifest. An older golden at OUT is replaced when the\n"
        "new one is complete; anything else there is refused.",
        examples=EXAMPLES,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="directory to write")
    add_prompt_options(parser, precision="float64", max_new_tokens=24)  # (X14)
    parser.add_argument(
        "--taps",
        default="all",
        metavar="WHICH",
        help="stages, insides, all, or a glob over tap ids (default: all); see `qwen25vl names`",
    )
    parser.add_argument("--yes", action="store_true", help=f"write it even above {LARGE_BYTES / 1e9:.0f} GB")
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Carry the command out."""
    check_replaceable(options.out)
    model, inputs = prepared(options)
    dtype = model.network.ops.precision.dtype
    taps = expected_taps(inputs, config=model.config, dtype=dtype, taps=options.taps)
    _check_size(options, model, inputs)
    with Progress(total=len(taps), unit="tap") as progress:
        manifest = write_golden(
            options.out,
            model,
            inputs,
            sources=[(kind, Path(source).name) for kind, source in media_sources(options)],
            model_name=Path(os.path.abspath(printable(options.model))).name,  # noqa: PTH100
            max_new_tokens=options.max_new_tokens,
            taps=options.taps,
            watch=progress,
        )
    if options.json:
        print_json({"out": printable(str(options.out)), **manifest})
    else:
        print(report(options.out, manifest))
    return 0


def _check_size(options: argparse.Namespace, model: Model, inputs: Inputs) -> None:
    """Refuse a large golden that nobody confirmed. (X12)"""

    def gigabytes(taps: str) -> float:
        return 1e-9 * expected_bytes(
            inputs,
            config=model.config,
            dtype=model.network.ops.precision.dtype,
            taps=taps,
            max_new_tokens=options.max_new_tokens,
        )

    size = gigabytes(options.taps)
    if size * 1e9 > LARGE_BYTES and not options.yes:
        raise BadInput(
            f"this golden would take about {size:.1f} GB ({inputs.ids.shape[1]} tokens, "
            f"{len(inputs.image_rows) + len(inputs.video_rows)} patches); add --yes to write it all the same, or "
            f"take --taps stages ({gigabytes('stages'):.1f} GB), a smaller --max-pixels, or --precision float32"
        )


def report(out: Path, manifest: dict[str, Any]) -> str:
    """Say what was written and how to read it."""
    parts, answer = manifest["parts"], manifest["generation"]
    lines = [f"golden values of {manifest['model']['name']} in {manifest['model']['precision']}", ""]
    for medium in manifest["media"]:
        height, width = medium["original_size"]
        new_height, new_width = medium["resized_size"]
        lines.append(
            f"  {medium['source']}: {width} x {height} pixels, resized to {new_width} x {new_height}, "
            f"grid {medium['grid']}, {medium['tokens']} tokens"
        )
    lines += [
        f"  answer: {answer['text']!r} ({count_text(len(answer['ids']), 'token')}, ended by {answer['stop']})",
        "",
    ]
    for file in dict.fromkeys(part["file"] for part in parts):
        count = sum(part["file"] == file for part in parts)
        lines.append(f"  {out / file}  {count} tensors, {byte_text((out / file).stat().st_size)}")
    first = next(part["id"] for part in parts if part["file"] == TAPS_FILE)
    lines += [
        f"  {out / MANIFEST}  what each tensor is: shape, section, hash, statistics",
        "",
        "To read one, in Python:",
        "",
        "  from safetensors.numpy import load_file",
        f"  taps = load_file({str(out / TAPS_FILE)!r})",
        f"  print(taps[{first!r}])",
        "",
        "`qwen25vl names` lists what every id means.",
    ]
    return "\n".join(lines)
