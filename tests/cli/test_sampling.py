"""Options that say how an answer is decoded: what they read, and what they stand for."""

import argparse

import pytest

from qwen25vl.cli.sampling import SETTINGS, add_sampling_options, sampling_arguments
from qwen25vl.generate.ranges import RANGES


def arguments(*options):
    """What options become."""
    parser = argparse.ArgumentParser()
    add_sampling_options(parser)
    return sampling_arguments(parser.parse_args([str(option) for option in options]))


def test_every_setting_has_an_option():
    assert set(SETTINGS) == set(RANGES)


def test_what_is_not_given_is_left_to_the_checkpoint():
    assert arguments() == {"greedy": False, "seed": 0, "num_return_sequences": 1, **dict.fromkeys(SETTINGS)}


def test_numbers_become_numbers():
    found = arguments("--temperature", "1e-6", "--top-k", 5, "--top-p", 1, "--seed", 2**64 - 1, "--greedy")
    assert (found["temperature"], found["top_k"], found["top_p"]) == (1e-6, 5, 1.0)
    assert (found["seed"], found["greedy"]) == (2**64 - 1, True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--temperature", "warm"), "--temperature: need a number, got 'warm'"),
        (("--top-p", ""), "--top-p: need a number, got ''"),
        (("--top-k", "-1"), "--top-k: need a whole number of at least 0, got '-1'"),
        (("--seed", "1.5"), "--seed: need a whole number of at least 0, got '1.5'"),
        (("--num-return-sequences", "²"), "--num-return-sequences: need a whole number of at least 1, got '²'"),
    ],
)
def test_what_is_no_number_is_refused(capsys, options, says):
    with pytest.raises(SystemExit) as end:
        arguments(*options)
    assert end.value.code == 2
    assert says in capsys.readouterr().err
