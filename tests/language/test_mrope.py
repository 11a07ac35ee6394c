"""MRoPE: positions are integers and compared exactly; angles are products of given numbers.

For pictures transformers 5.23.0 is the oracle. For video it is not: what it does with the text behind a video
(and, from version to version, with time) deviates from the authors' own code, which is normative here. So video
is compared with `looped_positions`, which walks over the tokens one by one and shares nothing with the code.

Literal positions named "survey" were computed from the authors' formula by a script of its own, before this code
was written, in a survey of what ports get wrong.
"""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.config import TextConfig
from qwen25vl.language.mrope import block_positions, mrope_positions, mrope_rotation
from qwen25vl.layers.rotary import inverse_frequencies
from qwen25vl.ops import reference_ops
from qwen25vl.precision import FLOAT32, FLOAT64
from strategies import SPECIAL_IDS, batches, configs, position_arrays

IMAGE, VIDEO = SPECIAL_IDS["image_token_id"], SPECIAL_IDS["video_token_id"]
WIDE = reference_ops(FLOAT64)


def float32(number):
    """Round to float32, without NumPy."""
    return struct.unpack("f", struct.pack("f", number))[0]


def looped_positions(config, batch):
    """Positions and delta, token by token: what get_rope_index of 4.49.0 to 4.51.3 does, as a plain loop."""
    merge_p, tps = config.vision.merge_p, config.vision.tokens_per_second
    images = [(*grid, 0.0) for grid in batch.image_grids.tolist()]
    videos = [
        (*grid, s) for grid, s in zip(batch.video_grids.tolist(), batch.second_per_grid.tolist(), strict=True)
    ]
    positions, delta = [], []
    for ids, mask in zip(batch.ids.tolist(), batch.mask.tolist(), strict=True):
        row, begin, largest, inside = [], 0, -1, None
        for token, real in zip(ids, mask, strict=True):
            if not real:
                row.append((1, 1, 1))
                continue
            if token not in (IMAGE, VIDEO):
                here = (largest + 1,) * 3
            else:
                if inside is None:  # the first token of a medium
                    inside, k = (images if token == IMAGE else videos).pop(0), 0
                    begin = largest + 1
                T, H, W, seconds = inside
                height, width = H // merge_p, W // merge_p
                # A product of two float32 numbers is exact in a Python float, and rounded once by float32().
                time = int(float32(float32(k // (height * width) * float32(seconds)) * tps))
                here = (begin + time, begin + k // width % height, begin + k % width)
                k += 1
                if k == T * height * width:
                    inside = None
            row.append(here)
            # The largest so far counts for the next text; within a medium `begin` stays.
            largest = max(largest, *here)
        positions.append(row)
        delta.append(largest + 1 - len(ids))
    return np.array(positions, dtype=np.int64).transpose(2, 0, 1), np.array(delta, dtype=np.int64)


def positions_of(config, batch):
    """Run the function under test."""
    vision = config.vision
    return mrope_positions(
        *position_arrays(batch),
        image_token_id=config.image_token_id,
        video_token_id=config.video_token_id,
        merge_p=vision.merge_p,
        tokens_per_second=vision.tokens_per_second,
    )


def released(ids, *, images=(), videos=(), seconds=(), mask=None, tokens_per_second=2):
    """Positions and delta with the released constants; grids in merged tokens."""

    def grids(rows):
        return np.array(rows, dtype=np.int64).reshape(-1, 3) * np.array([1, 2, 2])

    ids = np.atleast_2d(np.array(ids, dtype=np.int64))
    return mrope_positions(
        ids,
        np.ones(ids.shape, dtype=bool) if mask is None else np.array(mask, dtype=bool),
        grids(images),
        grids(videos),
        np.array(seconds, dtype=np.float64),
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        merge_p=2,
        tokens_per_second=tokens_per_second,
    )


# ------------------------------------------------------------------------------------------- text


@given(st.integers(1, 20))
def test_t1_text_alone_counts_on_with_three_equal_positions(length):
    positions, delta = released([20] * length)
    assert positions[:, 0].tolist() == [list(range(length))] * 3
    assert delta.tolist() == [0]


# ------------------------------------------------------------------------------- pictures, by hand


def test_t1_t2_t3_two_pictures_between_text():
    # Survey.
    ids = [20, 21, 5, *[IMAGE] * 4, 22, 5, *[IMAGE] * 4, 23]
    positions, delta = released(ids, images=[(1, 2, 2), (1, 2, 2)])
    assert positions[:, 0].tolist() == [
        [0, 1, 2, 3, 3, 3, 3, 5, 6, 7, 7, 7, 7, 9],
        [0, 1, 2, 3, 3, 4, 4, 5, 6, 7, 7, 8, 8, 9],
        [0, 1, 2, 3, 4, 3, 4, 5, 6, 7, 8, 7, 8, 9],
    ]
    assert delta.tolist() == [-4]


def test_t2_a_picture_starts_where_the_text_before_it_ended():
    positions, _ = released([20, 5, *[IMAGE] * 10, 21], images=[(1, 2, 5)])
    assert positions[:, 0, 2].tolist() == [2, 2, 2]
    at_once, _ = released([*[IMAGE] * 10, 21], images=[(1, 2, 5)])
    assert at_once[:, 0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("sides", [(2, 5), (5, 2)], ids=str)
def test_t3_text_goes_on_behind_the_largest_of_all_axes(sides):
    # Survey: next text 7, whichever side is the long one; delta -5.
    Hm, Wm = sides
    positions, delta = released([20, 5, *[IMAGE] * 10, 21], images=[(1, Hm, Wm)])
    assert positions[0, 0, 2:12].tolist() == [2] * 10
    assert sorted(set(positions[1, 0, 2:12].tolist())) == list(range(2, 2 + Hm))
    assert sorted(set(positions[2, 0, 2:12].tolist())) == list(range(2, 2 + Wm))
    assert positions[:, 0, 12].tolist() == [7, 7, 7]
    assert delta.tolist() == [-5]


def test_t3_neighbouring_pictures_follow_each_other_without_text():
    positions, _ = released([IMAGE] * 6 + [IMAGE] * 2 + [20], images=[(1, 2, 3), (1, 1, 2)])
    assert positions[:, 0].tolist() == [
        [0, 0, 0, 0, 0, 0, 3, 3, 5],
        [0, 0, 0, 1, 1, 1, 3, 3, 5],
        [0, 1, 2, 0, 1, 2, 3, 4, 5],
    ]


# ------------------------------------------------------------------------------------ video, by hand


def test_t3_t6_text_behind_a_video_starts_behind_its_time_too():
    # Survey: two rows of time, 2 x 3 merged, 1 frame per second, 15 tokens of text before.
    positions, delta = released([20] * 15 + [VIDEO] * 12 + [21], videos=[(2, 2, 3)], seconds=[2.0])
    assert positions[0, 0, 15:].tolist() == [15] * 6 + [19] * 6 + [20]
    assert positions[:, 0, 27].tolist() == [20, 20, 20]
    assert delta.tolist() == [-7]


def test_t4_tokens_of_a_video_come_by_frame_row_and_column():
    time, height, width = block_positions((2, 3, 2), second_per_grid=1.0, tokens_per_second=5).tolist()
    assert time == [0] * 6 + [5] * 6
    assert height == [0, 0, 1, 1, 2, 2] * 2
    assert width == [0, 1] * 6


# Survey: eight rows of time, temporal patch 2, tokens_per_second 2.
TIMES = {
    1.5: [0, 2, 5, 8, 10, 13, 16, 18],
    2: [0, 2, 4, 6, 8, 10, 12, 14],
    3: [0, 1, 2, 4, 5, 6, 8, 9],
    4: [0, 1, 2, 3, 4, 5, 6, 7],
    8: [0, 0, 1, 1, 2, 2, 3, 3],
    24: [0, 0, 0, 0, 0, 0, 1, 1],
}


@pytest.mark.parametrize("fps", TIMES)
def test_t6_time_is_truncated_behind_the_product(fps):
    time, _, _ = block_positions((8, 1, 1), second_per_grid=2 / fps, tokens_per_second=2)
    assert time.tolist() == TIMES[fps]


@pytest.mark.parametrize(
    ("fps", "tokens_per_second", "row", "time"),
    [
        (25, 5, 5, 1),  # 5 x 0.08 x 5 = 2, but 0.39999998 x 5 = 1.9999999; tokens_per_second first, or float64: 2
        (1.5, 3, 7, 28),  # 7 x 1.3333334 x 3: in float64 27.9999.., in float32 28
    ],
)
def test_t5_time_is_two_float32_products_seconds_first(fps, tokens_per_second, row, time):
    # Computed by `looped_positions`' formula over all rows, rates and orders; see also the oracle below.
    got = block_positions((row + 1, 1, 1), second_per_grid=2 / fps, tokens_per_second=tokens_per_second)
    assert got[0, row] == time == int(float32(float32(row * float32(2 / fps)) * tokens_per_second))


def test_t5_a_picture_has_no_time():
    positions, _ = released([20, *[IMAGE] * 12], images=[(3, 2, 2)], tokens_per_second=7)
    assert set(positions[0, 0, 1:].tolist()) == {1}


# -------------------------------------------------------------------------------- batches and padding


@pytest.mark.parametrize("side", ["left", "right"])
def test_t7_t9_padding_keeps_a_position_of_one_and_delta_counts_it(side):
    text, pad = [20, *[IMAGE] * 6, 21], [IMAGE] * 3
    mask = [True] * 8
    ids, mask = (pad + text, [False] * 3 + mask) if side == "left" else (text + pad, mask + [False] * 3)
    positions, delta = released(ids, images=[(1, 2, 3)], mask=[mask])
    alone, alone_delta = released(text, images=[(1, 2, 3)])
    np.testing.assert_array_equal(positions[:, 0, mask], alone[:, 0])
    assert np.all(positions[:, 0, ~np.array(mask)] == 1)
    # Largest position 4, so decoding goes on with 5, at index 11 of the padded sequence.
    assert positions.max() == 4
    assert delta.tolist() == [5 - 11]
    assert alone_delta.tolist() == [5 - 8]


def test_t8_grids_run_on_through_the_batch():
    ids = [[20, *[IMAGE] * 2, *[VIDEO] * 2, 21], [*[VIDEO] * 3, *[IMAGE] * 3]]
    positions, _ = released(ids, images=[(1, 1, 2), (1, 3, 1)], videos=[(2, 1, 1), (3, 1, 1)], seconds=[1.0, 0.5])
    assert positions.transpose(1, 0, 2).tolist() == [
        [[0, 1, 1, 3, 5, 6], [0, 1, 1, 3, 3, 6], [0, 1, 2, 3, 3, 6]],
        [[0, 1, 2, 3, 3, 3], [0, 0, 0, 3, 4, 5], [0, 0, 0, 3, 3, 3]],
    ]


def test_t9_a_row_of_padding_alone():
    positions, delta = released([[20, 21], [20, 21]], mask=[[False, False], [True, True]])
    assert positions[:, 0].tolist() == [[1, 1]] * 3
    assert delta.tolist() == [-2, 0]


@given(st.data(), configs())
def test_t1_to_t9_equal_a_plain_loop_over_the_tokens(data, config):
    batch = data.draw(batches(config))
    positions, delta = positions_of(config, batch)
    want_positions, want_delta = looped_positions(config, batch)
    np.testing.assert_array_equal(positions, want_positions)
    np.testing.assert_array_equal(delta, want_delta)


# ---------------------------------------------------------------------------------------------- angles


def test_t10_the_released_sections_are_contiguous():
    time, height, width = 5, 70, 900
    positions = np.array([[time], [height], [width]])
    cos, sin = mrope_rotation(positions, head_dim=128, theta=1e6, sections=(16, 24, 24), ops=WIDE)
    f = inverse_frequencies(width=128, theta=1e6).astype(np.float64)
    angles = np.concatenate([time * f[:16], height * f[16:40], width * f[40:64]])
    np.testing.assert_array_equal(cos[0, :64], np.cos(angles))
    np.testing.assert_array_equal(sin[0, :64], np.sin(angles))


@given(st.tuples(*[st.integers(1, 5)] * 3), st.integers(0, 2), st.integers(1, 99))
def test_t10_each_frequency_follows_one_axis(sections, axis, place):
    positions = np.zeros((3, 1), dtype=np.int64)
    positions[axis] = place
    width = 2 * sum(sections)
    _, sin = mrope_rotation(positions, head_dim=width, theta=1e4, sections=sections, ops=WIDE)
    first = sum(sections[:axis])
    moved = np.flatnonzero(sin[0, : width // 2]).tolist()
    assert moved == list(range(first, first + sections[axis]))


@given(st.tuples(*[st.integers(1, 5)] * 3), st.integers(0, 99))
def test_t10_text_turns_as_in_one_dimension(sections, place):
    width = 2 * sum(sections)
    cos, _ = mrope_rotation(np.full((3, 1), place), head_dim=width, theta=1e4, sections=sections, ops=WIDE)
    angles = place * inverse_frequencies(width=width, theta=1e4).astype(np.float64)
    np.testing.assert_array_equal(cos[0, : width // 2], np.cos(angles))


@given(st.tuples(*[st.integers(1, 5)] * 3), st.lists(st.tuples(*[st.integers(0, 99)] * 3), min_size=1, max_size=5))
def test_t11_the_second_half_of_a_head_repeats_the_first(sections, places):
    half = sum(sections)
    positions = np.array(places).T
    for turn in mrope_rotation(positions, head_dim=2 * half, theta=1e4, sections=sections, ops=WIDE):
        assert turn.shape == (len(places), 2 * half)
        np.testing.assert_array_equal(turn[:, :half], turn[:, half:])


@pytest.mark.parametrize("precision", [FLOAT32, FLOAT64], ids=lambda precision: precision.name)
def test_n1_angles_are_in_the_precision_of_the_run(precision):
    for turn in mrope_rotation(
        np.array([[3], [5], [7]]), head_dim=8, theta=1e4, sections=(1, 1, 2), ops=reference_ops(precision)
    ):
        assert turn.dtype == precision.dtype


# ---------------------------------------------------------------------------------------------- oracle


@pytest.mark.oracle
@given(st.data(), configs())
def test_positions_of_pictures_match_upstream(data, config):
    import oracle

    batch = data.draw(batches(config, videos=False))
    positions, delta = positions_of(config, batch)
    want_positions, want_delta = oracle.upstream_positions(config, *position_arrays(batch))
    np.testing.assert_array_equal(positions[:, batch.mask], want_positions[:, batch.mask])
    padding = batch.mask.shape[1] - np.sum(batch.mask, axis=1)  # upstream's delta does not count it
    np.testing.assert_array_equal(delta + padding, want_delta)


@pytest.mark.oracle
@given(
    T=st.integers(1, 400),
    fps=st.one_of(st.sampled_from([0.5, 1, 1.5, 2, 3, 4, 24, 25, 29.97, 30]), st.floats(0.1, 60)),
    tokens_per_second=st.sampled_from([1, 2, 3, 4, 5, 25]),
)
def test_t5_time_equals_the_authors_own_expression(T, fps, tokens_per_second):
    import oracle

    got = block_positions((T, 1, 1), second_per_grid=2 / fps, tokens_per_second=tokens_per_second)
    want = oracle.authors_time(T, second_per_grid=2 / fps, tokens_per_second=tokens_per_second)
    np.testing.assert_array_equal(got[0], want)


@pytest.mark.oracle
@given(
    sections=st.one_of(st.tuples(*[st.integers(1, 5)] * 3), st.just((16, 24, 24))),
    places=st.lists(st.tuples(*[st.integers(0, 40000)] * 3), min_size=1, max_size=5),
)
def test_angles_match_upstream(sections, places):
    import oracle

    width, positions = 2 * sum(sections), np.array(places).T
    config = TextConfig(
        hidden_size=width, num_attention_heads=1, num_key_value_heads=1, mrope_section=sections, vocab_size=9
    )
    got = mrope_rotation(positions, head_dim=width, theta=config.rope_theta, sections=sections, ops=WIDE)
    for ours, theirs in zip(got, oracle.mrope_rotation(positions, config), strict=True):
        # The angles are the same products of the same numbers; cosine and sine may each be one unit off.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2 * 2.0**-53)


# -------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("ids", "media", "message"),
    [
        ([20, IMAGE], {}, r"pad id 8 at index 1 of the prompt has no picture or video left"),
        ([VIDEO], {"images": [(1, 1, 1)]}, r"pad id 9 at index 0 of the prompt has no picture or video left"),
        ([20, IMAGE], {"images": [(1, 2, 1)]}, r"grid \(1, 2, 1\) in merged tokens needs 2 ids 8 from index 1"),
        (
            [IMAGE, 20, IMAGE],
            {"images": [(1, 1, 2)]},
            r"grid \(1, 1, 2\) in merged tokens needs 2 ids 8 from index 0",
        ),
        ([20], {"images": [(1, 1, 1)]}, r"more pictures or videos than runs of pad ids"),
        ([20], {"videos": [(1, 1, 1)], "seconds": [1.0]}, r"more pictures or videos than runs of pad ids"),
    ],
)
def test_media_that_do_not_fit_the_prompt_are_refused(ids, media, message):
    with pytest.raises(ValueError, match=message):
        released(ids, **media)
