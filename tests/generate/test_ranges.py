"""Which values a setting may have."""

import numpy as np
import pytest

from qwen25vl.errors import BadInput
from qwen25vl.generate.ranges import RANGES, checked_values
from qwen25vl.wording import shown

INSIDE = {
    "temperature": [0, 1e-15, 1e-6, 1, 1e15, np.float32(0.5)],
    "top_k": [0, 1, 10**9, np.int64(3)],
    "top_p": [0, 1, 0.001],
    "min_p": [0, 1, 0.5],
    "repetition_penalty": [1e-15, 1, 1.05, 1e15],
}
OUTSIDE = {
    "temperature": [-0.1, 1e-16, 1e16, float("nan"), float("inf"), "1", True, None, [1]],
    "top_k": [-1, 1.0, "5", False, 2**0.5],
    "top_p": [-0.001, 1.001, float("nan"), True, "0.5"],
    "min_p": [-0.001, 1.001, float("nan"), False],
    "repetition_penalty": [0, -1, 1e-16, 1e16, float("nan"), float("inf"), True],
}


def test_every_setting_is_tried():
    assert set(INSIDE) == set(OUTSIDE) == set(RANGES)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key in INSIDE for value in INSIDE[key]], ids=str)
def test_g13_values_in_range_become_plain_numbers(key, value):
    (checked,) = checked_values({key: value}).values()
    assert checked == value
    assert type(checked) is (int if key == "top_k" else float)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key in OUTSIDE for value in OUTSIDE[key]], ids=str)
def test_g13_values_out_of_range_are_refused_with_the_range(key, value):
    words, _, neutral = RANGES[key]
    with pytest.raises(BadInput) as refusal:
        checked_values({key: value}, where="file: ")
    assert str(refusal.value) == f"file: {key} must be {words}, got {shown(value)}; {neutral} switches it off"
