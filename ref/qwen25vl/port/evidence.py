"""Section 15 - evidence: which numbers does a page show of a part that is wrong?"""

import numpy as np

from qwen25vl.port.bench import WHOLE_NUMBERS_APART, Bench
from qwen25vl.port.layout import patches_of_rows
from qwen25vl.port.verdicts import Evidence, PartVerdict


def evidence_of(verdict: PartVerdict, bench: Bench) -> Evidence:
    """Gather the numbers behind a verdict that something is wrong.

    Args:
        verdict: about a part that the port gives, in the shape that it should have.
        bench: that it comes from.
    """
    part_id = verdict.tap
    found, golden, alone = bench.sides(part_id)
    is_local = bool(verdict.local) and alone is not None
    wanted = alone if is_local or golden is None else golden
    assert wanted is not None
    floor = WHOLE_NUMBERS_APART
    if wanted.dtype.kind == "f":
        floors, stage = bench.floors, bench.alone.get(part_id)
        noise = floors.of_stage(part_id, stage, wanted) if stage and is_local else floors.of(part_id, wanted)
        floor = floors.element(noise, wanted)
    grids: list[list[int]] = []
    patches, picture = None, "inputs.pictures.00.resized"
    if bench.run is not None and bench.config is not None:
        grids = [*bench.run.inputs.image_grids.tolist(), *bench.run.inputs.video_grids.tolist()]
        if bench.dims(part_id).split()[0] == "P":
            patches = patches_of_rows(bench.run, bench.config, part_id)
    return Evidence(
        case=bench.golden.id,
        tap=part_id,
        dims=bench.dims(part_id),
        found=found.astype(np.float64),
        wanted=wanted.astype(np.float64),
        floor=floor,
        is_local=is_local,
        frame_grid=(grids[0][0], grids[0][1], grids[0][2]) if grids else None,
        patch_of_row=patches,
        picture=np.array(bench.golden.parts[picture]) if picture in bench.golden.parts else None,
    )
