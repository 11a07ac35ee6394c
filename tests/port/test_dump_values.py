"""Section 15 - a port's values: each array of a dump finds its part and its case, or a sentence says why not."""

import re

import numpy as np
import pytest

from qwen25vl.errors import BadInput
from qwen25vl.golden.corpus_read import open_goldens
from qwen25vl.golden.registry import all_cases
from qwen25vl.port.dump import joined_dump, open_dump
from qwen25vl.port.maps.name_map import name_map
from qwen25vl.port.maps.rules import NameMap, Rule
from qwen25vl.port.part_shape import in_shape, is_same_row_major, whole_numbers
from qwen25vl.port.values import golden_values, port_values
from small_golden import written_main_job

OURS = name_map("ours")
DRAW = np.random.default_rng(0)
LOGITS, OUT = DRAW.standard_normal((3, 5)).astype(np.float32), DRAW.standard_normal((2, 4)).astype(np.float32)


HALVES = NameMap(
    "halves",
    rules=(
        Rule("vision.out", (re.compile("top"), re.compile("bottom")), np.concatenate),
        Rule("logits", (re.compile("odd"),), lambda arrays: arrays[0].reshape(2, 2)),
    ),
    declared=lambda part: part == "vision.out",
)
"""Two halves make a part; another part needs four numbers."""


def no_shapes(case):
    """A golden that has no part."""
    return {}


def dump_of(path, **arrays):
    """A dump of named arrays."""
    np.savez(path / "dump.npz", **arrays)
    return open_dump(path / "dump.npz")


def values_of(dump, *cases, mapping=OURS, parts_of=no_shapes, **more):
    """What the dump holds for some cases."""
    return port_values(dump, mapping, case_ids=cases, parts_of=parts_of, **more)


def test_a_name_with_a_case_goes_to_that_case(tmp_path):
    dump = dump_of(tmp_path, **{"a/logits": LOGITS, "b/logits": 2 * LOGITS, "b/vision.out": OUT})
    found = values_of(dump, "a", "b", "c")
    assert {case: list(values) for case, values in found.by_case.items()} == {
        "a": ["logits"],
        "b": ["logits", "vision.out"],
    }
    np.testing.assert_array_equal(found.by_case["b"]["logits"], 2 * LOGITS)
    assert found.problems == ()
    assert found.name == str(tmp_path / "dump.npz")


def test_a_name_without_a_case_belongs_to_the_only_one(tmp_path):
    found = values_of(dump_of(tmp_path, **{"logits": LOGITS, "a/vision.out": OUT}), "a")
    assert list(found.by_case["a"]) == ["logits", "vision.out"]
    assert found.problems == ()


def test_a_name_without_a_case_is_told_if_there_are_several(tmp_path):
    found = values_of(dump_of(tmp_path, **{"logits": LOGITS, "a/logits": LOGITS}), "a", "b")
    assert len(found.problems) == 1
    assert "1 name (logits) names no case" in found.problems[0]


def test_unknown_cases_are_counted_and_the_first_three_named(tmp_path):
    names = {f"{case}/logits": LOGITS for case in ("a", "w", "x", "y", "z")} | {"w/vision.out": OUT}
    found = values_of(dump_of(tmp_path, **names), "a", "b")
    assert len(found.problems) == 1
    assert "4 cases (w, x, y, ...) of the dump" in found.problems[0]


def test_unknown_parts_are_counted_and_the_first_three_named(tmp_path):
    names = {f"a/{name}": LOGITS for name in ("logits", "p", "q", "r", "s")}
    found = values_of(dump_of(tmp_path, **names), "a")
    assert not found.problems
    assert len(found.notes) == 1
    assert "4 names (a/p, a/q, a/r, ...) fit nothing" in found.notes[0]


def test_an_id_of_the_golden_means_itself_whatever_the_map_knows(tmp_path):
    dump = dump_of(tmp_path, later=LOGITS, stray=LOGITS)
    found = values_of(dump, "a", mapping=HALVES, parts_of=lambda case: {"later": (3, 5)})
    np.testing.assert_array_equal(found.by_case["a"]["later"], LOGITS)
    assert not found.problems
    assert len(found.notes) == 1
    assert "1 name (stray) fits" in found.notes[0]


def test_a_golden_held_against_itself_gives_every_part_as_it_is(tmp_path):
    out = tmp_path / "job"
    path = written_main_job(out, precision="float64", max_pixels=8000, max_new_tokens=2, taps="insides")
    (golden,), _ = open_goldens(path)
    found = golden_values(open_dump(path), OURS, [golden])
    assert (found.precision, found.problems, found.skipped) == ("float64", (), ())
    assert set(found.by_case[golden.id]) == set(golden.parts)
    for part, array in golden.parts.items():
        np.testing.assert_array_equal(found.by_case[golden.id][part], array)


def test_a_part_that_stands_there_twice_is_told_and_the_first_counts(tmp_path):
    found = values_of(dump_of(tmp_path, **{"logits": LOGITS, "a/logits": 2 * LOGITS}), "a")
    assert len(found.problems) == 1
    assert "1 array (a/logits) stands for a part" in found.problems[0]
    np.testing.assert_array_equal(found.by_case["a"]["logits"], LOGITS)


