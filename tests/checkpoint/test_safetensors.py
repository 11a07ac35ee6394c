"""Reading the safetensors format, against files written byte by byte."""

import json
import math
import struct
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoint_files import file_of, float32_part, packed
from qwen25vl.checkpoint.names import expected_shapes
from qwen25vl.checkpoint.safetensors import STORED_TYPES, StoredTensor, open_file
from qwen25vl.config import QWEN25_VL_3B
from qwen25vl.errors import BadInput

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}

shapes = st.lists(st.sampled_from([0, 1, 2, 3, 7]), max_size=3).map(tuple)
kinds = st.sampled_from(sorted(STORED_TYPES))


def of_bits(bits, kind):
    """A tensor in memory, of uint16 bits."""
    return StoredTensor("x", kind, bits.shape, bits.view(STORED_TYPES[kind]))


@given(layout=st.lists(st.tuples(kinds, shapes), max_size=6), seed=st.integers(0, 2**32 - 1))
def test_c14_every_tensor_comes_back_bit_for_bit(tmp_path_factory, layout, seed):
    rng = np.random.default_rng(seed)
    parts = {
        f"tensor {index}": (kind, shape, rng.bytes(math.prod(shape) * ITEM_BYTES[kind]))
        for index, (kind, shape) in enumerate(layout)
    }
    path = tmp_path_factory.mktemp("c14") / "x.safetensors"
    path.write_bytes(packed(parts))
    found = open_file(path)
    assert list(found) == list(parts)
    for name, (kind, shape, bits) in parts.items():
        tensor = found[name]
        assert (tensor.name, tensor.dtype, tensor.shape, tensor.raw.shape) == (name, kind, shape, shape)
        assert tensor.raw.tobytes() == bits


def test_c14_the_order_of_the_header_need_not_be_that_of_the_data(tmp_path):
    path = tmp_path / "x.safetensors"
    header = {
        "late": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]},
        "early": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    }
    path.write_bytes(file_of(header, struct.pack("<3f", 1, 2, 3)))
    found = open_file(path)
    assert list(found) == ["late", "early"]
    assert found["late"].raw.tolist() == [3]
    assert found["early"].raw.tolist() == [1, 2]


@pytest.mark.parametrize("padding", range(8))
def test_c13_data_may_start_at_any_byte(tmp_path, padding):
    path = tmp_path / "x.safetensors"
    header = json.dumps({"x": {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]}}).encode()
    path.write_bytes(file_of(header + b" " * padding, struct.pack("<2d", 1.5, -2.5)))
    assert open_file(path)["x"].widened(FLOAT64).tolist() == [1.5, -2.5]


def test_c12_opening_reads_the_header_only(tmp_path):
    """A file of the 3B's size, 7.5 GB with a hole for its data, opens in an instant and in little memory."""
    path = tmp_path / "x.safetensors"
    header, end = {}, 0
    for name, shape in expected_shapes(QWEN25_VL_3B).items():
        begin, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    assert end == 7_509_245_952  # the total of the released index
    with path.open("wb") as file:
        file.write(file_of(header))
        file.truncate(file.tell() + end)
    tracemalloc.start()
    started = time.perf_counter()
    found = open_file(path)
    seconds = time.perf_counter() - started
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 824
    assert peak_bytes < 20e6, "measured: 0.8 MB"
    assert seconds < 2, "measured: 0.02 s, traced 0.1 s"
    last_row = found["model.embed_tokens.weight"].rows(np.array([151935]), FLOAT32)
    assert last_row.shape == (1, 2048)


