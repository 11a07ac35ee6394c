"""Section 15 - bare bytes: what is written is read back, and what is wrong with an index is told."""

import json
import struct

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from qwen25vl.errors import BadInput
from qwen25vl.golden.bin_format import DATA, INDEX, INDEX_TEXT, read_bin, write_bin
from qwen25vl.golden.bin_index import BIN_DTYPES

ENTRY = {"name": "a", "file": "data.bin", "offset": 0, "dtype": "F32", "shape": [2, 3]}


def arrays_of_every_dtype() -> list[tuple[str, str, np.ndarray]]:
    """One array of each dtype, of three values: the next one is aligned only if the writer sees to it."""
    draw = np.random.default_rng(0)
    return [
        (
            f"some.{word}",
            word,
            (draw.integers(0, 2, 3) if word == "BOOL" else draw.integers(0, 100, 3)).astype(held),
        )
        for word, held in BIN_DTYPES.items()
    ]


def index_of(directory, *entries, schema="qwen25vl-bin", version="1.0.0"):
    """Write an index of made-up entries, beside 24 bytes of data."""
    (directory / DATA).write_bytes(bytes(24))
    document = {"schema": schema, "schema_version": version, "tensors": list(entries)}
    (directory / INDEX).write_text(json.dumps(document))


@pytest.mark.parametrize("index", [INDEX, INDEX_TEXT])
def test_x23_an_array_of_every_dtype_comes_back_to_the_bit_by_either_index(tmp_path, index):
    arrays = arrays_of_every_dtype()
    write_bin(tmp_path, arrays)
    for other in {INDEX, INDEX_TEXT} - {index}:
        (tmp_path / other).unlink()
    found, problems = read_bin(tmp_path)
    assert problems == ()
    assert [(tensor.name, tensor.dtype) for tensor in found] == [(name, word) for name, word, _ in arrays]
    for tensor, (_, _, array) in zip(found, arrays, strict=True):
        raw = tensor.raw(tmp_path)
        assert raw.dtype == array.dtype
        np.testing.assert_array_equal(raw, array)


def test_x23_the_bytes_are_little_endian_and_row_major_from_multiples_of_8_on(tmp_path):
    turned = np.arange(6, dtype=">f4").reshape(2, 3).T
    write_bin(tmp_path, [("one", "U8", np.array([7], np.uint8)), ("turned", "F32", turned)])
    assert (tmp_path / DATA).read_bytes() == b"\7" + bytes(7) + struct.pack("<6f", 0, 3, 1, 4, 2, 5)
    assert json.loads((tmp_path / INDEX).read_text())["tensors"][1] == {
        "name": "turned",
        "file": "data.bin",
        "offset": 8,
        "dtype": "F32",
        "shape": [3, 2],
    }


def test_x23_a_line_of_the_index_is_words_with_single_spaces(tmp_path):
    write_bin(tmp_path, [("rows.00.logits", "F64", np.zeros((2, 1))), ("count", "I64", np.array(3))])
    text = (tmp_path / INDEX_TEXT).read_text()
    assert text == "rows.00.logits F64 2 2 1 0 data.bin\ncount I64 0 16 data.bin\n"


def test_x23_a_second_run_writes_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write_bin(tmp_path / name, arrays_of_every_dtype())
    for file in (DATA, INDEX, INDEX_TEXT):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


@given(st.lists(st.lists(st.integers(0, 4), max_size=4), max_size=5), st.integers(0, 2**32 - 1))
def test_any_shapes_come_back_the_empty_ones_too(tmp_path_factory, shapes, seed):
    draw, directory = np.random.default_rng(seed), tmp_path_factory.mktemp("bin")
    arrays = [(f"a{i}", "F64", draw.standard_normal(shape)) for i, shape in enumerate(shapes)]
    write_bin(directory, arrays)
    found, problems = read_bin(directory)
    assert problems == ()
    assert [tensor.shape for tensor in found] == [tuple(shape) for shape in shapes]
    for tensor, (_, _, array) in zip(found, arrays, strict=True):
        assert tensor.offset % 8 == 0
        np.testing.assert_array_equal(tensor.raw(directory), array)


@pytest.mark.parametrize(("word", "bits"), [("BF16", [0x3F80, 0x8001, 0x7F80]), ("F16", [0x3C00, 0x8001, 0x7C00])])
def test_a_widened_array_of_16_bits_is_stored_as_the_bits_it_came_from(tmp_path, word, bits):
    raw = np.array(bits, np.uint16)
    wide = (raw.astype(np.uint32) << 16).view(np.float32) if word == "BF16" else raw.view("f2").astype(np.float32)
    write_bin(tmp_path, [("a", word, wide)])
    assert read_bin(tmp_path)[0][0].raw(tmp_path).view(np.uint16).tolist() == bits