def test_known_cases_that_are_not_held_against_are_passed_over(tmp_path):
    registered = all_cases()[0].id
    dump = dump_of(tmp_path, **{"a/logits": LOGITS, f"{registered}/logits": OUT, "other/logits": OUT})
    found = values_of(dump, "a", others=("other",))
    assert (list(found.by_case), list(found.by_case["a"]), found.problems) == (["a"], ["logits"], ())


def test_what_cannot_be_read_of_the_dump_is_told_too(tmp_path):
    (tmp_path / "bad.npy").write_bytes(b"rubbish")
    np.save(tmp_path / "logits.npy", LOGITS)
    found = values_of(open_dump(tmp_path), "a")
    assert len(found.problems) == 1
    assert "bad.npy" in found.problems[0]


def test_a_part_is_made_of_several_tensors_by_the_map(tmp_path):
    found = values_of(dump_of(tmp_path, top=OUT[:1], bottom=OUT[1:], other=OUT), "a", mapping=HALVES)
    np.testing.assert_array_equal(found.by_case["a"]["vision.out"], OUT)
    assert (found.declares("vision.out"), found.declares("logits")) == (True, False)
    assert not found.problems
    assert "1 name (other) fits nothing" in found.notes[0]


def test_a_part_that_cannot_be_made_of_such_shapes_is_told_before_it_is_read(tmp_path):
    found = values_of(dump_of(tmp_path, top=OUT, bottom=OUT, odd=LOGITS), "a", mapping=HALVES)
    assert list(found.by_case["a"]) == ["vision.out"]
    assert len(found.problems) == 1
    assert "1 part (a/logits) fails" in found.problems[0]


@pytest.mark.parametrize("prefix", ["", "a/"])
def test_a_dump_of_one_case_needs_no_prefix(tmp_path, prefix):
    dump = dump_of(tmp_path, **{f"{prefix}logits": LOGITS})
    found = values_of(joined_dump(dump.name, {"a": dump}), "a")
    np.testing.assert_array_equal(found.by_case["a"]["logits"], LOGITS)
    assert (found.name, found.problems) == (str(tmp_path / "dump.npz"), ())


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    # Behind the logits: the checker of types that tests run under looks at the first array of a mapping.
    dump = dump_of(tmp_path, **{"logits": LOGITS, "vision.window_order": np.arange(900)})
    found = values_of(dump, "a")
    (tmp_path / "dump.npz").write_bytes(b"gone")
    with pytest.raises(BadInput, match="cannot be read"):
        found.by_case["a"]["vision.window_order"]


def test_a_small_array_is_read_once_and_a_large_one_is_not_kept(tmp_path):
    found = values_of(dump_of(tmp_path, **{"logits": LOGITS, "vision.out": np.zeros((200, 100))}), "a").by_case[
        "a"
    ]
    assert found["logits"] is found["logits"]
    assert found["vision.out"] is not found["vision.out"]


def test_an_absent_part_is_a_key_error(tmp_path):
    with pytest.raises(KeyError):
        values_of(dump_of(tmp_path, logits=LOGITS), "a").by_case["a"]["vision.out"]


# Shapes and types


@pytest.mark.parametrize(
    ("shape", "wanted", "result"),
    [
        ((1, 6, 8), (6, 8), (6, 8)),
        ((1, 1, 6, 8), (6, 8), (6, 8)),
        ((6, 8), (6, 2, 4), (6, 2, 4)),
        ((1, 6, 8), (6, 2, 4), (6, 2, 4)),
        ((6, 2, 4), (6, 8), (6, 8)),
        ((48,), (6, 2, 4), (6, 2, 4)),
        ((3, 1, 6), (3, 6), (3, 6)),
        ((), (1,), (1,)),
        ((0, 8), (0, 2, 4), (0, 2, 4)),
        ((2, 6, 4), (6, 2, 4), (2, 6, 4)),  # heads in front: not the same order
        ((1, 2, 6, 4), (6, 2, 4), (2, 6, 4)),
        ((8, 6), (6, 8), (8, 6)),
        ((12, 4), (6, 8), (12, 4)),
        ((6, 7), (6, 8), (6, 7)),
        ((0, 7), (0, 8), (0, 7)),
    ],
)
def test_an_array_takes_the_golden_shape_only_where_no_number_moves(shape, wanted, result):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    found = in_shape(array, "vision.out", wanted)
    assert found.shape == result
    np.testing.assert_array_equal(found.ravel(), array.ravel())
    assert is_same_row_major(shape, wanted) == (result == wanted)


def test_without_a_golden_shape_a_tap_loses_its_batch_axis_and_another_part_nothing():
    assert in_shape(np.zeros((1, 1, 5)), "rows.00.logits", None).shape == (1, 5)
    assert in_shape(np.zeros((1, 1, 5)), "outputs.new", None).shape == (1, 1, 5)


