"""What `qwen25vl run` says in an emulated precision: the answer, and where a prompt left the range of float16."""

import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

import qwen25vl
from qwen25vl.golden.main_job import MAIN_JOB


@pytest.fixture(scope="module")
def loud_dir(tmp_path_factory):
    """Copy the bundled checkpoint with one tensor enlarged until float16 cannot hold what it makes."""
    source = qwen25vl.bundled.checkpoint_directory("tiny")
    target = tmp_path_factory.mktemp("loud") / "tiny"
    shutil.copytree(source, target)
    weights = qwen25vl.load("tiny").network.weights
    arrays = {name: np.array(weights[name]) for name in weights.checkpoint.tensors}
    arrays["visual.blocks.1.mlp.up_proj.weight"] *= 2.0**14
    save_file(arrays, target / "model.safetensors")
    return target


def test_n28_the_first_tap_beyond_the_range_of_float16_is_named_on_stderr(command, photo, loud_dir):
    arguments = ("run", "x", "--image", photo, "--model", loud_dir, "--max-new-tokens", 1)
    lines = command(*arguments, "--precision", "float16").err.splitlines()
    assert lines[0].startswith(
        "warning: vision.blocks.01.mlp.up is the first tap with values that are infinite or NaN, "
    )
    assert lines[0].endswith("; float16 is too narrow here")
    assert sum("warning" in line for line in lines) == 1
    for precision in ("bfloat16", "float32"):
        finished = command(*arguments, "--precision", precision)
        assert (finished.code, finished.err) == (0, "")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_an_emulated_precision_answers_without_a_word_on_stderr(command, photo, precision):
    finished = command("run", "Describe the picture.", "--image", photo, "--precision", precision, "--greedy")
    # Every margin of tiny's answer is far above the rounding of bfloat16: see test_tiny.py.
    assert (finished.code, finished.err) == (0, "")
    assert finished.out == command("run", "Describe the picture.", "--image", photo, "--greedy").out


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_golden_in_an_emulated_precision_holds_float32_numbers_of_the_format(command, tmp_path, precision):
    from safetensors.numpy import load_file

    out = tmp_path / "g"
    finished = command("golden", out, "x", "--precision", precision, "--max-new-tokens", 1, "--taps", "stages")
    assert finished.code == 0
    model = qwen25vl.load(precision=precision)
    for name, array in load_file(out / "taps.safetensors").items():
        if array.dtype.kind == "f":
            assert array.dtype == np.float32
            np.testing.assert_array_equal(model.network.ops.precision.rounded(array), array, err_msg=name)


def test_forward_runs_in_an_emulated_precision():
    model = qwen25vl.load(precision="bfloat16")
    logits = model.forward(model.prepare(MAIN_JOB)).logits
    wide = qwen25vl.load(precision="float64")
    exact = wide.forward(wide.prepare(MAIN_JOB)).logits
    # Measured: 3.2 % of the norm.
    assert 0.005 < np.linalg.norm(logits - exact) / np.linalg.norm(exact) < 0.1
