"""Section 15 - cases of decoding and of prompts in pieces: what is kept, and where does counting go on?"""

from collections.abc import Iterator

from qwen25vl.golden.case import Lab, Part, Run
from qwen25vl.golden.cases.vision_scenes import LEAST_AREA_PX, answered, film, plaid, ramp, said, shapes
from qwen25vl.golden.registry import case


@case(
    family="decode",
    tier="model",
    section="11",
    clauses=("D7", "D8", "D11", "D12", "G1", "G3", "G4", "G19"),
    kills=(
        "delta-missing",
        "text-after-by-tokens",
        "text-after-by-time",
        "cache-unrotated-keys",
        "cache-in-16-bits",
        "greedy-drawn",
    ),
    note="Seven tokens behind a picture, whose ten pads take five positions. The first token comes from the "
    "prompt's own pass: only from the second on does the offset matter.",
    taps="*logits",
)
def answer_goes_on_behind_a_picture(lab: Lab) -> Iterator[Part | Run]:
    """Decode an answer behind a picture."""
    messages = [said("What is this?", ramp(56, 140))]
    yield Run(lab.prepare(messages), answer_tokens=7, sources=(("image", "ramp"),))


@case(
    family="decode",
    tier="model",
    section="11",
    clauses=("D11", "T3", "T7", "G4"),
    kills=("delta-missing", "text-after-by-sides", "video-time-constant"),
    note="At one frame in four seconds time runs ahead of the number of tokens, so the offset is positive; behind "
    "a picture it never is.",
    taps="*logits",
)
def answer_goes_on_behind_a_clip(lab: Lab) -> Iterator[Part | Run]:
    """Decode an answer behind a clip whose time runs ahead of its tokens."""
    messages = [said(film(4, 56, 56), "Where is the ball?")]
    inputs = lab.prepare(messages, fps=0.25, min_pixels=LEAST_AREA_PX)
    yield Run(inputs, answer_tokens=6, sources=(("video", "film of 4 frames"),))


@case(
    family="decode",
    tier="model",
    section="10",
    clauses=("D8", "D14", "T2"),
    kills=(
        "chunk-positions-restart",
        "chunk-positions-from-end",
        "chunk-mask",
        "positions-sequential",
        "causal-by-position",
    ),
    note="Pieces of 7 tokens, and ten pads of one picture: at least one border lies inside the picture. A piece "
    "of 512 holds a short prompt whole and shows nothing.",
)
def pieces_see_what_came_before(lab: Lab) -> Iterator[Part | Run]:
    """Run a prompt seven tokens at a time, with borders inside its picture."""
    messages = [said("What is this?", ramp(56, 140))]
    yield Run(lab.prepare(messages), chunk=7, answer_tokens=2, sources=(("image", "ramp"),))


@case(
    family="decode",
    tier="model",
    section="10",
    clauses=("D8", "D14"),
    kills=("chunk-positions-restart", "chunk-positions-from-end", "chunk-mask", "cache-unrotated-keys"),
    note="The smallest pieces there are: every row of a picture is a pass of its own, as in decoding, but with "
    "the positions of the picture.",
    flags=("long",),
    taps="*logits",
)
def one_token_at_a_time_gives_the_same(lab: Lab) -> Iterator[Part | Run]:
    """Run a prompt with a picture token by token."""
    messages = [said("What is this?", ramp(56, 84))]
    yield Run(lab.prepare(messages), chunk=1, answer_tokens=2, sources=(("image", "ramp"),))


@case(
    family="decode",
    tier="model",
    section="10",
    clauses=("D14", "D15"),
    kills=("chunk-positions-restart", "chunk-mask", "cache-unrotated-keys", "cache-cut-by-positions"),
    note="The first turn was run; only what is new may be run now. The taps hold the new tokens alone, at the "
    "positions that the whole prompt gives them, which a picture in the first turn makes other than their "
    "indices.",
)
def next_turn_runs_only_what_is_new(lab: Lab) -> Iterator[Part | Run]:
    """Run the second turn of a conversation behind the first."""
    first = [said(ramp(56, 140), "What is this?")]
    second = [*first, answered(" sky"), said("Tell me more.")]
    yield Run(lab.prepare(second), before=lab.prepare(first), answer_tokens=3, sources=(("image", "ramp"),))


@case(
    family="decode",
    tier="model",
    section="10",
    clauses=("D15",),
    kills=("prefix-by-ids", "cache-stale"),
    note="Both prompts have the same ids and positions; only the pixels differ. Pictures of two sizes would "
    "differ in their ids already.",
)
def another_picture_of_one_size_is_another_prompt(lab: Lab) -> Iterator[Part | Run]:
    """Run the same words about another picture of the same size, behind the first."""
    first, second = ([said("What is this?", picture)] for picture in (shapes(56, 84), plaid(56, 84)))
    yield Run(lab.prepare(second), before=lab.prepare(first), answer_tokens=3, sources=(("image", "plaid"),))
