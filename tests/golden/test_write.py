"""Section 15: a golden holds everything that a run was given and everything that it computed."""

import errno
import hashlib
import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import qwen25vl
from qwen25vl.checkpoint.directory import open_checkpoint
from qwen25vl.config_json import read_config
from qwen25vl.errors import BadInput
from qwen25vl.golden.folder import INTEGERS, MANIFEST, SCHEMA
from qwen25vl.golden.manifest import SCHEMA_VERSION
from qwen25vl.golden.noise import NO_NOISE
from qwen25vl.golden.write import write_golden
from qwen25vl.tap_names import tap_name

STEPS = 3

TENSORS = ("inputs.safetensors", "taps.safetensors", "answer.safetensors")
"""What a prompt has parts for: it has no results that are no taps."""

FILES = (*TENSORS, INTEGERS, MANIFEST)
"""What its golden consists of, without noise."""


@pytest.fixture(scope="module")
def model():
    return qwen25vl.load("tiny", precision="float64")


@pytest.fixture(scope="module")
def inputs(model, tmp_path_factory):
    """Two pictures of different sizes and a text."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    parts = []
    for name, shape in (("one.png", (60, 100, 3)), ("two.png", (90, 60, 3))):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / name)
        parts.append({"type": "image", "image": str(folder / name)})
    return model.prepare([{"role": "user", "content": [*parts, {"type": "text", "text": "Compare them."}]}])


def written(out, model, inputs, *, sources=(("image", "one.png"), ("image", "two.png")), **options):
    """Write a golden as the command line does."""
    return write_golden(
        out,
        model,
        inputs,
        sources=sources,
        model_name="tiny",
        max_new_tokens=STEPS,
        noise=NO_NOISE,
        **options,
    )


@pytest.fixture(scope="module")
def golden(tmp_path_factory, model, inputs):
    """One golden, for all tests that only read."""
    out = tmp_path_factory.mktemp("golden") / "g"
    written(out, model, inputs)
    return out


@pytest.fixture(scope="module")
def manifest(golden):
    return json.loads((golden / MANIFEST).read_text(encoding="ascii"))


def test_x1_x20_a_golden_is_the_files_that_it_has_parts_for(golden):
    assert sorted(path.name for path in golden.iterdir()) == sorted(FILES)


def test_x2_it_holds_what_the_model_was_given(golden, inputs):
    found = load_file(golden / "inputs.safetensors")
    want = {
        "inputs.ids": inputs.ids[0],
        "inputs.image_rows": inputs.image_rows,
        "inputs.image_grids": inputs.image_grids,
        "inputs.positions": inputs.positions[:, 0],
        "inputs.delta": inputs.delta,
    }
    for i, picture in enumerate(inputs.pictures):
        want[f"inputs.pictures.{i:02d}.rgb"] = picture.rgb
        want[f"inputs.pictures.{i:02d}.resized"] = picture.resized
    assert set(found) == set(want)
    for name in want:
        assert found[name].dtype == want[name].dtype
        np.testing.assert_array_equal(found[name], want[name])


def test_x3_every_tap_is_written_as_it_was_computed(golden, model, inputs):
    tap = qwen25vl.Tap()
    model.forward(inputs, taps=tap)
    found = load_file(golden / "taps.safetensors")
    assert set(found) == set(tap)
    for name in tap:
        assert found[name].dtype == tap[name].dtype
        np.testing.assert_array_equal(found[name], tap[name])


def test_x4_the_answer_is_the_greedy_one_with_the_scores_it_was_chosen_by(golden, manifest, model, inputs):
    answer = model.generate(inputs, max_new_tokens=STEPS, greedy=True)[0]
    found = load_file(golden / "answer.safetensors")
    assert set(found) == {"answer.ids", "answer.logits", "answer.logprobs"}
    assert found["answer.ids"].tolist() == answer.ids
    # Its prompt was run in one pass, the golden's last token behind the others: other orders of some hundred sums.
    np.testing.assert_allclose(found["answer.logprobs"], answer.logprobs, rtol=0, atol=1e-12)
    assert found["answer.logits"].shape == (len(answer.ids), model.config.text.vocab_size)
    np.testing.assert_array_equal(np.argmax(found["answer.logits"], axis=1), answer.ids)
    logprobs = found["answer.logprobs"].tolist()
    assert manifest["generation"]["rule"] == "argmax, no penalty"
    assert manifest["generation"]["answers"] == [{**asdict(answer), "logprobs": logprobs}]
    last = load_file(golden / "taps.safetensors")["logits"][-1]
    # the same rows through matrix products of other sizes: sums of 120 products in another order
    np.testing.assert_allclose(found["answer.logits"][0], last, rtol=0, atol=1e-12 * np.max(np.abs(last)))


def test_x5_the_manifest_says_which_weights_these_are(manifest, model, tiny_dir):
    path = tiny_dir / "model.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert manifest["model"]["files"] == [{"name": path.name, "bytes": path.stat().st_size, "sha256": digest}]
    assert manifest["model"]["name"] == "tiny"
    assert manifest["model"]["precision"] == "float64"
    assert manifest["model"]["config"] == json.loads(json.dumps(asdict(model.config)))


def test_x8_the_manifest_has_one_true_entry_for_each_tensor(golden, manifest):
    ids = [part["id"] for part in manifest["parts"]]
    assert len(ids) == len(set(ids))
    for file in TENSORS:
        found = load_file(golden / file)
        parts = {part["id"]: part for part in manifest["parts"] if part["file"] == file}
        assert set(parts) == set(found)
        for name, array in found.items():
            assert parts[name]["shape"] == list(array.shape)
            assert parts[name]["sha256"] == hashlib.sha256(array.tobytes()).hexdigest()
            assert parts[name]["exact"] == (array.dtype.kind in "iub")
            assert parts[name]["min"] == array.min()
            assert parts[name]["max"] == array.max()


def test_x8_every_entry_says_its_dims_section_and_meaning(manifest):
    for part in manifest["parts"]:
        assert len(part["dims"].split()) == len(part["shape"]), part["id"]
        assert re.fullmatch(r"\d\d", part["section"])
        assert part["meaning"]
        if part["file"] == "taps.safetensors":
            row = tap_name(part["id"])
            assert (part["dims"], part["section"], part["meaning"]) == (row.shape, row.section, row.meaning)


def test_x8_one_letter_means_one_number_within_the_language_model_and_the_answer(manifest):
    sizes: dict[str, set[int]] = {}
    for part in manifest["parts"]:
        if not part["id"].startswith("vision."):
            for letter, size in zip(part["dims"].split(), part["shape"], strict=True):
                sizes.setdefault(letter, set()).add(size)
    for free in ("height", "width"):  # of each picture
        assert len(sizes.pop(free)) > 1
    assert {letter: len(found) for letter, found in sizes.items()} == dict.fromkeys(sizes, 1)


def test_x10_the_manifest_has_the_fields_of_its_schema_in_their_order(manifest, inputs):
    assert list(manifest) == [
        *("schema", "schema_version"),
        *("id", "title", "family", "tier", "section", "clauses", "kills", "flags", "note"),
        *("made_by", "arithmetic", "model"),
        *("taps", "chunk", "prompts", "media", "generation"),
        *("files", "parts"),
    ]
    assert (manifest["schema"], manifest["schema_version"]) == (SCHEMA, SCHEMA_VERSION)
    assert list(manifest["made_by"]) == ["qwen25vl", "numpy", "machine"]
    assert (manifest["taps"], manifest["chunk"], manifest["prompts"]) == ("all", None, inputs.text)
    assert manifest["media"] == [
        {
            "kind": "image",
            "source": source,
            "original_size": list(picture.original_size),
            "resized_size": list(picture.resized_size),
            "grid": list(picture.grid),
            "tokens": picture.tokens_m,
        }
        for source, picture in zip(("one.png", "two.png"), inputs.pictures, strict=True)
    ]


def test_x10_a_second_run_writes_the_same_bytes_and_none_of_them_names_this_machine(tmp_path, golden, inputs):
    model = qwen25vl.load("tiny", precision="float64")
    written(tmp_path / "again", model, inputs)
    for file in FILES:
        content = (tmp_path / "again" / file).read_bytes()
        assert content == (golden / file).read_bytes(), file
        for path in (tmp_path, golden, Path.home(), Path(qwen25vl.__file__).parents[1], Path.cwd()):
            assert str(path).encode() not in content or str(path) == "/"


def test_x3_only_the_taps_asked_for_are_written_and_each_is_announced(tmp_path, model, inputs):
    seen = []
    manifest = written(tmp_path / "g", model, inputs, taps="language.blocks.0[12].attn.q*", watch=seen.append)
    want = [f"language.blocks.{i:02d}.attn.{name}" for i in (1, 2) for name in ("q", "q_rope")]
    assert list(load_file(tmp_path / "g" / "taps.safetensors")) == sorted(want)
    assert [part["id"] for part in manifest["parts"] if part["file"] == "taps.safetensors"] == want
    assert seen == want


def test_a_prompt_without_pictures_has_no_vision_taps(tmp_path, model):
    inputs = model.prepare([{"role": "user", "content": "Hello"}])
    manifest = written(tmp_path / "g", model, inputs, sources=(), taps="stages")
    assert manifest["media"] == []
    assert load_file(tmp_path / "g" / "inputs.safetensors")["inputs.image_rows"].shape == (0, 1176)
    assert not [part for part in manifest["parts"] if part["id"].startswith("vision.")]


def test_x13_a_pattern_that_matches_nothing_writes_nothing(tmp_path, model, inputs):
    with pytest.raises(BadInput, match="match none"):
        written(tmp_path / "g", model, inputs, taps="*.nothing")
    assert list(tmp_path.iterdir()) == []


class FullDisk:
    """A file on a disk that is full after some bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def write(self, content):
        self.room -= len(content)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(content)


