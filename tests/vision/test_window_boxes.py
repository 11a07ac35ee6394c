"""Where windows lie: the boxes hold the tokens of `window_order`, neither more nor fewer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.vision.window_boxes import window_boxes
from qwen25vl.vision.windows import window_order
from strategies import sides_m


@given(T=st.integers(1, 3), Hm=sides_m, Wm=sides_m, window_m=st.integers(1, 5))
def test_a_box_holds_the_tokens_of_its_window(T, Hm, Wm, window_m):
    order, starts = window_order(np.array([[T, Hm, Wm]]), window_m=window_m)
    token = np.arange(T * Hm * Wm).reshape(T, Hm, Wm)
    boxes = window_boxes((T, Hm, Wm), window_m=window_m)
    assert len(boxes) == len(starts) - 1
    for i, (t, top, left, height, width) in enumerate(boxes.tolist()):
        inside = token[t, top : top + height, left : left + width].ravel()
        np.testing.assert_array_equal(inside, order[starts[i] : starts[i + 1]])


def test_a_grid_of_5_by_7_by_hand():
    assert window_boxes((1, 5, 7), window_m=4).tolist() == [
        [0, 0, 0, 4, 4],
        [0, 0, 4, 4, 3],
        [0, 4, 0, 1, 4],
        [0, 4, 4, 1, 3],
    ]


def test_an_empty_grid_is_refused():
    with pytest.raises(ValueError, match="positive sides"):
        window_boxes((1, 0, 7), window_m=4)
