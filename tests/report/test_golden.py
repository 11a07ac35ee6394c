"""The report of a golden: statistics of the stages, and the residual stream by depth."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from qwen25vl.golden.folder import MANIFEST
from qwen25vl.report.golden import golden_report, norms_by_depth
from qwen25vl.tap_names import level_of
from small_golden import written_main_job


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write a small golden with insides."""
    return written_main_job(
        tmp_path_factory.mktemp("golden") / "g",
        precision="float64",
        max_pixels=6000,
        max_new_tokens=2,
        taps="insides",
    )


def test_the_facts_are_those_of_the_manifest(written):
    manifest, facts = json.loads((written / MANIFEST).read_text()), golden_report(written)
    assert facts["model"] == {
        "name": "tiny",
        "precision": "float64",
        "files": manifest["model"]["files"],
    }
    assert facts["prompts"] == manifest["prompts"]
    assert [facts[name] for name in ("id", "tier", "arithmetic")] == ["given_prompt", "model", "blas"]
    assert facts["media"] == manifest["media"]
    (answer,) = manifest["generation"]["answers"]
    assert facts["answers"] == [{"text": answer["text"], "tokens": 2, "stop": answer["stop"]}]
    assert facts["rule"] == manifest["generation"]["rule"]
    assert facts["full_attention_blocks"] == [1, 4]
    assert sum(facts["sections"].values()) == len(manifest["parts"])
    for file in facts["files"]:
        assert file["bytes"] == (written / file["name"]).stat().st_size
        assert file["tensors"] == len(load_file(written / file["name"]))


def test_x9_the_statistics_of_a_stage_are_those_of_its_values(written):
    taps = load_file(written / "taps.safetensors")
    stages = {stage["id"]: stage for stage in golden_report(written)["stages"]}
    assert list(stages) == [name for name in taps_in_order(written) if level_of(name) == "stages"]
    for name, stage in stages.items():
        values = taps[name].astype(np.float64)
        assert stage["shape"] == list(values.shape)
        assert (stage["min"], stage["max"]) == (values.min(), values.max())
        assert stage["rms"] == pytest.approx(np.sqrt(np.mean(values**2)), rel=1e-12)


def taps_in_order(written) -> list[str]:
    """List the ids of the taps as they were computed."""
    parts = json.loads((written / MANIFEST).read_text())["parts"]
    return [part["id"] for part in parts if part["file"] == "taps.safetensors"]


def test_the_residual_stream_is_followed_through_both_towers(written):
    taps = load_file(written / "taps.safetensors")
    towers = norms_by_depth(golden_report(written)["stages"])
    assert list(towers) == ["vision", "language"]
    for tower, before, depth in (("vision", "patch_embed", 5), ("language", "embed", 4)):
        names = [f"{tower}.{before}.out", *(f"{tower}.blocks.{i:02d}.resid_post" for i in range(depth))]
        want = [np.sqrt(np.mean(taps[name] ** 2)) for name in names]
        np.testing.assert_allclose(towers[tower]["resid"], want, rtol=1e-12)
        for curve in ("attn", "mlp"):
            want = [np.sqrt(np.mean(taps[f"{tower}.blocks.{i:02d}.{curve}.out"] ** 2)) for i in range(depth)]
            np.testing.assert_allclose(towers[tower][curve], want, rtol=1e-12)


def test_what_was_not_recorded_or_is_not_finite_leaves_a_gap():
    parts = [
        {"id": "language.blocks.00.resid_post", "rms": 2.0},
        {"id": "language.blocks.01.resid_post", "nonfinite": 9.0},
        {"id": "language.blocks.02.attn.out", "rms": 4.0},
    ]
    towers = norms_by_depth(parts)
    assert list(towers) == ["language"]
    np.testing.assert_array_equal(towers["language"]["resid"], [np.nan, 2.0, np.nan, np.nan])
    np.testing.assert_array_equal(towers["language"]["attn"], [np.nan, np.nan, 4.0])
    assert norms_by_depth([]) == {}
    assert norms_by_depth([{"id": "logits", "rms": 1.0}]) == {}
