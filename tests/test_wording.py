"""How values and names look in a sentence."""

import pytest
from hypothesis import given

from bad_input.faults import values
from qwen25vl.wording import named, shown


@given(value=values)
def test_a_value_is_short_and_in_one_line(value):
    text = shown(value)
    assert 0 < len(text) <= 60
    assert text.isprintable()


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), ("a\n", '"a\\n"'), ([1, "x"], '[1, "x"]'), (10**5000, "a int")],
    ids=lambda value: str(type(value)),
)
def test_a_value_is_shown_as_json(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model.norm.weight", "model.norm.weight"),
        ("a\nb", '"a\\nb"'),
        ("\ud800", '"\\ud800"'),
        ("x" * 120, "x" * 120),
        ("x" * 121, '"' + "x" * 116 + "..."),
    ],
)
def test_a_name_is_left_alone_unless_it_would_break_the_sentence(name, text):
    assert named(name) == text
