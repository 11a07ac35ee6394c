"""The numbers of a model: what follows from them, and what cannot be."""

from dataclasses import FrozenInstanceError, replace

import pytest

from qwen25vl.config import (
    QWEN25_VL_3B,
    QWEN25_VL_7B,
    QWEN25_VL_32B,
    QWEN25_VL_72B,
    TINY,
    Config,
    TextConfig,
    VisionConfig,
)
from qwen25vl.errors import BadInput

RELEASED = {"3B": QWEN25_VL_3B, "7B": QWEN25_VL_7B, "32B": QWEN25_VL_32B, "72B": QWEN25_VL_72B}
released = pytest.mark.parametrize("config", RELEASED.values(), ids=RELEASED)


@released
def test_every_release_has_the_vision_encoder_of_the_paper(config):
    """Table 1 and section 2.1.1, but for the width of the MLP: see the traps of the page."""
    vision = config.vision
    assert (vision.depth, vision.hidden_size, vision.num_heads, vision.head_dim) == (32, 1280, 16, 80)
    assert (vision.patch_px, vision.temporal_patch_f, vision.merge_p, vision.merge_unit) == (14, 2, 2, 4)
    assert (vision.window_px, vision.window_m, vision.factor_px) == (112, 4, 28)
    assert vision.full_attention_blocks == (7, 15, 23, 31)
    assert vision.patch_dim == 1176
    assert vision.tokens_per_second == 2


@released
def test_every_release_has_heads_of_128_and_the_same_rotary_settings(config):
    text = config.text
    assert text.head_dim == 128
    assert (text.rope_theta, text.mrope_section) == (1e6, (16, 24, 24))
    assert (text.rms_norm_eps, text.max_position_embeddings) == (1e-6, 128_000)


def test_the_releases_differ_in_these_numbers_only():
    """The tables of tensors in 72B order: width, layers, heads, kv heads, MLP, rows, vision MLP, tied."""
    found = {
        name: (
            c.text.hidden_size,
            c.text.num_hidden_layers,
            c.text.num_attention_heads,
            c.text.num_key_value_heads,
            c.text.intermediate_size,
            c.text.vocab_size,
            c.vision.intermediate_size,
            c.tie_word_embeddings,
        )
        for name, c in RELEASED.items()
    }
    assert found == {
        "3B": (2048, 36, 16, 2, 11008, 151936, 3420, True),
        "7B": (3584, 28, 28, 4, 18944, 152064, 3420, False),
        "32B": (5120, 64, 40, 8, 27648, 152064, 3456, False),
        "72B": (8192, 80, 64, 8, 29568, 152064, 3456, False),
    }
    assert [c.text.heads_per_kv for c in RELEASED.values()] == [8, 7, 5, 8]


def test_tiny_confuses_no_two_sizes():
    """A port that mixes up two widths must fail on it, so no two of them are equal."""
    vision, text = TINY.vision, TINY.text
    sizes = [
        vision.hidden_size,
        vision.intermediate_size,
        vision.head_dim,
        vision.hidden_size * vision.merge_unit,
        text.hidden_size,
        text.intermediate_size,
        text.vocab_size,
    ]
    assert len(set(sizes)) == len(sizes)
    assert vision.window_m == 3
    assert len(set(text.mrope_section)) == 3


def test_a_config_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        TINY.text.vocab_size = 5


VISION, TEXT = VisionConfig(), TextConfig()
IMPOSSIBLE = {
    "no blocks": (lambda: replace(VISION, depth=0), "depth must be positive, got 0"),
    "heads that do not divide": (lambda: replace(VISION, num_heads=12), "hidden_size 1280 over num_heads 12"),
    "a vision head width of 10": (lambda: replace(VISION, num_heads=128), "a multiple of 4"),
    "a window given in tokens": (lambda: replace(VISION, window_px=4), "window_size 4 is in pixels"),
    "negative eps": (lambda: replace(TEXT, rms_norm_eps=-1e-6), "rms_norm_eps must be positive"),
    "text heads that do not divide": (
        lambda: replace(TEXT, num_attention_heads=27),
        "over num_attention_heads",
    ),
    "shared heads that do not divide": (
        lambda: replace(TEXT, num_key_value_heads=3),
        "multiple of num_key_value",
    ),
    "rotary sections": (
        lambda: replace(TEXT, mrope_section=(16, 24, 23)),
        "must sum to half the head width, 64",
    ),
    "towers that do not fit": (
        lambda: Config(vision=replace(VISION, out_hidden_size=2048)),
        "out_hidden_size 2048 must equal the language model's hidden_size 3584",
    ),
    "a pad without a row": (lambda: Config(image_token_id=152064), "image_token_id 152064 must lie below"),
    "a negative id": (lambda: Config(eos_token_id=-1), "eos_token_id -1 must lie below"),
}


@pytest.mark.parametrize("fault", IMPOSSIBLE)
def test_c27_a_model_that_cannot_be_built_is_refused(fault):
    build, message = IMPOSSIBLE[fault]
    with pytest.raises(BadInput, match=message):
        build()
