"""`qwen25vl show`: each kind of thing is recognised, described and drawn; what cannot be is refused at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import qwen25vl
from qwen25vl.cli import show_kinds
from qwen25vl.cli.plot_file import ENDINGS, check_plot, write_plot
from qwen25vl.errors import BadInput

ROOT = Path(qwen25vl.__file__).parents[1]

GRID_KEYS = ["patch_px", "grid", "merged_grid", "patches", "tokens", "windows", "rows"]


QUICK = ("--blas", "--noise", "none")
"""How goldens are written that are only shown."""


@pytest.fixture
def golden(command, tmp_path):
    """Write a golden without a picture."""
    finished = command("golden", tmp_path / "g", "x", "--taps", "stages", "--max-new-tokens", 1, *QUICK)
    assert finished.code == 0
    return tmp_path / "g"


@pytest.fixture
def film(tmp_path) -> Path:
    """Write eight frames of 56 x 84 as a film of four frames per second."""
    import av

    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=4)
        stream.width, stream.height, stream.pix_fmt = 84, 56, "yuv420p"
        for i in range(8):
            frame = av.VideoFrame.from_ndarray(np.full((56, 84, 3), 20 * i, np.uint8), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def cells(text: str) -> dict[str, str]:
    """Read the lines `label  value` of a report."""
    pairs = [line.strip().split("  ", 1) for line in text.splitlines() if line.startswith("  ")]
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}


# ------------------------------------------------------------------------------------ what is said


def test_a_picture_is_described(command, picture):
    finished = command("show", picture)
    assert (finished.code, finished.err) == (0, "")
    assert finished.out.startswith(f"{picture}: a picture, prepared as for tiny\n")
    said = cells(finished.out)
    assert said["stored as"] == "90 x 60 pixels, PNG, RGB"
    assert said["resized"].startswith("84 x 56 pixels, 0.9333 x 0.9333 ")
    assert said["decided by"].endswith("(I9, profile hf)")
    assert said["grid"] == "T 1, H 4, W 6: 24 patches of 14 px"
    assert said["merged"] == "T 1, H 2, W 3: 6 tokens"
    assert said["windows"] == "1, 0 of them full: 1 of 3 x 2 tokens"
    assert said["rows"] == "24 x 1,176 float32, 112.9 kB"


def test_json_of_a_picture_is_one_object(command, picture):
    finished = command("show", picture, "--json")
    assert finished.out.count("\n") == 1
    facts = json.loads(finished.out)
    assert list(facts) == [
        "thing",
        "model",
        "kind",
        "format",
        "mode",
        "animated",
        "orientation",
        "stored_size",
        "original_size",
        "resized_size",
        "scale",
        "resize",
        *GRID_KEYS,
        "plot",
    ]
    assert (facts["thing"], facts["kind"], facts["plot"]) == (str(picture), "picture", None)
    assert facts["windows"] == {"side": 3, "count": 1, "full": 0, "shapes": [[2, 3, 1]]}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--max-pixels", 3136), "max_pixels 3,136, which the nearest multiples of 28 exceed (I10, profile hf)"),
        (
            ("--min-pixels", 9999),
            "min_pixels 9,999, which the nearest multiples of 28 do not reach (I11, profile hf)",
        ),
        (
            ("--profile", "utils"),
            "the nearest multiples of 28 lie within 3,136 to 1,003,520 pixels (I9, profile utils)",
        ),
    ],
)
def test_i9_to_i11_the_limit_that_applied_is_named(command, picture, options, says):
    assert cells(command("show", picture, *options).out)["decided by"] == says


def test_the_settings_of_another_model_apply(command, picture, tiny_dir, tmp_path):
    for name in ("config.json", "preprocessor_config.json"):  # no weights are needed, and no tokenizer
        (tmp_path / name).write_bytes((tiny_dir / name).read_bytes())
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings | {"max_pixels": 3200}))
    facts = json.loads(command("show", picture, "--model", tmp_path, "--json").out)
    assert (facts["model"], facts["resize"]["max_pixels"]) == (str(tmp_path), 3200)
    assert facts["resize"]["rule"] == "max_pixels"


def test_i2_i3_what_happens_to_a_file_is_said(command, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(np.zeros((56, 84, 4), np.uint8)).save(tmp_path / "p.png", exif=exif)
    said = cells(command("show", tmp_path / "p.png").out)
    assert said["stored as"] == "84 x 56 pixels, PNG, RGBA, EXIF orientation 8, alpha dropped (I3)"
    assert said["decoded"] == "56 x 84 pixels, turned upright (I2)"


def test_a_video_is_described_row_by_row(command, film):
    finished = command("show", film, "--fps", 2)
    assert (finished.code, finished.err) == (0, "")
    said = cells(finished.out)
    assert said["video"] == "84 x 56 pixels, 8 frames at 4 per second, 2 s"
    assert said["chosen"] == "4 frames, 2 per second"
    facts = json.loads(command("show", film, "--fps", 2, "--json").out)
    table = [line.split() for line in finished.out.splitlines()[-facts["grid"][0] :]]
    assert [line[:4] for line in table] == [
        [str(t), str(facts["time_ids"][t]), *map(str, facts["indices"][2 * t : 2 * t + 2])] for t in range(2)
    ]
    assert facts["time_ids"] == [0, 3]  # tiny: three positions per second, one second a row
    assert [key for key in facts if key in GRID_KEYS] == GRID_KEYS
    assert facts["kind"] == "video"


def test_a_checkpoint_is_described(command, tiny_dir):
    named, placed = command("show", "tiny"), command("show", tiny_dir)
    assert (named.code, named.err) == (0, "")
    assert named.out.removeprefix("tiny") == placed.out.removeprefix(str(tiny_dir))
    said = cells(named.out)
    assert said["vision"] == "5 blocks of width 40, 2 heads of 20, MLP 61"
    assert said["head"] == "the embedding again (tied)"
    assert said["stored as"].startswith("BF16: 116 tensors")
    assert said["text: decoder blocks"].split() == ["48", "404,480", "64.19%"]
    assert said["total"].split() == ["116", "630,130", "100.00%"]
    facts = json.loads(command("show", "tiny", "--json").out)
    assert list(facts) == [
        "thing",
        "kind",
        "release",
        "config",
        "tied",
        "tensors",
        "parts",
        "parameters",
        "weights",
        "plot",
    ]


def test_a_golden_is_described(command, golden):
    finished = command("show", golden)
    assert (finished.code, finished.err) == (0, "")
    assert finished.out.startswith(f"{golden}: a golden of tiny in float64, blas sums\n")
    facts = json.loads(command("show", golden, "--json").out)
    assert facts["kind"] == "golden"
    said = cells(finished.out)
    for stage in facts["stages"]:
        assert said[stage["id"]].split()[-1] == f"{stage['rms']:.5g}"
    assert list(facts) == [
        *("thing", "kind", "id", "title", "family", "tier", "arithmetic"),
        "schema_version",
        "made_by",
        "model",
        "prompts",
        "media",
        "rule",
        "answers",
        "files",
        "sections",
        "stages",
        "full_attention_blocks",
        "plot",
    ]


def test_a_golden_without_stages_says_so(command, tmp_path):
    command("golden", tmp_path / "g", "x", "--taps", "*.norm1", "--max-new-tokens", 1, *QUICK)
    assert "no tap of the level `stages` was recorded" in command("show", tmp_path / "g").out


@pytest.mark.parametrize("name", ["a $x_1$ b.png", "漢.png", "q\udcff.png"])
def test_a_strange_name_is_shown_and_drawn(command, picture, tmp_path, name):
    strange = picture.rename(picture.with_name(name))
    finished = command("show", strange, "--plot", tmp_path / "out.png")
    assert (finished.code, finished.err) == (0, "")


# ----------------------------------------------------------------------------------- what is drawn


@pytest.mark.parametrize("kind", ["picture", "film", "tiny", "golden"])
def test_each_kind_is_drawn(command, request, tmp_path, kind):
    thing = kind if kind == "tiny" else request.getfixturevalue(kind)
    out = tmp_path / "plots" / "out.png"
    out.parent.mkdir()
    finished = command("show", thing, "--plot", out)
    assert (finished.code, finished.err) == (0, "")
    assert finished.out.endswith(f"\n\ndrawn in {out}\n")
    with Image.open(out) as image:
        assert image.width == 960
    assert list(out.parent.iterdir()) == [out]
    assert json.loads(command("show", thing, "--plot", out, "--json").out)["plot"] == str(out)


@pytest.mark.parametrize("ending", [*ENDINGS, "PNG"])
def test_the_ending_chooses_the_format(command, tmp_path, ending):
    out = tmp_path / f"out.{ending}"
    assert command("show", "tiny", "--plot", out).code == 0
    magic = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending.lower()]
    assert out.read_bytes().startswith(magic)


def test_the_file_has_the_rights_of_any_other(tmp_path):
    write_plot(tmp_path / "out.png", b"x")
    (tmp_path / "other").touch()
    assert (tmp_path / "out.png").stat().st_mode == (tmp_path / "other").stat().st_mode


# ---------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        ("nope", "there is no 'nope'; give a picture, a video"),
        ("", "there is no ''"),
        ("empty", "neither a config.json, as a checkpoint, nor a manifest.json, as a golden"),
        ("config.json", "is one file of a checkpoint or a golden; give the directory"),
        ("text.txt", "is in no picture format that Pillow knows, and as a video: "),
        ("void.png", "is in no picture format that Pillow knows, and as a video: "),
        (os.devnull, "is neither a file nor a directory"),
    ],
)
def test_what_is_none_of_the_four_is_refused(refused, tmp_path, monkeypatch, thing, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "text.txt").write_text("hello\n")
    (tmp_path / "void.png").touch()
    assert says in refused("show", thing)


@pytest.mark.parametrize(
    ("thing", "options", "says"),
    [
        ("tiny", ("--fps", 2), "--fps does not act on a checkpoint, and 'tiny' is one"),
        ("tiny", ("--model", "tiny"), "--model does not act on a checkpoint"),
        ("picture", ("--total-pixels", 9), "--total-pixels does not act on a picture"),
        ("golden", ("--max-pixels", 9), "--max-pixels does not act on a golden"),
        ("picture", ("--profile", "qwen"), "choose from"),
        ("picture", ("--min-pixels", 9, "--max-pixels", 8), "min_pixels 9 exceeds max_pixels 8"),
        ("picture", ("--model", "nope"), "no checkpoint directory 'nope'"),
        ("film", ("--fps", 2, "--nframes", 4), "fps"),
    ],
)
def test_an_option_that_cannot_act_is_refused(refused, request, thing, options, says):
    thing = thing if thing == "tiny" else request.getfixturevalue(thing)
    assert says in refused("show", thing, *options)


def test_a_picture_that_cannot_be_prepared_is_named(refused, tmp_path):
    Image.fromarray(np.zeros((1, 201, 3), np.uint8)).save(tmp_path / "strip.png")
    sentence = refused("show", tmp_path / "strip.png")
    assert str(tmp_path / "strip.png") in sentence
    assert "at most 200 times" in sentence


def test_a_damaged_picture_is_named(refused, picture):
    picture.write_bytes(picture.read_bytes()[:2000])
    assert str(picture) in refused("show", picture)


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("out.gif", "--plot writes .png, .svg, .pdf, not "),
        ("out", "--plot writes .png, .svg, .pdf, not "),
        ("nowhere/out.png", "cannot write the plot to "),
        ("noise.png/out.png", "cannot write the plot to "),
        ("folder.png", "is a directory; name a file in it"),
        ("noise.png", "is the file that is shown; name another"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_any_work(refused, picture, monkeypatch, out, says):
    def work(options):
        raise AssertionError("the work was begun")

    monkeypatch.setitem(show_kinds.SHOWN, "picture", work)
    (picture.parent / "folder.png").mkdir()
    before, files = picture.read_bytes(), sorted(picture.parent.iterdir())
    assert says in refused("show", picture, "--plot", picture.parent / out)
    assert picture.read_bytes() == before
    assert sorted(picture.parent.iterdir()) == files


def test_a_golden_without_a_residual_stream_cannot_be_drawn(refused, command, tmp_path):
    command("golden", tmp_path / "g", "x", "--taps", "logits", "--max-new-tokens", 1, *QUICK)
    assert "write it with --taps stages" in refused("show", tmp_path / "g", "--plot", tmp_path / "out.png")
    assert [path.name for path in tmp_path.iterdir()] == ["g"]


def test_an_older_plot_stays_when_the_new_one_fails(tmp_path, monkeypatch):
    out = tmp_path / "out.png"
    out.write_bytes(b"older")

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(BadInput, match="No space left"):
        write_plot(out, b"newer")
    assert out.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [out]


def test_checking_a_place_leaves_it_as_it_was(tmp_path):
    out = tmp_path / "out.png"
    check_plot(out, thing=tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []
    out.write_bytes(b"older")
    check_plot(out, thing=tmp_path / "nothing")
    assert out.read_bytes() == b"older"


def test_without_matplotlib_everything_works_but_plots(tmp_path):
    # a package of this name that cannot be imported hides the real one
    (tmp_path / "matplotlib.py").write_text("raise ImportError('No module named matplotlib')")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "qwen25vl.cli.main", "show", "tiny", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert run().returncode == 0
    finished = run("--plot", str(tmp_path / "out.png"))
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr == (
        "qwen25vl show: --plot needs matplotlib (No module named matplotlib); pip install 'qwen25vl[plot]'\n"
    )
    assert not (tmp_path / "out.png").exists()
