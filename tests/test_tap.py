"""Taps: who listens gets exactly what was asked for, and who does not pays nothing."""

from dataclasses import replace

import numpy as np
import pytest

from networks import UNEVEN, random_network, still_and_clip
from qwen25vl.model import prefill
from qwen25vl.tap import SILENT, Tap
from qwen25vl.tap_names import LEVELS, level_of

ONE = np.ones(1)


def reported(tap, *names):
    """Report one value under each name; say which were kept."""
    for name in names:
        tap(name, ONE)
    return list(tap)


def probs_given(tap):
    """Run a prompt; say in which calls of `attention` an array for probabilities was there, and its bytes."""
    given = []
    network = random_network(UNEVEN)

    def attention(q, k, v, *, allowed=None, probs=None):
        given.append(0 if probs is None else probs.nbytes)
        return network.ops.attention(q, k, v, allowed=allowed, probs=probs)

    prefill(still_and_clip(), replace(network, ops=replace(network.ops, attention=attention)), tap=tap)
    return given


def test_a_tap_keeps_what_its_glob_matches_in_the_order_of_the_reports():
    names = ("vision.blocks.01.attn.q", "vision.blocks.00.attn.q", "vision.out", "vision.blocks.01.attn.q_rope")
    assert reported(Tap("vision.blocks.??.attn.q"), *names) == list(names[:2])
    assert reported(Tap(), *names) == list(names)
    assert reported(Tap("vision.out"), *names) == ["vision.out"]
    assert reported(Tap("q"), *names) == []  # a glob is over whole ids


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        ("stages", ["vision.out"]),
        ("insides", ["vision.out", "vision.blocks.00.attn.q"]),
        ("all", ["vision.out", "vision.blocks.00.attn.q", "vision.blocks.00.attn.probs", "unheard.of"]),
    ],
)
def test_a_level_holds_those_below_it(level, kept):
    names = ("vision.out", "vision.blocks.00.attn.q", "vision.blocks.00.attn.probs", "unheard.of")
    assert reported(Tap(level), *names) == kept


def test_a_scope_stands_before_every_id_and_shares_what_is_kept():
    tap = Tap("vision.*")
    tap.at("vision").at("blocks.07")("attn.q", ONE)
    tap.at("language")("embed.out", ONE)
    assert list(tap) == ["vision.blocks.07.attn.q"]
    assert tap.at("vision").wants("out")
    assert not tap.wants("out")


def test_a_sink_gets_id_and_array_and_nothing_is_kept():
    seen = []
    tap = Tap("v*", sink=lambda name, array: seen.append((name, array)))
    tap.at("vision")("out", ONE)
    tap("logits", ONE)
    assert len(seen) == 1
    assert seen[0] == ("vision.out", ONE)
    assert seen[0][1] is ONE
    assert len(tap) == 0


def test_two_taps_keep_apart():
    first, second = Tap(), Tap()
    first("logits", ONE)
    assert (len(first), len(second)) == (1, 0)


def test_the_silent_tap_keeps_nothing_and_makes_nothing():
    assert SILENT.at("vision").at("blocks.00") is SILENT
    assert not SILENT.wants("logits")
    SILENT("logits", ONE)
    prefill(still_and_clip(), random_network(UNEVEN), tap=SILENT)
    assert len(SILENT) == 0


@pytest.mark.parametrize("pattern", ["stages", "insides", "*.attn.q", "logits", ""])
def test_no_probabilities_are_allocated_when_nobody_wants_them(pattern):
    given = probs_given(Tap(pattern))
    assert len(given) > 0
    assert not any(given)


@pytest.mark.parametrize("pattern", ["all", "*", "*.probs"])
def test_all_probabilities_are_when_somebody_does(pattern):
    assert all(probs_given(Tap(pattern)))


def test_only_the_block_that_is_wanted_allocates_them():
    given = probs_given(Tap("vision.blocks.01.attn.probs"))
    # Blocks 0 and 2 have ten windows each, block 1 has three frames, then two decoder blocks.
    assert [size > 0 for size in given] == [False] * 10 + [True] * 3 + [False] * 10 + [False] * 2


def test_what_a_tap_saw_is_never_changed_afterwards():
    def freeze(name, array):
        array.flags.writeable = False

    frozen, kept = Tap("*", sink=freeze), Tap()
    inputs, network = still_and_clip(), random_network(UNEVEN)
    prefill(inputs, network, tap=frozen)  # NumPy raises if anybody writes into a frozen array

    copies = {}
    prefill(inputs, network, tap=Tap("*", sink=lambda name, array: copies.update({name: array.copy()})))
    prefill(inputs, network, tap=kept)
    for name in kept:
        np.testing.assert_array_equal(kept[name], copies[name], err_msg=name)


def test_levels_of_a_whole_run_are_nested():
    inputs, network = still_and_clip(), random_network(UNEVEN)
    found = []
    for level in LEVELS:
        tap = Tap(level)
        prefill(inputs, network, tap=tap)
        assert all(LEVELS.index(level_of(name)) <= LEVELS.index(level) for name in tap)
        found.append(set(tap))
    assert found[0] < found[1] < found[2]


def test_an_id_that_was_not_kept_is_an_error_with_the_pattern():
    tap = Tap("vision.*")
    tap("vision.out", ONE)
    with pytest.raises(KeyError, match=r"no tap 'logits' was kept \(pattern 'vision.\*', 1 kept\)"):
        tap["logits"]
