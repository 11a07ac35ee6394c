"""Section 15: of a corpus, what is whole is opened, and of what is damaged it is said what to do."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from qwen25vl.errors import BadInput
from qwen25vl.golden.corpus_read import CORPUS, open_goldens
from qwen25vl.golden.noise import NoisePlan
from small_corpus import FEW, written

PLAN = NoisePlan(("float32",), ("given",), ("free",))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A corpus with noise, that tests copy."""
    out = tmp_path_factory.mktemp("corpus") / "c"
    written(out, noise=PLAN)
    return out


@pytest.fixture
def out(corpus, tmp_path):
    """A corpus that a test may change."""
    return Path(shutil.copytree(corpus, tmp_path / "c"))


def test_x22_every_case_is_opened_in_the_order_of_the_list(corpus):
    cases, problems = open_goldens(corpus, verify=True)
    assert problems == ()
    assert [case.id for case in cases] == [
        entry["id"] for entry in json.loads((corpus / CORPUS).read_text())["cases"]
    ]
    case = {case.id: case for case in cases}["two_windows_side_by_side"]
    assert case.directory == corpus / case.id
    assert case.given == ("inputs.grids", "inputs.window_m")
    np.testing.assert_array_equal(np.sort(case.parts["vision.window_order"]), np.arange(10))
    assert set(case.parts) == {part["id"] for part in case.manifest["parts"]}


def test_the_noise_of_a_case_is_read_by_part(corpus):
    cases = {case.id: case for case in open_goldens(corpus)[0]}
    entry = cases["answer_goes_on_behind_a_picture"].noise["logits"]["float32"]["free"]
    assert 0 < entry["rms"] < entry["max"] < 1e-3
    assert cases["two_windows_side_by_side"].noise == {}


def test_x22_one_case_is_opened_alone(corpus):
    for path in (corpus / FEW[0], corpus / FEW[0] / "."):
        (case,), problems = open_goldens(path)
        assert (case.id, problems) == (FEW[0], ())


def shorten(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def newer(path):
    path.write_text(path.read_text().replace('"schema_version": "1.', '"schema_version": "2.'))


DAMAGES = [
    (shorten, "inputs.safetensors", r"has \d+ bytes, the manifest says \d+"),
    (Path.unlink, "taps.safetensors", "lacks taps.safetensors, named in manifest.json"),
    (Path.unlink, "integers.json", "lacks integers.json"),
    (Path.unlink, "manifest.json", "cannot be read"),
    (Path.unlink, "noise.json", "noise.json is not the file that corpus.json lists"),
    (shorten, "manifest.json", "manifest.json is not the file that corpus.json lists"),
    (newer, "manifest.json", "made by a newer version"),
    (flip, "noise.json", "noise.json is not the file that corpus.json lists"),
]


@pytest.mark.parametrize(("damage", "file", "says"), DAMAGES)
def test_x22_a_damaged_case_is_a_sentence_and_the_others_are_opened(out, damage, file, says):
    damage(out / FEW[0] / file)
    cases, problems = open_goldens(out)
    assert {case.id for case in cases} == set(FEW[1:])
    (problem,) = problems
    assert problem.startswith(f"the case {FEW[0]} cannot be used: ")
    assert "\n" not in problem
    assert re.search(says, problem)


@pytest.mark.parametrize("file", ["inputs.safetensors", "taps.safetensors", "integers.json"])
def test_x22_a_changed_byte_is_seen_where_hashes_are_verified(out, file):
    flip(out / FEW[2] / file)
    assert len(open_goldens(out)[0]) == 3
    cases, (problem,) = open_goldens(out, verify=True)
    assert len(cases) == 2
    assert f"{file} has another hash than the manifest says; copy it, or write it, again" in problem


ABOUT = '"schema": "qwen25vl-noise", "schema_version": "1.0.0"'

NOISES = [
    ("[]", "must hold a JSON object"),
    ('{"schema": "qwen25vl-noise"', "is not valid JSON"),
    ('{"schema": "other"}', 'its schema is "other"'),
    ('{"schema": "qwen25vl-noise", "schema_version": "2.0.0"}', "made by a newer version"),
    (f"{{{ABOUT}}}", "parts must hold measures by precision and mode"),
    (f'{{{ABOUT}, "parts": []}}', "parts must hold"),
    (f'{{{ABOUT}, "parts": {{"a": 1}}}}', "parts must hold"),
    (f'{{{ABOUT}, "parts": {{"a": {{"float32": 1}}}}}}', "parts must hold"),
    (f'{{{ABOUT}, "parts": {{"a": {{"float32": {{"free": {{"max": NaN}}}}}}}}}}', "parts must hold"),
]


@pytest.mark.parametrize(("text", "says"), NOISES)
def test_noise_that_is_none_is_a_sentence(out, text, says):
    (out / FEW[2] / "noise.json").write_text(text)
    (out / CORPUS).unlink()
    cases, problems = open_goldens(out)
    assert len(cases) == 2
    assert says in problems[1]


def test_x22_a_corpus_whose_run_did_not_end_is_opened_as_far_as_it_goes(out):
    (out / CORPUS).unlink()
    cases, problems = open_goldens(out)
    assert [case.id for case in cases] == sorted(FEW)
    assert problems == (
        f"{out} lacks {CORPUS}: the run that wrote the corpus did not end; run `qwen25vl golden` again",
    )


def test_x22_a_case_in_the_directory_of_another_is_not_taken_for_it(out):
    entry = json.loads((out / CORPUS).read_text())
    shutil.rmtree(out / FEW[0])
    (out / FEW[1]).rename(out / FEW[0])
    by_id = {case["id"]: case for case in entry["cases"]}
    by_id[FEW[0]] |= {name: by_id[FEW[1]][name] for name in ("manifest_sha256", "noise_sha256")}
    (out / CORPUS).write_text(json.dumps(entry))
    cases, problems = open_goldens(out)
    assert [case.id for case in cases] == [FEW[2]]
    assert any(f'holds the case "{FEW[1]}"; write the corpus again' in problem for problem in problems)


# ------------------------------------------------------------------------------------- refusals

LISTS = [
    ({"schema": "other"}, 'its schema is "other"'),
    ({"schema_version": "2.0.0"}, "made by a newer version"),
    ({"schema_version": "0.1.0"}, "made by an older version"),
    ({"cases": {}}, "cases must list ids and hashes of manifests"),
    ({"cases": [{"id": "../up", "manifest_sha256": "", "noise_sha256": None}]}, "cases must list ids"),
    ({"cases": [{"id": "a", "manifest_sha256": None, "noise_sha256": None}]}, "cases must list ids"),
    ({"cases": [{"id": "a", "manifest_sha256": "", "noise_sha256": 1}]}, "cases must list ids"),
    ({"cases": [{"id": "a", "manifest_sha256": "", "noise_sha256": None}] * 2}, "lists an id twice"),
]


@pytest.mark.parametrize(("change", "says"), LISTS)
def test_a_list_that_cannot_be_one_is_refused(out, change, says):
    listed = json.loads((out / CORPUS).read_text())
    (out / CORPUS).write_text(json.dumps(listed | change))
    with pytest.raises(BadInput, match=says):
        open_goldens(out)


@pytest.mark.parametrize("name", ["nothing", "empty", "file"])
def test_what_is_neither_a_corpus_nor_a_golden_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(
        BadInput, match=r"holds neither a manifest\.json, as a golden, nor a corpus\.json, as a corpus"
    ):
        open_goldens(tmp_path / name)
