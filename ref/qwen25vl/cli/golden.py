"""`qwen25vl golden`: write golden values of one prompt."""

import argparse
import json
from pathlib import Path
from typing import Any

from qwen25vl.api import load
from qwen25vl.cli.options import Progress, add_prompt_options, conversation
from qwen25vl.golden.write import check_replaceable, write_golden


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "golden",
        help="write golden values of one prompt",
        description="Run a prompt and write everything: the inputs, every tap, the scores and the greedy answer, "
        "as safetensors files and a manifest.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="directory to write")
    add_prompt_options(parser, precision="float64", max_new_tokens=24)
    parser.add_argument(
        "--taps",
        default="all",
        metavar="WHICH",
        help="stages, insides, all, or a glob over tap ids (default: all)",
    )
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Carry the command out."""
    check_replaceable(options.out)
    model = load(options.model, precision=options.precision)
    inputs = model.prepare(conversation(options), min_pixels=options.min_pixels, max_pixels=options.max_pixels)
    with Progress(model.config, has_media=bool(options.image)) as progress:
        manifest = write_golden(
            options.out,
            model,
            inputs,
            sources=[Path(path).name for path in options.image],
            model_name=Path(options.model).resolve().name,
            max_new_tokens=options.max_new_tokens,
            taps=options.taps,
            watch=progress,
        )
    if options.json:
        print(json.dumps({"out": str(options.out), **manifest}, ensure_ascii=False))
    else:
        print(report(options.out, manifest))
    return 0


def report(out: Path, manifest: dict[str, Any]) -> str:
    """Say what was written and how to read it."""
    parts = manifest["parts"]
    lines = [f"golden values of {manifest['model']['name']} in {manifest['model']['precision']}", ""]
    for medium in manifest["media"]:
        height, width = medium["original_size"]
        new_height, new_width = medium["resized_size"]
        lines.append(
            f"  {medium['source']}: {width} x {height} pixels, resized to {new_width} x {new_height}, "
            f"grid {medium['grid']}, {medium['tokens']} tokens"
        )
    answer = manifest["generation"]
    lines += [
        f"  answer: {answer['text']!r} ({len(answer['ids'])} tokens, ended by {answer['stop']})",
        "",
    ]
    for file in sorted({part["file"] for part in parts}):
        count = sum(part["file"] == file for part in parts)
        size = (out / file).stat().st_size
        lines.append(f"  {out / file}  {count} tensors, {size / 1e6:.1f} MB")
    lines += [
        f"  {out / 'manifest.json'}  what each tensor is: shape, section, hash, statistics",
        "",
        "To read one, in Python:",
        "",
        "  from safetensors.numpy import load_file",
        f'  taps = load_file("{out / "taps.safetensors"}")',
        f'  print(taps["{next((part["id"] for part in parts if part["file"] == "taps.safetensors"), "")}"])',
        "",
        "`qwen25vl names` lists what every id means.",
    ]
    return "\n".join(lines)
