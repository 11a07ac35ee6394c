"""What the package brings along is there, and is found by name."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import qwen25vl
from qwen25vl.bundled import BUNDLED, PHOTOGRAPH, checkpoint_directory
from qwen25vl.errors import BadInput


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_name_is_a_directory_inside_the_package(name):
    directory = checkpoint_directory(name)
    assert directory.is_relative_to(Path(qwen25vl.__file__).parent)
    assert (directory / "config.json").is_file()
    assert sum(path.stat().st_size for path in directory.iterdir()) < 5_000_000


def test_the_photograph_is_uneven_and_its_licence_is_stated():
    with Image.open(PHOTOGRAPH) as image:
        width, height = image.size
    assert (width, height) == (306, 230)
    assert not {width % 28, height % 28} & {0}
    assert width != height
    assert "public domain" in (PHOTOGRAPH.parent / "README.md").read_text().lower()


def test_a_path_is_never_a_bundled_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="no checkpoint directory 'tiny'"):
        checkpoint_directory(Path("tiny"))
    Path("tiny").mkdir()
    assert checkpoint_directory(Path("tiny")) == Path("tiny")
    assert checkpoint_directory("./tiny") == Path("tiny")
    assert checkpoint_directory("tiny") != Path("tiny")


@pytest.mark.parametrize("path", ["nope", "Tiny", "tiny/", "\0", str(PHOTOGRAPH), PHOTOGRAPH])
def test_what_is_no_directory_is_refused_with_the_names_that_are(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        BadInput, match=re.escape(f"no checkpoint directory {str(path)!r}; give") + ".*tiny-untied"
    ):
        checkpoint_directory(path)


def test_the_two_checkpoints_differ_in_the_head_alone():
    tied, untied = (qwen25vl.load(name) for name in BUNDLED)
    assert tied.config.tie_word_embeddings
    assert not untied.config.tie_word_embeddings
    ours, theirs = (model.network.weights for model in (tied, untied))
    assert set(theirs.checkpoint.tensors) == {*ours.checkpoint.tensors, "lm_head.weight"}
    for name in ours.checkpoint.tensors:
        np.testing.assert_array_equal(theirs[name], ours[name])
    assert not np.array_equal(theirs["lm_head.weight"], theirs["model.embed_tokens.weight"])
