"""`qwen25vl check`: verdicts on the command line, and what a user can get wrong."""

import json
import shutil
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

import qwen25vl.cli.check as command
from planted_faults import FAULTS, ported
from qwen25vl.cli.main import main
from qwen25vl.golden.restore import restored_run
from small_goldens import golden, lab

CASE = "words"


@pytest.fixture(autouse=True)
def _in_a_moment(monkeypatch):
    """These faults are no known bugs: nothing is looked for. What is found is told in test_explain.py."""
    monkeypatch.setattr(command, "SECONDS", 1e-9)


def values(fault=None):
    """Every part of the case, as a port in float32 computes it."""
    case = golden(CASE)
    run = restored_run(case.parts, case.manifest)
    found = ported(run, lab(), precision="float32", fault=FAULTS[fault] if fault else None)
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


@pytest.fixture
def dump(tmp_path):
    """Write a dump, perhaps with a fault, and return its path."""

    def written(fault=None, **changes):
        path = tmp_path / "dump.safetensors"
        save_file({**values(fault), **changes}, path)
        return str(path)

    return written


def check(*arguments, golden_directory=None):
    """Run the command on the case."""
    return main(["check", "--golden", str(golden_directory or golden(CASE).directory), *arguments])


def test_a_right_dump_passes_with_code_0(dump, capsys):
    assert check(dump()) == 0
    assert capsys.readouterr().out.startswith("PASS")


def test_a_wrong_dump_fails_with_code_1_and_names_the_part(dump, capsys):
    assert check(dump("logits scaled")) == 1
    out = capsys.readouterr().out
    assert out.startswith("FAIL")
    assert "logits" in out.splitlines()[0]


def test_a_dump_that_lacks_parts_is_incomplete_with_code_3(tmp_path, capsys):
    found = values()
    del found["language.norm.out"]
    save_file(found, tmp_path / "d.safetensors")
    assert check(str(tmp_path / "d.safetensors")) == 3
    assert "language.norm.out" in capsys.readouterr().out


def test_json_is_one_object(dump, capsys):
    assert check(dump("logits scaled"), "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "fail"
    assert found["first_divergence"] == {"case": CASE, "tap": "logits", "kind": "scale", "local": True}
    keys = {"case", "tap", "verdict", "kind", "noise_units", "max_abs", "at", "rel_l2", "worst_token", "local"}
    assert all(keys <= set(part) for part in found["taps"])
    assert [part["tap"] for part in found["taps"]][-1] == "logits"


def test_a_report_is_a_page_of_its_own(dump, tmp_path, capsys):
    page = tmp_path / "out.html"
    assert check(dump("logits scaled"), "--report", str(page)) == 1
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert str(page) in capsys.readouterr().out


def test_xfails_tolerances_and_precision_are_taken(dump, tmp_path):
    known = tmp_path / "known.txt"
    known.write_text("words/logits  # ours\n")
    assert check(dump("logits scaled"), "--xfails", str(known)) == 0
    loose = tmp_path / "loose.toml"
    loose.write_text("[default]\nsuspicious = 1e12\nwrong = 1e13\n")
    assert check(dump("logits scaled"), "--tolerances", str(loose)) == 0
    assert check(dump(), "--precision", "float64") == 1


def test_a_program_is_run(tmp_path, capsys):
    program = tmp_path / "port.py"
    save_file(values(), tmp_path / "made.safetensors")
    program.write_text(
        "import shutil, sys\nassert sys.argv[1].endswith('words')\n"
        f"shutil.copy({str(tmp_path / 'made.safetensors')!r}, sys.argv[2] + '/dump.safetensors')\n"
    )
    command = f"{sys.executable} {program} {{case}} {{out}}"
    assert check("--program", command) == 0
    assert check("--program", f"{sys.executable} -c 'import sys; sys.exit(77)' {{case}} {{out}}") == 3
    assert check("--program", f"{sys.executable} -c 'import sys; sys.exit(5)' {{case}} {{out}}") == 3
    assert "5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give either a DUMP to read, or --program CMD to run"),
        (["gone.npz"], "gone.npz"),
        (["DUMP", "--map", "gone.toml"], "gone.toml"),
        (["DUMP", "--filter", "nothing_*"], "matches 'nothing_*'"),
        (["DUMP", "--model", "tiny-untied"], "is not the checkpoint of these goldens"),
        (["DUMP", "--xfails", "gone.txt"], "gone.txt"),
        (["DUMP", "--tolerances", "gone.toml"], "gone.toml"),
        (["DUMP", "--report", "gone/out.html"], "cannot write the report"),
        (["--program", "./gone {case} {out}"], "gone"),
    ],
)
def test_what_cannot_be_used_is_refused_with_code_2(arguments, sentence, dump, capsys, monkeypatch, tmp_path):
    path = dump()
    monkeypatch.chdir(tmp_path)
    assert check(*[path if argument == "DUMP" else argument for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.out == ""
    assert "Traceback" not in captured.err


def test_a_directory_that_is_no_golden_is_refused(tmp_path, dump, capsys):
    assert check(dump(), golden_directory=tmp_path) == 2
    assert "as a golden" in capsys.readouterr().err


CHANGES = {
    "misnamed": ({"langauge.norm.out": np.zeros((2, 2), np.float32)}, ["language.norm.out"], 3),
    "misshapen": ({"logits": np.zeros((2, 2), np.float32)}, [], 1),
    "not a number": ({"logits": None}, [], 1),
    "of whole numbers": ({"logits": np.zeros((31, 523), np.int64)}, [], 1),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_bad_tensor_is_one_verdict_and_the_rest_is_judged(what, tmp_path, capsys):
    new, gone, code = CHANGES[what]
    found = values()
    found |= {name: np.full_like(found[name], np.nan) if array is None else array for name, array in new.items()}
    for name in gone:
        del found[name]
    save_file(found, tmp_path / "d.safetensors")
    assert check(str(tmp_path / "d.safetensors"), "--json") == code
    verdicts = {part["tap"]: part["verdict"] for part in json.loads(capsys.readouterr().out)["taps"]}
    assert verdicts["language.blocks.03.resid_post"] in ("exact", "noise")
    assert verdicts["logits"] == ("wrong" if "logits" in new else "noise")


def test_a_truncated_dump_is_told_and_the_rest_is_judged(tmp_path, capsys):
    save_file(values(), tmp_path / "d.safetensors")
    whole = (tmp_path / "d.safetensors").read_bytes()
    (tmp_path / "d.safetensors").write_bytes(whole[: len(whole) * 2 // 3])
    assert check(str(tmp_path / "d.safetensors"), "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert found["problems"]
    assert sum(part["verdict"] in ("exact", "noise") for part in found["taps"]) > 10


@pytest.mark.parametrize("damage", ["hash", "newer", "gone"])
def test_a_damaged_golden_is_refused(damage, tmp_path, dump, capsys):
    copy = tmp_path / "words"
    shutil.copytree(golden(CASE).directory, copy)
    if damage == "gone":
        (copy / "taps.safetensors").unlink()
    else:
        manifest = json.loads((copy / "manifest.json").read_text())
        if damage == "newer":
            manifest["schema_version"] = "2.0.0"
        else:
            manifest["files"][0]["bytes"] += 1
        (copy / "manifest.json").write_text(json.dumps(manifest))
    assert check(dump(), golden_directory=copy) == 2
    assert {"gone": "taps.safetensors", "newer": "2.0.0", "hash": "inputs.safetensors"}[damage] in (
        capsys.readouterr().err
    )
