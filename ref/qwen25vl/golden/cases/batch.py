"""Section 15 - cases of several prompts at once: does each get what it gets alone?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qwen25vl.golden.case import Lab, Part, Run
from qwen25vl.golden.cases.vision_scenes import plaid, ramp, said
from qwen25vl.golden.registry import case

SOURCES = (("image", "ramp"), ("image", "plaid"))
"""Pictures of the prompts below."""


def three_prompts() -> Sequence[Sequence[Mapping[str, Any]]]:
    """Make prompts of three lengths: a picture, none, another picture of another size."""
    return [[said("What is this?", ramp(56, 140))], [said("Where?")], [said(plaid(84, 56), "And here?")]]


@case(
    family="batch",
    tier="model",
    section="10",
    clauses=("D13", "T7", "T8", "T9", "P22", "G4"),
    kills=(
        "padding-counted",
        "padding-attended",
        "right-padding-assumed",
        "batch-grids-restart",
        "delta-of-other-prompt",
        "delta-kept",
        "delta-unpadded",
    ),
    note="Three lengths, and the middle prompt has no picture, so a port that deals out pictures or offsets by "
    "the number of the prompt goes wrong. Prompts of equal length need no padding. Ids of taps begin with the "
    "prompt's number; padding has no rows.",
    flags=("long",),
    taps="*.resid_post",
)
def left_padding_changes_nothing(lab: Lab) -> Iterator[Part | Run]:
    """Run three prompts, filled up in front, and their answers."""
    yield Run(lab.prepare(three_prompts(), padding_side="left"), answer_tokens=4, sources=SOURCES)


@case(
    family="batch",
    tier="model",
    section="10",
    clauses=("D13", "T7", "T9", "P22"),
    kills=("last-column-of-right-padding", "padding-attended", "delta-unpadded", "padding-counted"),
    note="The same prompts filled up behind: the scores of the next token stand at the last real token, not in "
    "the last column, and decoding counts from the padded length.",
    flags=("long",),
    taps="*logits",
)
def right_padding_changes_nothing(lab: Lab) -> Iterator[Part | Run]:
    """Run the same prompts, filled up behind."""
    yield Run(lab.prepare(three_prompts(), padding_side="right"), answer_tokens=4, sources=SOURCES)
