"""`qwen25vl names`: the table of tap ids, for people and for programs."""

import json

from qwen25vl.cli.names import LETTERS
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
