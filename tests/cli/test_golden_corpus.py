"""`qwen25vl golden OUT`: which cases are written, what is said about them, and what is refused."""

import json
import re

import pytest

from qwen25vl.cli import golden_corpus
from qwen25vl.golden.case import FAMILIES
from qwen25vl.golden.corpus_read import CORPUS, open_goldens
from qwen25vl.golden.registry import all_cases, chosen_cases

QUICK = ("--blas", "--noise", "none")
FEW = ("--cases", "two_windows_*", "--cases", "logits")
FEW_IDS = {"two_windows_side_by_side", *(case.id for case in chosen_cases(("logits",)))}


def ids_in(out) -> set[str]:
    return {path.name for path in out.iterdir() if path.is_dir()}


def test_the_report_counts_by_family_and_says_what_can_be_done(command, tmp_path):
    out = tmp_path / "c"
    finished = command("golden", out, *FEW, *QUICK)
    assert (finished.code, finished.err) == (0, "")
    assert ids_in(out) == FEW_IDS
    assert finished.out.startswith("a corpus of tiny in float64, blas sums: 3 written\n")
    rows = [line.split() for line in finished.out.splitlines()]
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file() and path.name != CORPUS)
    (row,) = [row for row in rows if row[:1] == ["all"]]
    assert row[1] == "3"
    assert row[3:] == [f"{size / 1e3:.1f}", "kB"]
    assert [row[:2] for row in rows if row and row[0] in FAMILIES] == [["windows", "1"], ["logits", "2"]]
    assert f"qwen25vl check DUMP --golden {out}" in finished.out


def test_a_second_run_keeps_what_is_there_and_says_so(command, tmp_path):
    command("golden", tmp_path / "c", *FEW, *QUICK)
    finished = command("golden", tmp_path / "c", "--cases", "head_gives*", "--cases", "rope", *QUICK)
    assert finished.out.startswith(
        "a corpus of tiny in float64, blas sums: 6 written, 3 kept from an earlier run\n"
    )


def test_json_is_the_list_and_what_was_done(command, tmp_path):
    finished = command("golden", tmp_path / "c", *FEW, *QUICK, "--json")
    assert finished.out.count("\n") == 1
    document = json.loads(finished.out)
    assert document.pop("out") == str(tmp_path / "c")
    assert set(document.pop("written")) == FEW_IDS
    assert (document.pop("kept"), document.pop("removed")) == ([], [])
    assert document == json.loads((tmp_path / "c" / CORPUS).read_text())


def test_x19_x24_a_corpus_of_a_bundled_checkpoint_is_strict_with_all_its_noise(command, tmp_path):
    finished = command("golden", tmp_path / "c", "--cases", "head_gives*", "--json")
    document = json.loads(finished.out)
    assert document["arithmetic"] == "strict"
    assert document["noise"]["precisions"] == ["float64", "float32", "bfloat16", "float16"]
    assert (len(document["noise"]["orders"]), document["noise"]["modes"]) == (4, ["free", "stage"])
    (case,), problems = open_goldens(tmp_path / "c", verify=True)
    assert problems == ()
    assert set(case.noise["logits"]) == {"float64", "float32", "bfloat16", "float16"}


def test_of_another_checkpoint_the_stages_of_whole_runs_are_written_with_light_noise(command, tmp_path, tiny_dir):
    (tmp_path / "my-model").symlink_to(tiny_dir)
    arguments = ("--model", tmp_path / "my-model", "--slice", "1/9", "--json", "--blas")
    document = json.loads(command("golden", tmp_path / "c", *arguments).out)
    assert document["model"]["name"] == "my-model"
    assert document["taps"] == "stages"
    assert document["noise"]["precisions"] == ["float32", "bfloat16"]
    assert {entry["tier"] for entry in document["cases"]} == {"model"}
    whole = [case.id for case in all_cases() if case.tier == "model"]
    assert 1 <= len(document["cases"]) < len(whole)
    listed = json.loads(command("golden", "--list", "--model", tmp_path / "my-model", "--json").out)
    assert [entry["id"] for entry in listed["cases"]] == whole


def test_taps_choose_for_every_run(command, tmp_path):
    command("golden", tmp_path / "c", "--cases", "answer_goes_on_behind_a_picture", "--taps", "*.norm.out", *QUICK)
    (case,), _ = open_goldens(tmp_path / "c")
    assert [part for part in case.parts if part.startswith(("language", "vision", "logits"))] == [
        "language.norm.out"
    ]


def test_cases_are_listed_and_nothing_is_written(command, tmp_path):
    finished = command("golden", tmp_path / "c", "--list", "--cases", "rope")
    assert list(tmp_path.iterdir()) == []
    rope = chosen_cases(("rope",))
    lines = finished.out.splitlines()
    assert [line.split()[:3] for line in lines[1 : len(rope) + 1]] == [
        [case.id, "rope", case.tier] for case in rope
    ]
    assert lines[-1] == f"{len(rope)} cases"
    everything = json.loads(command("golden", "--list", "--json").out)["cases"]
    assert [entry["id"] for entry in everything] == [case.id for case in all_cases()]
    assert set(everything[0]) == {
        *("id", "title", "family", "tier", "section", "clauses", "kills", "flags", "note", "taps")
    }


