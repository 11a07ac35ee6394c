"""Embedding: rows are copied, so every comparison is exact."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks import UNEVEN, random_network
from qwen25vl.language.embed import embedded_tokens

IMAGE, VIDEO = UNEVEN.image_token_id, UNEVEN.video_token_id
E = UNEVEN.text.hidden_size
WEIGHTS = random_network(UNEVEN).weights.at("model")
TABLE = WEIGHTS["embed_tokens.weight"]

ids_lists = st.lists(st.one_of(st.sampled_from([IMAGE, VIDEO]), st.integers(10, 36)), max_size=12)


def vision_rows(count, first=0):
    """Rows that can be told apart."""
    return 1000.0 * (1 + np.arange(first, first + count))[:, np.newaxis] + np.arange(E)


def embedded(ids, image_rows, video_rows):
    """Run the function under test."""
    return embedded_tokens(np.array(ids, dtype=np.int64), image_rows, video_rows, WEIGHTS, config=UNEVEN)


def test_d1_a_token_takes_its_row_unscaled():
    got = embedded([36, 10, 10], vision_rows(0), vision_rows(0))
    np.testing.assert_array_equal(got, TABLE[[36, 10, 10]])


def test_d1_the_table_is_not_written_to():
    before = TABLE.copy()
    embedded([IMAGE, 10], vision_rows(1), vision_rows(0))
    np.testing.assert_array_equal(WEIGHTS["embed_tokens.weight"], before)


@given(ids_lists)
def test_d2_the_nth_pad_of_a_kind_takes_the_nth_row_of_that_kind(ids):
    images, videos = vision_rows(ids.count(IMAGE)), vision_rows(ids.count(VIDEO), first=100)
    got = embedded(ids, images, videos)
    assert got.shape == (len(ids), E)
    next_image, next_video = iter(images), iter(videos)
    for i, token in enumerate(ids):
        want = next(next_image) if token == IMAGE else next(next_video) if token == VIDEO else TABLE[token]
        np.testing.assert_array_equal(got[i], want)


@pytest.mark.parametrize(
    ("images", "videos", "word"), [(0, 1, "image"), (2, 1, "image"), (1, 0, "video"), (1, 2, "video")]
)
def test_pads_and_rows_that_do_not_count_the_same_are_refused(images, videos, word):
    with pytest.raises(ValueError, match=rf"the prompt has 1 {word} tokens \(id \d\) for [02] vision rows"):
        embedded([10, IMAGE, VIDEO], vision_rows(images), vision_rows(videos))
