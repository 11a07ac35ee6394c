"""Section 15 - cases of the merger: four patches become one row of the language model."""

from collections.abc import Iterator

import numpy as np

from qwen25vl.golden.case import Lab, Part, Run
from qwen25vl.golden.cases.vision_taps import tapped_parts
from qwen25vl.golden.draws import drawn
from qwen25vl.golden.registry import case
from qwen25vl.tap import Tap
from qwen25vl.vision.merger import merged_tokens


@case(
    family="merger",
    tier="unit",
    section="00",
    clauses=("N7", "M3"),
    kills=("gelu-tanh",),
    note="From -5 to 5 in steps of 1/16, and further out. The approximation by tanh is off by 0.0005 at most, "
    "near -2.7 and 2.7: far above the noise of float32. In 16 bits only the negative side, where results are "
    "small, shows it: the second row, from -4.5 to -2.25.",
)
def gelu_is_not_its_approximation(lab: Lab) -> Iterator[Part | Run]:
    """Apply the exact GELU to a row of numbers."""
    x = np.concatenate([np.arange(-80, 81) / 16, [-40.0, -12.0, -8.0, -6.0, 6.0, 8.0, 12.0, 40.0]])
    negative = np.arange(-144, -71) / 32
    yield Part("inputs.x", x, "numbers", "arguments")
    yield Part("inputs.negative", negative, "numbers", "arguments with small results")
    yield Part("outputs.gelu", lab.ops.gelu(lab.held(x)), "numbers", "x * (1 + erf(x / sqrt 2)) / 2")
    yield Part("outputs.gelu_of_negative", lab.ops.gelu(lab.held(negative)), "numbers", "likewise")


@case(
    family="merger",
    tier="block",
    section="08",
    clauses=("M1", "M2", "M3"),
    kills=(
        "merge-order",
        "merger-norm-behind",
        "merger-layer-norm",
        "norm-eps-outside",
        "gelu-tanh",
        "bias-forgotten",
    ),
    note="The four patches of each block differ in size by factors of 2, so that a norm over the joined row is "
    "another norm; patches of one size hide that. The last block's patches are so small that the norm's eps "
    "counts.",
)
def merger_norms_patches_and_joins_four(lab: Lab) -> Iterator[Part | Run]:
    """Merge four blocks of four patches."""
    vision = lab.config.vision
    sizes = np.tile(2.0 ** np.arange(-2, 2), 4) * np.repeat([1.0, 4.0, 1.0, 2.0**-9], 4)
    x = drawn(511, (16, vision.hidden_size)) * sizes[:, np.newaxis]
    yield Part("inputs.x", x, "P D", "the last block's output, merge block by merge block")
    tap = Tap()
    weights = lab.model.network.weights.at("visual.merger")
    merged_tokens(lab.held(x), weights, config=vision, ops=lab.ops, tap=tap.at("vision.merger"))
    yield from tapped_parts(tap)
