"""Section 15: the size of a golden is known before anything is computed."""

from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

import qwen25vl
from films import HEIGHT, WIDTH, film
from networks import every_tap, random_network
from qwen25vl.config import QWEN25_VL_3B
from qwen25vl.errors import BadInput
from qwen25vl.golden.case import Run
from qwen25vl.golden.estimate import expected_bytes, expected_taps, input_bytes
from qwen25vl.golden.noise import NO_NOISE
from qwen25vl.golden.write import write_golden
from qwen25vl.media.clip import decoded_frames
from qwen25vl.precision import PRECISIONS
from qwen25vl.tap_names import LEVELS, level_of
from strategies import configs, made_inputs, prompts


@given(data=st.data(), config=configs(), precision=st.sampled_from(sorted(PRECISIONS)))
def test_x12_every_tap_is_foreseen_with_its_shape_and_type(data, config, precision):
    inputs = data.draw(prompts(config))
    network = random_network(config, precision=PRECISIONS[precision])
    got = every_tap(inputs, network)
    want = expected_taps(inputs, config=config, dtype=PRECISIONS[precision].dtype)
    assert {tap.id: (tap.shape, tap.dtype) for tap in want} == {
        name: (got[name].shape, got[name].dtype) for name in got
    }
    assert [tap.nbytes for tap in want] == [got[tap.id].nbytes for tap in want]


def noise(height, width, *, seed=0):
    """A picture."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def prepared(model, content):
    """One prompt: media, and a question."""
    return model.prepare([{"role": "user", "content": [*content, {"type": "text", "text": "?"}]}])


def tensor_bytes(path):
    """Bytes of a file's tensors, its header left out."""
    return path.stat().st_size - 8 - int.from_bytes(path.read_bytes()[:8], "little")


def written_bytes(out, model, inputs, *, taps):
    """Write a golden of one step; return the bytes of the tensors of each of its files."""
    sources = [("image", "x")] * len(inputs.pictures) + [("video", "x")] * len(inputs.clips)
    write_golden(
        out, model, inputs, sources=sources, model_name="tiny", max_new_tokens=1, taps=taps, noise=NO_NOISE
    )
    return {path.name: tensor_bytes(path) for path in out.glob("*.safetensors")}


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("taps", [*LEVELS, "*.resid_post", "logits"])
def test_x12_the_estimate_for_tiny_is_what_is_written(tmp_path, taps, precision):
    model = qwen25vl.load("tiny", precision=precision)
    inputs = prepared(model, [{"type": "image", "image": noise(60, 100)}])
    dtype = model.network.ops.precision.dtype
    foreseen = expected_taps(inputs, config=model.config, dtype=dtype, taps=taps)
    written = written_bytes(tmp_path / "g", model, inputs, taps=taps)
    assert sum(tap.nbytes for tap in foreseen) == written["taps.safetensors"]
    with safe_open(tmp_path / "g" / "taps.safetensors", framework="numpy") as file:
        assert set(file.keys()) == {tap.id for tap in foreseen}
    whole = expected_bytes(Run(inputs, answer_tokens=1), config=model.config, dtype=dtype, taps=taps)
    assert whole == sum(written.values())


@pytest.mark.parametrize(
    "content",
    [
        [],
        [{"type": "image", "image": noise(60, 100)}, {"type": "image", "image": noise(90, 31)}],
        [{"type": "video", "video": [noise(70, 40, seed=seed) for seed in range(5)]}],
        [{"type": "video", "video": film(9), "nframes": 6}, {"type": "image", "image": noise(60, 100)}],
    ],
    ids=["text alone", "two pictures", "five frames", "a film and a picture"],
)
def test_x12_inputs_are_foreseen_to_the_byte(tmp_path, content):
    model = qwen25vl.load("tiny")
    inputs = prepared(model, content)
    written = written_bytes(tmp_path / "g", model, inputs, taps="logits")
    assert input_bytes(inputs) == written["inputs.safetensors"]
    dtype = model.network.ops.precision.dtype
    whole = expected_bytes(Run(inputs, answer_tokens=1), config=model.config, dtype=dtype, taps="logits")
    assert whole == sum(written.values())


