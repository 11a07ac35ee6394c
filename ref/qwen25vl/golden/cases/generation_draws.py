"""Section 15 - cases of drawing: which numbers does a seed give, and which ids do they stand for?"""

from collections.abc import Iterator

import numpy as np

from qwen25vl.generate.draw import drawn_id, splitmix64, uniform_number
from qwen25vl.golden.case import Lab, Part, Run, count_part
from qwen25vl.golden.draws import drawn
from qwen25vl.golden.registry import case

SEEDS = (0, 1, 42, 2**53 + 1, 2**63 - 1)
"""The last two have no exact float64, and the last is the largest that int64 holds."""

SEQUENCES, STEPS = 3, 4
"""Answers, and tokens of each."""


@case(
    family="generation",
    tier="unit",
    section="11",
    clauses=("G17", "G18"),
    kills=("draw-differs",),
    note="Seeds that a float64 would round, and several answers and steps: a generator that is seeded once and "
    "runs on gives the first answer right and the second wrong.",
)
def seed_answer_and_step_give_a_number(lab: Lab) -> Iterator[Part | Run]:
    """List the numbers in [0, 1) of five seeds, three answers and four steps."""
    yield count_part("inputs.seeds", SEEDS, "seeds", "seeds of a run")
    starts = [[splitmix64(seed, index=s) % 2**63 for s in range(SEQUENCES)] for seed in SEEDS]
    yield count_part("outputs.starts", starts, "seeds answers", "start of each answer's stream, its lower 63 bits")
    u = [
        [[uniform_number(seed=seed, sequence=s, step=t) for t in range(STEPS)] for s in range(SEQUENCES)]
        for seed in SEEDS
    ]
    yield Part("outputs.u", np.array(u), "seeds answers steps", "number that decides a step")


@case(
    family="generation",
    tier="unit",
    section="11",
    clauses=("G16",),
    kills=("draw-differs",),
    note="Ids with a score of -inf stand first, last and between; 0 and the largest number below 1 must pass over "
    "them. Every other number keeps clear of the borders, so that the last bit of exp does not matter.",
)
def number_stands_for_an_id(lab: Lab) -> Iterator[Part | Run]:
    """Draw ids from one distribution by 34 numbers."""
    scores = (drawn(571, (16,)) * 4).astype(np.float32)
    scores[[0, 1, 6, 15]] = -np.inf
    u = np.concatenate([[0.0], (np.arange(32) + 0.5) / 32, [1 - 2.0**-53]])
    yield Part("inputs.scores", scores, "V", "scores behind the rules")
    yield Part("inputs.u", u, "draws", "numbers in [0, 1)")
    ids = [drawn_id(scores, u=float(number)) for number in u]
    yield count_part("outputs.ids", ids, "draws", "the id that each stands for")
