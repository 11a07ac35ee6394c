"""`qwen25vl show --video`: an animated GIF is a picture and a video; which of the two is meant is said."""

import json

import pytest
from PIL import Image

from films import HEIGHT, WIDTH, film, frame


@pytest.fixture
def dance(tmp_path):
    """Write six frames as a GIF of four frames per second."""
    path = tmp_path / "dance.gif"
    path.write_bytes(film(6, rate=4, container="gif", codec="gif", step=32))
    return path


def test_a_gif_is_a_picture_and_its_report_says_how_it_is_a_video(command, dance):
    finished = command("show", dance)
    assert finished.out.startswith(f"{dance}: a picture, prepared as for tiny\n")
    assert "animated: the first frame counts (I1); --video takes it for a video" in finished.out


def test_with_video_a_gif_is_described_as_one(command, dance):
    finished = command("show", "--video", dance, "--nframes", 4, "--json")
    assert (finished.code, finished.err) == (0, "")
    facts = json.loads(finished.out)
    assert (facts["kind"], facts["source_frames"], facts["original_size"]) == ("video", 6, [HEIGHT, WIDTH])
    assert facts["indices"] == [0, 2, 3, 5]


def test_with_video_a_gif_is_drawn_as_one(command, dance, tmp_path):
    finished = command("show", dance, "--video", "--plot", tmp_path / "out.svg")
    assert finished.code == 0
    assert "each column is one row of the grid" in (tmp_path / "out.svg").read_text(encoding="utf-8")


def test_with_video_a_film_is_what_it_is_without(command, tmp_path):
    path = tmp_path / "film.mkv"
    path.write_bytes(film(6))
    assert command("show", path, "--video").out == command("show", path).out


@pytest.mark.parametrize("thing", ["tiny", "golden"])
def test_what_is_stored_is_no_video(refused, tmp_path, thing):
    if thing == "golden":
        (tmp_path / "manifest.json").write_text("{}")
    name = "tiny" if thing == "tiny" else tmp_path
    said = refused("show", name, "--video")
    assert f"--video does not act on a {'checkpoint' if thing == 'tiny' else 'golden'}" in said


def test_a_picture_that_is_no_video_is_refused_as_a_video(refused, tmp_path):
    Image.fromarray(frame(0)).save(tmp_path / "still.png")
    said = refused("show", "--video", tmp_path / "still.png")
    assert f"the video file '{tmp_path / 'still.png'}' cannot be read as a video" in said
    assert "no picture format" not in said
