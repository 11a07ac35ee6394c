"""Section 15 - preparing again: how does the prompt of a golden get through the reference's own preparation?"""

from dataclasses import replace

import numpy as np

from qwen25vl.golden.case import Lab, Run
from qwen25vl.golden.corpus_read import GoldenCase
from qwen25vl.golden.restore import restored_run
from qwen25vl.media.picture import picture_of_size
from qwen25vl.processor import prompt_positions


def prepared_again(golden: GoldenCase, lab: Lab) -> Run | None:
    """Make pixel rows of pictures and positions of a golden's prompt again, from its own files.

    Sizes and ids stay as they are, and so do the rows of videos.

    Returns:
        The run; None if the golden has none.
    """
    run = restored_run(golden.parts, golden.manifest)
    if run is None:
        return None
    inputs = run.inputs
    positions, delta = prompt_positions(
        inputs.ids,
        inputs.mask,
        inputs.image_grids,
        inputs.video_grids,
        inputs.second_per_grid,
        config=lab.config,
    )
    rows = _picture_rows(golden, lab)
    if rows.shape != inputs.image_rows.shape:
        rows = inputs.image_rows
    return replace(run, inputs=replace(inputs, positions=positions, delta=delta, image_rows=rows))


def _picture_rows(golden: GoldenCase, lab: Lab) -> np.ndarray:
    """Resize, normalise and cut the golden's pictures."""
    found = []
    for i in range(len(golden.parts)):
        name = f"inputs.pictures.{i:02d}"
        if f"{name}.rgb" not in golden.parts:
            break
        height_px, width_px = golden.parts[f"{name}.resized"].shape[:2]
        rgb = np.array(golden.parts[f"{name}.rgb"])
        picture = picture_of_size(rgb, height_px=height_px, width_px=width_px, settings=lab.processor.settings)
        found.append(picture.rows)
    return np.concatenate(found) if found else np.empty((0, 0), dtype=np.float32)
