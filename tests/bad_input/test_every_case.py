"""The list of bad input, one case each, through the command line: code 2, one clear sentence, nothing written."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import qwen25vl
from checkpoint_files import file_of, packed
from films import damaged, film, packet_places
from qwen25vl.checkpoint.safetensors import open_file
from qwen25vl.cli.main import main

ROOT = Path(qwen25vl.__file__).parents[1]
WEIGHTS = "model.safetensors"
CASES: dict[str, tuple[Callable[[Path], list[object]], str, bool]] = {}
"""Name -> what makes the arguments in an empty folder, what the sentence must say, whether it ends in a list."""


def case(name: str, says: str, *, listing: bool = False):
    """Enter a function into the table."""

    def enter(function: Callable[[Path], list[object]]) -> Callable[[Path], list[object]]:
        assert name not in CASES
        CASES[name] = (function, says, listing)
        return function

    return enter


# ------------------------------------------------------------------------------------------ pictures


def with_file(option: str, name: str, content: bytes) -> Callable[[Path], list[object]]:
    """A picture or a video of some bytes."""

    def make(folder: Path) -> list[object]:
        (folder / name).write_bytes(content)
        return [option, folder / name]

    return make


def png(height: int, width: int, *, size: tuple[int, int] | None = None) -> bytes:
    """A PNG, whose head may say another size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    told = size or (height, width)
    head = struct.pack(">IIBBBBB", told[1], told[0], 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(height * (width + 1)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


case("a missing picture", r"cannot open the image file '.*absent\.png' \(No such file")(
    lambda folder: ["--image", folder / "absent.png"]
)
case("an empty picture", r"empty\.png' is not in a format .*; convert")(with_file("--image", "empty.png", b""))
case("a cut picture", r"cut\.png' cannot be decoded .*; it is damaged, cut off or rare")(
    with_file("--image", "cut.png", png(60, 90)[:50])
)
case("a text for a picture", r"notes\.png' is not in a format that Pillow reads; convert it")(
    with_file("--image", "notes.png", b"Dear diary,\n")
)
case("a decompression bomb", r"bomb\.png' is too large .*; shrink it")(
    with_file("--image", "bomb.png", png(10, 10, size=(50_000, 50_000)))
)
case("a strip of a ratio above 200", r"strip\.png': .*at most 200 times the shorter, got 1 x 201; crop it")(
    with_file("--image", "strip.png", png(1, 201))
)
case("a picture without a side", r"flat\.png'.*; ")(with_file("--image", "flat.png", png(1, 1, size=(0, 5))))
case("a target without a side", r"--min-pixels 3136 \(the checkpoint's\) exceeds --max-pixels 100; change one")(
    lambda folder: [*with_file("--image", "ok.png", png(60, 90))(folder), "--max-pixels", 100]
)
case("a target without end", r"would be resized to .* lower min_pixels and max_pixels")(
    lambda folder: [
        *with_file("--image", "ok.png", png(60, 90))(folder),
        *("--min-pixels", 10**12, "--max-pixels", 10**13),
    ]
)


# -------------------------------------------------------------------------------------------- videos

CLIP = film(12, codec="mpeg4", container="mp4")
FILM = film([*np.random.default_rng(0).integers(0, 256, (12, 36, 60, 3), dtype=np.uint8)])

case("a missing video", r"absent\.mp4' \(No such file")(lambda folder: ["--video", folder / "absent.mp4"])
case("an empty video", r"empty\.mp4' is empty; check the path")(with_file("--video", "empty.mp4", b""))
case("a text for a video", r"notes\.mp4'.*; ")(with_file("--video", "notes.mp4", b"Dear diary,\n" * 99))
case("a picture for a video", r"still\.png'.*; ")(with_file("--video", "still.png", png(60, 90)))
case("a video without frames", r"none\.mkv'.*; ")(
    with_file("--video", "none.mkv", FILM[: packet_places(FILM)[0][0] - 4])
)
case("a video of one frame", r"one\.mkv'.* has one frame, .*; give it as a picture")(
    with_file("--video", "one.mkv", film(1))
)
case("a cut video", r"cut\.mp4'.*; ")(with_file("--video", "cut.mp4", CLIP[: len(CLIP) // 2]))


@case("a video with broken packets in its middle", r"broken\.mkv'.* frame \d+.*; ")
def broken_video(folder: Path) -> list[object]:
    place, size = packet_places(FILM)[7]
    broken = damaged(FILM, start=place + 20, length=size - 30)
    return [*with_file("--video", "broken.mkv", broken)(folder), "--nframes", 12]


# --------------------------------------------------------------------------------------- checkpoints


def model_in(folder: Path) -> Path:
    """A copy of tiny, to be broken."""
    return Path(shutil.copytree(Path(qwen25vl.__file__).parent / "checkpoints" / "tiny", folder / "model"))


def with_model(change: Callable[[Path], None]) -> Callable[[Path], list[object]]:
    """A copy of tiny that something was done to."""

    def make(folder: Path) -> list[object]:
        model = model_in(folder)
        change(model)
        return ["--model", model]

    return make


def with_parts(change: Callable[[dict], None]) -> Callable[[Path], list[object]]:
    """A copy of tiny with other tensors."""

    def rewritten(model: Path) -> None:
        parts = {n: (t.dtype, t.shape, t.raw.tobytes()) for n, t in open_file(model / WEIGHTS).items()}
        change(parts)
        (model / WEIGHTS).write_bytes(packed(parts))

    return with_model(rewritten)


def with_json(file: str, change: Callable[[dict], None]) -> Callable[[Path], list[object]]:
    """A copy of tiny with another JSON file."""

    def rewritten(model: Path) -> None:
        document = json.loads((model / file).read_text())
        change(document)
        (model / file).write_text(json.dumps(document))

    return with_model(rewritten)


GAIN = "model.norm.weight"

case("no such directory", r"no checkpoint directory '.*absent'; give a directory with config.json")(
    lambda folder: ["--model", folder / "absent"]
)
case(
    "a directory that is no checkpoint", r"no config\.json in .*; give the directory of a Qwen2\.5-VL checkpoint"
)(lambda folder: ["--model", folder])
case("a cut header", r"model\.safetensors has 5 bytes, too few for a safetensors file; download it again")(
    with_model(lambda model: os.truncate(model / WEIGHTS, 5))
)
case("a header beyond the file", r"promises a header of \d+ bytes but has 1000 bytes in all")(
    with_model(lambda model: os.truncate(model / WEIGHTS, 1000))
)
case("cut weights", r"bytes of data, but its tensors take \d+: it is cut short; download it again")(
    with_model(lambda model: os.truncate(model / WEIGHTS, (model / WEIGHTS).stat().st_size - 1))
)
case("a header that lies about offsets", r"x begins at byte 4 of the data, not at 0: it leaves a gap")(
    with_model(
        lambda model: (model / WEIGHTS).write_bytes(
            file_of({"x": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, bytes(8))
        )
    )
)
case("a header that lies about a size", r"x, F32 of shape \[3\], takes 12 bytes, .* span 8; download it again")(
    with_model(
        lambda model: (model / WEIGHTS).write_bytes(
            file_of({"x": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, bytes(8))
        )
    )
)


@case(
    "a missing shard", r"lacks model-2\.safetensors, named in model\.safetensors\.index\.json; download the rest"
)
def missing_shard(folder: Path) -> list[object]:
    model = model_in(folder)
    (model / WEIGHTS).rename(model / "model-1.safetensors")
    weight_map = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return ["--model", model]


case("a missing tensor", r"does not hold the tensors of its config\.json", listing=True)(
    with_parts(lambda parts: parts.pop(GAIN))
)
case("a tensor too many", r"does not hold the tensors of its config\.json", listing=True)(
    with_parts(lambda parts: parts.update(extra=parts[GAIN]))
)
case("a wrong shape", r"does not hold the tensors of its config\.json", listing=True)(
    with_parts(lambda parts: parts.update({GAIN: (parts[GAIN][0], (60, 2), parts[GAIN][2])}))
)
case("a wrong dtype", r"model\.norm\.weight is stored as I8; .*; take the unquantised release")(
    with_parts(lambda parts: parts.update({GAIN: ("I8", (120,), bytes(120))}))
)
case("a NaN among the weights", r"model\.norm\.weight holds 1 of 120 values .* nan, at \[3\]; .* \(--allow-nan\)")(
    with_parts(
        lambda parts: parts.update(
            {GAIN: ("F32", (120,), np.where(np.arange(120) == 3, np.nan, 1).astype("<f4").tobytes())}
        )
    )
)
case("an infinity among the weights", r"row \d+ of model\.embed_tokens\.weight holds .* inf, at \[0\]")(
    with_parts(
        lambda parts: parts.update(
            {"model.embed_tokens.weight": ("F32", (523, 120), np.full((523, 120), np.inf, "<f4").tobytes())}
        )
    )
)


# ------------------------------------------------------------------------------- config and template

case("no config", r"no config\.json in")(with_model(lambda model: (model / "config.json").unlink()))
case("a config of another model", r'config\.json: model_type must be \'qwen2_5_vl\', got "llama"')(
    with_json("config.json", lambda config: config.update(model_type="llama"))
)
case("a config without a key", r"mrope_section is missing from the rotary settings; the releases have")(
    with_json("config.json", lambda config: config.pop("rope_scaling"))
)
case("a config that contradicts itself", r"out_hidden_size 64 must equal the language model's hidden_size 120")(
    with_json("config.json", lambda config: config["vision_config"].update(out_hidden_size=64))
)
case("a config that says a thing twice", r'config\.json .*the key "hidden_size" stands there twice')(
    with_model(
        lambda model: (model / "config.json").write_text(
            (model / "config.json").read_text().replace("{", '{"hidden_size": 7, ', 1)
        )
    )
)
case(
    "a config against the picture settings", r"patch_px is 14 in config\.json but 16 in the picture settings; use"
)(with_json("preprocessor_config.json", lambda settings: settings.update(patch_size=16)))
case("a config of absurd numbers", r"num_hidden_layers must be at most 1000, got 1000000000")(
    with_json("config.json", lambda config: config.update(num_hidden_layers=10**9))
)
case("channels that no picture has", r"in_channels must be 3, red, green and blue, got 4")(
    with_json("config.json", lambda config: config["vision_config"].update(in_channels=4, in_chans=4))
)


def with_template(text: str) -> Callable[[Path], list[object]]:
    """A copy of tiny with another chat template."""
    return with_json("chat_template.json", lambda document: document.update(chat_template=text))


case(
    "a template that includes a file", r"the chat template failed .*; change the messages, or use the template of"
)(with_template("{% include '/etc/passwd' %}"))
case("a template that reaches for objects", r"the chat template failed .*SecurityError")(
    with_template("{{ ''.__class__.__mro__[1].__subclasses__() }}")
)
case("a template that fills the memory", r"the chat template failed .*(MemoryError|it took more than)")(
    with_template("{{ 'a' * 10**12 }}")
)
case("a tokenizer of another kind", r"tokenizer\.json must hold a tokenizer of type BPE, got WordLevel; take")(
    with_json(
        "tokenizer.json",
        lambda document: document.update(model={"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}),
    )
)
case("an absurd temperature in the settings", r"generation_config\.json: temperature must be .*, got -1; ")(
    with_json("generation_config.json", lambda document: document.update(temperature=-1))
)
case("a negative limit in the settings", r"min_pixels or size\.shortest_edge must be a whole number .* got -5; ")(
    with_json("preprocessor_config.json", lambda document: document.update(min_pixels=-5))
)

# ------------------------------------------------------------------------------------------ prompts

case("a pad in the prompt", r"the prompt contains '<\|image_pad\|>', which stands for a picture")(
    lambda folder: ["<|image_pad|>"]
)
case("a prompt too long", r"the prompt of \d+ tokens reaches position \d+, .* 0 to 4095 .*; shorten its text")(
    lambda folder: ["12345 " * 2000]
)


def sentence_of(arguments: list[object], capsys) -> str:
    """Run a command line that must fail; return what was printed, without the name of the command."""
    code = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert code == 2, printed
    assert printed.out == ""
    assert printed.err.startswith(f"qwen25vl {arguments[0]}: ")
    assert printed.err.endswith("\n")
    return printed.err.removeprefix(f"qwen25vl {arguments[0]}: ").rstrip("\n")


def check(sentence: str, *, listing: bool) -> None:
    """One line, of a length that people read, that says what to do; a census lists tensors below its line."""
    first, *rest = sentence.split("\n")
    assert 30 < len(first) < 500
    assert "Traceback" not in sentence
    assert bool(rest) == listing
    if not listing:
        assert "; " in first or ", or " in first or ": " in first, "what to do is missing"


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("command", ["run", "golden"])
def test_every_bad_input_is_one_sentence_and_leaves_nothing(tmp_path, capsys, command, name):
    make, says, listing = CASES[name]
    (tmp_path / "given").mkdir()
    (tmp_path / "out").mkdir()
    made = make(tmp_path / "given")
    has_prompt = len(made) == 1
    where = [tmp_path / "out" / "golden"] if command == "golden" else []
    prompt = [] if has_prompt else ["Hello"]
    before = sorted(tmp_path.rglob("*"))
    sentence = sentence_of([command, *where, *prompt, *made, "--max-new-tokens", 1], capsys)
    check(sentence, listing=listing)
    assert re.search(says, sentence), sentence
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["an empty picture", "a NaN among the weights", "a prompt too long"])
def test_a_user_at_a_shell_reads_the_same(tmp_path, name):
    make, says, _ = CASES[name]
    made = make(tmp_path)
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "qwen25vl.cli.main",
            "run",
            *([] if len(made) == 1 else ["Hello"]),
            *map(str, made),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.search(says, ended.stderr)
    assert ended.stderr.count("\n") == 1


OPTIONS = [
    *[
        (name, value)
        for name in ("--min-pixels", "--max-pixels")
        for value in ("0", "-1", "1.5", "nan", "1e9", "", "x")
    ],
    *[("--max-new-tokens", value) for value in ("0", "-1", "inf", "9" * 5000)],
    *[("--fps", value) for value in ("0", "-1", "nan", "inf", "two")],
    *[("--nframes", value) for value in ("0", "-3", "1.5")],
    *[(name, value) for name in ("--start", "--end") for value in ("-1", "nan", "x")],
    *[("--temperature", value) for value in ("-1", "nan", "inf", "hot")],
    *[("--top-p", value) for value in ("-0.1", "1.1", "nan")],
    *[("--repetition-penalty", value) for value in ("0", "-1", "nan")],
    *[("--seed", value) for value in ("-1", "x", "1e3")],
    ("--precision", "float8"),
]


@pytest.mark.parametrize(("option", "value"), OPTIONS)
def test_an_absurd_option_is_refused_with_its_value(capsys, option, value):
    """By argparse, or by what it is given to."""
    try:
        code = main(["run", "Hello", f"{option}={value}", "--max-new-tokens=1"][: 3 if "new" in option else 4])
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    last = printed.err.rstrip("\n").split("\n")[-1]
    assert last.startswith("qwen25vl run: ")
    assert option.lstrip("-").replace("-", "_") in last.replace("-", "_")
    assert "Traceback" not in printed.err


def test_the_photograph_of_a_wide_strip_at_the_limit_passes(tmp_path, capsys):
    """The table does not refuse everything: exactly 200 is allowed."""
    Image.fromarray(np.zeros((2, 400, 3), np.uint8)).save(tmp_path / "strip.png")
    assert main(["run", "Hello", "--image", str(tmp_path / "strip.png"), "--max-new-tokens", "1"]) == 0
    assert capsys.readouterr().err == ""
