"""Tables of plain text."""

import pytest

from qwen25vl.table import aligned, byte_text, count_text, labelled, size_text


def test_columns_are_two_spaces_apart_and_numbers_flush_right():
    rows = [("name", "count", "note"), ("a", "7", ""), ("long name", "1,000", "x")]
    assert aligned(rows, right=(1,), indent=1) == (
        " name       count  note\n a              7\n long name  1,000  x"
    )


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (16_584_333_312, "16.6 GB"), (2_500_000, "2.5 MB")],
)
def test_bytes_are_said_in_decimal_units(count, text):
    assert byte_text(count) == text


def test_one_thing_is_not_many():
    assert [count_text(n, "patch", "patches") for n in (0, 1, 1380)] == ["0 patches", "1 patch", "1,380 patches"]
    assert count_text(2, "token") == "2 tokens"


def test_a_size_is_said_width_first():
    assert size_text([427, 640]) == "640 x 427"


def test_a_label_stands_before_the_first_line_only():
    assert labelled("files", ["a", "b"]) == [("files", "a"), ("", "b")]
    assert labelled("files", []) == []
