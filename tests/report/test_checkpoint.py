"""The report of a checkpoint: counted from headers alone."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given

from checkpoint_files import file_of, new_name, packed, random_parts, written_shards
from qwen25vl.checkpoint.names import expected_shapes
from qwen25vl.checkpoint.safetensors import StoredTensor
from qwen25vl.config import QWEN25_VL_3B, QWEN25_VL_7B, TINY
from qwen25vl.config_json import read_config
from qwen25vl.errors import BadInput
from qwen25vl.report.checkpoint import RELEASES, checkpoint_report, same_shape
from strategies import configs


@pytest.fixture
def copied(tiny_dir, tmp_path):
    """Copy the config of tiny; the weights are to be written."""
    (tmp_path / "config.json").write_bytes((tiny_dir / "config.json").read_bytes())
    return tmp_path


def test_tiny_is_counted(tiny_dir):
    facts = checkpoint_report(tiny_dir)
    assert facts["release"] == "tiny"
    assert facts["config"] == asdict(TINY)
    assert facts["tensors"] == len(expected_shapes(TINY)) == sum(part["tensors"] for part in facts["parts"])
    assert facts["parameters"]["total"] == facts["parameters"]["vision"] + facts["parameters"]["text"]
    weights = facts["weights"]
    assert weights["files"] == [
        {"name": "model.safetensors", "bytes": (tiny_dir / "model.safetensors").stat().st_size}
    ]
    assert weights["types"] == {"BF16": {"tensors": 116, "bytes": 2 * facts["parameters"]["total"]}}
    assert (weights["names"], weights["head"], facts["tied"]) == ("released", "the embedding", True)


def test_the_untied_sibling_has_a_head(tiny_dir):
    facts = checkpoint_report(tiny_dir.parent / "tiny-untied")
    assert (facts["tied"], facts["release"], facts["weights"]["head"]) == (False, None, "stored")
    assert facts["parts"][-1]["parameters"] == 523 * 120


def test_no_weight_is_read(tiny_dir, monkeypatch):
    def read(*_arguments, **_named):
        raise AssertionError("a weight was read")

    monkeypatch.setattr(StoredTensor, "widened", read)
    monkeypatch.setattr(StoredTensor, "rows", read)
    assert checkpoint_report(tiny_dir)["weights"]["types"]


def test_a_file_of_gigabytes_is_described_from_its_header(tmp_path):
    # the data is a hole in the file: it takes no room, and reading 7.5 GB of zeros would take long
    (tmp_path / "config.json").write_text(json.dumps(config_document(QWEN25_VL_3B)))
    header, end = {}, 0
    for name, shape in expected_shapes(QWEN25_VL_3B).items():
        count = 2
        for side in shape:
            count *= side
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + count]}
        end += count
    path = tmp_path / "model.safetensors"
    head = file_of(header)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + end)
    facts = checkpoint_report(tmp_path)
    assert facts["release"] == "Qwen2.5-VL-3B"
    assert facts["tensors"] == 824
    assert facts["parameters"]["total"] == 3_754_622_976
    assert facts["weights"]["bytes"] == 7_509_245_952  # as the released index says


def config_document(config) -> dict:
    """Write a config.json in the flat form."""
    vision, text = config.vision, config.text
    return {
        "model_type": "qwen2_5_vl",
        "tie_word_embeddings": config.tie_word_embeddings,
        **{
            key: getattr(text, key)
            for key in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")
        },
        "num_attention_heads": text.num_attention_heads,
        "num_key_value_heads": text.num_key_value_heads,
        "rope_scaling": {"type": "mrope", "mrope_section": list(text.mrope_section)},
        "vision_config": {
            "hidden_size": vision.hidden_size,
            "intermediate_size": vision.intermediate_size,
            "out_hidden_size": vision.out_hidden_size,
        },
    }


@pytest.mark.parametrize(("rename", "names"), [(str, "released"), (new_name, "new")])
def test_c18_the_layout_of_the_names_is_told(copied, rename, names):
    parts = {rename(name): part for name, part in random_parts(TINY).items()}
    (copied / "model.safetensors").write_bytes(packed(parts))
    weights = checkpoint_report(copied)["weights"]
    assert weights["names"] == names
    assert list(weights["types"]) == ["F32"]


def test_shards_and_types_are_listed(copied):
    parts = random_parts(TINY)
    first = next(iter(parts))
    dtype, shape, bits = parts[first]
    assert dtype == "F32"
    parts[first] = ("F16", shape, bits[::2][: len(bits) // 2])
    written_shards(copied, parts, shards=3)
    weights = checkpoint_report(copied)["weights"]
    assert [file["name"] for file in weights["files"]] == [
        f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)
    ]
    assert weights["types"]["F16"] == {"tensors": 1, "bytes": len(bits) // 2}
    assert weights["types"]["F32"]["tensors"] == 115


def test_a_directory_without_weights_is_described_by_its_config(copied):
    facts = checkpoint_report(copied)
    assert facts["weights"] is None
    assert facts["release"] == "tiny"


def test_c21_a_faulty_census_is_refused_with_a_list(copied):
    parts = random_parts(TINY)
    lost, _ = parts.popitem()
    (copied / "model.safetensors").write_bytes(packed(parts))
    with pytest.raises(BadInput, match=f"missing \\(1\\):\n  {lost}"):
        checkpoint_report(copied)


@given(config=configs())
def test_a_release_is_known_by_its_shapes(config):
    assert same_shape(config, config)
    assert not any(same_shape(config, known) for known in RELEASES.values())


@pytest.mark.data
@pytest.mark.parametrize(("folder", "release"), [("7b", "Qwen2.5-VL-7B"), ("32b", "Qwen2.5-VL-32B")])
def test_the_released_configs_are_known(data_dir, folder, release):
    config = read_config(data_dir / f"qwen2.5-vl-{folder}-instruct")
    assert [name for name, known in RELEASES.items() if same_shape(known, config)] == [release]
    assert not same_shape(QWEN25_VL_7B, QWEN25_VL_3B)