def test_c12_a_tensor_is_a_read_only_view_of_the_mapped_file(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(packed({"x": float32_part([1, 2]), "y": ("BF16", (1,), b"\x80\x3f")}))
    found = open_file(path)
    assert np.shares_memory(found["x"].raw, found["x"].widened(FLOAT32))
    for array in (found["x"].raw, found["x"].widened(FLOAT32), found["y"].widened(FLOAT32)):
        assert not array.flags.writeable


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
@pytest.mark.parametrize(("kind", "exponent_bits"), [("BF16", 8), ("F16", 5)])
def test_c16_every_16_bit_pattern_is_widened_to_its_value(kind, exponent_bits, dtype):
    """Computed from the definition: sign, exponent, fraction; all 65536 patterns."""
    bits = np.arange(2**16, dtype=np.uint16)
    fraction_bits = 15 - exponent_bits
    exponent = (bits >> fraction_bits & (2**exponent_bits - 1)).astype(int)
    fraction = (bits & (2**fraction_bits - 1)) / 2**fraction_bits
    bias = 2 ** (exponent_bits - 1) - 1
    size = np.where(exponent == 0, np.ldexp(fraction, 1 - bias), np.ldexp(1 + fraction, exponent - bias))
    special = exponent == 2**exponent_bits - 1
    size[special] = np.where(fraction[special] == 0, np.inf, np.nan)
    want = np.where(bits >> 15, -size, size)
    got = of_bits(bits, kind).widened(dtype)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, want)  # NaN equals NaN here
    np.testing.assert_array_equal(np.signbit(got), (bits >> 15).astype(bool))


def test_c16_float64_is_rounded_once_when_it_is_read_as_float32():
    above_tie, beyond = 1 + 2**-24 + 2**-50, 1e300
    values = np.array([1 + 2**-24, 1 + 3 * 2**-24, above_tie, 0.1, beyond, 1e-320, np.nan])
    tensor = StoredTensor("x", "F64", values.shape, values)
    want = np.array([1, 1 + 2**-22, 1 + 2**-23, 0.1, np.inf, 0, np.nan], dtype=np.float32)
    np.testing.assert_array_equal(tensor.widened(FLOAT32), want)  # ties go to the even neighbour
    np.testing.assert_array_equal(tensor.widened(FLOAT64), values)


