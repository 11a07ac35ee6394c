"""Section 15: a corpus holds complete cases only, and a run that was stopped goes on where it was."""

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qwen25vl.errors import BadInput
from qwen25vl.golden.case import Case, Part
from qwen25vl.golden.corpus import write_corpus
from qwen25vl.golden.corpus_case import CaseWriter, LabRecipe
from qwen25vl.golden.corpus_plan import PlannedCase, planned_cases, sliced
from qwen25vl.golden.corpus_read import CORPUS
from qwen25vl.golden.folder import WORKSHOP
from qwen25vl.golden.noise import LIGHT_NOISE, NoisePlan
from qwen25vl.golden.registry import all_cases
from small_corpus import FEW, RECIPE, contents, planned, settings, written


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A corpus that tests copy."""
    out = tmp_path_factory.mktemp("corpus") / "c"
    written(out)
    return out


@pytest.fixture
def out(model, tmp_path):
    """A corpus that a test may change."""
    return Path(shutil.copytree(model, tmp_path / "c"))


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_x22_a_corpus_is_a_directory_for_each_case_and_a_list(model):
    assert names_in(model) == sorted([*FEW, CORPUS])
    listed = json.loads((model / CORPUS).read_text())
    assert [entry["id"] for entry in listed["cases"]] == [case.id for case in all_cases() if case.id in FEW]
    for entry in listed["cases"]:
        manifest = json.loads((model / entry["id"] / "manifest.json").read_text())
        assert (manifest["id"], manifest["title"], len(manifest["parts"])) == (
            entry["id"],
            entry["title"],
            entry["parts"],
        )
        assert entry["bytes"] == sum(path.stat().st_size for path in (model / entry["id"]).iterdir())


def test_x10_a_second_run_elsewhere_writes_the_same_bytes_whatever_the_number_of_processes(tmp_path, model):
    for jobs in (1, 3):
        written(tmp_path / f"c{jobs}", jobs=jobs)
        assert contents(tmp_path / f"c{jobs}") == contents(model)


def test_x19_strict_sums_give_the_same_bytes_noise_included(tmp_path):
    recipe, noise = LabRecipe("tiny", "float64", "strict"), NoisePlan(("float32",), ("given",), ("free",))
    for name in ("a", "b"):
        written(tmp_path / name, recipe=recipe, noise=noise)
    found = contents(tmp_path / "a")
    assert found == contents(tmp_path / "b")
    assert sum(name.endswith("noise.json") for name in found) == 3


def test_x22_what_is_finished_is_kept(out):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    corpus = written(out)
    assert (corpus.written, set(corpus.kept), corpus.removed) == ((), set(FEW), ())
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == before


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


HASHED = ("inputs.safetensors", "taps.safetensors", "integers.json")
DAMAGES = [(damage, file) for file in HASHED for damage in (cut, flip, Path.unlink)]
DAMAGES += [(damage, "manifest.json") for damage in (cut, Path.unlink)]


@pytest.mark.parametrize(("damage", "file"), DAMAGES)
def test_x22_a_damaged_case_is_written_anew_and_only_that(out, model, damage, file):
    damage(out / FEW[0] / file)
    corpus = written(out)
    assert corpus.written == (FEW[0],)
    assert contents(out) == contents(model)


@pytest.mark.parametrize("field", ["title", "note", "clauses", "kills", "arithmetic", "made_by", "model"])
def test_x22_a_case_that_was_made_otherwise_is_written_anew(out, model, field):
    path = out / FEW[1] / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, field: {**manifest[field], "name": "x"} if field == "model" else []}))
    assert written(out).written == (FEW[1],)
    assert contents(out) == contents(model)


def test_x22_other_settings_write_every_case_anew(out):
    assert set(written(out, taps="logits").written) == {FEW[2]}  # the only one with a run
    assert set(written(out, taps="logits", noise=LIGHT_NOISE).written) == set(FEW)
    assert written(out, taps="logits", noise=LIGHT_NOISE).written == ()
    narrow = LabRecipe("tiny", "float32", "blas")
    assert set(written(out, taps="logits", recipe=narrow).written) == set(FEW)
    assert json.loads((out / CORPUS).read_text())["model"]["precision"] == "float32"
    assert not list(out.rglob("noise.json"))


def test_x22_cases_that_are_not_asked_for_stay_and_are_listed(out, model):
    corpus = written(out, ("halves_of_bfloat16_go_to_even",))
    assert corpus.written == ("halves_of_bfloat16_go_to_even",)
    assert set(corpus.kept) == set(FEW)
    assert {entry["id"] for entry in corpus.listed["cases"]} == {*FEW, "halves_of_bfloat16_go_to_even"}
    before = contents(model)
    assert {name: text for name, text in contents(out).items() if name in before} == before | {
        CORPUS: (out / CORPUS).read_bytes()
    }


def test_x22_cases_that_would_have_to_go_are_asked_about_first(out):
    before = contents(out)
    narrow = LabRecipe("tiny", "float32", "blas")
    with pytest.raises(BadInput, match=r"is not chosen now \(cases: 2, the first is .* add --yes"):
        written(out, FEW[:1], recipe=narrow)
    assert contents(out) == before
    corpus = written(out, FEW[:1], recipe=narrow, may_remove=True)
    assert set(corpus.removed) == set(FEW[1:])
    assert names_in(out) == sorted([CORPUS, FEW[0]])


def test_x22_a_case_that_is_no_longer_is_removed(out):
    gone = out / "a_case_of_yore"
    shutil.copytree(out / FEW[0], gone)
    manifest = json.loads((gone / "manifest.json").read_text())
    (gone / "manifest.json").write_text(json.dumps({**manifest, "id": "a_case_of_yore"}))
    corpus = written(out)
    assert (corpus.written, corpus.removed) == ((), ("a_case_of_yore",))
    assert names_in(out) == sorted([*FEW, CORPUS])


def test_x22_the_list_lacks_while_a_case_lacks(out):
    shutil.rmtree(out / FEW[1])
    seen = []
    writer_write = CaseWriter.write

    def watching(self, *args, **kwargs):
        seen.append((out / CORPUS).exists())
        writer_write(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CaseWriter, "write", watching)
        written(out)
    assert seen == [False]
    assert (out / CORPUS).exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_x22_a_case_that_fails_is_named_and_what_was_finished_stays(tmp_path, jobs):
    def failing(one):  # a fault of this package: a function that takes no lab
        return replace(one, nbytes=0, case=replace(one.case, function=all_cases)) if one.case.id == FEW[2] else one

    with pytest.raises((RuntimeError, TypeError), match="positional argument"):
        write_corpus(tmp_path / "c", [*map(failing, planned())], RECIPE, settings=settings(), jobs=jobs)
    finished = set(names_in(tmp_path / "c"))
    assert finished  # of two processes one ends its case first, and is given the one that fails
    assert finished <= set(FEW[:2])
    assert not (tmp_path / "c" / CORPUS).exists()
    assert not list((tmp_path / "c").glob(WORKSHOP + "*"))
    corpus = written(tmp_path / "c")
    assert set(corpus.kept) == finished
    assert set(corpus.written) == set(FEW) - finished


@pytest.mark.parametrize("jobs", [1, 2])
def test_x22_a_case_that_cannot_be_computed_is_one_sentence(tmp_path, jobs):
    nowhere = LabRecipe(tmp_path / "nowhere", "float64", "blas")
    with pytest.raises(BadInput, match=r"no checkpoint directory .*nowhere'; give a directory"):
        write_corpus(tmp_path / "c", planned(), nowhere, settings=settings(), jobs=jobs)
    assert names_in(tmp_path / "c") == []


def test_x1_no_room_for_the_list_is_one_sentence(tmp_path, monkeypatch):
    path_replace = Path.replace

    def full(self, target):
        if Path(target).name == CORPUS:
            raise OSError(errno.ENOSPC, "No space left on device")
        return path_replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(BadInput, match=r"cannot write the corpus to .*c' \(No space left on device\); make room"):
        written(tmp_path / "c", FEW[:1])
    monkeypatch.undo()
    corpus = written(tmp_path / "c", FEW[:1])
    assert corpus.kept == FEW[:1]
    assert names_in(tmp_path / "c") == sorted([CORPUS, FEW[0]])


# -------------------------------------------------------------------------- what may stand in its place


def a_note(out):
    (out / "notes.txt").write_text("mine")


def a_directory(out):
    (out / "thesis").mkdir()
    (out / "thesis" / "one.txt").write_text("mine")


def an_empty_directory(out):
    (out / "thesis").mkdir()


def a_note_in_a_case(out):
    (out / FEW[0] / "notes.txt").write_text("mine")


def a_golden_of_a_prompt(out):
    shutil.copytree(out / FEW[0], out / "my_cat")


def a_list_of_texts(out):
    (out / CORPUS).write_text('{"texts": ["to be", "or not to be"]}')


def a_link(out):
    (out / "elsewhere").symlink_to(out.parent)


@pytest.mark.parametrize(
    "made",
    [a_note, a_directory, an_empty_directory, a_note_in_a_case, a_golden_of_a_prompt, a_list_of_texts, a_link],
)
def test_x6_a_place_that_holds_anything_else_is_refused_and_left_as_it_is(out, made):
    made(out)
    before = contents(out)
    with pytest.raises(BadInput, match=r"which is no part of a corpus of cases; move it away, or choose another"):
        written(out)
    assert contents(out) == before


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda out: out.write_text("mine"), "exists and is no directory that can be read"),
        (lambda out: out.symlink_to(out.parent), "is a symbolic link"),
        (
            lambda out: written(out.parent / "other") and (out.parent / "other" / FEW[0]).rename(out),
            "of one prompt",
        ),
    ],
)
def test_x6_a_file_a_link_and_a_golden_are_no_place_for_a_corpus(tmp_path, make, says):
    make(tmp_path / "c")
    with pytest.raises(BadInput, match=says):
        written(tmp_path / "c")


def test_x6_an_empty_directory_and_the_current_one_will_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(Path(), FEW[:1])
    assert names_in(tmp_path) == sorted([CORPUS, FEW[0]])


# -------------------------------------------------------------------------------------------- the plan


def test_every_share_has_about_the_same_size_and_no_case_is_in_two():
    plan = planned_cases(all_cases(), RECIPE.lab(), taps=None)
    largest = max(one.nbytes for one in plan)
    for n in (1, 2, 3, 7, len(plan) + 5):
        shares = [sliced(plan, i=i, n=n) for i in range(1, n + 1)]
        ids = [one.case.id for share in shares for one in share]
        assert sorted(ids) == sorted(one.case.id for one in plan)
        loads = [sum(one.nbytes for one in share) for share in shares]
        assert max(loads) - min(loads) <= largest
        for share in shares:
            assert [one for one in plan if one in share] == share  # in the order of all


def test_two_shares_written_to_one_place_make_the_whole(tmp_path, model):
    plan = planned()
    for i in (2, 1):
        write_corpus(tmp_path / "c", sliced(plan, i=i, n=2), RECIPE, settings=settings())
    assert contents(tmp_path / "c") == contents(model)


def test_a_case_of_ones_own_may_be_planned(tmp_path):
    def small(lab):
        """Yield a number."""
        yield Part("inputs.x", np.array([1.5]), "n", "a number")

    case = Case("my_case", "A number.", small, "rope", "unit", "06", (), ())
    plan = [PlannedCase(case, "stages", 8, 0)]
    assert write_corpus(tmp_path / "c", plan, RECIPE, settings=settings()).written == ("my_case",)
    assert write_corpus(tmp_path / "c", plan, RECIPE, settings=settings()).kept == ("my_case",)
