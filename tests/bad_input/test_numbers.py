"""Numbers that are no limits, prompts that are too long, weights that are no numbers, by the public interface.

The copy of the package has no checks of types around its functions, as users have it: what is wrong has to be
refused by the code itself.
"""

import json
import math
import re
import shutil

import numpy as np
import pytest

from bad_input.plain import PLAIN
from checkpoint_files import packed
from qwen25vl.checkpoint.safetensors import open_file

PICTURE = np.zeros((56, 84, 3), np.uint8)
ASK = [{"role": "user", "content": [{"type": "image", "image": PICTURE}, {"type": "text", "text": "Hello"}]}]
FILM = [{"role": "user", "content": [{"type": "video", "video": [PICTURE] * 4}]}]
NO_COUNT = [0, -1, True, 1.5, 28.0**2, math.nan, math.inf, "784", b"784", [784], 10**30, 10**5000, object()]
NO_RATE = [0, -1.0, True, math.nan, math.inf, -math.inf, "2", [2.0], 10**400, object()]
IDS = {"ids": lambda value: type(value).__name__}


@pytest.fixture(scope="module")
def model():
    return PLAIN.load("tiny")


def check_names(call, name: str) -> None:
    """One sentence that names the argument."""
    with pytest.raises(PLAIN.BadInput, match=name) as refusal:
        call()
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("value", NO_COUNT, **IDS)
@pytest.mark.parametrize("name", ["min_pixels", "max_pixels"])
def test_i26_an_area_that_is_none_is_refused_of_everybody(model, name, value):
    check_names(lambda: model.prepare(ASK, **{name: value}), name)
    part = {"type": "image", "image": PICTURE, name: value}
    check_names(lambda: model.prepare([{"role": "user", "content": [part]}]), name)
    check_names(lambda: model.prepare(FILM, **{name: value}), name)


@pytest.mark.parametrize("value", NO_COUNT, **IDS)
@pytest.mark.parametrize("name", ["total_pixels", "nframes", "min_frames", "max_frames"])
def test_v7_a_count_of_a_video_that_is_none_is_refused(model, name, value):
    part = {"type": "video", "video": [PICTURE] * 4, name: value}
    check_names(lambda: model.prepare([{"role": "user", "content": [part]}]), "|".join([name, "frames"]))


@pytest.mark.parametrize("value", NO_RATE, **IDS)
def test_v7_a_rate_that_is_none_is_refused(model, value):
    check_names(lambda: model.prepare(FILM, fps=value), "fps")


@pytest.mark.parametrize("value", NO_COUNT, **IDS)
@pytest.mark.parametrize("name", ["max_new_tokens", "num_return_sequences", "chunk"])
def test_g13_a_count_of_tokens_that_is_none_is_refused(model, name, value):
    inputs = model.prepare(ASK)
    check_names(lambda: model.generate(inputs, **{name: value}), name)


@pytest.mark.parametrize("value", [-1, True, math.nan, math.inf, "1", [1.0], 10**400, object()], **IDS)
@pytest.mark.parametrize("name", ["temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed"])
def test_g13_a_setting_that_is_none_is_refused(model, name, value):
    inputs = model.prepare(ASK)
    if name == "top_k" and value == 10**400:
        return  # as many as there are
    check_names(lambda: model.generate(inputs, max_new_tokens=1, **{name: value}), name)


@pytest.mark.parametrize("value", ["qwen", "", None, True, 3, ["hf"], object()], **IDS)
def test_a_word_that_is_none_of_those_that_count_is_refused(model, value):
    check_names(lambda: model.prepare(ASK, padding_side=value), "padding_side")
    check_names(lambda: PLAIN.load(precision=value), "precision")
    check_names(lambda: PLAIN.load(kernels=value), "kernels")
    if value is not None:
        check_names(lambda: model.prepare(ASK, profile=value), "profile")
        check_names(lambda: model.prepare(FILM, profile=value), "profile")


# --------------------------------------------------------------------------------------- long prompts


def test_p27_a_prompt_beyond_the_last_position_is_refused_before_anything_is_computed(model):
    assert model.config.text.max_position_embeddings == 4096
    says = r"the prompt of \d{5} tokens reaches position \d{5}, .* positions 0 to 4095"
    with pytest.raises(PLAIN.BadInput, match=says):
        model.prepare([{"role": "user", "content": "12345 " * 2000}])


def copied(tiny_dir, tmp_path, **changes):
    """Tiny with other numbers in its config.json."""
    place = tmp_path / "model"
    shutil.copytree(tiny_dir, place)
    config = json.loads((place / "config.json").read_text())
    for key, value in changes.items():
        assert key in config
        config[key] = value
    (place / "config.json").write_text(json.dumps(config))
    return place


def test_p27_a_picture_takes_positions_by_its_longer_side_not_by_its_tokens(tiny_dir, tmp_path):
    """More tokens than positions, and it passes."""
    short = PLAIN.load_processor(copied(tiny_dir, tmp_path, max_position_embeddings=120))
    square = [{"role": "user", "content": [{"image": np.zeros((560, 560, 3), np.uint8)}]}]
    inputs = short.prepare(square)
    assert inputs.ids.shape[1] > 400
    assert inputs.positions.max() < 120


@pytest.mark.parametrize("room", [0, 1, 3])
def test_p27_an_answer_ends_at_the_last_position(tiny_dir, tmp_path, model, room):
    ask = [{"role": "user", "content": "What is it?"}]
    inputs = model.prepare(ask)
    limit = int(inputs.positions.max()) + 1 + room
    short = PLAIN.load(copied(tiny_dir, tmp_path, max_position_embeddings=limit))
    want = model.generate(inputs, greedy=True, max_new_tokens=room + 1)[0]
    (answer,) = short.generate(short.prepare(ask), greedy=True, max_new_tokens=100)
    assert answer.ids == want.ids
    assert answer.stop == want.stop == "length"


# --------------------------------------------------------------------------------- weights of no number


@pytest.fixture
def with_nan(tiny_dir, tmp_path):
    """Tiny with one NaN in a gain of the decoder."""
    place = copied(tiny_dir, tmp_path)
    tensors = open_file(place / "model.safetensors")
    parts = {name: (t.dtype, t.shape, t.raw.tobytes()) for name, t in tensors.items()}
    name = "model.layers.1.input_layernorm.weight"
    dtype, shape, bits = parts[name]
    quiet = {"BF16": b"\xc0\x7f", "F32": b"\0\0\xc0\x7f"}[dtype]
    at = 5 * len(quiet)
    parts[name] = (dtype, shape, bits[:at] + quiet + bits[at + len(quiet) :])
    (place / "model.safetensors").write_bytes(packed(parts))
    return place


def test_c28_a_run_that_meets_a_nan_is_refused_with_its_place(with_nan):
    model = PLAIN.load(with_nan)
    inputs = model.prepare(ASK)
    says = "model.layers.1.input_layernorm.weight holds 1 of 120 values that are infinite or NaN, the first, nan"
    with pytest.raises(PLAIN.BadInput, match=re.escape(says)):
        model.forward(inputs)


def test_c28_allowed_it_goes_where_arithmetic_takes_it(with_nan):
    model = PLAIN.load(with_nan, allow_nan=True)
    with np.errstate(all="ignore"):
        assert np.all(np.isnan(model.forward(model.prepare(ASK)).logits))
