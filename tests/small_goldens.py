"""Small goldens of tiny, written once a process, for tests of the checker."""

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

import qwen25vl
from qwen25vl.golden.case import Case, Lab, Run
from qwen25vl.golden.corpus_read import GoldenCase, open_goldens
from qwen25vl.golden.draws import drawn_bytes
from qwen25vl.golden.manifest import about_model
from qwen25vl.golden.noise import ALL_NOISE, NoisePlan, write_noise
from qwen25vl.golden.write import prompt_case
from qwen25vl.golden.write_case import write_case


def text(words):
    return {"type": "text", "text": words}


def picture(seed, height, width):
    return {"type": "image", "image": drawn_bytes(seed, (height, width, 3))}


def clip(seed, frames, *, fps):
    return {"type": "video", "video": [drawn_bytes(seed + i, (56, 84, 3)) for i in range(frames)], "fps": fps}


def turn(*content):
    return [{"role": "user", "content": list(content)}]


PROMPTS = {
    "picture": turn(text("Before. "), picture(1, 84, 140), text("What?")),
    "video": turn(text("Look: "), clip(10, 5, fps=4.0), text("What?")),
    "words": turn(text("Name a colour.")),
    "batch": [turn(picture(2, 56, 84), text("What?")), turn(text("A longer prompt without a picture."))],
}
"""By what is in them."""


EARLIER = {"later": turn(picture(3, 56, 84), text("What?"))}
"""What was asked before."""

PROMPTS["later"] = [
    *EARLIER["later"],
    {"role": "assistant", "content": [text("A red one.")]},
    *turn(text("And what else?")),
]


@functools.cache
def lab() -> Lab:
    """Tiny in float64."""
    return Lab(qwen25vl.load("tiny", precision="float64"))


@functools.cache
def golden(name: str, *, answer_tokens: int = 0, chunk: int | None = None) -> GoldenCase:
    """One golden with its noise."""
    limits = {"max_pixels": 28 * 28 * 12} if name == "video" else {}
    before = lab().prepare(EARLIER[name]) if name in EARLIER else None
    run = Run(lab().prepare(PROMPTS[name], **limits), answer_tokens=answer_tokens, chunk=chunk, before=before)
    return written(replace(prompt_case(run), id=name), taps="insides")


def written(case: Case, *, taps: str | None = None, plan: NoisePlan = ALL_NOISE) -> GoldenCase:
    """A case, written with its noise and opened; `taps` stand for those of the case."""
    folder = Path(tempfile.mkdtemp(prefix="qwen25vl-test-")) / case.id
    folder.mkdir()
    about = about_model(lab().model, name="tiny", arithmetic="blas")
    manifest, run = write_case(folder, case, lab(), taps=taps or case.taps, about=about)
    write_noise(folder, case, lab(), run=run, manifest=manifest, plan=plan)
    (found,), problems = open_goldens(folder)
    assert not problems
    return found
