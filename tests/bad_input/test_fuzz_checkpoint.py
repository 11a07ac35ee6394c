"""Damaged weights: whatever a safetensors file, an index or a directory says, there is one sentence or success."""

import json
import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bad_input.faults import NUMBERS, WORDS, check_refusal_or_success, damaged, damaged_bytes, nest, values
from checkpoint_files import file_of, packed, random_parts, written_shards
from qwen25vl.checkpoint.directory import INDEX, ONE_FILE, open_checkpoint
from qwen25vl.checkpoint.safetensors import STORED_TYPES, open_file
from qwen25vl.config import TINY

FLOAT32 = np.dtype(np.float32)
ROOM_BYTES = 4_000_000
"""Beside 32 times the file: what the libraries set up for themselves."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def read(path, content):
    """Write a file, open it and read every tensor."""
    path.write_bytes(content)

    def call():
        for tensor in open_file(path).values():
            tensor.widened(FLOAT32)

    # what is widened is no larger than twice the data, and counted by its own shape
    check_refusal_or_success(call, most_bytes=32 * len(content) + ROOM_BYTES)


numbers = st.one_of(st.sampled_from(NUMBERS), st.integers(0, 40), st.booleans())
entries = st.one_of(
    values,
    st.fixed_dictionaries(
        {
            "dtype": st.sampled_from([*STORED_TYPES, "I8", "F8_E4M3", "", 3, None, ["F32"], "a\nb", "x" * 3000]),
            "shape": st.one_of(st.lists(numbers, max_size=3), st.lists(st.just(1), max_size=70), values),
            "data_offsets": st.one_of(st.tuples(numbers, numbers), st.lists(numbers, max_size=3), values),
        },
        optional={"more": values},
    ),
)


@given(
    header=st.dictionaries(st.sampled_from([*WORDS, "w", "v", "__metadata__"]), entries, max_size=3),
    data=st.binary(max_size=64),
)
@example(header={"w": {"dtype": "F32", "shape": [1] * 65, "data_offsets": [0, 4]}}, data=bytes(4))
@example(header={"w": {"dtype": "F32", "shape": [0, 2**53 - 1, 2**53 - 1], "data_offsets": [0, 0]}}, data=b"x")
@example(header={"w": {"dtype": "F32", "shape": [0, 2**53 - 1, 2**53 - 1], "data_offsets": [0, 0]}}, data=b"")
@example(header={"w": {"dtype": "BF16", "shape": [], "data_offsets": [0, 2]}}, data=bytes(2))
@example(header={"w": {"dtype": "F32", "shape": [10**4000, 10**4000], "data_offsets": [0, 4]}}, data=bytes(4))
@example(header={"w": {"dtype": "F32", "shape": [2**53 - 1] * 9, "data_offsets": [0, 4]}}, data=bytes(4))
@example(header={"a\nb": {"dtype": "F32", "shape": [3], "data_offsets": [0, 4]}}, data=bytes(4))
@example(header={"x" * 99_999: {"dtype": "F" * 99_999, "shape": [1], "data_offsets": [0, 4]}}, data=bytes(4))
@example(header={"w": nest(300)}, data=b"")
def test_c13_c14_a_header_of_any_content_is_refused_or_read(folder, header, data):
    read(folder / "header.safetensors", file_of(header, data))


TRUE_FILE = packed(
    {name: (name, (2, 3), bytes(range(1, 7)) * np.dtype(kind).itemsize) for name, kind in STORED_TYPES.items()}
)


@given(content=damaged_bytes(TRUE_FILE))
def test_c13_c14_a_damaged_file_is_refused_or_read(folder, content):
    read(folder / "bytes.safetensors", content)


@given(length=st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1)), rest=st.binary(max_size=80))
def test_c13_a_length_that_lies_is_refused(folder, length, rest):
    read(folder / "length.safetensors", struct.pack("<Q", length) + rest)


@given(header=st.text(max_size=80).map(str.encode) | st.binary(max_size=80))
@example(header=b"[" * 5000)
@example(header=b'{"a": {"a": 1, "a": 2}}')
@example(header=b"{" + b",".join(b'"%d": 0' % i for i in range(20_000)) + b', "7": 0}')  # quadratic once
@example(header=b'{"w": ' + b"9" * 5000 + b"}")
@example(header=b"[" + b"[]," * 20_000 + b"[]]")
@example(header=b'{"w": [' + b'{"":[]},' * 10_000 + b"0]}")
def test_c29_a_header_that_is_no_header_is_refused_in_bounded_memory(folder, header):
    read(folder / "text.safetensors", file_of(header))


PARTS = random_parts(TINY)


@given(
    index=damaged(
        {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(PARTS, "model-00001-of-00001.safetensors")}
    )
)
@example(index={"weight_map": {"w": "x" * 300}})
@example(index={"weight_map": {"w": "x\x00y"}})
@example(index={"weight_map": {"w": "\ud800"}})
@example(index={"weight_map": {"w": ".."}})
@example(index={"weight_map": {f"w{i}": f"file{i}" for i in range(2000)}})
@example(index={"weight_map": {"a\nb": "../x"}})
def test_c24_a_damaged_index_is_refused_or_read(folder, index):
    if not (folder / "model-00001-of-00001.safetensors").exists():
        written_shards(folder, PARTS, shards=1)
    (folder / INDEX).write_text(json.dumps(index))
    check_refusal_or_success(
        lambda: open_checkpoint(folder, TINY), most_bytes=ROOM_BYTES + 32 * 60_000, lines=len(PARTS) + 4
    )


@pytest.fixture(scope="module")
def true_header():
    content = packed(PARTS)
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


@given(data=st.data())
def test_c21_a_checkpoint_with_a_damaged_header_is_refused_or_read(folder, true_header, data):
    header, tensors = true_header
    place = folder / "one"
    place.mkdir(exist_ok=True)
    (place / ONE_FILE).write_bytes(file_of(data.draw(damaged(header)), tensors))
    check_refusal_or_success(lambda: open_checkpoint(place, TINY), most_bytes=ROOM_BYTES, lines=len(PARTS) + 4)