@pytest.mark.parametrize(
    ("name", "dtype", "array"),
    [
        ("two words", "F32", np.zeros(1, np.float32)),
        ("", "F32", np.zeros(1, np.float32)),
        ("a", "F8", np.zeros(1, np.float32)),
        ("a", "F32", np.zeros(1)),
        ("a", "BF16", np.array([1.001], np.float32)),
        ("a", "F16", np.array([1e6], np.float32)),
    ],
)
def test_what_cannot_be_stored_as_it_is_is_refused(tmp_path, name, dtype, array):
    with pytest.raises(ValueError, match="need "):
        write_bin(tmp_path, [(name, dtype, array)])


def test_a_name_is_not_written_twice(tmp_path):
    with pytest.raises(ValueError, match="new name"):
        write_bin(tmp_path, [("a", "F64", np.zeros(1)), ("a", "F64", np.zeros(1))])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": "two words"}, "one word"),
        ({"name": 3}, "need name"),
        ({"dtype": "F8_E4M3"}, "use one of"),
        ({"shape": [-1, 3]}, "whole numbers"),
        ({"shape": [2.0, 3]}, "whole numbers"),
        ({"shape": [True, 3]}, "whole numbers"),
        ({"shape": [2**40, 2**40]}, "no file can hold"),
        ({"shape": [0, 2**40, 2**40]}, "no file can hold"),
        ({"shape": [1] * 33}, "no file can hold"),
        ({"shape": 6}, "need name"),
        ({"shape": [2, 4]}, "cut short"),
        ({"offset": 8}, "cut short"),
        ({"offset": 2**60}, "whole numbers"),
        ({"offset": -8}, "whole numbers"),
        ({"file": "other.bin"}, "not there"),
        ({"file": "../data.bin"}, "in the directory"),
        ({"file": "/etc/passwd"}, "in the directory"),
        ({"file": "a\0b"}, "in the directory"),
        ({"file": "a" * 5000}, "not there"),
        ({"name": "whole"}, "stands there twice"),
    ],
)
def test_a_bad_entry_costs_itself_and_no_other(tmp_path, change, word):
    index_of(tmp_path, {**ENTRY, "name": "whole"}, {**ENTRY, **change}, {**ENTRY, "name": "last"})
    found, problems = read_bin(tmp_path)
    assert [tensor.name for tensor in found] == ["whole", "last"]
    assert len(problems) == 1
    assert word in problems[0]
    assert "tensors[1]" in problems[0]


@pytest.mark.parametrize(
    "line", ["a F32", "a F32 x 2 3 0 data.bin", "a F32 2 2 3 data.bin", "a F32 1 -6 0 data.bin"]
)
def test_a_bad_line_costs_itself_and_no_other(tmp_path, line):
    (tmp_path / DATA).write_bytes(bytes(24))
    (tmp_path / INDEX_TEXT).write_text(f"{line}\n\nb F32 1 6 0 data.bin\n")
    found, problems = read_bin(tmp_path)
    assert [tensor.name for tensor in found] == ["b"]
    assert len(problems) == 1
    assert "line 1" in problems[0]


def test_fields_that_a_later_version_adds_are_passed_over(tmp_path):
    index_of(tmp_path, {**ENTRY, "unit": "m"}, version="1.7.0")
    found, problems = read_bin(tmp_path)
    assert (len(found), problems) == (1, ())


def test_an_array_at_an_odd_place_of_a_foreign_file_is_read(tmp_path):
    (tmp_path / DATA).write_bytes(b"\0\0\0" + struct.pack("<2d", 1.5, -2))
    (tmp_path / INDEX_TEXT).write_text("a F64 1 2 3 data.bin\n")
    assert read_bin(tmp_path)[0][0].raw(tmp_path).tolist() == [1.5, -2]


@pytest.mark.parametrize(
    ("schema", "version", "word"),
    [("other", "1.0.0", "schema"), ("qwen25vl-bin", "2.0.0", "newer"), ("qwen25vl-bin", None, "schema_version")],
)
def test_an_index_of_another_kind_is_refused(tmp_path, schema, version, word):
    index_of(tmp_path, ENTRY, schema=schema, version=version)
    with pytest.raises(BadInput, match=word):
        read_bin(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "qwen25vl-bin", "schema_version": "1.0.0", "tensors": 3}'])
def test_an_index_that_is_no_list_of_tensors_is_refused(tmp_path, text):
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(BadInput):
        read_bin(tmp_path)


def test_a_directory_without_an_index_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"neither index\.json nor index\.txt"):
        read_bin(tmp_path)


def test_lines_that_are_no_text_are_refused(tmp_path):
    (tmp_path / INDEX_TEXT).write_bytes(b"a F32 1 \xff\xfe")
    with pytest.raises(BadInput, match="UTF-8"):
        read_bin(tmp_path)
