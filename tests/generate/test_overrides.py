"""What a caller makes of a checkpoint's settings."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.errors import BadInput
from qwen25vl.generate.overrides import SHAPING, chosen_settings
from qwen25vl.generate.settings import GREEDY, GenerationSettings

RELEASED = GenerationSettings(do_sample=True, temperature=1e-6, repetition_penalty=1.05)
SILENT = GenerationSettings(repetition_penalty=1.1)
"""A checkpoint that does not ask for sampling."""

VALUES = {"temperature": 0.7, "top_k": 5, "top_p": 0.9, "min_p": 0.1, "repetition_penalty": 1.3}


@pytest.mark.parametrize("checkpoint", [RELEASED, SILENT])
def test_g15_without_a_word_the_checkpoints_settings_stay(checkpoint):
    assert chosen_settings(checkpoint) == checkpoint


@pytest.mark.parametrize("key", VALUES)
def test_g15_each_value_takes_the_place_of_the_checkpoints_and_no_other(key):
    assert chosen_settings(RELEASED, **{key: VALUES[key]}) == replace(RELEASED, **{key: VALUES[key]})


def test_g15_a_value_that_is_zero_is_given_too():
    assert chosen_settings(RELEASED, top_k=0).top_k == 0
    assert chosen_settings(replace(RELEASED, top_p=0.5), top_p=0.0).top_p == 0
    assert chosen_settings(replace(RELEASED, min_p=0.5), min_p=0.0).min_p == 0


@pytest.mark.parametrize("key", SHAPING)
def test_g15_whoever_gives_a_value_for_drawing_wants_draws(key):
    assert not SILENT.draws
    assert chosen_settings(SILENT, **{key: VALUES[key]}).draws
    assert not chosen_settings(SILENT, repetition_penalty=1.3).draws


def test_g15_greedy_leaves_out_draws_and_penalty():
    assert chosen_settings(RELEASED, greedy=True) == GREEDY
    assert not GREEDY.draws
    assert GREEDY.repetition_penalty == 1
    penalised = chosen_settings(RELEASED, greedy=True, repetition_penalty=1.3)
    assert penalised == replace(GREEDY, repetition_penalty=1.3)


def test_g15_temperature_zero_takes_the_best_behind_the_checkpoints_penalty():
    found = chosen_settings(RELEASED, temperature=0.0)
    assert not found.draws
    assert found.repetition_penalty == RELEASED.repetition_penalty


@pytest.mark.parametrize("key", SHAPING)
def test_g15_greedy_with_a_value_for_drawing_is_refused(key):
    with pytest.raises(
        BadInput, match=rf"^greedy decoding takes the best score each time, where {key} has no effect"
    ):
        chosen_settings(RELEASED, greedy=True, **{key: VALUES[key]})


@pytest.mark.parametrize("key", ["top_k", "top_p", "min_p"])
def test_g15_temperature_zero_with_another_value_for_drawing_is_refused(key):
    with pytest.raises(
        BadInput, match=rf"^temperature 0 takes the best score each time, where {key} has no effect"
    ):
        chosen_settings(RELEASED, temperature=0.0, **{key: VALUES[key]})


@pytest.mark.parametrize("do_sample", [True, False])
@pytest.mark.parametrize("key", ["top_k", "top_p", "min_p"])
def test_g15_under_a_checkpoints_temperature_zero_a_value_for_drawing_is_refused(key, do_sample):
    cold = GenerationSettings(do_sample=do_sample, temperature=0.0)
    with pytest.raises(
        BadInput,
        match=rf"^the temperature 0 of the checkpoint's generation_config.json takes the best score each time, "
        rf"where {key} has no effect; give a temperature above 0, too, or leave it out$",
    ):
        chosen_settings(cold, **{key: VALUES[key]})
    assert chosen_settings(cold, temperature=0.5, **{key: VALUES[key]}).draws
    assert not chosen_settings(cold, repetition_penalty=1.3).draws
    assert chosen_settings(cold) == cold


@given(
    checkpoint=st.builds(
        GenerationSettings, do_sample=st.booleans(), temperature=st.sampled_from([0.0, 1e-6, 1.0])
    ),
    asked=st.fixed_dictionaries({}, optional={key: st.just(value) for key, value in VALUES.items()}),
)
def test_g15_a_value_for_drawing_is_drawn_with_or_refused(checkpoint, asked):
    wants = [key for key in SHAPING if key in asked]
    try:
        found = chosen_settings(checkpoint, **asked)
    except BadInput:
        assert wants
        assert "temperature" not in asked
        assert checkpoint.temperature == 0
    else:
        assert found.draws if wants else found.draws == checkpoint.draws


def test_g14_what_the_checkpoint_asks_for_beyond_the_specification_is_refused_unless_greedy():
    checkpoint = replace(RELEASED, unsupported=("num_beams = 4", "typical_p = 0.9"))
    with pytest.raises(
        BadInput, match=r"generation_config.json asks for num_beams = 4, typical_p = 0.9, which is not part"
    ):
        chosen_settings(checkpoint)
    assert chosen_settings(checkpoint, greedy=True) == GREEDY


def test_g13_a_value_out_of_range_is_refused():
    with pytest.raises(BadInput, match=r"^top_p must be a number from 0 to 1, got 1.5; 1 switches it off$"):
        chosen_settings(RELEASED, top_p=1.5)
