"""Section 15 - golden values of one prompt: everything it was given and everything it computed."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from qwen25vl.api import Model
from qwen25vl.golden.case import Case, Lab, Part, Run
from qwen25vl.golden.estimate import expected_taps
from qwen25vl.golden.folder import replacing
from qwen25vl.golden.manifest import about_model
from qwen25vl.golden.noise import ALL_NOISE, NoisePlan, write_noise
from qwen25vl.golden.write_case import write_case
from qwen25vl.inputs import Inputs

PROMPT_CASE = "given_prompt"
"""The id of a golden of a prompt that somebody gave."""


def write_golden(
    out: Path,
    model: Model,
    inputs: Inputs,
    *,
    sources: Sequence[tuple[str, str]],
    model_name: str,
    max_new_tokens: int,
    taps: str = "all",
    arithmetic: str = "blas",
    noise: NoisePlan = ALL_NOISE,
    watch: Callable[[str], None] = lambda name: None,
) -> dict[str, Any]:
    """Run a prompt and write a golden: a case of one run.

    Args:
        out: directory to write; an older golden there is replaced, anything else is refused.
        model: in the precision that the golden is to have.
        inputs: one prompt.
        sources: kind and file name of each picture and video, for the manifest.
        model_name: of the checkpoint, for the manifest.
        max_new_tokens: the most greedy steps; argmax, no penalty.
        taps: a level or a glob, as in `Tap`.
        arithmetic: how `model` adds up, for the manifest.
        noise: which noise is measured beside it.
        watch: told the id of each tap as it is written.

    Returns:
        The manifest.

    Raises:
        BadInput: if `out` exists and is not a golden, or cannot be written, or `taps` matches no tap.

    Spec: spec/15-golden-values.md (X1 to X13)
    """
    expected_taps(inputs, config=model.config, dtype=model.network.ops.precision.dtype, taps=taps)  # (X13)
    run = Run(inputs, answer_tokens=max_new_tokens, sources=tuple(sources))
    case, lab = prompt_case(run), Lab(model)
    with replacing(out) as folder:  # (X1)
        about = about_model(model, name=model_name, arithmetic=arithmetic)
        manifest, _ = write_case(folder, case, lab, taps=taps, about=about, watch=watch)
        write_noise(folder, case, lab, run=run, manifest=manifest, plan=noise)
    return manifest


def prompt_case(run: Run) -> Case:
    """Make a case of a prompt that somebody gave."""

    def given_prompt(lab: Lab) -> Iterator[Part | Run]:
        yield run

    return Case(
        id=PROMPT_CASE,
        title="A prompt that somebody gave.",
        function=given_prompt,
        family="decode",
        tier="model",
        section="15",
        clauses=(),
        kills=(),
    )
