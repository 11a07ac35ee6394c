"""Inputs: one row of a batch is what the prompt alone is."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks import UNEVEN, still_and_clip
from strategies import configs, joined_inputs, made_inputs, prompts


def text_only(count, *, config=UNEVEN):
    return made_inputs(config, [20] * count, [], [], [], np.random.default_rng(0))


def assert_equal(got, want):
    for field in fields(want):
        if field.name not in ("pictures", "clips", "media_counts"):
            one, other = getattr(got, field.name), getattr(want, field.name)
            np.testing.assert_array_equal(one, other, err_msg=field.name)
            if isinstance(other, np.ndarray):
                assert one.dtype == other.dtype, field.name


@given(data=st.data(), config=configs())
def test_d13_a_row_of_a_batch_is_the_prompt_alone(data, config):
    rows = data.draw(st.lists(prompts(config), min_size=1, max_size=3))
    side = data.draw(st.sampled_from(["left", "right"]))
    batch = joined_inputs(config, rows, side=side, extra=data.draw(st.integers(0, 2)))
    for b, row in enumerate(rows):
        assert_equal(batch.row(b), row)


@pytest.mark.parametrize("side", ["left", "right"])
def test_d13_delta_of_a_row_counts_from_its_own_length(side):
    batch = joined_inputs(UNEVEN, [still_and_clip(), text_only(3)], side=side, extra=1)
    length = still_and_clip().ids.shape[1] + 1
    assert batch.ids.shape == (2, length)
    assert batch.delta.tolist() == [int(still_and_clip().delta[0]) - 1, 3 - length]
    assert [int(batch.row(b).delta[0]) for b in (0, 1)] == [int(still_and_clip().delta[0]), 0]


def test_the_only_row_of_an_unpadded_prompt_is_itself():
    inputs = still_and_clip()
    assert inputs.row(0) is inputs
