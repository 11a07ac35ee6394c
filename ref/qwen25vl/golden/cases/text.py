"""Section 15 - cases of the decoder in whole passes: text alone."""

from collections.abc import Iterator

from qwen25vl.golden.case import Lab, Part, Run
from qwen25vl.golden.cases.vision_scenes import said
from qwen25vl.golden.registry import case


@case(
    family="text",
    tier="model",
    section="10",
    clauses=("D1", "D9", "D10", "T1"),
    kills=("names-not-mapped", "embedding-names-not-mapped", "hidden-without-final-norm", "theta-swapped"),
    note="Without a picture the three axes agree, and a decoder of the text family gives the same: what fails "
    "here has nothing to do with vision. What passes here says nothing about positions.",
    taps="insides",
)
def text_alone_has_three_equal_positions(lab: Lab) -> Iterator[Part | Run]:
    """Run a prompt without pictures, with the insides of every block."""
    yield Run(lab.prepare([said("Hello, how are you?")]), answer_tokens=4)
