"""What a checkpoint directory says about pictures, in the two forms in the wild."""

import json

import pytest

from qwen25vl.errors import BadInput
from qwen25vl.media.settings import MediaSettings, read_settings

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
RELEASED = {
    "min_pixels": 3136,
    "max_pixels": 12_845_056,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": list(MEAN),
    "image_std": list(STD),
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
}


def settings_of(directory, values, *, name="preprocessor_config.json"):
    (directory / name).write_text(json.dumps(values))
    return read_settings(directory)


def test_i23_the_released_form(tmp_path):
    settings = settings_of(tmp_path, RELEASED)
    assert settings == MediaSettings(3136, 12_845_056, 14, 2, 2, MEAN, STD, profile="hf")
    assert settings.factor_px == 28


def test_i23_class_defaults_stand_behind_missing_keys(tmp_path):
    # 28 * 28 * 1280, less than a twelfth of the released limit
    assert settings_of(tmp_path, {}) == MediaSettings(3136, 1_003_520, 14, 2, 2, MEAN, STD)
    assert settings_of(tmp_path, {"min_pixels": None, "patch_size": None, "size": None}).min_pixels == 3136


def test_i23_size_holds_areas_and_the_older_keys_win(tmp_path):
    values = {"size": {"shortest_edge": 784, "longest_edge": 50_000}}
    assert settings_of(tmp_path, values).max_pixels == 50_000
    settings = settings_of(tmp_path, {**values, "max_pixels": 60_000})
    assert (settings.min_pixels, settings.max_pixels) == (784, 60_000)


def test_i23_every_value_is_read_from_its_own_key(tmp_path):
    values = {
        "min_pixels": 11,
        "max_pixels": 12,
        "patch_size": 13,
        "temporal_patch_size": 14,
        "merge_size": 15,
        "image_mean": [1, 2, 3],
        "image_std": [4, 5, 6],
    }
    assert settings_of(tmp_path, values) == MediaSettings(11, 12, 13, 14, 15, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))


def test_i23_a_nested_image_processor_wins_over_the_older_file(tmp_path):
    settings_of(tmp_path, RELEASED)
    nested = {"image_processor": {"patch_size": 16}, "video_processor": {"patch_size": 99}}
    settings = settings_of(tmp_path, nested, name="processor_config.json")
    assert settings.patch_px == 16
    assert settings.max_pixels == 1_003_520  # nothing is merged in from the older file
    flat = {"processor_class": "Qwen2_5_VLProcessor"}
    assert settings_of(tmp_path, flat, name="processor_config.json").patch_px == 14


@pytest.mark.data
@pytest.mark.parametrize("checkpoint", ["qwen2.5-vl-7b-instruct", "qwen2.5-vl-32b-instruct"])
def test_i23_released_checkpoints(data_dir, checkpoint):
    assert read_settings(data_dir / checkpoint) == MediaSettings(3136, 12_845_056, 14, 2, 2, MEAN, STD)


@pytest.mark.oracle
@pytest.mark.parametrize("save", ["save_preprocessor_config", "save_processor_config"])
def test_i23_reads_what_transformers_saves(tmp_path, save):
    import oracle

    getattr(oracle, save)(tmp_path, min_pixels=784, max_pixels=50_000, patch_size=16)
    assert read_settings(tmp_path) == MediaSettings(784, 50_000, 16, 2, 2, MEAN, STD)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("do_resize", False),
        ("do_resize", None),
        ("resample", 2),
        ("resample", None),
        ("do_rescale", False),
        ("rescale_factor", 1 / 256),
        ("do_normalize", False),
        ("do_convert_rgb", False),
        ("image_processor_type", "CLIPImageProcessor"),
    ],
)
def test_i24_a_step_that_is_not_specified_is_refused(tmp_path, key, value):
    with pytest.raises(BadInput, match=key):
        settings_of(tmp_path, {**RELEASED, key: value})


def test_i24_the_specified_steps_are_accepted_when_spelled_out(tmp_path):
    spelled = {
        "do_resize": True,
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 0.00392156862745098,
        "do_normalize": True,
        "do_convert_rgb": True,
        "image_processor_type": "Qwen2VLImageProcessorFast",
    }
    assert settings_of(tmp_path, {**RELEASED, **spelled}) == settings_of(tmp_path, RELEASED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_pixels": "3136"}, "min_pixels or size.shortest_edge must be a whole number"),
        ({"max_pixels": 1e6}, "max_pixels or size.longest_edge must be a whole number"),
        ({"patch_size": True}, "patch_size must be a whole number"),
        ({"merge_size": 0}, "merge_size must be a whole number from 1"),
        ({"min_pixels": 100, "max_pixels": 99}, "min_pixels 100 exceeds max_pixels 99"),
        ({"size": 448}, "shortest_edge and longest_edge"),
        ({"min_pixels": None, "size": {"longest_edge": 5000}}, "size.shortest_edge"),
        ({"image_mean": [0.5, 0.5]}, "image_mean must be a list of three numbers"),
        ({"image_mean": 0.5}, "image_mean must be a list of three numbers"),
        ({"image_std": [0.5, "a", 0.5]}, "image_std must be a list of three numbers"),
        ({"image_std": [0.5, 0, 0.5]}, "each value of image_std must be a finite number above 0, got 0"),
        ({"image_mean": [0.5, float("nan"), 0.5]}, "each value of image_mean must be a finite number, got NaN"),
    ],
)
def test_i23_a_bad_value_is_refused(tmp_path, change, message):
    with pytest.raises(BadInput, match=message):
        settings_of(tmp_path, {**RELEASED, **change})


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe", b""])
def test_i23_a_file_that_is_not_a_json_object_is_refused(tmp_path, content):
    (tmp_path / "preprocessor_config.json").write_bytes(content)
    with pytest.raises(BadInput, match="preprocessor_config"):
        read_settings(tmp_path)


def test_i23_a_directory_without_settings_is_refused(tmp_path):
    with pytest.raises(BadInput, match="copy one"):
        read_settings(tmp_path / "nowhere")


def test_i12_an_unknown_profile_is_refused():
    with pytest.raises(BadInput, match="choose one of hf"):
        MediaSettings(3136, 5000, 14, 2, 2, MEAN, STD, profile="qwen")
