"""`qwen25vl golden OUT PROMPT`: write golden values of one prompt."""

import argparse
from pathlib import Path
from typing import Any

from qwen25vl.api import Model
from qwen25vl.cli.golden_options import arithmetic_of, model_name, noise_plan
from qwen25vl.cli.media_options import media_sources, printable
from qwen25vl.cli.options import Progress, prepared, print_json
from qwen25vl.errors import BadInput
from qwen25vl.golden.arithmetic import in_arithmetic
from qwen25vl.golden.case import Lab, Run
from qwen25vl.golden.estimate import LARGE_BYTES, expected_bytes, expected_taps
from qwen25vl.golden.folder import INTEGERS, MANIFEST, NOISE, TENSOR_FILES, check_replaceable
from qwen25vl.golden.write import write_golden
from qwen25vl.inputs import Inputs
from qwen25vl.table import byte_text, count_text

USUAL = {"prompt": "", "taps": "all", "max_new_tokens": 24}
"""What an option stands for that was not given."""

EXPLAINED = {
    INTEGERS: "whole numbers and texts once more, to read without a library",
    MANIFEST: "what each tensor is: shape, section, hash, statistics",
    NOISE: "how far from these numbers rounding may lead a correct port",
}
"""What the files beside the tensors hold."""


def written_prompt(options: argparse.Namespace) -> int:
    """Write the golden of a prompt, and say what was written."""
    check_replaceable(options.out)
    noise = noise_plan(options)
    for name, usual in USUAL.items():
        if getattr(options, name) is None:
            setattr(options, name, usual)
    model, inputs = prepared(options)
    model = in_arithmetic(Lab(model), arithmetic_of(options)).model  # (X19)
    dtype = model.network.ops.precision.dtype
    taps = expected_taps(inputs, config=model.config, dtype=dtype, taps=options.taps)
    _check_size(options, model, inputs)
    with Progress(total=len(taps), unit="tap") as progress:
        manifest = write_golden(
            options.out,
            model,
            inputs,
            sources=[(kind, Path(source).name) for kind, source in media_sources(options)],
            model_name=model_name(options),
            max_new_tokens=options.max_new_tokens,
            taps=options.taps,
            arithmetic=arithmetic_of(options),
            noise=noise,
            watch=progress,
        )
    if options.json:
        print_json({"out": printable(str(options.out)), **manifest})
    else:
        print(report(options.out, manifest))
    return 0


def _check_size(options: argparse.Namespace, model: Model, inputs: Inputs) -> None:
    """Refuse a large golden that nobody confirmed. (X12)"""
    run = Run(inputs, answer_tokens=options.max_new_tokens)

    def gigabytes(taps: str) -> float:
        return 1e-9 * expected_bytes(run, config=model.config, dtype=model.network.ops.precision.dtype, taps=taps)

    size = gigabytes(options.taps)
    if size * 1e9 > LARGE_BYTES and not options.yes:
        raise BadInput(
            f"this golden would take about {size:.1f} GB ({inputs.ids.shape[1]} tokens, "
            f"{len(inputs.image_rows) + len(inputs.video_rows)} patches); add --yes to write it all the same, or "
            f"take --taps stages ({gigabytes('stages'):.1f} GB), a smaller --max-pixels, or --precision float32"
        )


def report(out: Path, manifest: dict[str, Any]) -> str:
    """Say what was written and how to read it."""
    parts, (answer,) = manifest["parts"], manifest["generation"]["answers"]
    model = manifest["model"]
    lines = [f"golden values of {model['name']} in {model['precision']}, {manifest['arithmetic']} sums", ""]
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
    lines += [f"  {out / name}  {text}" for name, text in EXPLAINED.items() if (out / name).exists()]
    taps_file = TENSOR_FILES[1]
    first = next(part["id"] for part in parts if part["file"] == taps_file)
    lines += [
        "",
        "To read one, in Python:",
        "",
        "  from safetensors.numpy import load_file",
        f"  taps = load_file({str(out / taps_file)!r})",
        f"  print(taps[{first!r}])",
        "",
        "`qwen25vl names` lists what every id means.",
    ]
    return "\n".join(lines)
