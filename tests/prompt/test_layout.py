"""Section 04: how many places of the sequence each image and each video takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompt_cases as cases
from qwen25vl.errors import BadInput
from qwen25vl.prompt.layout import check_positions, expanded_ids
from qwen25vl.prompt.tokenizer import load_tokenizer

IMAGE, VIDEO = 511, 512
"""Pad ids of `tiny`."""


def expanded(ids, *, images=(), videos=()):
    return expanded_ids(ids, image_tokens=images, video_tokens=videos, image_token_id=IMAGE, video_token_id=VIDEO)


def test_p20_a_prompt_by_hand():
    ids = expanded([7, VIDEO, 8, IMAGE, IMAGE, 9], images=[2, 1], videos=[3])
    assert ids.tolist() == [7, VIDEO, VIDEO, VIDEO, 8, IMAGE, IMAGE, IMAGE, 9]
    assert ids.dtype == np.int64


def test_p20_images_and_videos_are_counted_apart():
    ids = expanded([VIDEO, IMAGE, VIDEO], images=[1], videos=[2, 3])
    assert ids.tolist() == [VIDEO, VIDEO, IMAGE, VIDEO, VIDEO, VIDEO]


def test_p20_text_alone_is_left_as_it_is():
    assert expanded([1, 2, 3]).tolist() == [1, 2, 3]
    assert expanded([]).shape == (0,)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(cases.write_tiny(tmp_path_factory.mktemp("tiny")))


@given(pieces=st.lists(st.one_of(cases.texts, st.sampled_from(cases.PADS)), max_size=8), data=st.data())
def test_p20_the_same_as_repeating_the_pads_in_the_text(tokenizer, pieces, data):
    counts = [data.draw(st.integers(1, 5)) if piece in cases.PADS else 1 for piece in pieces]
    repeated = "".join(piece * count for piece, count in zip(pieces, counts, strict=True))
    ids = expanded(
        tokenizer.encode("".join(pieces)),
        images=[count for piece, count in zip(pieces, counts, strict=True) if piece == cases.PADS[0]],
        videos=[count for piece, count in zip(pieces, counts, strict=True) if piece == cases.PADS[1]],
    )
    assert ids.tolist() == tokenizer.encode(repeated)


@pytest.mark.parametrize(
    ("ids", "images", "videos", "says"),
    [
        ([IMAGE, IMAGE], [4], [], r"2 image pads \(id 511\) but 1 images"),
        ([IMAGE], [4, 4], [], r"1 image pads \(id 511\) but 2 images"),
        ([1, 2], [], [4], r"0 video pads \(id 512\) but 1 videos"),
        ([VIDEO], [], [], r"1 video pads \(id 512\) but 0 videos"),
        ([IMAGE], [], [4], r"1 image pads \(id 511\) but 0 images"),
    ],
)
def test_p21_another_number_of_pads_than_of_media_is_refused(ids, images, videos, says):
    with pytest.raises(BadInput, match=says):
        expanded(ids, images=images, videos=videos)


@pytest.mark.parametrize("count", [0, -1])
def test_p21_media_without_tokens_are_refused(count):
    with pytest.raises(BadInput, match="image 1 must have at least 1 merged token"):
        expanded([IMAGE, IMAGE], images=[4, count])


def test_p27_a_prompt_up_to_the_last_position_passes_and_one_more_does_not():
    positions = np.tile(np.arange(10), (3, 1, 1))
    positions[1, 0, 4] = 12  # any of the three axes
    mask = np.ones((1, 10), dtype=bool)
    check_positions(positions, mask, limit=13)
    with pytest.raises(BadInput, match=r"^the prompt of 10 tokens reaches position 12, .* positions 0 to 11 \("):
        check_positions(positions, mask, limit=12)


def test_p27_padding_does_not_count_and_the_long_prompt_of_a_batch_is_named():
    positions = np.array([[[9, 0, 1], [0, 1, 9]]] * 3)
    mask = np.array([[False, True, True], [True, True, True]])
    with pytest.raises(BadInput, match=r"^prompt 1 of 3 tokens reaches position 9,"):
        check_positions(positions, mask, limit=9)
    check_positions(positions[:, :1], mask[:1], limit=2)