@pytest.mark.parametrize("share", [0, 0.5])  # in the header, in the middle
@pytest.mark.parametrize("file", TENSORS)
def test_x1_a_full_disk_leaves_the_older_golden_and_no_rubbish(
    tmp_path, golden, monkeypatch, model, inputs, file, share
):
    written(tmp_path / "g", model, inputs, taps="stages")
    before = {name: (tmp_path / "g" / name).read_bytes() for name in FILES}
    room = int(share * (golden / file).stat().st_size)
    path_open = Path.open

    def opened(self, mode="r", *args, **kwargs):
        found = path_open(self, mode, *args, **kwargs)
        return FullDisk(found, room) if self.name == file and "w" in mode else found

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(BadInput, match=r"cannot write the golden to .* \(No space left on device\); make room"):
        written(tmp_path / "g", model, inputs)
    monkeypatch.undo()
    assert {name: (tmp_path / "g" / name).read_bytes() for name in FILES} == before
    assert list(tmp_path.iterdir()) == [tmp_path / "g"]


def test_n28_a_golden_that_overflows_says_at_which_tap(tmp_path, tiny_dir):
    # one matrix of a copy of tiny is made so large that float16 cannot hold the products
    folder = tmp_path / "model"
    shutil.copytree(tiny_dir, folder)
    path = folder / "model.safetensors"
    tensors = widened_tensors(path)
    tensors["model.layers.1.mlp.down_proj.weight"] *= np.float32(2.0**17)
    save_file(tensors, path)
    model = qwen25vl.load(folder, precision="float16")
    inputs = model.prepare([{"role": "user", "content": "Hello"}])
    with pytest.raises(
        BadInput,
        match=r"of the taps that were asked for, language\.blocks\.01\.mlp\.out is the first tap with values that",
    ):
        written(tmp_path / "g", model, inputs, sources=(), taps="insides")
    assert not (tmp_path / "g").exists()


def widened_tensors(path):
    """All tensors of a checkpoint, as float32."""
    stored = open_checkpoint(path.parent, read_config(path.parent)).tensors
    return {name: np.array(tensor.widened(np.dtype(np.float32))) for name, tensor in stored.items()}
