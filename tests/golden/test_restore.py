"""Section 15: a golden holds all that is needed to run it again."""

from dataclasses import replace

import numpy as np
import pytest

from qwen25vl.golden.case import Run
from qwen25vl.golden.estimate import expected_ids
from qwen25vl.golden.execute import carried_out
from qwen25vl.golden.noise import NO_NOISE
from qwen25vl.golden.restore import restored_run
from qwen25vl.golden.write import prompt_case
from qwen25vl.tap import Tap
from small_goldens import PROMPTS, lab, picture, text, turn, written

EARLIER = turn(picture(1, 56, 84), text("What?"))
LATER = [*EARLIER, {"role": "assistant", "content": [text("Red.")]}, *turn(text("And now?"))]

RUNS = {
    "picture": lambda prepare: Run(prepare(PROMPTS["picture"]), answer_tokens=3),
    "video": lambda prepare: Run(prepare(PROMPTS["video"], max_pixels=28 * 28 * 12)),
    "batch": lambda prepare: Run(prepare(PROMPTS["batch"]), answer_tokens=2),
    "right": lambda prepare: Run(prepare(PROMPTS["batch"], padding_side="right"), answer_tokens=2),
    "chunks": lambda prepare: Run(prepare(PROMPTS["picture"]), chunk=7),
    "before": lambda prepare: Run(prepare(LATER), before=prepare(EARLIER)),
}


@pytest.mark.parametrize("name", RUNS)
def test_x2_a_run_restored_from_its_golden_computes_the_same(name):
    run = RUNS[name](lab().prepare)
    case = written(replace(prompt_case(run), id=name), plan=NO_NOISE)
    again = restored_run(case.parts, case.manifest)
    assert (again.chunk, again.answer_tokens) == (run.chunk, run.answer_tokens)
    seen = []

    def sink(tap, array):
        seen.append(tap)
        np.testing.assert_array_equal(array, case.parts[tap], err_msg=tap)

    answer, generations = carried_out(again, lab().model, tap=Tap("stages", sink=sink), follow=case.parts)
    assert seen
    assert not generations
    assert set(seen) <= set(expected_ids(run, config=lab().config, taps="stages"))
    for part in answer:
        np.testing.assert_allclose(part.array, case.parts[part.id], rtol=1e-12, atol=1e-12, err_msg=part.id)


def test_x3_the_ids_of_a_run_are_known_before_it_runs():
    for name in ("picture", "video", "batch", "chunks"):
        run = RUNS[name](lab().prepare)
        tap = Tap("all")
        carried_out(replace(run, answer_tokens=0), lab().model, tap=tap)
        assert sorted(tap) == sorted(expected_ids(run, config=lab().config, taps="all")), name
