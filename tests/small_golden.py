"""A small golden of the main job, written as the command line writes it, without its noise."""

from pathlib import Path

import qwen25vl
from qwen25vl.golden.main_job import MAIN_JOB
from qwen25vl.golden.noise import NO_NOISE
from qwen25vl.golden.write import write_golden


def written_main_job(out: Path, *, precision: str, max_pixels: int, max_new_tokens: int, taps: str) -> Path:
    """Write it to `out`, and return that."""
    model = qwen25vl.load("tiny", precision=precision)
    write_golden(
        out,
        model,
        model.prepare(MAIN_JOB, max_pixels=max_pixels),
        sources=[("image", "hopper.png")],
        model_name="tiny",
        max_new_tokens=max_new_tokens,
        taps=taps,
        noise=NO_NOISE,
    )
    return out
