"""What the tests of the command line share: a small picture, and a way to run a command in this process."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from qwen25vl.cli.main import main


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys):
    """Return a function that runs a command line."""

    def run(*arguments: object) -> Finished:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse's way
            code = end.code
        return Finished(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(command):
    """Return a function that runs a command line which must fail with one sentence, and returns the sentence."""

    def run(*arguments: object) -> str:
        finished = command(*arguments)
        assert finished.code == 2
        assert finished.out == ""
        assert finished.err.startswith(f"qwen25vl {arguments[0]}: ")
        assert finished.err.endswith("\n")
        sentence = finished.err.removeprefix(f"qwen25vl {arguments[0]}: ").rstrip("\n")
        assert "\n" not in sentence
        return sentence

    return run


@pytest.fixture
def picture(tmp_path) -> Path:
    """Write a picture of 90 x 60 pixels: with tiny, six tokens."""
    path = tmp_path / "noise.png"
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def film(tmp_path) -> Path:
    """Write a video of 12 frames at 6 per second, 90 x 60 pixels, without loss."""
    path = tmp_path / "noise.mkv"
    frames = np.random.default_rng(1).integers(0, 256, (12, 60, 90, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=6, width=90, height=60, pix_fmt="bgr0")
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path
