"""Section 15 - cases of the head: from hidden states to scores."""

from collections.abc import Iterator

from qwen25vl.golden.case import Lab, Part, Run
from qwen25vl.golden.cases.vision_taps import tap_part
from qwen25vl.golden.draws import drawn
from qwen25vl.golden.registry import case
from qwen25vl.model import vocabulary_scores


@case(
    family="logits",
    tier="unit",
    section="10",
    clauses=("D12", "C20"),
    kills=("head-not-tied",),
    note="Run it on a tied checkpoint and on an untied one: the head is the embedding in the first and a tensor "
    "of its own in the second. An untied checkpoint whose two matrices are equal would hide a mistake.",
)
def head_gives_every_row_a_score(lab: Lab) -> Iterator[Part | Run]:
    """Score drawn hidden states."""
    hidden = drawn(541, (3, lab.config.text.hidden_size))
    yield Part("inputs.hidden", hidden, "L E", "hidden states behind the final norm")
    yield tap_part("logits", vocabulary_scores(lab.held(hidden), lab.model.network))


@case(
    family="logits",
    tier="block",
    section="10",
    clauses=("D10", "D12", "N4"),
    kills=("hidden-without-final-norm", "norm-gain-plus-one", "head-not-tied"),
    note="A stream four times as large as its norm: normalising it not at all, or twice, changes every score. The "
    "second row is the first times 8: behind one norm their scores are alike but for eps.",
)
def final_norm_comes_once(lab: Lab) -> Iterator[Part | Run]:
    """Normalise the stream behind the last block, and score it."""
    text, network = lab.config.text, lab.model.network
    x = drawn(542, (1, text.hidden_size)) * 8 * [[1.0], [8.0]]
    yield Part("inputs.x", x, "L E", "residual stream behind the last block")
    hidden = lab.ops.rms_norm(lab.held(x), network.weights["model.norm.weight"], eps=text.rms_norm_eps)
    yield tap_part("language.norm.out", hidden)
    yield tap_part("logits", vocabulary_scores(hidden, network))