def test_x12_no_frame_is_decoded_for_the_estimate():
    inputs = prepared(
        qwen25vl.load_processor("tiny"), [{"type": "video", "video": film(9), "nframes": 6, "max_pixels": 4096}]
    )
    gone = replace(inputs, clips=(replace(inputs.clips[0], source="gone.mp4"),))
    with pytest.raises(BadInput):
        list(decoded_frames(gone.clips[0]))
    assert input_bytes(gone) == input_bytes(inputs) > 6 * HEIGHT * WIDTH * 3


def test_x12_large_frames_count_though_they_are_looked_at_small():
    frame = noise(1080, 1920)
    inputs = prepared(
        qwen25vl.load_processor("tiny"), [{"type": "video", "video": [frame] * 8, "max_pixels": 28 * 56}]
    )
    assert 49_766_400 < input_bytes(inputs) < 52_000_000  # 8 x 1080 x 1920 x 3, and little more


def test_x12_a_released_model_can_be_estimated_without_weights():
    config = QWEN25_VL_3B
    grid = (1, 46, 68)  # 644 x 952 pixels
    ids = [1, config.vision_start_token_id, *[config.image_token_id] * (46 * 68 // 4), config.vision_end_token_id]
    inputs = made_inputs(config, ids, [grid], [], [], np.random.default_rng(0))
    taps = {tap.id: tap.shape for tap in expected_taps(inputs, config=config, dtype=np.dtype(np.float64))}
    assert taps["vision.blocks.31.attn.probs"] == (16, (46 * 68) ** 2)  # a full block: one segment
    # 5 x 8 whole windows of 64 patches and 8 of 48; a column of 5 of 32 and one of 24 at the right edge
    assert taps["vision.blocks.30.attn.probs"] == (16, 40 * 64**2 + 8 * 48**2 + 5 * 32**2 + 24**2)
    assert taps["language.blocks.35.attn.k"] == (785, 2, 128)
    assert taps["logits"] == (785, 151936)
    assert taps["vision.merger.hidden"] == (782, 5120)


@given(data=st.data(), config=configs())
def test_x11_each_level_includes_the_one_before(data, config):
    inputs = data.draw(prompts(config))
    dtype = np.dtype(np.float32)
    found = [{tap.id for tap in expected_taps(inputs, config=config, dtype=dtype, taps=level)} for level in LEVELS]
    assert found[0] < found[1] < found[2]
    assert {level_of(name) for name in found[0]} == {"stages"}
    assert {level_of(name) for name in found[2] - found[1]} == {"all"}
    assert all(name.endswith(".attn.probs") for name in found[2] - found[1])


@given(
    data=st.data(), config=configs(), taps=st.sampled_from(["vision.*", "*.attn.q*", "language.blocks.00.*", "*"])
)
def test_x13_a_glob_selects_by_whole_ids_or_is_refused(data, config, taps):
    inputs = data.draw(prompts(config))
    dtype = np.dtype(np.float32)
    want = [tap.id for tap in expected_taps(inputs, config=config, dtype=dtype) if fnmatchcase(tap.id, taps)]
    if want:
        assert [tap.id for tap in expected_taps(inputs, config=config, dtype=dtype, taps=taps)] == want
    else:
        with pytest.raises(BadInput, match=r"match none of the .* which has no picture and no video"):
            expected_taps(inputs, config=config, dtype=dtype, taps=taps)


@pytest.mark.parametrize("taps", ["", "resid_post", "vision.blocks.99.attn.q", "Stages", "stage", "*.nothing"])
def test_x13_a_pattern_that_matches_nothing_is_refused_with_what_would(taps):
    model = qwen25vl.load_processor("tiny")
    inputs = model.prepare([{"role": "user", "content": "Hello"}])
    with pytest.raises(BadInput, match=r"give stages, insides, all, or a glob such as .*`qwen25vl names` lists"):
        expected_taps(inputs, config=model.config, dtype=np.dtype(np.float32), taps=taps)