def test_shares_are_listed_and_make_the_whole(command):
    shares = [
        json.loads(command("golden", "--list", "--json", "--slice", f"{i}/3").out)["cases"] for i in (1, 2, 3)
    ]
    ids = [entry["id"] for share in shares for entry in share]
    assert sorted(ids) == sorted(case.id for case in all_cases())
    assert all(len(share) > 10 for share in shares)


@pytest.mark.parametrize("form", ["npz", "bin"])
def test_x23_an_export_is_written_beside_each_case(command, tmp_path, form):
    finished = command("golden", tmp_path / "c", *FEW, *QUICK, "--export", form)
    name = {"npz": "parts.npz", "bin": "bin"}[form]
    assert all((tmp_path / "c" / case / name).exists() for case in FEW_IDS)
    assert f"{tmp_path / 'c' / 'CASE' / name}  the same parts as {form}" in finished.out


def test_several_processes_write_the_same(command, tmp_path):
    for jobs in (1, 2):
        assert command("golden", tmp_path / f"c{jobs}", *FEW, *QUICK, "--jobs", jobs).code == 0
    assert (tmp_path / "c1" / CORPUS).read_bytes() == (tmp_path / "c2" / CORPUS).read_bytes()


# ------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("option", "name"),
    [
        (("--max-new-tokens", "3"), "--max-new-tokens"),
        (("--min-pixels", "784"), "--min-pixels"),
        (("--profile", "hf"), "--profile"),
        (("--start", "0"), "--start"),
        (("--total-pixels", "9999"), "--total-pixels"),
    ],
)
def test_what_acts_on_a_prompt_does_not_act_on_a_corpus(refused, tmp_path, option, name):
    sentence = refused("golden", tmp_path / "c", *option)
    assert sentence == f"{name} acts on a prompt, and none is given; leave one of the two out"
    assert list(tmp_path.iterdir()) == []


def test_without_a_place_nothing_is_written(refused):
    assert refused("golden") == "OUT is missing; name the directory to write, as in `qwen25vl golden out/corpus`"


@pytest.mark.parametrize("share", ["0/2", "3/2", "1", "1/", "/2", "a/b", "1/2/3", "-1/2", "1.5/2"])
def test_a_share_that_there_is_not_is_a_usage_error(command, tmp_path, share):
    finished = command("golden", tmp_path / "c", f"--slice={share}")
    assert (finished.code, finished.out) == (2, "")
    assert f"need a share I/N with I from 1 to N, as 2/4, got {share!r}" in finished.err


def test_a_glob_that_matches_no_case_is_refused(refused, tmp_path):
    sentence = refused("golden", tmp_path / "c", "--cases", "logits", "--cases", "*.nothing")
    assert sentence.startswith("no case matches '*.nothing'; give a glob over the ids")
    assert list(tmp_path.iterdir()) == []


def test_x13_taps_that_no_run_has_are_refused(refused, tmp_path):
    sentence = refused("golden", tmp_path / "c", "--cases", "decode", "--taps", "*.nothing", *QUICK)
    assert sentence.startswith("the taps '*.nothing' match none of the ids of 6 runs; give stages, insides, all")
    assert list(tmp_path.iterdir()) == []


def test_x6_the_place_is_looked_at_before_the_model_is_opened(refused, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    assert "holds 'thesis.txt', which is no part of a corpus" in refused("golden", tmp_path, "--model", "nope")


def test_x12_a_large_corpus_must_be_confirmed(refused, command, tmp_path, monkeypatch):
    arguments = ("golden", tmp_path / "c", "--cases", "answer_goes_on_behind_a_*", *QUICK)
    monkeypatch.setattr(golden_corpus, "LARGE_BYTES", 1000)
    sentence = refused(*arguments)
    assert re.match(
        r"this corpus would take about \d+\.\d GB \(2 cases, the largest is answer_goes_on_behind_a_\w+ with "
        r"\d+\.\d GB\); add --yes to write it all the same, or take "
        r"--taps stages \(\d+\.\d GB\), fewer --cases, a --slice",
        sentence,
    )
    assert list(tmp_path.iterdir()) == []
    assert command(*arguments, "--yes").code == 0


def test_cases_of_other_settings_are_not_removed_without_a_word(refused, command, tmp_path):
    command("golden", tmp_path / "c", *FEW, *QUICK)
    arguments = ("golden", tmp_path / "c", "--cases", "logits", *QUICK, "--precision", "float32")
    sentence = refused(*arguments)
    assert sentence.endswith(
        "holds what was made with other settings and is not chosen now (cases: 1, the first is "
        "two_windows_side_by_side); choose another directory, or add --yes to remove it"
    )
    assert ids_in(tmp_path / "c") == FEW_IDS
    finished = command(*arguments, "--yes")
    assert finished.out.startswith("a corpus of tiny in float32, blas sums: 2 written, 1 removed\n")
