"""Capture: a transformers model, recorded by hooks, reports our taps under our names."""

import json
import sys

import numpy as np
import pytest
import safetensors

import qwen25vl
from networks import UNEVEN, every_tap, random_network, still_and_clip
from qwen25vl.config import TINY
from qwen25vl.errors import BadInput
from qwen25vl.golden.main_job import MAIN_JOB
from qwen25vl.port.captured import Captured, save_capture
from qwen25vl.port.hf import capture
from qwen25vl.port.maps.name_map import name_map
from qwen25vl.rounding import to_bfloat16, to_float16
from qwen25vl.tap_names import data_order
from strategies import made_inputs

pytestmark = pytest.mark.oracle


def picture_and_text():
    """A prompt with a picture alone."""
    ids = [20, 5, *[8] * 15, 6, 21]
    return made_inputs(UNEVEN, ids, [(1, 10, 6)], [], [], np.random.default_rng(0))


def text():
    """A prompt without any picture."""
    return made_inputs(UNEVEN, [20, 21, 22], [], [], [], np.random.default_rng(0))


PROMPTS = {"picture": picture_and_text, "picture and video": still_and_clip, "text": text}

LARGEST_ERROR = 1e-5
"""Of a float32 run against float64, over the largest value of a tap."""


@pytest.fixture(scope="module")
def model():
    import oracle

    return oracle.random_model(UNEVEN, seed=0, dtype="float32")


def visible(names, config=UNEVEN):
    """The taps that the map declares."""
    mapping = name_map("hf", config=config)
    return {name for name in names if mapping.declares(name)}


def hooks(model):
    """How many hooks hang on a model."""
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def assert_close(captured, ours):
    for name, array in captured.items():
        assert array.shape == ours[name].shape, name
        assert captured.dtypes[name] == ("int64" if ours[name].dtype == np.int64 else "float32"), name
        scale = np.max(np.abs(ours[name]))
        np.testing.assert_allclose(array, ours[name], rtol=0, atol=LARGEST_ERROR * scale, err_msg=name)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_every_declared_tap_is_captured_and_equal(prompt, attention):
    import oracle

    inputs = PROMPTS[prompt]()
    ours = every_tap(inputs, random_network(UNEVEN))
    model = oracle.random_model_with_attention(UNEVEN, seed=0, dtype="float32", attention=attention)
    captured = capture(model, inputs)
    assert set(captured) == visible(ours)
    assert list(captured) == sorted(captured, key=data_order)
    assert_close(captured, ours)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_bundled_checkpoint_is_captured_and_equal(attention):
    import oracle

    wide = qwen25vl.load("tiny", precision="float64")
    inputs, ours = wide.prepare(MAIN_JOB), qwen25vl.Tap("insides")
    wide.forward(inputs, taps=ours)
    upstream = oracle.model_of(wide.network.weights, TINY, dtype="float32")
    captured = capture(oracle.with_attention(upstream, attention), inputs)
    assert set(captured) == visible(ours, TINY)
    assert_close(captured, ours)


def test_a_cache_changes_nothing(model):
    plain, cached = (capture(model, still_and_clip(), use_cache=use) for use in (False, True))
    assert set(plain) == set(cached)
    for name in plain:
        np.testing.assert_array_equal(plain[name], cached[name], err_msg=name)


def test_the_arguments_of_forward_are_taken_as_they_are(model):
    import oracle

    inputs = still_and_clip()
    given = capture(model, oracle.upstream_arguments(model, inputs))
    for name, array in capture(model, inputs).items():
        np.testing.assert_array_equal(given[name], array, err_msg=name)


def test_probabilities_are_there_with_eager_attention_alone(model):
    import oracle

    inputs = picture_and_text()
    ours = every_tap(inputs, random_network(UNEVEN))
    eager = capture(model, inputs, taps="language.*.probs")
    assert set(eager) == {f"language.blocks.{i:02d}.attn.probs" for i in range(2)}
    assert_close(eager, ours)
    sdpa = oracle.random_model_with_attention(UNEVEN, seed=0, dtype="float32", attention="sdpa")
    assert not any("probs" in name for name in capture(sdpa, inputs, taps="all"))


