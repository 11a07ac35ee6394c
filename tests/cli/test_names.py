"""`qwen25vl names`: the table of tap ids, for people and for programs."""

import json

import pytest

from qwen25vl.cli.names import LETTERS, NOWHERE
from qwen25vl.port.maps.gguf import WEIGHTS
from qwen25vl.port.maps.name_map import name_map
from qwen25vl.tap_names import LEVELS, TAP_NAMES


def test_every_id_has_a_line_with_all_that_is_known_of_it(command):
    lines = command("names").out.splitlines()
    assert lines[0].split() == ["id", "shape", "section", "level", "meaning"]
    assert lines[-2:] == ["", LETTERS]
    assert len(lines) == len(TAP_NAMES) + 3
    for line, row in zip(lines[1:-2], TAP_NAMES, strict=True):
        assert [cell.strip() for cell in line.split("  ") if cell] == [
            row.id,
            row.shape,
            row.section,
            row.level,
            row.meaning,
        ]


def test_json_is_one_object_with_the_same_content(command):
    document = json.loads(command("names", "--json").out)
    assert list(document) == ["letters", "levels", "taps"]
    assert document["levels"] == list(LEVELS)
    assert [(tap["id"], tap["shape"]) for tap in document["taps"]] == [(row.id, row.shape) for row in TAP_NAMES]


def test_every_letter_of_a_shape_is_explained():
    words = {word for row in TAP_NAMES for word in row.shape.split()}
    explained = {entry.split()[0] for entry in LETTERS.split(" · ")}
    assert {word for word in words if len(word) == 1 and word.isalpha()} <= explained


@pytest.mark.parametrize("which", ["hf", "gguf"])
def test_the_names_of_others_stand_beside_every_id(which, command):
    first, _, weights = command("names", "--to", which).out.partition("\n\n")
    header, *lines = [line.split() for line in first.splitlines()]
    assert header == ["id", which, "how"]
    shown = [line[0] for line in lines]
    assert [row.id for row in TAP_NAMES] == [name for name in dict.fromkeys(shown) if name != "inputs.ids"]
    sources = {rule.source for rule in name_map(which).rules}
    assert {line[1] for line in lines} == sources | {NOWHERE}
    assert ["vision.out" if which == "gguf" else "vision.window_order", NOWHERE] in lines
    assert len(weights.splitlines()) == (len(WEIGHTS) + 1 if which == "gguf" else 0)


def test_names_of_hf_say_how_a_tap_is_made(command):
    (line,) = [
        line
        for line in command("names", "--to", "hf").out.splitlines()
        if line.startswith("vision.blocks.NN.attn.k ")
    ]
    assert "model.visual.blocks.NN.attn.qkv" in line
    assert line.endswith("third 2 of 3 of each row, split into heads")


@pytest.mark.parametrize("which", ["hf", "gguf"])
def test_names_of_others_in_json(which, command):
    document = json.loads(command("names", "--to", which, "--json").out)
    assert list(document) == ["map", "taps", "weights"]
    assert (document["map"], bool(document["weights"])) == (which, which == "gguf")
    mapping = name_map(which)
    for tap in document["taps"]:
        assert list(tap) == ["id", "name", "how", "declared"]
        if tap["declared"]:
            assert mapping.declares(tap["id"].replace("NN", "00"))
        if tap["name"] is None:
            assert not mapping.declares(tap["id"].replace("NN", "00"))


def test_a_map_of_ones_own_is_shown_too(tmp_path, command):
    path = tmp_path / "mine.toml"
    path.write_text(
        "[[map]]\nfrom = 'enc(\\d+)/q'\nto = \"vision.blocks.{1:02d}.attn.q\"\nsteps = [{ squeeze = 0 }]\n"
        "[[map]]\nfrom = '(gate|up)(\\d)'\nto = \"language.blocks.{2:02d}.mlp.{1}\"\n"
    )
    lines = command("names", "--to", path).out.splitlines()
    assert lines[1].split() == ["language.blocks.NN.mlp.{1}", r"(gate|up)(\d)"]
    (line,) = [line for line in lines if line.startswith("vision.blocks.NN.attn.q ")]
    assert line.split(maxsplit=2)[1:] == [r"enc(\d+)/q", '{"squeeze": 0}']


def test_what_is_no_map_is_refused(refused):
    assert "there is no map onnx; give ours, hf, gguf" in refused("names", "--to", "onnx")
    assert "leave --to out" in refused("names", "--to", "ours")
