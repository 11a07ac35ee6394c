"""`qwen25vl golden OUT PROMPT`: what is written, what is said about it, and what is refused before that."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from qwen25vl.cli import golden_prompt
from qwen25vl.cli.options import Progress
from qwen25vl.tap_names import LEVELS

QUICK = ("--blas", "--noise", "none")
"""For tests that are about neither."""


def test_the_report_names_every_file_and_shows_how_to_read_one(command, picture, tmp_path):
    out = tmp_path / "g"
    finished = command("golden", out, "--image", picture, "What?", "--max-new-tokens", 2, "--noise", "light")
    assert (finished.code, finished.err) == (0, "")
    assert finished.out.startswith("golden values of tiny in float64, strict sums\n")
    assert len(list(out.iterdir())) == 6
    for file in out.iterdir():
        assert f"{file}  " in finished.out
    assert "noise.png: 90 x 60 pixels, resized to 84 x 56, grid [1, 4, 6], 6 tokens" in finished.out
    code = re.search(r"^  from safetensors.*?\n\n", finished.out, flags=re.MULTILINE | re.DOTALL)[0]
    shown = subprocess.run(
        [sys.executable, "-c", re.sub("^  ", "", code, flags=re.MULTILINE)],
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    assert shown.startswith(b"[[")


def test_json_is_the_manifest_and_where_it_is(command, picture, tmp_path):
    finished = command("golden", tmp_path / "g", "--image", picture, "x", "--max-new-tokens", 1, "--json", *QUICK)
    assert finished.out.count("\n") == 1
    document = json.loads(finished.out)
    assert document.pop("out") == str(tmp_path / "g")
    assert document == json.loads((tmp_path / "g" / "manifest.json").read_text())
    assert document["media"][0]["source"] == "noise.png"
    assert document["model"]["name"] == "tiny"
    assert document["model"]["precision"] == "float64"


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_selects_its_taps(command, tmp_path, level):
    arguments = ("x", "--taps", level, "--max-new-tokens", 1, "--precision", "float32")
    command("golden", tmp_path / "g", *arguments, *QUICK)
    taps = load_file(tmp_path / "g" / "taps.safetensors")
    assert ("language.blocks.00.resid_post" in taps) is True
    assert ("language.blocks.00.attn.q" in taps) is (level != "stages")
    assert ("language.blocks.00.attn.probs" in taps) is (level == "all")
    assert taps["logits"].dtype == np.float32


@pytest.mark.parametrize("precision", [None, "float32", "float64"])
def test_x14_a_golden_is_in_float64_unless_another_precision_is_asked_for(command, tmp_path, precision):
    chosen = [] if precision is None else ["--precision", precision]
    command("golden", tmp_path / "g", "x", "--taps", "logits", "--max-new-tokens", 1, *chosen, *QUICK)
    assert load_file(tmp_path / "g" / "taps.safetensors")["logits"].dtype == (precision or "float64")


def test_a_model_is_named_as_its_directory_is_called(command, tmp_path, tiny_dir, monkeypatch):
    (tmp_path / "my-model").symlink_to(tiny_dir)
    monkeypatch.chdir(tmp_path)
    finished = command("golden", "g", "x", "--model", "./my-model/", "--taps", "logits", "--json", *QUICK)
    assert json.loads(finished.out)["model"]["name"] == "my-model"


def test_an_older_golden_is_replaced(command, tmp_path):
    for steps in (2, 1):
        arguments = ("x", "--taps", "logits", "--max-new-tokens", steps)
        assert command("golden", tmp_path / "g", *arguments, *QUICK).code == 0
    assert load_file(tmp_path / "g" / "answer.safetensors")["answer.ids"].shape == (1,)
    assert list(tmp_path.iterdir()) == [tmp_path / "g"]


def test_a_name_that_is_not_utf_8_is_replaced_in_the_manifest(command, picture, tmp_path):
    strange = picture.rename(picture.with_name("q\udcff.png"))
    finished = command(
        "golden",
        tmp_path / "g\udcff",
        "--image",
        strange,
        "x",
        "--taps",
        "logits",
        "--max-new-tokens",
        1,
        "--json",
        *QUICK,
    )
    assert finished.code == 0
    document = json.loads(finished.out)
    assert document["media"][0]["source"] == "q\ufffd.png"
    assert document["out"].endswith("g\ufffd")


@pytest.mark.parametrize(
    ("chosen", "arithmetic", "noise"),
    [
        (("--noise", "light"), "strict", ["float32", "bfloat16"]),
        (("--noise", "light", "--blas"), "blas", ["float32", "bfloat16"]),
        (("--noise", "none"), "strict", None),
        (("--noise", "none", "--precision", "float32"), "blas", None),
        (("--precision", "float32"), "blas", None),
        ((), "strict", ["float64", "float32", "bfloat16", "float16"]),
    ],
)
def test_x19_sums_are_strict_in_float64_unless_blas_is_asked_for(command, tmp_path, chosen, arithmetic, noise):
    arguments = ("x", "--taps", "logits", "--max-new-tokens", 1, "--json")
    finished = command("golden", tmp_path / "g", *arguments, *chosen)
    assert json.loads(finished.out)["arithmetic"] == arithmetic
    if noise is None:
        assert not (tmp_path / "g" / "noise.json").exists()
    else:
        measured = json.loads((tmp_path / "g" / "noise.json").read_text())["parts"]["logits"]
        assert list(measured) == noise


@pytest.mark.parametrize(
    "words",
    [
        ("OUT", "x", "--noise", "none"),
        ("OUT", "--noise", "none", "x"),
        ("--noise", "none", "OUT", "x"),
        ("OUT", "--noise", "none", "--", "-x"),
    ],
)
def test_the_prompt_may_stand_before_and_behind_options(command, tmp_path, words):
    out = tmp_path / "g"
    arguments = [out if word == "OUT" else word for word in words]
    finished = command("golden", "--blas", "--max-new-tokens", "1", "--taps", "logits", "--json", *arguments)
    assert (finished.code, finished.err) == (0, "")
    assert f"user\n{words[-1] if 'x' in words[-1] else 'x'}<|im_end|>" in json.loads(finished.out)["prompts"][0]


def test_a_picture_needs_no_prompt(command, picture, tmp_path):
    finished = command("golden", tmp_path / "g", "--image", picture, "--taps", "logits", "--json", *QUICK)
    assert "<|vision_end|><|im_end|>" in json.loads(finished.out)["prompts"][0]


# ------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("words", [("x", "--blas", "y"), ("--blas", "x", "y"), ("--blas", "-x"), ("--nope", "x")])
def test_words_that_mean_nothing_are_refused(command, tmp_path, words):
    finished = command("golden", tmp_path / "g", *words)
    assert (finished.code, finished.out) == (2, "")
    assert "unrecognized arguments" in finished.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("noise", ["light", "full"])
def test_noise_is_measured_of_float64_alone(refused, tmp_path, noise):
    sentence = refused("golden", tmp_path / "g", "x", "--precision", "bfloat16", "--noise", noise)
    assert sentence.endswith("and --precision is bfloat16; leave one of the two out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "option", [("--cases", "rope"), ("--slice", "1/2"), ("--jobs", "2"), ("--export", "bin"), ("--list",)]
)
def test_what_acts_on_a_corpus_does_not_act_on_a_prompt(refused, tmp_path, option):
    sentence = refused("golden", tmp_path / "g", "x", *option)
    assert sentence == f"{option[0]} acts on a corpus, and a prompt or medium is given; leave one of the two out"
    assert list(tmp_path.iterdir()) == []


def test_the_place_is_looked_at_before_the_model_is_opened(refused, tmp_path):
    (tmp_path / "g").write_text("mine")
    assert "is no directory" in refused("golden", tmp_path / "g", "x", "--model", "nope")
    assert (tmp_path / "g").read_text() == "mine"


@pytest.mark.parametrize("taps", ["resid_post", "vision.*", ""])
def test_x13_a_glob_that_matches_nothing_is_refused_and_nothing_written(refused, tmp_path, taps):
    sentence = refused("golden", tmp_path / "g", "x", "--taps", taps)
    assert "stages, insides, all" in sentence
    assert "`qwen25vl names`" in sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [("--image", "nope.png"), ("--model", "nope"), ("--max-pixels", "1")])
def test_bad_input_writes_nothing(refused, tmp_path, arguments):
    refused("golden", tmp_path / "a" / "g", "x", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_x12_a_large_golden_must_be_confirmed(refused, command, tmp_path, monkeypatch):
    arguments = ("golden", tmp_path / "g", "x", "--max-new-tokens", 1, *QUICK)
    monkeypatch.setattr(golden_prompt, "LARGE_BYTES", 1000)
    sentence = refused(*arguments)
    assert re.match(r"this golden would take about \d+\.\d GB \(\d+ tokens, 0 patches\); add --yes", sentence)
    assert re.search(r"--taps stages \(\d+\.\d GB\), a smaller --max-pixels", sentence)
    assert list(tmp_path.iterdir()) == []
    assert command(*arguments, "--yes").code == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "g"]


def test_x12_the_answers_scores_count_too(refused, tmp_path):
    # tiny has 523 rows: 2 GB are half a million steps
    assert "--yes" in refused("golden", tmp_path / "g", "x", "--taps", "logits", "--max-new-tokens", 10**6)


def test_x1_ctrl_c_leaves_nothing(command, tmp_path, monkeypatch):
    calls = []

    def interrupted(self, name, array=None):
        calls.append(name)
        if len(calls) == 9:
            assert len(list(tmp_path.iterdir())) == 1  # the hidden workshop
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "__call__", interrupted)
    finished = command("golden", tmp_path / "g", "x", *QUICK)
    assert (finished.code, finished.out) == (130, "")
    assert finished.err == "qwen25vl golden: stopped\n"
    assert list(tmp_path.iterdir()) == []
