"""The command line as a whole: what somebody with a bad file, a slip of the hand or a small machine reads."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import qwen25vl
from checkpoint_files import packed
from qwen25vl.checkpoint.safetensors import open_file
from qwen25vl.cli import run

ROOT = Path(qwen25vl.__file__).parents[1]


def in_a_process(*arguments: str | bytes, shell_tail: str = "", **options) -> subprocess.CompletedProcess:
    """Run the command as a user does, from a shell that may pipe its output on."""
    script = 'set -o pipefail; "$@" ' + shell_tail
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["bash", "-c", script, "bash", sys.executable, "-m", "qwen25vl.cli.main", *arguments],
        env={**usual, "PYTHONPATH": str(ROOT), **options.pop("env", {})},
        capture_output=True,
        timeout=120,
        check=False,
        **options,
    )


# ------------------------------------------------------------------------------------------- usage


def test_the_version_is_the_packages(command):
    assert command("--version").out == f"qwen25vl {qwen25vl.__version__}\n"


@pytest.mark.parametrize("name", ["run", "golden", "show", "names"])
def test_every_help_explains_all_options_and_ends_in_examples(command, name):
    finished = command(name, "--help")
    assert finished.code == 0
    options = re.findall(r"^  (--?\w[\w-]*)", finished.out, flags=re.MULTILINE)
    assert "--json" in options
    examples = finished.out.partition("\nexamples:\n")[2].strip().splitlines()
    assert len(examples) >= 3
    for example in examples:
        assert example.lstrip().startswith("qwen25vl ")
        assert set(re.findall(r" (--\w[\w-]*)", example)) <= {*options, "--image", "--video", "--taps"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "required: COMMAND"),
        (("dance",), "invalid choice: 'dance'"),
        (("run",), "required: prompt"),
        (("golden",), "OUT is missing"),
        (("run", "x", "--max-new-tokens", "0"), "need a whole number of at least 1, got '0'"),
        (("run", "x", "--max-new-tokens", "-3"), "got '-3'"),
        (("run", "x", "--max-pixels", "1.5"), "got '1.5'"),
        (("run", "x", "--max-pixels", "\u0664"), "got '\u0664'"),  # a digit, but not one of ours
        (("run", "x", "--precision", "float8"), "invalid choice: 'float8'"),
        (("run", "x", "--max-new", "3"), "unrecognized arguments: --max-new"),  # no guessing of abbreviations
    ],
)
def test_a_wrong_option_is_a_usage_error(command, arguments, says):
    finished = command(*arguments)
    assert finished.code == 2
    assert finished.out == ""
    assert says in finished.err


# --------------------------------------------------------------------------------------- bad input


def test_a_missing_picture_is_named(refused):
    assert refused("run", "--image", "nope.png", "x") == (
        "cannot open the image file 'nope.png' (No such file or directory); check the path"
    )


def test_a_directory_is_no_picture(refused, tmp_path):
    assert f"{str(tmp_path)!r} (Is a directory)" in refused("run", "--image", tmp_path, "x")


@pytest.mark.parametrize(("content", "says"), [(b"hello\n", "not in a format"), (b"", "not in a format")])
def test_a_file_of_another_kind_is_no_picture(refused, tmp_path, content, says):
    (tmp_path / "t.png").write_bytes(content)
    assert says in refused("run", "--image", tmp_path / "t.png", "x")


def test_a_cut_picture_is_refused(refused, picture):
    picture.write_bytes(picture.read_bytes()[:2000])
    sentence = refused("run", "--image", picture, "x")
    assert str(picture) in sentence
    assert "cut off" in sentence


def test_a_strip_too_long_is_refused_by_its_name(refused, tmp_path):
    Image.fromarray(np.zeros((1, 201, 3), np.uint8)).save(tmp_path / "strip.png")
    sentence = refused("run", "--image", tmp_path / "strip.png", "x")
    assert sentence.startswith(repr(str(tmp_path / "strip.png")))
    assert "at most 200 times the shorter, got 1 x 201" in sentence


def test_a_name_that_is_not_utf_8_is_shown_escaped(refused):
    assert r"'q\udcff.png'" in refused("run", "--image", "q\udcff.png", "x")


def test_an_empty_prompt_needs_a_picture(refused, command, picture):
    assert "give a text, --image FILE, or both" in refused("run", "")
    assert command("run", "--image", picture, "", "--max-new-tokens", 1).code == 0


@pytest.mark.parametrize("token_id", ["image_token_id", "video_token_id"])
def test_a_pad_in_the_prompt_is_refused(refused, token_id):
    processor = qwen25vl.load_processor("tiny")
    pad = processor.tokenizer.token(getattr(processor.config, token_id))
    sentence = refused("run", f"what is {pad}?")
    assert repr(pad) in sentence
    assert "give media with --image FILE or --video FILE" in sentence


def test_bytes_that_are_no_utf_8_are_refused_where_they_stand(refused):
    assert "not UTF-8: character 2 is '\\udcff'" in refused("run", "ab\udcffc")
    finished = in_a_process("run", b"ab\xffc", env={"PYTHONUTF8": "1"})
    assert finished.returncode == 2
    assert b"not UTF-8: character 2 is" in finished.stderr
    assert b"Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (("--min-pixels", 20000, "--max-pixels", 10000), "--min-pixels 20000 exceeds --max-pixels 10000;"),
        (("--max-pixels", 10), "--min-pixels 3136 (the checkpoint's) exceeds --max-pixels 10;"),
        (("--min-pixels", 10**9), "--min-pixels 1000000000 exceeds --max-pixels 1003520 (the checkpoint's);"),
    ],
)
def test_limits_that_exclude_each_other_are_refused_without_a_picture_too(refused, picture, limits, says):
    assert says in refused("run", "--image", picture, "x", *limits)
    assert says in refused("run", "x", *limits)


# ------------------------------------------------------------------------------------- checkpoints


@pytest.fixture
def model_dir(tiny_dir, tmp_path) -> Path:
    """Copy tiny, to be broken."""
    return Path(shutil.copytree(tiny_dir, tmp_path / "model"))


def test_a_model_that_is_not_there_is_refused_with_the_names_that_are(refused, picture):
    assert "or tiny or tiny-untied" in refused("run", "--model", "nope", "x")
    assert f"no checkpoint directory {str(picture)!r}" in refused("run", "--model", picture, "x")


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("config.json", "no config.json in"),
        ("tokenizer.json", "tokenizer.json does not exist"),
        ("preprocessor_config.json", "has neither a preprocessor_config.json nor"),
        ("chat_template.json", "has no chat template"),
        ("model.safetensors", "holds neither model.safetensors nor"),
    ],
)
def test_a_file_missing_from_a_model_is_named(refused, model_dir, file, says):
    (model_dir / file).unlink()
    sentence = refused("run", "--model", model_dir, "x")
    assert says in sentence
    assert str(model_dir) in sentence


FILES = (
    "config.json",
    "tokenizer.json",
    "preprocessor_config.json",
    "chat_template.json",
    "generation_config.json",
)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("content", [b"", b'{"a":', b"\xff\xfe"])
def test_a_file_of_a_model_that_is_damaged_is_named(refused, model_dir, file, content):
    (model_dir / file).write_bytes(content)
    assert str(model_dir / file) in refused("run", "--model", model_dir, "x")


@pytest.mark.parametrize("size", [0, 4, 1000, -1])
def test_cut_weights_are_refused(refused, model_dir, size):
    path = model_dir / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    assert str(path) in refused("run", "--model", model_dir, "x")


def test_a_missing_tensor_is_listed(command, model_dir):
    path = model_dir / "model.safetensors"
    tensors = open_file(path)
    lost = tensors.popitem()[0]
    path.write_bytes(
        packed({name: (found.dtype, found.shape, found.raw.tobytes()) for name, found in tensors.items()})
    )
    finished = command("run", "--model", model_dir, "x")
    assert finished.code == 2
    assert finished.out == ""
    assert finished.err.splitlines()[-2:] == ["missing (1):", f"  {lost}"]


# ------------------------------------------------------------------------- the machine and the user


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "qwen25vl run: stopped\n"),
        (MemoryError(), 2, "qwen25vl run: not enough memory (no detail); take a smaller --max-pixels"),
        (MemoryError("Unable to allocate 9 GiB"), 2, "not enough memory (Unable to allocate 9 GiB)"),
        (PermissionError(13, "Permission denied", "w.safetensors"), 2, "'w.safetensors' (Permission denied)"),
    ],
)
def test_what_stops_a_run_is_said_in_one_sentence(command, monkeypatch, error, code, says):
    def prepared(options):
        raise error

    monkeypatch.setattr(run, "prepared", prepared)
    finished = command("run", "x")
    assert finished.code == code
    assert finished.out == ""
    assert says in finished.err
    assert finished.err.count("\n") == 1


def test_a_fault_of_ours_is_not_passed_off_as_the_users(monkeypatch, command):
    def prepared(options):
        raise ZeroDivisionError

    monkeypatch.setattr(run, "prepared", prepared)
    with pytest.raises(ZeroDivisionError):
        command("run", "x")


@pytest.mark.parametrize("arguments", [("names",), ("run", "x"), ("run", "x", "--json")])
@pytest.mark.parametrize(("reader", "reads"), [("head -c 1", 1), ("true", 0)])  # true leaves before we write
def test_a_reader_that_leaves_early_is_no_error(arguments, reader, reads):
    finished = in_a_process(*arguments, shell_tail=f"| {reader}")
    assert len(finished.stdout) == reads
    assert finished.stderr == b""
    assert finished.returncode == 0


def test_a_terminal_without_our_signs_gets_escapes():
    finished = in_a_process("names", env={"PYTHONIOENCODING": "ascii"})
    assert finished.returncode == 0
    assert rb"P patches \xb7 M merged" in finished.stdout
