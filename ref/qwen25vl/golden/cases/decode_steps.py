"""Section 15 - cases of decoding steps whose tokens are given, not chosen."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64

from qwen25vl.golden.case import Lab, Part, Run, count_part
from qwen25vl.golden.cases.vision_scenes import ramp, said
from qwen25vl.golden.cases.vision_taps import tap_part, tapped_parts
from qwen25vl.golden.execute import given_parts
from qwen25vl.golden.registry import case
from qwen25vl.language.cache import Cache
from qwen25vl.model import decode_step, prefill, vocabulary_scores
from qwen25vl.tap import Tap

SEEN = "*language.[enp]*"
"""Taps of a step that a case keeps: embeddings, positions, hidden states behind the final norm."""


def stepped(
    lab: Lab, ids: Int64[np.ndarray, " L"], cache: Cache, *, delta: int, scope: str = ""
) -> Iterator[Part]:
    """Run given tokens behind a prompt; give what they report, and their scores.

    Args:
        lab: what to work with.
        ids: the tokens.
        cache: of the prompt.
        delta: of the prompt.
        scope: what the ids of the parts begin with.
    """
    network = lab.model.network
    tap = Tap(SEEN)
    hidden, _ = decode_step(ids, cache, network, delta=delta, tap=tap.at(scope) if scope else tap)
    yield from tapped_parts(tap)
    yield tap_part(f"{scope}.logits" if scope else "logits", vocabulary_scores(hidden, network))


@case(
    family="decode",
    tier="block",
    section="10",
    clauses=("D1", "D11"),
    kills=("sampled-pad-scattered", "delta-missing"),
    note="A model may give the id of a pad itself. It is a token like any other then: it has the embedding of the "
    "id, one position, and no picture. No common answer holds one.",
)
def pad_id_in_an_answer_is_a_token(lab: Lab) -> Iterator[Part | Run]:
    """Go on behind a picture with tokens of which two are pad ids."""
    inputs = lab.prepare([said("What is this?", ramp(56, 84))])
    yield from given_parts(Run(inputs))
    forced = [20, lab.config.image_token_id, lab.config.video_token_id, 30]
    part = count_part("inputs.forced_ids", forced, "L", "tokens that follow the prompt", "11")
    yield part
    _, cache = prefill(inputs, lab.model.network)
    yield from stepped(lab, part.array, cache, delta=int(inputs.delta[0]))


@case(
    family="decode",
    tier="block",
    section="11",
    clauses=("D11", "G4"),
    kills=("delta-of-other-prompt", "delta-kept", "delta-missing"),
    note="A prompt with a picture, then one without are run; then a step behind the first and a step behind the "
    "second. An offset that is kept in one place is by then the other prompt's. One prompt at a time hides it.",
)
def answer_keeps_its_own_offset(lab: Lab) -> Iterator[Part | Run]:
    """Take turns between two prompts: run both, then go on behind each."""
    inputs = lab.prepare([[said("What is this?", ramp(56, 140))], [said("Where?")]])
    yield from given_parts(Run(inputs))
    part = count_part("inputs.forced_ids", [[20, 30], [40, 50]], "B steps", "tokens that follow each prompt", "11")
    yield part
    rows = [inputs.row(b) for b in range(2)]
    caches = [prefill(row, lab.model.network)[1] for row in rows]
    for b, (row, cache) in enumerate(zip(rows, caches, strict=True)):
        yield from stepped(lab, part.array[b], cache, delta=int(row.delta[0]), scope=f"rows.{b:02d}")
