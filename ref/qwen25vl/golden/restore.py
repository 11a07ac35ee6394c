"""Section 15 - restoring: how does a golden become a run again, from its own files alone?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from qwen25vl.config import Config, TextConfig, VisionConfig
from qwen25vl.errors import BadInput
from qwen25vl.golden.case import Run
from qwen25vl.inputs import Inputs

NO_GRIDS = np.empty((0, 3), dtype=np.int64)
"""Of a prompt without media of a kind."""


def restored_config(manifest: Mapping[str, Any]) -> Config:
    """Read the config of the checkpoint back from a manifest.

    Raises:
        BadInput: if it is not one of ours.

    Spec: spec/15-golden-values.md (X5)
    """
    try:
        config = dict(manifest["model"]["config"])
        vision, text = dict(config.pop("vision")), dict(config.pop("text"))
        vision["full_attention_blocks"] = tuple(vision["full_attention_blocks"])
        text["mrope_section"] = tuple(text["mrope_section"])
        return Config(vision=VisionConfig(**vision), text=TextConfig(**text), **config)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"the manifest of {manifest['id']} holds no config that this version knows ({error}); write it again"
        ) from error


def restored_run(parts: Mapping[str, np.ndarray], manifest: Mapping[str, Any]) -> Run | None:
    """Put together what the model was given.

    Args:
        parts: of a golden, see `golden_parts`.
        manifest: its manifest.

    Returns:
        The run, without the pictures and clips that its rows come from; None if the case has no run.

    Spec: spec/15-golden-values.md (X2)
    """
    if manifest["taps"] is None:
        return None
    before = restored_inputs(parts, scope="inputs.before.", text=[""]) if "inputs.before.ids" in parts else None
    steps = [parts[name].shape[0] for name in parts if name.endswith("answer.ids")]
    return Run(
        inputs=restored_inputs(parts, scope="inputs.", text=list(manifest["prompts"])),
        chunk=manifest["chunk"],
        before=before,
        answer_tokens=max(steps, default=0),
    )


def restored_inputs(parts: Mapping[str, np.ndarray], *, scope: str, text: list[str]) -> Inputs:
    """Put the inputs of one prompt, or of a batch, together."""

    def part(name: str) -> np.ndarray:
        return np.array(parts[scope + name])

    ids, positions = part("ids"), part("positions")
    if ids.ndim == 1:  # one prompt has no batch axis in its file
        ids, positions = ids[np.newaxis], positions[:, np.newaxis]
    has_mask, has_videos = f"{scope}mask" in parts, f"{scope}video_rows" in parts
    counts = part("media_counts").tolist() if f"{scope}media_counts" in parts else []
    return Inputs(
        text=[*text, *[""] * (len(ids) - len(text))],
        ids=ids,
        mask=part("mask") if has_mask else np.ones(ids.shape, dtype=bool),
        image_rows=part("image_rows"),
        image_grids=part("image_grids"),
        video_rows=part("video_rows") if has_videos else np.empty((0, part("image_rows").shape[1]), np.float32),
        video_grids=part("video_grids") if has_videos else NO_GRIDS,
        second_per_grid=part("second_per_grid") if has_videos else np.empty(0),
        positions=positions,
        delta=part("delta"),
        media_counts=tuple((images, videos) for images, videos in counts),
    )
