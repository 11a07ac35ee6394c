"""Section 15: the cases of input, order and position are well-formed, small, and the same whenever they run."""

import re
from pathlib import Path

import numpy as np
import pytest

from golden_cases import CASES, case_parts, tiny_lab
from qwen25vl.rounding import to_bfloat16
from qwen25vl.tap_names import tap_name

FAMILIES = ("tokenizer", "template", "image", "video", "positions", "rope", "windows")
MINE = [entry.id for entry in CASES.values() if entry.family in FAMILIES]

LARGEST_BYTES = 1_000_000
"""Of all these cases together; they hold 0.7 MB."""


@pytest.fixture(scope="module")
def labs():
    return {precision: tiny_lab(precision) for precision in ("float64", "float32", "bfloat16", "float16")}


@pytest.fixture(scope="module")
def homes():
    """The page of each clause."""
    pages = Path(__file__).parents[2] / "spec"
    return {
        clause: page.name[:2]
        for page in pages.glob("[0-9][0-9]-*.md")
        for clause in re.findall(r"\*\*\(([A-Z]\d+)\)\*\*", page.read_text(encoding="utf-8"))
    }


def test_every_family_has_cases_and_all_of_them_are_units():
    assert {CASES[name].family for name in MINE} == set(FAMILIES)
    assert {CASES[name].tier for name in MINE} == {"unit"}


@pytest.mark.parametrize("name", MINE)
def test_a_case_says_what_it_is_for(name, homes):
    entry = CASES[name]
    assert re.fullmatch(r"[A-Z][^.]*\.", entry.title.replace("...", "").replace("e.g.", "")), entry.title
    assert entry.note.endswith("."), entry.note
    assert entry.clauses
    assert set(entry.clauses) <= set(homes), entry.clauses
    assert entry.section in {homes[clause] for clause in entry.clauses}


@pytest.mark.parametrize("name", MINE)
def test_parts_have_ids_and_sides_that_are_declared(name, labs):
    parts = case_parts(name, labs["float64"])
    ids = [part.id for part in parts]
    assert len(set(ids)) == len(ids)
    for part in parts:
        assert re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)+", part.id), part.id
        assert len(part.dims.split()) == part.array.ndim, part.id
        assert part.array.dtype.name in ("float64", "float32", "int64", "uint8", "bool"), part.id
        assert part.meaning
        if not part.id.startswith(("inputs.", "outputs.")):
            assert tap_name(part.id).shape.split() == part.dims.split()


@pytest.mark.parametrize("name", MINE)
def test_what_is_given_comes_first_and_something_is_computed(name, labs):
    ids = [part.id for part in case_parts(name, labs["float64"])]
    given = [i for i, part_id in enumerate(ids) if part_id.startswith("inputs.")]
    assert given == list(range(len(given)))
    assert len(given) < len(ids), "nothing is computed"


@pytest.mark.parametrize("name", MINE)
def test_a_case_gives_the_same_bytes_again(name, labs):
    once, again = (case_parts(name, labs["float64"]) for _ in range(2))
    assert [(part.id, part.array.tobytes()) for part in once] == [
        (part.id, part.array.tobytes()) for part in again
    ]


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", MINE)
def test_another_precision_changes_only_results_in_floating_point(name, precision, labs):
    exact = case_parts(name, labs["float64"])
    other = case_parts(name, labs[precision])
    assert [part.id for part in other] == [part.id for part in exact]
    for part, truth in zip(other, exact, strict=True):
        if truth.array.dtype.kind != "f" or part.id.startswith("inputs."):
            np.testing.assert_array_equal(part.array, truth.array, err_msg=part.id)
        else:
            assert part.array.shape == truth.array.shape
            worst = np.max(np.abs(part.array - truth.array), initial=0.0)
            assert worst < 0.05 * np.max(np.abs(truth.array), initial=0.0) + 1e-12, part.id


@pytest.mark.parametrize("name", ["inputs.q", "inputs.rows"])
def test_drawn_inputs_are_not_rounded_by_any_precision(name, labs):
    holders = [part for case in MINE for part in case_parts(case, labs["float64"]) if part.id == name]
    assert holders
    for part in holders:
        narrow = part.array.astype(np.float32)
        np.testing.assert_array_equal(narrow, part.array)
        np.testing.assert_array_equal(to_bfloat16(narrow), narrow)


@pytest.mark.parametrize("name", MINE)
def test_cases_with_texts_are_flagged(name, labs):
    texts = [
        part.id for part in case_parts(name, labs["float64"]) if part.dims == "bytes" and "file" not in part.id
    ]
    assert bool(texts) == ("text" in CASES[name].flags)


def test_all_of_them_are_small(labs):
    total = sum(part.array.nbytes for name in MINE for part in case_parts(name, labs["float64"]))
    assert 0.5 * LARGEST_BYTES < total < LARGEST_BYTES, total