@given(kind=kinds, ids=st.lists(st.integers(0, 10), max_size=6), seed=st.integers(0, 2**32 - 1))
def test_c17_rows_are_those_of_the_whole_matrix(kind, ids, seed):
    raw = np.random.default_rng(seed).integers(0, 2**16, (11, 5 * ITEM_BYTES[kind] // 2), dtype=np.uint16)
    tensor = StoredTensor("x", kind, (11, 5), raw.view(STORED_TYPES[kind]))
    rows = np.array(ids, dtype=np.int64)
    np.testing.assert_array_equal(tensor.rows(rows, FLOAT32), tensor.widened(FLOAT32)[rows])


def test_c17_ids_may_have_any_shape():
    tensor = StoredTensor("x", "F32", (3, 2), np.arange(6, dtype=np.float32).reshape(3, 2))
    assert tensor.rows(np.array([[2, 0]]), FLOAT64).tolist() == [[[4, 5], [0, 1]]]


@pytest.mark.parametrize(("ids", "bad"), [([0, 3], 3), ([-1], -1), ([1, 2**40], 2**40)])
def test_c17_a_row_outside_the_matrix_is_refused_not_wrapped(ids, bad):
    tensor = StoredTensor("model.embed_tokens.weight", "F32", (3, 2), np.zeros((3, 2), dtype=np.float32))
    message = rf"model.embed_tokens.weight has rows 0 to 2, but row {bad} was asked for"
    with pytest.raises(BadInput, match=message):
        tensor.rows(np.array(ids), FLOAT32)


SPECIAL = {"F64": (np.float64, 1024), "F32": (np.float32, 128), "F16": (np.float16, 16), "BF16": (np.float32, 128)}
"""How to write a value in each type, and a power of two that it does not reach."""


def stored_as(values, kind):
    """Numbers as a tensor that is to be finite; bfloat16 is the upper half of float32."""
    array = np.asarray(values, dtype=SPECIAL[kind][0])
    raw = np.asarray(array.view(np.uint32) >> 16, dtype=np.uint16) if kind == "BF16" else array
    return StoredTensor("w", kind, array.shape, raw, allow_nan=False)


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
@pytest.mark.parametrize("kind", sorted(STORED_TYPES))
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_c28_a_value_that_is_no_number_is_counted_and_placed(kind, value, dtype):
    values = np.full((3, 4), -1.0)
    values[1, 2] = values[2, 0] = value
    tensor = stored_as(values, kind)
    says = rf"^w holds 2 of 12 values that are infinite or NaN, the first, {value}, at \[1, 2\]; .*--allow-nan"
    with pytest.raises(BadInput, match=says):
        tensor.widened(dtype)
    np.testing.assert_array_equal(replace(tensor, allow_nan=True).widened(dtype), values)


@pytest.mark.parametrize("kind", sorted(STORED_TYPES))
def test_c28_the_largest_numbers_and_the_smallest_pass(kind):
    top = 2.0 ** (SPECIAL[kind][1] - 1)
    values = [-top, top, -top * 1.75, top * 1.75, 0.0, -0.0, 1e-7, -1e-7]
    assert stored_as(values, kind).widened(FLOAT64)[1] == top


@pytest.mark.parametrize("kind", sorted(STORED_TYPES))
@pytest.mark.parametrize("shape", [(), (0,), (0, 3)])
def test_c28_a_tensor_may_be_empty_or_a_single_number(kind, shape):
    assert stored_as(np.zeros(shape), kind).widened(FLOAT32).shape == shape
    if shape == ():
        with pytest.raises(BadInput, match=r"holds 1 of 1 values .* nan, at \[\]"):
            stored_as(np.array(np.nan), kind).widened(FLOAT32)


@pytest.mark.parametrize("kind", sorted(STORED_TYPES))
def test_c28_only_the_rows_that_are_read_are_looked_at(kind):
    values = np.zeros((5, 3))
    values[3, 1] = values[4, 2] = np.nan
    tensor = stored_as(values, kind)
    assert tensor.rows(np.array([0, 2, 1]), FLOAT32).tolist() == np.zeros((3, 3)).tolist()
    with pytest.raises(BadInput, match=r"^row 4 of w holds 1 of 3 values .* nan, at \[2\]"):
        tensor.rows(np.array([[0, 4], [3, 3]]), FLOAT32)
    assert np.isnan(replace(tensor, allow_nan=True).rows(np.array([3]), FLOAT32)[0, 1])


def test_c28_a_large_tensor_is_named_in_little_memory():
    """Where the values are counted, no second copy of the tensor is made."""
    raw = np.zeros((3000, 1000), dtype=np.uint16)
    raw[2999, 999] = 0x7FC0
    tensor = StoredTensor("w", "BF16", raw.shape, raw, allow_nan=False)
    tracemalloc.start()
    with pytest.raises(BadInput, match=r"w holds 1 of 3000000 values .* at \[2999, 999\]"):
        tensor.widened(FLOAT32)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 8 * raw.size, "measured: 17 MB, of 1 << 20 values at a time; a float64 copy takes 24"


def test_rows_of_a_vector_are_refused():
    tensor = StoredTensor("x", "F32", (3,), np.zeros(3, dtype=np.float32))
    with pytest.raises(ValueError, match=r"rows need a matrix, but x has shape \[3\]"):
        tensor.rows(np.array([0]), FLOAT32)


def test_c16_no_other_format_is_read():
    tensor = StoredTensor("x", "F32", (3,), np.zeros(3, dtype=np.float32))
    with pytest.raises(ValueError, match="float32 or float64, not as float16"):
        tensor.widened(np.dtype(np.float16))


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


TWICE = b'{"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "x": {}}'
BROKEN = {
    "c13 empty": (b"", "has 0 bytes, too few"),
    "c13 shorter than a length": (b"\1\0\0", "has 3 bytes, too few"),
    "c13 header beyond the file": (struct.pack("<Q", 99) + b"{}", "header of 99 bytes but has 10 bytes"),
    "c13 header a byte beyond the file": (struct.pack("<Q", 3) + b"{}", "header of 3 bytes but has 10 bytes"),
    "c13 header of terabytes": (b"PK\3\4\x14\0\0\0", "not a safetensors file"),
    "c13 pointer": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "c13 not JSON": (file_of(b'{"x": '), "malformed header"),
    "c13 not text": (file_of(b"\xff\xfe\xfd"), "malformed header"),
    "c13 nested too deeply": (file_of(b"[" * 100_000), "malformed header"),
    "c13 not an object": (file_of([1]), r"malformed header \(it must hold a JSON object"),
    "c13 a name twice": (file_of(TWICE, bytes(8)), '"x" stands there twice'),
    "c13 no dtype": (file_of({"x": {"shape": [2], "data_offsets": [0, 8]}}), "entry of x must hold a dtype"),
    "c13 an entry that is a list": (file_of({"x": [1]}), "entry of x must hold a dtype"),
    "c13 negative side": (file_of({"x": entry(shape=[-2])}), "entry of x must hold"),
    "c13 true as a side": (file_of({"x": entry(shape=[True, 2])}), "entry of x must hold"),
    "c13 half a row": (file_of({"x": entry(shape=[0.5])}), "entry of x must hold"),
    "c13 one offset": (file_of({"x": entry(offsets=[0])}), "entry of x must hold"),
    "c14 size": (
        file_of({"x": entry(shape=[3])}, bytes(8)),
        r"x, F32 of shape \[3\], takes 12 bytes, .*\[0, 8\] span 8",
    ),
    "c14 end before begin": (file_of({"x": entry(offsets=[8, 0])}, bytes(8)), "span -8"),
    "c14 overlap": (
        file_of({"x": entry(), "y": entry(offsets=[4, 12])}, bytes(12)),
        "y begins at byte 4 of the data, not at 8: it overlaps",
    ),
    "c14 gap": (
        file_of({"x": entry(), "y": entry(offsets=[12, 20])}, bytes(20)),
        "y begins at byte 12 of the data, not at 8: it leaves a gap",
    ),
    "c14 gap at the start": (file_of({"x": entry(offsets=[4, 12])}, bytes(12)), "leaves a gap"),
    "c14 cut short": (file_of({"x": entry()}, bytes(7)), "has 7 bytes of data, .* take 8: it is cut short"),
    "c14 left over": (file_of({"x": entry()}, bytes(9)), "left over at its end"),
    "c15 int8": (file_of({"x": entry("I8", offsets=[0, 2])}, bytes(2)), "stored as I8; .* quantised"),
    "c15 float8": (file_of({"x": entry("F8_E4M3", offsets=[0, 2])}, bytes(2)), "F8_E4M3; .* quantised"),
}


@pytest.mark.parametrize("fault", [name for name in BROKEN if name.startswith("c13")])
def test_c13_a_broken_header_is_refused(tmp_path, fault):
    check_refused(tmp_path, *BROKEN[fault])


@pytest.mark.parametrize("fault", [name for name in BROKEN if name.startswith("c14")])
def test_c14_data_that_the_header_does_not_account_for_is_refused(tmp_path, fault):
    check_refused(tmp_path, *BROKEN[fault])


@pytest.mark.parametrize("fault", [name for name in BROKEN if name.startswith("c15")])
def test_c15_a_type_that_is_not_read_is_refused(tmp_path, fault):
    check_refused(tmp_path, *BROKEN[fault])


def check_refused(tmp_path, content, message):
    """One line, which names the file."""
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message) as refusal:
        open_file(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_c13_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"absent.safetensors does not exist"):
        open_file(tmp_path / "absent.safetensors")


@pytest.mark.parametrize(("excess", "message"), [(0, "malformed header"), (1, "header of 10000001 bytes")])
def test_c13_a_header_longer_than_the_format_allows_is_not_read(tmp_path, excess, message):
    path = tmp_path / "broken.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 10_000_000 + excess))
        file.truncate(10_000_100)  # a hole
    with pytest.raises(BadInput, match=message):
        open_file(path)
