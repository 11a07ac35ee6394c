"""Section 15 - dumps: every form is read, and a fault costs no more than it must."""

import contextlib
import io
import json
import struct
import zipfile

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from qwen25vl.errors import BadInput
from qwen25vl.golden.bin_format import write_bin
from qwen25vl.golden.stream import TensorWriter
from qwen25vl.port.dump import joined_dump, located, open_dump

ONE = np.array([[1.5, -2.25, 3.0]])
TWO = np.arange(4, dtype=np.int64)


def write_safetensors(path, header, data, *, cut=0):
    """Write a file of a made-up header."""
    text = json.dumps(header).encode()
    path.write_bytes((struct.pack("<Q", len(text)) + text + data)[: -cut or None])


def entry(dtype, shape, begin, end):
    """Describe a tensor in a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def write_in_form(form, directory):
    """Write the two arrays in one of the forms, and say what to open."""
    if form == "safetensors":
        with TensorWriter(directory / "dump.safetensors", 2) as writer:
            writer.add("one", ONE)
            writer.add("two", TWO)
        return directory / "dump.safetensors"
    if form == "npz":
        np.savez(directory / "dump.npz", one=ONE, two=TWO)
        return directory / "dump.npz"
    if form == "compressed npz":
        np.savez_compressed(directory / "dump.npz", one=ONE, two=TWO)
        return directory / "dump.npz"
    if form == "npy":
        np.save(directory / "one.npy", ONE)
        np.save(directory / "two.npy", TWO)
        return directory
    write_bin(directory, [("one", "F64", ONE), ("two", "I64", TWO)])
    return directory / "index.json" if form == "index" else directory


@pytest.mark.parametrize("form", ["safetensors", "npz", "compressed npz", "npy", "bin", "index"])
def test_every_form_gives_the_same_arrays(tmp_path, form):
    dump = open_dump(write_in_form(form, tmp_path))
    assert (dump.names, dump.problems) == (("one", "two"), ())
    assert (dump.dtype("one"), dump.shape("one")) == ("F64", (1, 3))
    assert (dump.dtype("two"), dump.shape("two")) == ("I64", (4,))
    np.testing.assert_array_equal(dump.read("one"), ONE)
    np.testing.assert_array_equal(dump.read("two"), TWO)


@pytest.mark.parametrize("form", ["safetensors", "npz", "compressed npz", "npy", "bin"])
def test_a_directory_a_case_puts_the_case_in_front(tmp_path, form):
    for case in ("case_a", "case_b"):
        (tmp_path / case).mkdir()
        write_in_form(form, tmp_path / case)
    dump = open_dump(tmp_path)
    assert set(dump.names) == {"case_a/one", "case_a/two", "case_b/one", "case_b/two"}
    np.testing.assert_array_equal(dump.read("case_b/two"), TWO)


@pytest.mark.parametrize("form", ["safetensors", "npz"])
def test_the_name_of_one_file_among_others_is_its_case(tmp_path, form):
    for case in ("case_a", "case_b"):
        path = write_in_form(form, tmp_path)
        path.rename(tmp_path / (case + path.suffix))
    assert set(open_dump(tmp_path).names) == {"case_a/one", "case_a/two", "case_b/one", "case_b/two"}


def test_a_golden_is_a_dump_and_so_is_a_corpus(tmp_path):
    case = tmp_path / "a_case"
    case.mkdir()
    (case / "manifest.json").write_text("{}")
    for file, name in (("inputs", "inputs.x"), ("taps", "logits")):
        with TensorWriter(case / f"{file}.safetensors", 1) as writer:
            writer.add(name, ONE)
    np.savez(case / "parts.npz", logits=ONE)
    assert open_dump(case).names == ("inputs.x", "logits")
    assert open_dump(tmp_path).names == ("a_case/inputs.x", "a_case/logits")


def test_other_files_of_a_directory_are_passed_over(tmp_path):
    write_in_form("npy", tmp_path)
    (tmp_path / "README").write_text("mine")
    (tmp_path / ".hidden.npy").write_text("rubbish")
    assert open_dump(tmp_path).problems == ()


def test_folders_below_a_case_become_part_of_the_name(tmp_path):
    (tmp_path / "case" / "vision").mkdir(parents=True)
    np.save(tmp_path / "case" / "vision" / "out.npy", ONE)
    assert open_dump(tmp_path).names == ("case/vision/out",)


@pytest.mark.parametrize(
    ("name", "case", "part"),
    [("a/b", "a", "b"), ("a/b/c", "a", "b/c"), ("b", None, "b"), ("/b", None, "/b"), ("a/", None, "a/")],
)
def test_a_case_is_what_stands_before_the_first_slash(name, case, part):
    assert located(name) == (case, part)


def test_dumps_of_single_cases_are_joined_with_or_without_their_prefix(tmp_path):
    np.savez(tmp_path / "a.npz", x=ONE)
    np.savez(tmp_path / "b.npz", **{"b/x": TWO})
    joined = joined_dump("both", {case: open_dump(tmp_path / f"{case}.npz") for case in "ab"})
    assert (joined.name, joined.names) == ("both", ("a/x", "b/x"))
    np.testing.assert_array_equal(joined.read("b/x"), TWO)


# What is read


@given(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=20))
def test_bfloat16_and_float16_are_widened_to_the_bit(tmp_path_factory, bits):
    path, raw = tmp_path_factory.mktemp("dump") / "x.safetensors", np.array(bits, "<u2")
    half, size = raw.view("<f2"), 2 * len(bits)
    header = {"b": entry("BF16", [len(bits)], 0, size), "h": entry("F16", [len(bits)], size, 2 * size)}
    write_safetensors(path, header, raw.tobytes() * 2)
    dump = open_dump(path)
    assert dump.read("b").view(np.uint32).tolist() == [bit << 16 for bit in bits]
    assert dump.read("h").dtype == np.float32
    np.testing.assert_array_equal(dump.read("h"), half)


@pytest.mark.parametrize("kind", [">f4", ">f8", ">i8", ">i4", ">u2"])
def test_numbers_of_the_other_byte_order_are_read(tmp_path, kind):
    np.save(tmp_path / "x.npy", np.array([1, 2, 300], dtype=kind))
    found = open_dump(tmp_path).read("x")
    assert found.dtype.isnative
    assert found.tolist() == [1, 2, 300]


def test_an_array_in_column_order_keeps_its_places(tmp_path):
    turned = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.save(tmp_path / "x.npy", turned)
    np.savez(tmp_path / "y.npz", x=turned)
    np.testing.assert_array_equal(open_dump(tmp_path / "x.npy").read("x"), turned)
    np.testing.assert_array_equal(open_dump(tmp_path / "y.npz").read("x"), turned)


def test_two_bytes_without_a_meaning_are_bfloat16(tmp_path):
    np.save(tmp_path / "x.npy", np.array([0x3FC0, 0xC010], np.uint16).view("V2"))
    dump = open_dump(tmp_path)
    assert (dump.dtype("x"), dump.read("x").tolist()) == ("BF16", [1.5, -2.25])


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_a_number_alone_and_an_empty_array_are_read_from_every_form(tmp_path, shape):
    array = np.full(shape, 2.5)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", x=array)
    with TensorWriter(tmp_path / "x.safetensors", 1) as writer:
        writer.add("x", array)
    (tmp_path / "bin").mkdir()
    write_bin(tmp_path / "bin", [("x", "F64", array)])
    for form in ("x.npy", "x.npz", "x.safetensors", "bin"):
        found = open_dump(tmp_path / form).read("x")
        assert (found.shape, found.tolist()) == (shape, array.tolist())


def test_an_array_of_an_odd_place_is_aligned_when_it_is_read(tmp_path):
    (tmp_path / "data.bin").write_bytes(b"\0" + ONE.tobytes())
    (tmp_path / "index.txt").write_text("x F64 2 1 3 1 data.bin\n")
    found = open_dump(tmp_path).read("x")
    assert found.flags.aligned
    np.testing.assert_array_equal(found, ONE)


# What is damaged


def test_of_a_file_that_is_cut_short_the_whole_tensors_are_offered(tmp_path):
    path = tmp_path / "x.safetensors"
    header = {
        "first": entry("F32", [2], 0, 8),
        "second": entry("F32", [2], 8, 16),
        "third": entry("I64", [1], 16, 24),
    }
    write_safetensors(path, header, np.arange(6, dtype="<f4").tobytes(), cut=11)
    dump = open_dump(path)
    assert dump.names == ("first",)
    assert dump.read("first").tolist() == [0, 1]
    assert [("second" in problem, "cut short" in problem) for problem in dump.problems] == [
        (True, True),
        (False, True),
    ]


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (entry("F32", [2**40, 2**40], 0, 8), "no file can hold"),
        (entry("F32", [2**30], 0, 2**32), "cut short"),
        (entry("F32", [3], 0, 8), "takes 12 bytes"),
        (entry("F32", [-2], 0, 8), "whole numbers"),
        (entry("F8_E5M2", [8], 0, 8), "use one of"),
        (entry("F32", [2], -4, 4), "whole numbers"),
        (entry("F32", [2], 2**70, 2**70 + 8), "whole numbers"),
        ({"dtype": "F32"}, "needs a dtype"),
        (7, "needs a dtype"),
    ],
)
def test_a_bad_tensor_of_a_header_costs_itself_and_no_other(tmp_path, bad, word):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"__metadata__": {}, "bad": bad, "good": entry("F32", [2], 0, 8)}, bytes(8))
    dump = open_dump(path)
    assert (dump.names, len(dump.problems)) == (("good",), 1)
    assert word in dump.problems[0]
    assert "bad" in dump.problems[0]


@pytest.mark.parametrize("content", [b"", b"abc", struct.pack("<Q", 10**12), struct.pack("<Q", 3) + b"[1]"])
def test_a_file_without_a_header_is_refused_in_a_sentence(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match="nothing of the dump can be read"):
        open_dump(tmp_path / "x.safetensors")


def npy(array, **header):
    """The bytes of an npy file; `header` gives it another one."""
    file = io.BytesIO()
    if header:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (3,), **header}
        )
        file.write(array.tobytes())
    else:
        np.save(file, array, allow_pickle=True)
    return file.getvalue()


BAD_ARRAYS = [
    (npy(ONE)[:-1], "cut short|takes"),
    (npy(ONE, shape=(10**12,)), "cut short|takes"),
    (npy(ONE, shape=(-3,)), "shape"),
    (npy(ONE, shape=(2**40, 2**40)), "no file can hold"),
    (npy(ONE, shape=(1,) * 40), "shape"),
    (npy(np.array([{}, None], dtype=object)), "not whole numbers"),
    (npy(np.array(["a"])), "not whole numbers"),
    (npy(np.array([1j])), "not whole numbers"),
    (npy(np.zeros(2, dtype="i4,f4")), "not whole numbers"),
    (npy(np.zeros(2, dtype="M8[s]")), "not whole numbers"),
    (b"", "read"),
    (b"\x93NUMPY\x01\x00\xff\xff{", "read"),
    (b"\x93NUMPY\x01\x00\x10\x00" + b"((((((((((((((((", "read"),
    (b"\x93NUMPY\x09\x00\x10\x00" + b" " * 16, "read"),
    (b"rubbish that is no array", "read"),
]


@pytest.mark.parametrize(("content", "words"), BAD_ARRAYS)
def test_a_bad_npy_among_good_ones_costs_itself_and_no_other(tmp_path, content, words):
    np.save(tmp_path / "good.npy", ONE)
    (tmp_path / "bad.npy").write_bytes(content)
    dump = open_dump(tmp_path)
    assert (dump.names, len(dump.problems)) == (("good",), 1)
    assert "bad.npy" in dump.problems[0]
    assert any(word in dump.problems[0] for word in words.split("|"))


@pytest.mark.parametrize(("content", "words"), BAD_ARRAYS)
def test_a_bad_array_of_a_zip_file_costs_itself_and_no_other(tmp_path, content, words):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("good.npy", npy(ONE))
        archive.writestr("bad.npy", content)
        archive.writestr("folder/", b"")
    dump = open_dump(tmp_path / "x.npz")
    assert (dump.names, len(dump.problems)) == (("good",), 1)
    assert "bad.npy" in dump.problems[0]
    assert any(word in dump.problems[0] for word in words.split("|"))


def test_objects_are_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.save(tmp_path / "trap.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "trap.npz", a=np.array([Trap()], dtype=object))
    for name in ("trap.npy", "trap.npz"):
        with pytest.raises(BadInput, match="not whole numbers"):
            open_dump(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_a_zip_entry_that_promises_more_than_it_can_hold_is_told(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, bad=ONE, good=ONE)
    content = bytearray(path.read_bytes())
    listed = content.index(b"PK\x01\x02")  # the list at the end: the size of its first entry is 24 bytes on
    content[listed + 24 : listed + 28] = struct.pack("<I", 2**31)
    path.write_bytes(content)
    dump = open_dump(path)
    assert (dump.names, len(dump.problems)) == (("good",), 1)
    assert "promises 2147483648 bytes" in dump.problems[0]


def test_an_array_that_is_damaged_inside_is_told_when_it_is_read(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x=np.arange(1000.0))
    content = bytearray(path.read_bytes())
    content[4000] ^= 1
    path.write_bytes(content)
    dump = open_dump(path)
    with pytest.raises(BadInput, match=r"x cannot be read .*CRC"):
        dump.read("x")


def test_a_file_that_shrinks_after_it_was_opened_is_told_when_it_is_read(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(1000.0))
    dump = open_dump(tmp_path)
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:200])
    with pytest.raises(BadInput, match="x cannot be read"):
        dump.read("x")


def test_an_array_that_stands_in_two_files_of_a_case_is_told(tmp_path):
    (tmp_path / "case").mkdir()
    np.savez(tmp_path / "case" / "a.npz", x=ONE)
    np.savez(tmp_path / "case" / "b.npz", x=TWO, y=TWO)
    dump = open_dump(tmp_path)
    assert dump.names == ("case/x", "case/y")
    assert len(dump.problems) == 1
    assert "stands in two files" in dump.problems[0]
    np.testing.assert_array_equal(dump.read("case/x"), ONE)


def test_a_link_to_a_directory_above_it_is_passed_over(tmp_path):
    np.save(tmp_path / "logits.npy", np.arange(3))
    for case, other in (("a", "b"), ("b", "a")):
        (tmp_path / case).mkdir()
        np.save(tmp_path / case / "logits.npy", np.arange(3))
        for name in ("up", "over", "again"):
            (tmp_path / case / name).symlink_to(tmp_path if name == "up" else tmp_path / other)
    dump = open_dump(tmp_path)
    assert {"logits", "a/logits", "a/over/logits", "b/again/logits"} <= set(dump.names)
    assert all("is a link to a directory above it" in problem for problem in dump.problems)
    assert len(dump.names) == 7  # each directory once on every way to it
    assert len(dump.problems) == 2 * (1 + 2 * 3)  # of a case its own way up, and the three of the other, twice


def test_a_bad_file_among_good_ones_costs_itself_and_no_other(tmp_path):
    np.savez(tmp_path / "good.npz", x=ONE)
    (tmp_path / "bad.npz").write_bytes(b"PK rubbish")
    (tmp_path / "ugly").mkdir()
    (tmp_path / "ugly" / "index.json").write_text("{")
    dump = open_dump(tmp_path)
    assert (dump.names, len(dump.problems)) == (("good/x",), 2)


@given(st.data())
def test_rubbish_in_a_file_gives_a_sentence_or_arrays_of_the_promised_shape(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("rubbish")
    path = write_in_form(data.draw(st.sampled_from(["safetensors", "npz", "compressed npz", "index"])), directory)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(BadInput):  # any other error is one of ours
        dump = open_dump(path)
        for name in dump.names:
            with contextlib.suppress(BadInput):
                assert dump.read(name).shape == dump.shape(name)


def test_what_does_not_exist_or_is_no_dump_by_its_name_is_refused(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        open_dump(tmp_path / "none.npz")
    (tmp_path / "dump.pt").write_bytes(b"x")
    with pytest.raises(BadInput, match="no dump by its name"):
        open_dump(tmp_path / "dump.pt")


def test_a_directory_without_arrays_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(BadInput, match="holds no array"):
        open_dump(tmp_path)
