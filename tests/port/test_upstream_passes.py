"""Section 15: the limits let every dump of transformers pass, in float32 and bfloat16, eager and sdpa."""

import functools

import pytest

from qwen25vl.bundled import checkpoint_directory
from qwen25vl.golden.case import Run
from qwen25vl.golden.noise import NoisePlan
from qwen25vl.golden.registry import chosen_cases
from qwen25vl.golden.restore import restored_run
from qwen25vl.port.judge import Judge
from qwen25vl.port.policy import read_policy
from small_goldens import lab, written

FORMATS = ("float32", "bfloat16")

MODEL_CASES = [entry for entry in chosen_cases(tiers=("model",)) if entry.family != "batch"]


@functools.cache
def upstream(precision, attention):
    import oracle

    model = oracle.opened_model(checkpoint_directory("tiny"), dtype=precision)
    model.set_attn_implementation(attention)
    return model if precision == "float32" else oracle.with_float32_frequencies(model, lab().config)


def recorded(model, inputs, *, precision):
    """What upstream computes, under our ids."""
    import oracle

    if precision == "float32":
        taps = oracle.upstream_taps(model, inputs, widened=False)
    else:
        taps = oracle.sixteen_bit_taps(model, inputs)
    return {name: array for name, array in taps.items() if not name.endswith(("silu", "qkv"))}


def written_in_one(entry):
    """A case with the noise of the formats in question; None if upstream cannot run it in one piece."""
    (run,) = [item for item in entry.function(lab()) if isinstance(item, Run)]
    if run.chunk is not None or run.before is not None:
        return None
    return written(entry, plan=NoisePlan(precisions=FORMATS, modes=("free",)))


@pytest.mark.oracle
@pytest.mark.parametrize("entry", MODEL_CASES, ids=lambda entry: entry.id)
def test_x26_a_dump_of_transformers_passes(entry):
    golden = written_in_one(entry)
    if golden is None:
        assert entry.id in {
            "pieces_see_what_came_before",
            "one_token_at_a_time_gives_the_same",
            "next_turn_runs_only_what_is_new",
            "another_picture_of_one_size_is_another_prompt",
        }
        return
    run = restored_run(golden.parts, golden.manifest)
    for precision in FORMATS:
        for attention in ("eager", "sdpa"):
            taps = recorded(upstream(precision, attention), run.inputs, precision=precision)
            judge = Judge(read_policy(), precision, lab(), declares=taps.__contains__)
            verdicts, _ = judge.verdicts(golden, taps)
            wrong = [
                (verdict.tap, verdict.noise_units, verdict.local_units)
                for verdict in verdicts
                if verdict.verdict not in ("exact", "noise")
            ]
            assert not wrong, (precision, attention)
            assert len(verdicts) > 25
