"""Section 15: every registered case is carried out on tiny, and its files are what they say."""

import hashlib
import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from safetensors.numpy import load_file

from qwen25vl.golden.bugs import BUGS
from qwen25vl.golden.case import FAMILIES, TIERS, Lab
from qwen25vl.golden.corpus import write_corpus
from qwen25vl.golden.corpus_case import LabRecipe
from qwen25vl.golden.corpus_plan import SMALL_CASE_BYTES, planned_cases
from qwen25vl.golden.corpus_read import CASE_ID, CORPUS, open_goldens
from qwen25vl.golden.corpus_resume import CorpusSettings
from qwen25vl.golden.folder import TENSOR_FILES
from qwen25vl.golden.manifest import about_model
from qwen25vl.golden.noise import NoisePlan
from qwen25vl.golden.registry import all_cases
from qwen25vl.golden.schema import schema_of
from qwen25vl.golden.write_case import MOST_INTEGERS
from qwen25vl.tap_names import IN_PARTS, tap_name

CASES = all_cases()
PLAN = NoisePlan(precisions=("bfloat16",), orders=("given",), modes=("free",))
"""One run: that noise is measured everywhere is looked at here, not how large it is."""

EVERY_CASE = pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.id, marks=pytest.mark.xdist_group(case.family)) for case in CASES]
)
"""The cases of a family are written together, and tested in one process."""


@pytest.fixture(scope="session")
def written_families(tmp_path_factory):
    """Return a function that writes the cases of a family, once a process."""
    found: dict[str, tuple[Path, dict]] = {}
    recipe = LabRecipe("tiny", "float64", "strict")
    lab: list[Lab] = []

    def written(family: str):
        if family not in found:
            lab[:] = lab or [recipe.lab()]
            about = about_model(lab[0].model, name="tiny", arithmetic="strict")
            planned = planned_cases([case for case in CASES if case.family == family], lab[0], taps=None)
            out = tmp_path_factory.mktemp("corpus") / family
            settings = CorpusSettings(about=about, taps=None, noise=PLAN)
            write_corpus(out, planned, recipe, settings=settings, lab=lab[0])
            found[family] = out, {one.case.id: one for one in planned}
        return found[family]

    return written


@pytest.fixture
def golden(case, written_families):
    """The case, opened, with every hash verified."""
    (golden,), problems = open_goldens(written_families(case.family)[0] / case.id, verify=True)
    assert problems == ()
    return golden


@EVERY_CASE
def test_x20_each_part_lies_once_in_the_file_of_its_kind(case, golden):
    stored = {
        name: load_file(golden.directory / name) for name in TENSOR_FILES if (golden.directory / name).exists()
    }
    entries = golden.manifest["parts"]
    assert len(entries) == len({entry["id"] for entry in entries})
    assert {(name, key) for name, table in stored.items() for key in table} == {
        (entry["file"], entry["id"]) for entry in entries
    }
    for entry in entries:
        array = stored[entry["file"]][entry["id"]]
        assert entry["sha256"] == hashlib.sha256(array.tobytes()).hexdigest()
        assert len(entry["dims"].split()) == array.ndim
        plain = IN_PARTS.sub("", entry["id"], count=1)
        kind = plain.split(".")[0]
        if kind in ("inputs", "outputs", "answer"):
            assert entry["file"] == f"{kind}.safetensors"
        else:
            assert tap_name(entry["id"])
            assert entry["file"] == "taps.safetensors"
    assert {file["name"] for file in golden.manifest["files"]} == {*stored, "integers.json"}


@EVERY_CASE
def test_every_file_of_json_is_what_its_schema_says(case, golden):
    for kind in ("manifest", "noise", "integers"):
        document = json.loads((golden.directory / f"{kind}.json").read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator(schema_of(kind)).validate(document)


@EVERY_CASE
def test_x21_whole_numbers_and_texts_stand_in_integers_json_and_pixels_do_not(case, golden):
    found = json.loads((golden.directory / "integers.json").read_text(encoding="utf-8"))
    wanted = {}
    for name, entry in golden.parts.entries.items():
        array = golden.parts[name]
        if entry["dims"] == "bytes":
            wanted[name] = bytes(array).decode("utf-8", errors="replace")
        elif entry["dtype"] in ("I64", "BOOL") and array.size <= MOST_INTEGERS:
            wanted[name] = array.tolist()
    assert found == wanted
    lines = (golden.directory / "integers.json").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line]) == len(wanted) + 2  # one line for each part


@EVERY_CASE
def test_every_computed_float_has_noise(case, golden):
    entries = golden.parts.entries.values()
    floats = {entry["id"] for entry in entries if entry["dtype"] in ("F64", "F32") and entry["file"][0] != "i"}
    assert set(golden.noise) == floats
    for by_precision in golden.noise.values():
        assert set(by_precision) == set(PLAN.precisions)
        assert all("free" in modes for modes in by_precision.values())


@EVERY_CASE
def test_a_case_says_what_it_is_about_and_what_is_known(case, golden):
    assert CASE_ID.fullmatch(case.id)
    assert case.title.endswith(".")
    assert case.family in FAMILIES
    assert case.tier in TIERS
    assert (golden.manifest["taps"] is not None) == (case.tier == "model")
    assert case.clauses
    assert set(case.kills) <= set(BUGS)
    clauses = {
        clause
        for page in (Path(__file__).parents[2] / "spec").glob("[0-9][0-9]-*.md")
        for clause in re.findall(r"\*\*\(([A-Z]\d+)\)\*\*", page.read_text(encoding="utf-8"))
    }
    assert set(case.clauses) <= clauses


@EVERY_CASE
def test_x12_its_size_was_known(case, golden, written_families):
    planned = written_families(case.family)[1][case.id]
    nbytes = sum(golden.parts[name].nbytes for name in golden.parts)
    taps = sum(entry["file"] == "taps.safetensors" for entry in golden.manifest["parts"])
    if case.tier != "model":
        assert nbytes <= SMALL_CASE_BYTES
        return
    is_whole = golden.manifest["chunk"] is None and "inputs.before.ids" not in golden.parts
    answers = [array for name, array in golden.parts.items() if name.endswith("answer.ids")]
    assert taps <= planned.tap_count
    assert nbytes <= planned.nbytes
    if is_whole:
        assert taps == planned.tap_count
    if is_whole and all(len(ids) == len(max(answers, key=len)) for ids in answers):
        assert nbytes > 0.9 * planned.nbytes or any(answer["stop"] == "eos" for answer in answers_of(golden))


def answers_of(golden):
    """The answers of a golden."""
    return golden.manifest["generation"]["answers"]


def test_x22_the_list_of_a_family_names_all_its_cases(written_families):
    out, planned = written_families("logits")
    listed = json.loads((out / CORPUS).read_text())
    jsonschema.Draft202012Validator(schema_of("corpus")).validate(listed)
    assert [entry["id"] for entry in listed["cases"]] == list(planned)


def test_every_family_has_a_case_and_every_id_is_one_of_a_kind():
    assert {case.family for case in CASES} == set(FAMILIES)
    assert len({case.id for case in CASES}) == len(CASES)


def test_no_text_or_count_is_lost_to_the_limit_of_integers_json():
    assert np.prod((3, 2000)) < MOST_INTEGERS  # positions of a prompt of 2,000 tokens