def test_a_level_and_a_glob_choose(model):
    inputs = picture_and_text()
    assert "vision.blocks.00.attn.q" not in capture(model, inputs, taps="stages")
    assert set(capture(model, inputs, taps="vision.blocks.0[12].attn.?")) == {
        f"vision.blocks.{i:02d}.attn.{name}" for i in (1, 2) for name in "qkv"
    }


@pytest.mark.parametrize(
    ("dtype", "kind", "rounded"), [("bfloat16", "BF16", to_bfloat16), ("float16", "F16", to_float16)]
)
def test_sixteen_bits_are_kept_as_they_are_and_saved_as_such(dtype, kind, rounded, tmp_path):
    import oracle

    inputs = still_and_clip()
    upstream = oracle.sixteen_bit_model(UNEVEN, seed=0, dtype=dtype)
    captured = capture(upstream, inputs)
    ours = oracle.sixteen_bit_taps(upstream, inputs)
    save_capture(tmp_path / "dump.safetensors", captured)
    stored = dict(safetensors.deserialize((tmp_path / "dump.safetensors").read_bytes()))
    assert set(stored) == set(captured)
    for name, array in captured.items():
        assert tuple(stored[name]["shape"]) == array.shape
        np.testing.assert_array_equal(array, ours[name], err_msg=name)
        if captured.dtypes[name] == dtype:
            assert array.dtype == np.float32
            np.testing.assert_array_equal(rounded(array), array, err_msg=name)
            bits = np.frombuffer(stored[name]["data"], "<u2")
            wide = (bits.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else bits.view(np.float16)
            assert stored[name]["dtype"] == kind
            np.testing.assert_array_equal(wide.reshape(array.shape), array, err_msg=name)
    assert captured.dtypes["logits"] == dtype
    assert stored["language.positions"]["dtype"] == "I64"


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    captured = Captured({"logits": np.zeros((2, 3), np.float32)}, {"logits": "float32"})
    with pytest.raises(BadInput, match=r"absent/dump\.safetensors cannot be written"):
        save_capture(tmp_path / "absent" / "dump.safetensors", captured)
    save_capture(tmp_path / "dump.safetensors", captured)
    header = (tmp_path / "dump.safetensors").read_bytes()
    length = int.from_bytes(header[:8], "little")
    assert length % 8 == 0
    assert json.loads(header[8 : 8 + length])["logits"]["data_offsets"] == [0, 24]


def test_hooks_are_taken_off_even_after_an_error(model):
    import oracle

    before = hooks(model)
    capture(model, text())
    assert hooks(model) == before
    arguments = oracle.upstream_arguments(model, picture_and_text())
    with pytest.raises(Exception, match="shape"):
        capture(model, {**arguments, "pixel_values": arguments["pixel_values"][:, :-1]})
    assert hooks(model) == before


def test_it_runs_on_another_device():
    import oracle

    here = capture(oracle.random_model(UNEVEN, seed=0, dtype="float32"), still_and_clip())
    with oracle.pretended_gpu():
        there = capture(oracle.random_model(UNEVEN, seed=0, dtype="float32"), still_and_clip())
    for name, array in here.items():
        np.testing.assert_array_equal(there[name], array, err_msg=name)


def test_several_prompts_and_padding_are_refused(model):
    import oracle

    arguments = oracle.upstream_arguments(model, text())
    twice = {name: value.repeat(2, 1) for name, value in arguments.items() if name != "position_ids"}
    with pytest.raises(BadInput, match="got 2 prompts; capture one prompt at a time"):
        capture(model, twice)
    padded = {**arguments, "attention_mask": arguments["attention_mask"] * 0}
    with pytest.raises(BadInput, match="got padding; capture one prompt at a time"):
        capture(model, padded)
    with pytest.raises(BadInput, match="got no input_ids"):
        capture(model, {})


@pytest.mark.parametrize("taps", ["vision.blocks.00.attn.q_rope", "what", ""])
def test_taps_that_no_hook_sees_are_refused(taps, model):
    with pytest.raises(BadInput, match="no tap that a hook sees matches"):
        capture(model, text(), taps=taps)


def test_another_model_is_refused(model):
    with pytest.raises(BadInput, match="got a Qwen2_5_VLModel; give a Qwen2_5_VLForConditionalGeneration"):
        capture(model.model, text())


def test_without_pytorch_a_sentence_says_what_to_install(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BadInput, match="needs PyTorch; install torch and transformers"):
        capture(model, text())
