"""Section 15 - golden values: one run written to disk, everything it was given and everything it computed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qwen25vl.api import Model, Output
from qwen25vl.errors import BadInput
from qwen25vl.generate.answer import Step
from qwen25vl.generate.answers import Generation
from qwen25vl.golden.estimate import expected_taps
from qwen25vl.golden.folder import FILES, MANIFEST, replacing
from qwen25vl.golden.manifest import manifest_of, manifest_text
from qwen25vl.golden.stream import TensorWriter
from qwen25vl.inputs import Inputs
from qwen25vl.media.clip import decoded_frames
from qwen25vl.overflow import OverflowWatch
from qwen25vl.tap import Tap
from qwen25vl.tap_names import tap_name

INPUTS_FILE, TAPS_FILE, ANSWER_FILE, _ = FILES


def write_golden(
    out: Path,
    model: Model,
    inputs: Inputs,
    *,
    sources: Sequence[tuple[str, str]],
    model_name: str,
    max_new_tokens: int,
    taps: str = "all",
    watch: Callable[[str], None] = lambda name: None,
) -> dict[str, Any]:
    """Run a prompt and write a golden: three safetensors files and a manifest.

    Args:
        out: directory to write; an older golden there is replaced, anything else is refused.
        model: in the precision that the golden is to have.
        inputs: one prompt.
        sources: kind and file name of each picture and video, for the manifest.
        model_name: of the checkpoint, for the manifest.
        max_new_tokens: the most greedy steps; argmax, no penalty.
        taps: a level or a glob, as in `Tap`.
        watch: told the id of each tap as it is written.

    Returns:
        The manifest.

    Raises:
        BadInput: if `out` exists and is not a golden, or cannot be written, or `taps` matches no tap.

    Spec: spec/15-golden-values.md (X1 to X13)
    """
    dtype = model.network.ops.precision.dtype
    most = len(expected_taps(inputs, config=model.config, dtype=dtype, taps=taps))
    with replacing(out) as folder:  # (X1)
        parts = _write_inputs(folder / INPUTS_FILE, inputs)
        overflow = OverflowWatch()
        output, tap_parts = _write_taps(
            folder / TAPS_FILE, model, inputs, taps=taps, most=most, watch=watch, overflow=overflow
        )
        parts += tap_parts
        try:
            generation, answer = _write_answer(
                folder / ANSWER_FILE, model, inputs, after=output, max_new_tokens=max_new_tokens
            )
        except BadInput as refusal:  # scores that are NaN: say where it began
            if overflow.first is None:
                raise
            raise BadInput(f"{refusal}; of the taps that were asked for, {overflow.first}") from refusal
        manifest = manifest_of(model, inputs, generation, parts + answer, sources=sources, model_name=model_name)
        (folder / MANIFEST).write_text(manifest_text(manifest), encoding="ascii")
    return manifest


def _write_inputs(path: Path, inputs: Inputs) -> list[dict[str, Any]]:
    """Write what the model is given, and the pictures it comes from. (X2)"""
    arrays = {
        "ids": (inputs.ids[0], "L", "04", "token ids, pads expanded"),
        "image_rows": (inputs.image_rows, "P C", "02", "pixel rows of all pictures, in merge-block order"),
        "image_grids": (inputs.image_grids, "images 3", "02", "T, H, W of each picture, in patches"),
        "positions": (inputs.positions[:, 0], "3 L", "09", "time, height and width position of each token"),
        "delta": (inputs.delta, "1", "09", "a token at index i behind the prompt has position i + delta"),
    }
    if len(inputs.video_grids):
        arrays |= {
            "video_rows": (inputs.video_rows, "P C", "03", "pixel rows of all videos, in merge-block order"),
            "video_grids": (inputs.video_grids, "videos 3", "03", "T, H, W of each video, in patches"),
            "second_per_grid": (inputs.second_per_grid, "videos", "03", "seconds that a row of T spans"),
        }
    for i, picture in enumerate(inputs.pictures):
        name = f"pictures.{i:02d}"
        arrays[f"{name}.rgb"] = (picture.rgb, "height width 3", "02", "the picture as decoded")
        arrays[f"{name}.resized"] = (picture.resized, "height width 3", "02", "the picture as resized")
    for i, clip in enumerate(inputs.clips):
        name, size = f"clips.{i:02d}", "frames height width 3"
        arrays[f"{name}.indices"] = (clip.indices, "frames", "03", "number of each frame in the source")
        arrays[f"{name}.rgb"] = (np.stack([*decoded_frames(clip)]), size, "03", "the chosen frames as decoded")
        arrays[f"{name}.resized"] = (clip.resized, size, "03", "the chosen frames as resized")
    return _write_table(path, arrays, prefix="inputs.")


def _write_taps(
    path: Path,
    model: Model,
    inputs: Inputs,
    *,
    taps: str,
    most: int,
    watch: Callable[[str], None],
    overflow: OverflowWatch,
) -> tuple[Output, list[dict[str, Any]]]:
    """Run the prompt once, and write every tap the moment it is computed. (X3)"""
    parts = []

    def write(name: str, array: np.ndarray) -> None:
        row = tap_name(name)
        parts.append(
            {
                "id": name,
                **writer.add(name, array),
                "dims": row.shape,
                "section": row.section,
                "meaning": row.meaning,
            }
        )
        if model.network.ops.precision.on_overflow is not None:
            overflow(name, array)
        watch(name)

    with TensorWriter(path, most=most) as writer:
        output = model.forward(inputs, taps=Tap(pattern=taps, sink=write))
    return output, parts


def _write_answer(
    path: Path, model: Model, inputs: Inputs, *, after: Output, max_new_tokens: int
) -> tuple[Generation, list[dict[str, Any]]]:
    """Decode greedily behind the prompt that was run; write each step's scores and the ids. (X4)"""
    steps: list[Step] = []
    generation = model.generate(
        inputs,
        max_new_tokens=max_new_tokens,
        greedy=True,
        on_step=steps.append,
        after=after,
    )[0]
    arrays = {
        "ids": (np.array(generation.ids, dtype=np.int64), "steps", "11", "the token of each step"),
        "logits": (
            np.stack([step.logits for step in steps]),
            "steps V",
            "11",
            "the scores each was chosen by; those of step 0 follow the prompt's last token",
        ),
        "logprobs": (np.array(generation.logprobs), "steps", "11", "natural logarithm of its probability"),
    }
    return generation, _write_table(path, arrays, prefix="answer.")


def _write_table(
    path: Path, arrays: dict[str, tuple[np.ndarray, str, str, str]], *, prefix: str
) -> list[dict[str, Any]]:
    """Write arrays that are there already, each with its dims, section and meaning."""
    with TensorWriter(path, most=len(arrays)) as writer:
        return [
            {
                "id": prefix + name,
                **writer.add(prefix + name, array),
                "dims": dims,
                "section": section,
                "meaning": meaning,
            }
            for name, (array, dims, section, meaning) in arrays.items()
        ]
