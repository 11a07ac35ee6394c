"""Section 15: safetensors files written tensor by tensor are what the safetensors library reads."""

import hashlib
import json
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load_file

from qwen25vl.checkpoint.safetensors import open_file
from qwen25vl.golden.stream import HEADER_BYTES_PER_TENSOR, TYPE_NAMES, TensorWriter, statistics

dtypes = st.sampled_from([np.dtype(name) for name in TYPE_NAMES])
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)  # (): one number; a 0: no number
layouts = st.sampled_from(["C", "F", "reversed", "swapped"])


def made_array(shape, dtype, layout, seed):
    """Random bits of a shape and type, laid out in memory in one of four ways."""
    rng = np.random.default_rng(seed)
    if dtype == np.bool_:
        array = rng.integers(0, 2, shape).astype(np.bool_)
    else:
        array = rng.integers(-100, 100, shape).astype(dtype)
    if layout == "F":
        return np.asfortranarray(array)
    if layout == "reversed":
        return array[::-1] if array.ndim else array
    return array.astype(dtype.newbyteorder(">")) if layout == "swapped" else array


def written(path, arrays, *, most=None):
    """Write arrays, and return what was said about each."""
    with TensorWriter(path, most=len(arrays) if most is None else most) as writer:
        return {name: writer.add(name, array) for name, array in arrays.items()}


@given(kinds=st.lists(st.tuples(shapes, dtypes, layouts), max_size=6), seed=st.integers(0, 2**32 - 1))
@example(kinds=[((0, 3), np.dtype("float32"), "C"), ((), np.dtype("int64"), "C")], seed=0)
@example(kinds=[], seed=0)
def test_x7_the_safetensors_library_reads_back_what_was_written(tmp_path_factory, kinds, seed):
    path = tmp_path_factory.mktemp("stream") / "t.safetensors"
    arrays = {f"t.{i}": made_array(*kind, seed + i) for i, kind in enumerate(kinds)}
    entries = written(path, arrays)
    found = load_file(path)
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)
        assert entries[name]["shape"] == list(array.shape)


def test_x7_many_tensors_with_long_names_and_many_sides_find_room_in_the_header(tmp_path):
    name = "n" * 90 + "{:010d}"
    array = np.zeros((1,) * 8, dtype=np.float64)
    arrays = {name.format(i): array for i in range(3000)}
    written(tmp_path / "t.safetensors", arrays)
    assert len(load_file(tmp_path / "t.safetensors")) == 3000
    # the worst line there can be: sides and offsets of ten and fifteen digits
    line = json.dumps({name: {"dtype": "BOOL", "shape": [10**9] * 8, "data_offsets": [10**14, 10**14]}})
    assert len(line) < HEADER_BYTES_PER_TENSOR


def test_x7_the_header_stands_first_and_the_data_is_aligned(tmp_path):
    written(tmp_path / "t.safetensors", {"a": np.arange(3.0), "b": np.arange(2)})
    content = (tmp_path / "t.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    assert header["a"] == {"dtype": "F64", "shape": [3], "data_offsets": [0, 24]}
    assert np.frombuffer(content[8 + length :], "<i8")[3:].tolist() == [0, 1]


def test_x7_our_own_reader_reads_it_too(tmp_path):
    array = np.linspace(-1, 1, 12).reshape(3, 4)
    written(tmp_path / "t.safetensors", {"a": array})
    np.testing.assert_array_equal(open_file(tmp_path / "t.safetensors")["a"].widened(array.dtype), array)


def test_a_header_without_room_is_an_error_not_a_broken_file(tmp_path):
    with pytest.raises(ValueError, match="the header of 9 tensors needs"):
        written(tmp_path / "t", {f"{i:040d}": np.zeros(1) for i in range(9)}, most=1)
    with pytest.raises(SafetensorError, match="header"):
        load_file(tmp_path / "t")


@pytest.mark.parametrize(
    ("name", "array"), [("a", np.zeros(1)), ("b", np.zeros(1, np.float16)), ("b", np.zeros(1, np.complex128))]
)
def test_a_name_used_twice_and_a_strange_type_are_refused(tmp_path, name, array):
    with TensorWriter(tmp_path / "t", most=3) as writer:
        writer.add("a", np.zeros(1))
        with pytest.raises(ValueError, match="need a new name and a type"):
            writer.add(name, array)
    assert list(load_file(tmp_path / "t")) == ["a"]


def test_after_an_error_the_file_is_closed_and_the_error_is_the_first_one(tmp_path):
    with pytest.raises(KeyboardInterrupt), TensorWriter(tmp_path / "t", most=1) as writer:
        raise KeyboardInterrupt
    assert writer.file.closed


@given(shape=shapes, dtype=dtypes, layout=layouts, seed=st.integers(0, 2**32 - 1))
def test_x8_the_hash_is_of_the_bytes_as_they_lie_in_the_file(tmp_path_factory, shape, dtype, layout, seed):
    path = tmp_path_factory.mktemp("stream") / "t.safetensors"
    array = made_array(shape, dtype, layout, seed)
    entry = written(path, {"a": array})["a"]
    nbytes = array.size * dtype.itemsize
    content = path.read_bytes()[-nbytes:] if nbytes else b""
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert entry["file"] == "t.safetensors"
    assert entry["exact"] == (dtype.kind in "iub")


@given(
    values=st.lists(st.floats(-1e6, 1e6, allow_subnormal=True), min_size=1, max_size=30),
    dtype=st.sampled_from([np.float64, np.float32]),
)
@example(values=[0.0, -0.0], dtype=np.float64)
def test_x9_statistics_are_those_of_the_values(values, dtype):
    array = np.array(values, dtype=dtype)
    found = statistics(array)
    wide = array.astype(np.float64)
    assert found["min"] == wide.min()
    assert found["max"] == wide.max()
    # n additions, each rounded once in units of the largest: n u max
    bound = 4 * len(values) * 2.0**-53 * max(np.max(np.abs(wide)), np.finfo(np.float64).tiny)
    assert abs(found["mean"] - wide.mean()) <= bound
    assert abs(found["rms"] - np.sqrt(np.mean(wide**2))) <= bound + sys.float_info.min**0.5
    assert "nonfinite" not in found


def test_x9_statistics_leave_out_what_is_not_finite_and_count_it():
    array = np.array([1.0, np.nan, 3.0, np.inf, -np.inf])
    assert statistics(array) == {"min": 1.0, "max": 3.0, "mean": 2.0, "rms": np.sqrt(5.0), "nonfinite": 3.0}
    assert statistics(np.array([np.nan])) == {"nonfinite": 1.0}
    assert statistics(np.empty((0, 3))) == {}


def test_x9_the_largest_numbers_do_not_overflow():
    top = np.finfo(np.float64).max
    assert statistics(np.array([top, -top, top, top])) == {"min": -top, "max": top, "mean": top / 2, "rms": top}
