"""The bundled checkpoints: built by the script, uneven where they can be, and more like a model than noise."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import qwen25vl
from qwen25vl.bundled import BUNDLED, PHOTOGRAPH, checkpoint_directory
from qwen25vl.config import TINY
from qwen25vl.config_json import read_config
from qwen25vl.golden.main_job import MAIN_JOB
from qwen25vl.media.picture import prepared_picture
from strategies import with_ids

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture(scope="module")
def wide():
    """The tied checkpoint in float64, and the main job's inputs."""
    model = qwen25vl.load("tiny", precision="float64")
    return model, model.prepare(MAIN_JOB)


@pytest.fixture(scope="module")
def steps(wide):
    """The greedy steps of the main job."""
    model, inputs = wide
    found = []
    model.generate(inputs, max_new_tokens=24, greedy=True, on_step=found.append)
    return found


def test_the_script_builds_the_very_bytes_that_are_bundled(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    importlib.import_module("make_tiny").write_checkpoints(tmp_path)
    for name in BUNDLED:
        built = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        bundled = {path.name: path.read_bytes() for path in checkpoint_directory(name).iterdir()}
        assert built == bundled, name


@pytest.mark.parametrize("name", BUNDLED)
def test_the_weights_stay_below_five_megabytes(name):
    assert (checkpoint_directory(name) / "model.safetensors").stat().st_size < 5_000_000


def test_the_presets_are_the_bundled_configs():
    assert read_config(checkpoint_directory("tiny")) == TINY
    assert read_config(checkpoint_directory("tiny-untied")) == replace(TINY, tie_word_embeddings=False)


def test_what_can_be_uneven_is_uneven(wide):
    model, inputs = wide
    vision, text = TINY.vision, TINY.text
    assert len(set(np.diff([-1, *vision.full_attention_blocks]))) > 1, "full attention in a regular rhythm"
    assert len(vision.full_attention_blocks) < vision.depth
    assert vision.window_m not in (1, 4)
    assert text.num_key_value_heads > 1
    assert text.heads_per_kv > 1
    assert text.intermediate_size % 2 == 1
    assert vision.intermediate_size % 2 == 1
    assert len(set(text.mrope_section)) == 3
    assert text.vocab_size > model.processor.tokenizer.vocab_size
    assert TINY.image_token_id != qwen25vl.config.QWEN25_VL_3B.image_token_id
    _, H_m, W_m = inputs.image_grids[0] // [1, vision.merge_p, vision.merge_p]
    assert H_m != W_m
    assert H_m % vision.window_m != 0
    assert W_m % vision.window_m != 0


@pytest.mark.parametrize("name", BUNDLED)
def test_no_bias_is_zero_and_no_gain_is_one(name):
    weights = qwen25vl.load(name).network.weights
    for tensor in weights.checkpoint.tensors:
        values = weights[tensor]
        if tensor.endswith("bias"):
            assert np.mean(np.abs(values)) > 0.1, tensor
        if values.ndim == 1 and tensor.endswith("weight"):
            assert np.mean(np.abs(values - 1)) > 0.1, tensor


def test_attention_looks_at_something_in_every_layer(wide):
    """How far the probabilities are from uniform: the average of sum p * log(p * length), in nats."""
    model, inputs = wide
    tap, segments = qwen25vl.Tap("*.probs"), qwen25vl.Tap("vision.*_starts")
    model.forward(inputs, taps=tap)
    model.forward(inputs, taps=segments)
    assert len(tap) == TINY.vision.depth + TINY.text.num_hidden_layers
    for name in tap:
        probs = tap[name]
        if name.startswith("vision"):  # the rows of the first segment, which is a whole window or the frame
            full = int(name.split(".")[2]) in TINY.vision.full_attention_blocks
            length = int(segments["vision.frame_starts" if full else "vision.window_starts"][1])
            rows = probs[:, : length**2].reshape(-1, length)
        else:
            rows = probs[:, -1]  # the last token sees all of the prompt
        information = np.sum(rows * np.log(np.maximum(rows * rows.shape[1], 1e-300)), axis=1)
        assert np.mean(information) > 0.5, name  # uniform rows have 0; one token alone log(length)


def test_the_answer_ends_by_itself_in_words(wide, steps):
    model, _ = wide
    assert steps[-1].is_stop
    assert 6 <= len(steps) < 24
    text = model.processor.tokenizer.decode([step.id for step in steps[:-1]])
    assert text.isascii()
    assert text.replace(" ", "").isalpha()
    assert len({step.id for step in steps}) >= 5


def test_the_answer_depends_on_the_picture(wide, steps):
    model, inputs = wide
    negative = prepared_picture(255 - inputs.pictures[0].rgb, settings=model.processor.settings)
    other = model.generate(replace(inputs, image_rows=negative.rows), max_new_tokens=24, greedy=True)[0]
    assert other.ids != [step.id for step in steps]


def test_the_main_job_is_the_bundled_photograph():
    assert MAIN_JOB[0]["content"][0]["image"] == str(PHOTOGRAPH)
    assert PHOTOGRAPH.is_file()


@pytest.mark.oracle
@pytest.mark.parametrize("name", BUNDLED)
def test_upstream_opens_the_directory_and_computes_the_same(name):
    import oracle

    upstream = oracle.opened_model(checkpoint_directory(name), dtype="float64")
    model = qwen25vl.load(name, precision="float64")
    inputs = model.prepare(MAIN_JOB)
    want = oracle.upstream_taps(upstream, inputs, widened=True)
    tap = qwen25vl.Tap()
    model.forward(inputs, taps=tap)
    assert set(tap) == set(want)
    for name in tap:
        # As in test_model.py: a few thousand roundings of float64 in a row.
        assert np.max(np.abs(tap[name] - want[name])) <= 1e-12 * np.max(np.abs(want[name])), name


@pytest.mark.oracle
def test_every_margin_is_far_above_the_rounding_of_bfloat16(wide, steps):
    import oracle

    _, inputs = wide
    upstream = oracle.opened_model(checkpoint_directory("tiny"), dtype="bfloat16")
    prompt = with_ids(inputs, [step.id for step in steps[:-1]])
    coarse = oracle.upstream_taps(upstream, prompt, widened=False)["logits"][-len(steps) :]
    exact = np.stack([step.logits for step in steps])
    noise = np.sqrt(np.mean(np.square(coarse - exact), axis=1))
    best = np.sort(exact, axis=1)
    margins = best[:, -1] - best[:, -2]
    # Ten standard deviations: a port in bfloat16 decodes the same ids however it rounds. Measured: 20 and more.
    assert np.all(margins > 10 * noise), (margins, noise)