def test_the_golden_shape_reaches_an_array_that_is_asked_for(tmp_path):
    dump = dump_of(tmp_path, **{"vision.blocks.00.attn.q": OUT[None]})
    found = values_of(dump, "a", parts_of=lambda case: {"vision.blocks.00.attn.q": (2, 2, 2)})
    np.testing.assert_array_equal(found.by_case["a"]["vision.blocks.00.attn.q"], OUT.reshape(2, 2, 2))


@pytest.mark.parametrize("kind", [np.int32, np.int8, np.uint16, np.uint64, np.float32, np.float64])
def test_whole_numbers_of_any_type_are_int64(kind):
    found = whole_numbers(np.array([3, 0, 100], dtype=kind), "rows.01.language.positions")
    assert (found.dtype, found.tolist()) == (np.int64, [3, 0, 100])


@pytest.mark.parametrize("values", [[0.5], [np.nan], [np.inf], [1e300], [2.0**53 + 2]])
def test_what_is_not_whole_or_not_exact_stays_floating_point(values):
    found = whole_numbers(np.array(values), "language.positions")
    assert found.dtype == np.float64


def test_numbers_of_a_part_of_fractions_stay_what_they_are():
    assert whole_numbers(np.ones(3, np.float32), "logits").dtype == np.float32
    assert whole_numbers(np.array([2**64 - 1], np.uint64), "outputs.x").dtype == np.uint64
    assert whole_numbers(np.ones(3, bool), "outputs.x").dtype == bool
    assert whole_numbers(np.ones(3, np.uint8), "outputs.text").dtype == np.uint8


# Precision


def rounded(word, size=100):
    """Numbers of a format, in float32 or float64."""
    wide = np.random.default_rng(1).standard_normal(size)
    if word == "bfloat16":
        return (wide.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)
    return wide.astype({"float16": np.float16, "float32": np.float32, "float64": np.float64}[word])


def precision_of(tmp_path, **arrays):
    """The format that a dump of one case shows."""
    return values_of(
        dump_of(tmp_path, **{name.replace("__", "."): array for name, array in arrays.items()}), "a"
    ).precision


@pytest.mark.parametrize("word", ["float16", "float32", "float64"])
def test_the_stored_type_is_the_format(tmp_path, word):
    assert precision_of(tmp_path, logits=rounded(word)) == word


@pytest.mark.parametrize("held", [np.float32, np.float64])
@pytest.mark.parametrize("word", ["bfloat16", "float16", "float32"])
def test_numbers_on_the_grid_of_a_coarser_format_show_it(tmp_path, word, held):
    assert precision_of(tmp_path, logits=rounded(word).astype(held)) == word


def test_one_number_off_the_grid_far_behind_is_seen(tmp_path):
    numbers = rounded("bfloat16", 200_000)
    numbers[150_000] = np.float32(1.0000001)
    assert precision_of(tmp_path, logits=numbers) == "float32"


def test_numbers_that_lie_on_every_grid_tell_nothing(tmp_path):
    simple = DRAW.integers(-4, 5, 100).astype(np.float32)
    assert precision_of(tmp_path, logits=simple) == "float32"
    assert precision_of(tmp_path, logits=simple.astype(np.float64)) == "float64"
    assert precision_of(tmp_path, logits=simple, vision__out=rounded("bfloat16")) == "bfloat16"


def test_the_coarsest_format_that_holds_most_tensors_counts(tmp_path):
    mixed = {
        "logits": rounded("float64"),
        "vision__out": rounded("float32"),
        "language__norm__out": rounded("bfloat16"),
    }
    assert precision_of(tmp_path, **mixed) == "float32"


def test_what_a_port_was_given_and_whole_numbers_do_not_count(tmp_path):
    given = {f"inputs__pixels{i}": rounded("float64") for i in range(3)}
    order = {"vision__window_order": np.arange(50)}
    assert precision_of(tmp_path, logits=rounded("bfloat16"), **given, **order) == "bfloat16"
    assert precision_of(tmp_path, **order) == "float64"


def test_infinities_and_nan_are_numbers_of_every_format(tmp_path):
    numbers = rounded("bfloat16")
    numbers[:3] = np.inf, -np.inf, np.nan
    assert precision_of(tmp_path, logits=numbers) == "bfloat16"
    assert precision_of(tmp_path, logits=np.array([], np.float32)) == "float64"


def test_of_a_large_dump_tensors_all_over_it_are_asked(tmp_path):
    wide = {f"rows__{i:02d}__logits": rounded("float32") for i in range(99)}
    more = {f"rows__{i:02d}__vision__out": rounded("bfloat16") for i in range(99)}
    most = {f"rows__{i:02d}__language__norm__out": rounded("bfloat16") for i in range(99)}
    assert precision_of(tmp_path, **wide, **more, **most) == "bfloat16"


def test_a_damaged_tensor_has_no_vote(tmp_path):
    np.savez(tmp_path / "dump.npz", **{"logits": rounded("bfloat16"), "vision.out": np.linspace(0, 1, 1000)})
    content = bytearray((tmp_path / "dump.npz").read_bytes())
    content[5000] ^= 1
    (tmp_path / "dump.npz").write_bytes(content)
    assert values_of(open_dump(tmp_path / "dump.npz"), "a").precision == "bfloat16"
