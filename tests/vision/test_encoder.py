"""The whole vision encoder: what moves, what is restored, and who sees whom."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks import UNEVEN, WIDE, random_network
from qwen25vl.config import VisionConfig
from qwen25vl.tap import SILENT, Tap
from qwen25vl.vision.encoder import encoded_vision
from qwen25vl.vision.merger import merged_tokens
from qwen25vl.vision.rope_2d import patch_coordinates, vision_rotation
from strategies import configs, grids_m

SAME = 1e-12
"""How far a part that is encoded alone may differ, relative to its largest value: the same sums, which a matrix
product of fewer rows may group otherwise. A block makes a few products of at most 128 terms; 1e-12 is 9,000
roundings. A neighbour that is seen moves 1e-3 and more."""


def encode(config, grids, *, seed=0, rows=None, ops=WIDE, tap=SILENT):
    """Encode noise, or given rows, of these grids in patches."""
    vision = config.vision
    if rows is None:
        rows = pixel_rows(config, grids, seed)
    weights = random_network(config, seed=seed).weights.at("visual")
    return encoded_vision(rows, grids, weights, config=vision, ops=ops, tap=tap)


def pixel_rows(config, grids, seed=0):
    """Noise, every patch another."""
    count = int(np.sum(np.prod(grids, axis=1)))
    return np.random.default_rng(seed).standard_normal((count, config.vision.patch_dim)).astype(np.float32)


def in_patches(config, grids):
    """Grids in merged tokens as grids in patches."""
    return grids * np.array([1, config.vision.merge_p, config.vision.merge_p])


@given(configs(), grids_m(max_media=2))
def test_w5_angles_and_patches_move_alike(config, grids):
    vision, tap = config.vision, Tap()
    patches = in_patches(config, grids)
    encode(config, patches, tap=tap)
    order = tap["window_order"]
    moved = [token * vision.merge_unit + k for token in order.tolist() for k in range(vision.merge_unit)]
    cos, sin = vision_rotation(
        patch_coordinates(patches, merge_p=vision.merge_p),
        head_dim=vision.head_dim,
        theta=vision.rope_theta,
        ops=WIDE,
    )
    np.testing.assert_array_equal(tap["rope.cos"], cos[moved])
    np.testing.assert_array_equal(tap["rope.sin"], sin[moved])
    first_norm = WIDE.rms_norm(
        tap["patch_embed.out"][moved],
        random_network(config).weights["visual.blocks.0.norm1.weight"],
        eps=vision.rms_norm_eps,
    )
    np.testing.assert_array_equal(tap["blocks.00.norm1"], first_norm)


@given(st.sets(st.integers(0, 4)), grids_m(max_media=2))
def test_w11_the_listed_blocks_attend_over_frames_and_the_others_over_windows(full, grids):
    config = replace(UNEVEN, vision=replace(UNEVEN.vision, depth=4, full_attention_blocks=tuple(sorted(full))))
    lengths, tap = [], Tap("*_starts")

    def attention(q, k, v, *, allowed=None, probs=None):
        lengths.append(len(q))
        return WIDE.attention(q, k, v, allowed=allowed, probs=probs)

    encode(config, in_patches(config, grids), ops=replace(WIDE, attention=attention), tap=tap)
    windows, frames = np.diff(tap["window_starts"]).tolist(), np.diff(tap["frame_starts"]).tolist()
    # Blocks are counted from 0; a number beyond the last block (4 here) means nothing.
    assert lengths == [length for i in range(4) for length in (frames if i in full else windows)]


@pytest.mark.parametrize(
    ("window_px", "patch_px", "merge_p", "window_m"),
    [(112, 14, 2, 4), (112, 16, 2, 3), (56, 14, 2, 2), (13, 3, 2, 2), (20, 3, 2, 3), (17, 2, 3, 2)],
)
def test_w12_a_window_is_given_in_pixels_and_rounded_down_to_merged_tokens(window_px, patch_px, merge_p, window_m):
    sizes = dict(window_px=window_px, patch_px=patch_px, merge_p=merge_p, depth=1, in_channels=1)
    config = replace(UNEVEN, vision=replace(UNEVEN.vision, **sizes))
    tap = Tap("window_starts")
    encode(config, np.array([[1, merge_p * 9, merge_p]]), tap=tap)
    # A strip of nine merged tokens falls into pieces of window_m.
    tokens = np.diff(tap["window_starts"]) // merge_p**2
    assert tokens.tolist() == [window_m] * (9 // window_m) + ([9 % window_m] if 9 % window_m else [])


@pytest.mark.parametrize("sides", [(2, 5), (5, 7), (8, 8), (1, 1), (16, 16)], ids=str)
def test_m4_merged_tokens_come_back_in_the_order_of_the_rows(sides):
    config, tap = UNEVEN, Tap()
    out = encode(config, in_patches(config, np.array([[1, *sides]])), tap=tap)
    order = tap["window_order"]
    assert len(out) == len(order) == np.prod(sides)
    for place, token in enumerate(order.tolist()):
        np.testing.assert_array_equal(out[token], tap["merger.out"][place])


@given(configs(), grids_m(max_media=2))
def test_m4_holds_for_every_shape(config, grids):
    tap = Tap("*r*")
    out = encode(config, in_patches(config, grids), tap=tap)
    np.testing.assert_array_equal(out[tap["window_order"]], tap["merger.out"])


def test_m4_the_merger_sees_the_last_block_in_window_order():
    tap = Tap()
    encode(UNEVEN, np.array([[1, 10, 14]]), tap=tap)
    weights = random_network(UNEVEN).weights.at("visual.merger")
    want = merged_tokens(tap["blocks.02.resid_post"], weights, config=UNEVEN.vision, ops=WIDE, tap=SILENT)
    np.testing.assert_array_equal(tap["merger.out"], want)


@given(configs(), grids_m(max_media=3))
def test_w6_every_frame_is_encoded_as_if_it_were_alone(config, grids):
    patches = in_patches(config, grids)
    rows = pixel_rows(config, patches)
    together = encode(config, patches, rows=rows)
    first = 0
    for T, H, W in patches.tolist():
        for _ in range(T):
            alone = encode(config, np.array([[1, H, W]]), rows=rows[first : first + H * W])
            at = first // config.vision.merge_unit
            np.testing.assert_allclose(
                together[at : at + len(alone)], alone, rtol=0, atol=SAME * np.max(np.abs(alone))
            )
            first += H * W


def test_w8_window_blocks_alone_never_mix_two_windows():
    vision = replace(UNEVEN.vision, full_attention_blocks=())
    config, grids = replace(UNEVEN, vision=vision), np.array([[1, 10, 14]])
    rows, tap = pixel_rows(config, grids), Tap("window*")
    want = encode(config, grids, rows=rows, tap=tap)
    order, starts = tap["window_order"], tap["window_starts"] // vision.merge_unit
    for first, end in pairwise(starts.tolist()):
        other = rows.copy()
        token = order[first]
        other[token * 4] += 1
        moved = np.flatnonzero(np.any(encode(config, grids, rows=other) != want, axis=1))
        assert set(moved.tolist()) == set(order[first:end].tolist())


def test_a_full_attention_block_mixes_windows_of_a_frame():
    # blindness check of the test above: with one such block everything moves
    grids = np.array([[1, 10, 14]])
    rows = pixel_rows(UNEVEN, grids)
    other = rows.copy()
    other[0] += 1
    assert np.all(np.any(encode(UNEVEN, grids, rows=other) != encode(UNEVEN, grids, rows=rows), axis=1))


def test_the_released_window_is_four_merged_tokens():
    assert VisionConfig().window_m == 4


@pytest.mark.parametrize("rows", [3, 5])
def test_rows_that_the_grids_do_not_account_for_are_refused(rows):
    with pytest.raises(ValueError, match=rf"grids \[\[1, 2, 2\]\] need 4 rows, got {rows}"):
        encode(UNEVEN, np.array([[1, 2, 2]]), rows=np.zeros((rows, UNEVEN.vision.patch_dim), np.float32))
