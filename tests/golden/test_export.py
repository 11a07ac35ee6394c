"""Section 15: an export holds the same parts, and a second one the same bytes."""

import io
import json
import zipfile

import numpy as np
import pytest

from qwen25vl.golden.corpus_read import open_goldens
from qwen25vl.golden.export import EXPORTS, UNFINISHED, write_export, write_npz
from small_corpus import FEW, contents, written

BIN_DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "U8": "|u1", "BOOL": "|b1"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus") / "c"
    written(out, exports=("npz", "bin"))
    return out


def test_x23_an_npz_holds_every_part_and_numpy_reads_it(corpus):
    for case in open_goldens(corpus)[0]:
        with np.load(case.directory / "parts.npz") as found:
            assert list(found) == list(case.parts)
            for name in found:
                assert found[name].dtype == case.parts[name].dtype
                np.testing.assert_array_equal(found[name], case.parts[name])


def test_x23_a_reader_of_lines_finds_every_part_in_bin(corpus):
    """As a C program does: it splits a line at blanks, and takes bytes."""
    for case in open_goldens(corpus)[0]:
        folder = case.directory / "bin"
        lines = (folder / "index.txt").read_text().splitlines()
        assert [line.split(" ")[0] for line in lines] == list(case.parts)
        for line in lines:
            name, kind, ndim, *rest = line.split(" ")
            assert len(rest) == int(ndim) + 2
            shape, offset, file = [*map(int, rest[:-2])], int(rest[-2]), rest[-1]
            assert offset % 8 == 0
            dtype = np.dtype(BIN_DTYPES[kind])
            content = (folder / file).read_bytes()[offset : offset + int(np.prod(shape)) * dtype.itemsize]
            np.testing.assert_array_equal(np.frombuffer(content, dtype).reshape(shape), case.parts[name])


def test_x23_both_indices_of_bin_say_the_same(corpus):
    folder = corpus / FEW[2] / "bin"
    index = json.loads((folder / "index.json").read_text())
    assert (index["schema"], index["schema_version"]) == ("qwen25vl-bin", "1.0.0")
    lines = [
        " ".join(
            map(str, [one["name"], one["dtype"], len(one["shape"]), *one["shape"], one["offset"], one["file"]])
        )
        for one in index["tensors"]
    ]
    assert lines == (folder / "index.txt").read_text().splitlines()


def test_x23_a_second_run_exports_the_same_bytes(corpus, tmp_path):
    written(tmp_path / "again", exports=("bin", "npz"))
    assert contents(tmp_path / "again") == contents(corpus)


def test_x23_an_export_of_what_is_finished_computes_nothing(tmp_path):
    written(tmp_path / "c")
    plain = contents(tmp_path / "c")
    corpus = written(tmp_path / "c", exports=("npz",))
    assert corpus.written == ()
    found = contents(tmp_path / "c")
    assert {name for name in found if name not in plain} == {f"{case}/parts.npz" for case in FEW}
    assert all(found[name] == plain[name] for name in plain if name != "corpus.json")
    assert [entry["exports"] for entry in corpus.listed["cases"]] == [["npz"]] * 3


@pytest.mark.parametrize("form", EXPORTS)
def test_x23_an_older_export_is_replaced_and_one_that_was_cut_short_goes(tmp_path, corpus, form):
    written(tmp_path / "c", FEW[:1], exports=(form,))
    case = tmp_path / "c" / FEW[0]
    want = contents(case)
    target = case / EXPORTS[form]
    (target if target.is_file() else target / "index.txt").write_text("rubbish")
    (case / UNFINISHED).mkdir()
    (case / UNFINISHED / "data.bin").write_text("rubbish")
    write_export(case, open_goldens(case)[0][0].manifest, form=form)
    assert contents(case) == want


def test_x22_x23_a_case_that_is_written_anew_loses_exports_that_were_of_the_older_one(tmp_path):
    written(tmp_path / "c", FEW[2:], exports=("npz", "bin"))
    written(tmp_path / "c", FEW[2:], taps="stages")
    assert not (tmp_path / "c" / FEW[2] / "parts.npz").exists()
    assert not (tmp_path / "c" / FEW[2] / "bin").exists()


def test_x23_an_npz_names_no_time(tmp_path):
    write_npz(tmp_path / "a.npz", {"a": np.arange(3)})
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        (entry,) = archive.infolist()
    assert entry.date_time == (1980, 1, 1, 0, 0, 0)
    assert entry.compress_type == zipfile.ZIP_STORED
    with np.load(io.BytesIO((tmp_path / "a.npz").read_bytes()), allow_pickle=False) as found:
        np.testing.assert_array_equal(found["a"], [0, 1, 2])
