"""Section 15: what somebody knows to be wrong does not count, and a line that is out of date is reported."""

import pytest

from qwen25vl.errors import BadInput
from qwen25vl.port.verdicts import PartVerdict
from qwen25vl.port.xfails import Xfails, read_xfails

PARTS = [
    PartVerdict("one", "logits", "wrong", "scale"),
    PartVerdict("one", "vision.out", "noise", "noise"),
    PartVerdict("two", "logits", "missing", "other"),
    PartVerdict("two", "vision.out", "suspicious", "other"),
]


def test_x30_what_is_expected_to_fail_and_does_is_named(tmp_path):
    file = tmp_path / "known.txt"
    file.write_text("# ours\n\none/logits   # a scale that we know\n*/vision.*\n")
    xfails = read_xfails(file)
    assert xfails.globs == ("one/logits", "*/vision.*")
    assert xfails.expected(PARTS, judged=["one", "two"]) == (("one/logits", "two/vision.out"), ())


def test_x30_a_line_that_nothing_fits_any_more_is_reported(tmp_path):
    lines = ("one/vision.out", "two/*", "three/logits")
    known, stale = Xfails("known.txt", lines).expected(PARTS, judged=["one", "two"])  # three was not looked at
    assert known == ("two/logits", "two/vision.out")
    assert len(stale) == 1
    assert "'one/vision.out'" in stale[0]
    assert "known.txt" in stale[0]


def test_a_line_that_names_no_case_is_refused(tmp_path):
    file = tmp_path / "known.txt"
    file.write_text("one/logits\nlogits\n")
    with pytest.raises(BadInput, match="line 2: 'logits' has no '/'"):
        read_xfails(file)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"gone\.txt"):
        read_xfails(tmp_path / "gone.txt")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="cannot be read"):
        read_xfails(tmp_path / "bytes")
