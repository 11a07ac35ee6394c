"""Section 15 - preparing again: how does the prompt of a golden get through the reference's own preparation?"""

from dataclasses import replace

import numpy as np

from qwen25vl.golden.case import Lab, Run
from qwen25vl.golden.corpus_read import GoldenCase
from qwen25vl.golden.restore import restored_run
from qwen25vl.language.mrope import mrope_positions
from qwen25vl.media.image import resized_rgb
from qwen25vl.media.patches import normalised, patch_rows


def prepared_again(golden: GoldenCase, lab: Lab) -> Run | None:
    """Make pixel rows of pictures and positions of a golden's prompt again, from its own files.

    Sizes and ids stay as they are, and so do the rows of videos.

    Returns:
        The run; None if the golden has none.
    """
    run = restored_run(golden.parts, golden.manifest)
    if run is None:
        return None
    config, inputs = lab.config, run.inputs
    positions, delta = mrope_positions(
        inputs.ids,
        inputs.mask,
        inputs.image_grids,
        inputs.video_grids,
        inputs.second_per_grid,
        image_token_id=config.image_token_id,
        video_token_id=config.video_token_id,
        merge_p=config.vision.merge_p,
        tokens_per_second=config.vision.tokens_per_second,
    )
    rows = _picture_rows(golden, lab)
    if rows.shape != inputs.image_rows.shape:
        rows = inputs.image_rows
    return replace(run, inputs=replace(inputs, positions=positions, delta=delta, image_rows=rows))


def _picture_rows(golden: GoldenCase, lab: Lab) -> np.ndarray:
    """Resize, normalise and cut the golden's pictures."""
    settings, found = lab.processor.settings, []
    for i in range(len(golden.parts)):
        name = f"inputs.pictures.{i:02d}"
        if f"{name}.rgb" not in golden.parts:
            break
        rgb, resized = (np.array(golden.parts[f"{name}.{step}"]) for step in ("rgb", "resized"))
        picture = resized_rgb(rgb, height_px=resized.shape[0], width_px=resized.shape[1])
        rows, _ = patch_rows(
            normalised(picture, mean=settings.mean, std=settings.std)[np.newaxis],
            patch_px=settings.patch_px,
            temporal_patch_f=settings.temporal_patch_f,
            merge_p=settings.merge_p,
        )
        found.append(rows)
    return np.concatenate(found) if found else np.empty((0, 0), dtype=np.float32)
