"""Operations as one value: whatever is put in there is what the model computes with, everywhere."""

from collections import Counter
from dataclasses import fields, replace

import numpy as np

from networks import UNEVEN, random_network, still_and_clip
from qwen25vl.model import decode_step, prefill, vocabulary_scores
from qwen25vl.ops import REFERENCE, Ops
from qwen25vl.precision import FLOAT32

FUNCTIONS = [field.name for field in fields(Ops) if field.name != "precision"]


def counting(ops):
    """The same operations, each counted when it is called."""
    counts = Counter()

    def counted(name):
        def call(*args, **kwargs):
            counts[name] += 1
            return getattr(ops, name)(*args, **kwargs)

        return call

    return replace(ops, **{name: counted(name) for name in FUNCTIONS}), counts


def test_every_operation_of_the_model_goes_through_the_value():
    network, inputs = random_network(UNEVEN), still_and_clip()
    ops, counts = counting(network.ops)
    counted = replace(network, ops=ops)
    hidden, cache = prefill(inputs, counted)
    vocabulary_scores(hidden, counted)
    vision, text = UNEVEN.vision.depth, UNEVEN.text.num_hidden_layers
    # Windows of 2 x 2 merged tokens: the 5 x 3 picture has 6, each of the two 2 x 3 frames 2; three frames.
    windows, frames, full = 6 + 2 * 2, 3, 1
    assert counts == {
        # patch embedding; qkv, proj, gate, up, down; merger; q, k, v, o, gate, up, down; head
        "linear": 1 + 5 * vision + 2 + 7 * text + 1,
        # two per block, merger, final
        "rms_norm": 2 * vision + 1 + 2 * text + 1,
        "rotated": 2 * vision,
        "rotated_in_steps": 2 * text,
        "attention": windows * (vision - full) + frames * full + text,
        "silu": vision + text,
        "gelu": 1,
        # twice per block to the residual stream; gate and up
        "added": 2 * vision + 2 * text,
        "multiplied": vision + text,
        # once for each tower's angles
        "cos": 2,
        "sin": 2,
    }
    counts.clear()
    decode_step(np.array([20]), cache, counted, delta=0)
    assert counts == {
        "linear": 7 * text,
        "rms_norm": 2 * text + 1,
        "rotated_in_steps": 2 * text,
        "attention": text,
        "silu": text,
        "added": 2 * text,
        "multiplied": text,
        "cos": 1,
        "sin": 1,
    }


def test_counting_changes_nothing():
    # blindness check of the test above
    network, inputs = random_network(UNEVEN), still_and_clip()
    ops, _ = counting(network.ops)
    want, _ = prefill(inputs, network)
    got, _ = prefill(inputs, replace(network, ops=ops))
    np.testing.assert_array_equal(got, want)


def test_the_reference_is_the_default():
    assert Ops() == REFERENCE
    assert REFERENCE.precision is FLOAT32
