"""Section 15 - cases of the range of float16: where must a run overflow, and where must it not?"""

from collections.abc import Iterator

import numpy as np

from qwen25vl.golden.case import Lab, Part, Run
from qwen25vl.golden.cases.precision_rounding import both_formats, single
from qwen25vl.golden.cases.vision_scenes import checkerboard, said
from qwen25vl.golden.cases.vision_taps import tap_part
from qwen25vl.golden.draws import drawn
from qwen25vl.golden.execute import given_parts
from qwen25vl.golden.registry import case
from qwen25vl.model import encoded_media
from qwen25vl.tap import Tap


@case(
    family="precision",
    tier="unit",
    section="00",
    clauses=("N3", "N16"),
    kills=("mlp-overflows",),
    note="The first half of each sum reaches 131072, twice the range of float16, the second half brings it back "
    "to a small number. In float32 it is exact in any order: 24 bits hold every partial sum. Summed in 16 bits it "
    "is infinite or coarse. Photographs seldom get there: a checkerboard did.",
)
def sum_may_pass_the_range_on_its_way(lab: Lab) -> Iterator[Part | Run]:
    """Multiply by a matrix whose partial sums leave the range of float16."""
    x = np.concatenate([np.full((3, 128), 1024.0), np.full((3, 128), 1024.0), drawn(591, (3, 16), bits=3)], axis=1)
    weight = np.concatenate([np.ones((4, 128)), -np.ones((4, 128)), drawn(592, (4, 16), bits=3)], axis=1)
    yield Part("inputs.x", x, "rows D", "activations")
    yield Part("inputs.weight", weight, "F D", "weight, one row per output")
    yield Part("outputs.y", lab.ops.linear(lab.held(x), lab.held(weight)), "rows F", "products")
    for ops in both_formats():
        form = ops.precision.name
        y = ops.linear(single(x), single(weight))
        yield Part(f"outputs.{form}.y", y, "rows F", "products in this format", format=ops.precision.name)


@case(
    family="precision",
    tier="unit",
    section="00",
    clauses=("N24", "N26", "N27"),
    kills=("float16-overflow-clamped",),
    note="Gate times up reaches 262144. In float16 that is infinite, and a port that clamps it goes on with a "
    "wrong number that looks right; bfloat16 holds it. A norm behind it would make NaN of every token.",
)
def gate_times_up_may_leave_float16(lab: Lab) -> Iterator[Part | Run]:
    """Multiply large activated gates by large factors."""
    gate, up = drawn(593, (4, 12)) * 2.0 ** np.arange(12), drawn(594, (4, 12)) * 2.0 ** np.arange(12)
    gate[0, 11], up[0, 11], gate[1, 11], up[1, 11] = 512.0, 512.0, 512.0, -512.0
    yield Part("inputs.gate", gate, "rows F", "gate, before its activation")
    yield Part("inputs.up", up, "rows F", "the other factor")
    act = lab.ops.multiplied(lab.ops.silu(lab.held(gate)), lab.held(up))
    yield Part("outputs.act", act, "rows F", "silu(gate) * up")
    for ops in both_formats():
        form = ops.precision.name
        narrow = ops.multiplied(ops.silu(single(gate)), single(up))
        yield Part(
            f"outputs.{form}.act",
            narrow,
            "rows F",
            "silu(gate) * up in this format",
            format=ops.precision.name,
        )


@case(
    family="precision",
    tier="block",
    section="07",
    clauses=("N28", "W10"),
    kills=("norm-overflows", "mlp-overflows"),
    note="Black and white squares of 28 pixels drive activations further than photographs do. The largest number "
    "behind each block says how near a checkpoint comes to 65504; a small model stays far below.",
)
def checkerboard_drives_activations_far(lab: Lab) -> Iterator[Part | Run]:
    """Encode a checkerboard and follow the largest activation from block to block."""
    inputs = lab.prepare([said(checkerboard(112, 140, field_px=28))])
    yield from (part for part in given_parts(Run(inputs)) if "image" in part.id or "pictures" in part.id)
    depth, tap = lab.config.vision.depth, Tap("vision.*")
    encoded_media(inputs, lab.model.network, tap=tap.at("vision"))
    for end in ("mlp.act", "mlp.out", "resid_post"):
        largest = [np.max(np.abs(tap[f"vision.blocks.{i:02d}.{end}"])) for i in range(depth)]
        name = f"outputs.largest.{end}"
        yield Part(name, np.array(largest), "blocks", f"largest size of a value of {end}, block by block")
    yield tap_part("vision.out", tap["vision.out"])
