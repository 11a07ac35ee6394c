"""Section 15: the noise of a correct port is measured, free-running and stage by stage."""

from dataclasses import replace

import numpy as np

from qwen25vl.golden.case import Case, Lab, Part
from qwen25vl.golden.noise import LIGHT_NOISE, NO_NOISE, NoisePlan, measured_noise, write_noise
from qwen25vl.golden.restore import restored_run
from qwen25vl.golden.write import prompt_case
from qwen25vl.precision import PRECISIONS
from small_goldens import golden, lab, written

QUICK = NoisePlan(precisions=("float32",), orders=("given",))


def test_x24_every_computed_float_has_a_noise_in_every_precision():
    case = golden("words", answer_tokens=4)
    entries = case.parts.entries.items()
    floats = {name for name, entry in entries if entry["dtype"] == "F64" and not name.startswith("inputs.")}
    assert set(case.noise) == floats
    for name, by_precision in case.noise.items():
        assert set(by_precision) == set(PRECISIONS)
        for modes in by_precision.values():
            assert set(modes) == ({"free"} if name.startswith("answer.") else {"free", "stage"})


def test_x24_a_coarser_format_has_more_noise_and_a_stage_less_than_the_whole():
    noise = golden("picture").noise
    for name, entry in noise.items():
        free = [entry[precision]["free"]["rel_l2"] for precision in ("float64", "float32", "float16", "bfloat16")]
        assert free == sorted(free), name
        assert free[1] > 0 or name == "vision.rope.cos"
    late = noise["logits"]
    for precision in PRECISIONS:
        assert late[precision]["stage"]["rel_l2"] < late[precision]["free"]["rel_l2"]


def test_x24_the_noise_of_float32_is_that_of_rounding():
    # A product of n terms is off by at most about n roundings, typically by their root.
    stage = golden("picture").noise["vision.blocks.02.attn.q"]["float32"]["stage"]["rel_l2"]
    assert 2.0**-24 / 4 < stage < 40 * 2.0**-24


def test_x24_more_orders_never_give_less_noise():
    case = golden("words")
    run = restored_run(case.parts, case.manifest)
    one = measured_noise(case.directory, prompt_case(run), lab(), run=run, manifest=case.manifest, plan=QUICK)
    for name, entry in one.items():
        for mode, measures in entry["float32"].items():
            for measure, value in measures.items():
                assert value <= case.noise[name]["float32"][mode][measure], (name, mode, measure)


def test_x24_a_function_alone_is_run_again_in_each_precision():
    given = np.arange(-8, 8).reshape(2, 8) / 4

    def halves(lab: Lab):
        """Half of a gelu."""
        yield Part("inputs.x", given, "rows D", "what is given")
        yield Part("outputs.y", lab.ops.gelu(lab.held(given)) / 2, "rows D", "what comes of it")
        yield Part("outputs.rows", np.array([2]), "1", "how many")

    case = Case("halves", "Halves.", halves, "vision", "unit", "00", (), ())
    made = written(case)
    assert restored_run(made.parts, made.manifest) is None
    assert set(made.noise) == {"outputs.y"}
    assert 0 < made.noise["outputs.y"]["float32"]["free"]["max"] < 2.0**-22
    assert "stage" not in made.noise["outputs.y"]["float32"]


def test_x24_a_run_that_leaves_the_range_of_its_format_says_so():
    def large(lab: Lab):
        """Numbers beyond float16."""
        yield Part("outputs.y", lab.ops.multiplied(*[lab.held(np.full((1, 2), 300.0))] * 2), "rows D", "squares")

    case = Case("large", "Large.", large, "precision", "unit", "00", (), ())
    noise = written(case).noise
    assert noise["outputs.y"]["float16"]["free"] == {"overflow": 1}
    assert noise["outputs.y"]["float32"]["free"]["max"] == 0


def test_x24_a_plan_says_what_is_measured(tmp_path):
    case = golden("words")
    run = restored_run(case.parts, case.manifest)
    light = measured_noise(
        case.directory, prompt_case(run), lab(), run=run, manifest=case.manifest, plan=LIGHT_NOISE
    )
    assert set(light["logits"]) == {"float32", "bfloat16"}
    assert set(light["logits"]["float32"]) == {"free"}
    write_noise(tmp_path, prompt_case(run), lab(), run=run, manifest=case.manifest, plan=NO_NOISE)
    assert not list(tmp_path.iterdir())


def test_noise_needs_no_answer_of_its_own():
    """The tokens of the golden answer are followed, whatever a coarser run would choose."""
    case = golden("words", answer_tokens=4)
    run = restored_run(case.parts, case.manifest)
    other = replace(run, answer_tokens=4)
    noise = measured_noise(
        case.directory, prompt_case(other), lab(), run=other, manifest=case.manifest, plan=QUICK
    )
    assert noise["answer.logits"]["float32"]["free"]["rel_l2"] < 1e-4
