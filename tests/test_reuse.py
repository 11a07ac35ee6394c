"""Reuse: what two prompts have in common, and which media are still to be encoded."""

from dataclasses import replace

import numpy as np
import pytest

import qwen25vl
from networks import UNEVEN
from qwen25vl.reuse import remaining_media, shared_length
from strategies import made_inputs

IDS = [20, 5, *[8] * 15, 6, 21, 5, *[9] * 12, 6, 22, 5, *[8] * 4, 6, 23]
"""Text, a picture of 15 tokens, text, a video of 2 x 6, text, a picture of 4, text."""

IMAGES = [(1, 10, 6), (1, 4, 4)]
VIDEOS = [(2, 4, 6)]


def prompt(ids=IDS, *, seconds=4 / 3):
    return made_inputs(UNEVEN, list(ids), IMAGES, VIDEOS, [seconds], np.random.default_rng(0))


def shared(earlier, inputs):
    return shared_length(earlier, inputs, config=UNEVEN)


def test_d15_the_same_prompt_leaves_its_last_token_to_run():
    assert shared(prompt(), prompt()) == len(IDS) - 1


def test_d15_a_longer_prompt_runs_what_is_new():
    assert shared(prompt(), prompt([*IDS, 24, 25, 26])) == len(IDS)


def test_d15_a_shorter_prompt_runs_its_last_token():
    assert shared(prompt([*IDS, 24, 25, 26]), prompt()) == len(IDS) - 1


@pytest.mark.parametrize("place", [0, 18, 33])
def test_d15_another_id_ends_what_is_shared(place):
    changed = list(IDS)
    assert changed[place] >= 20, "a text token"
    changed[place] = 30
    assert shared(prompt(), prompt(changed)) == place
    assert shared(prompt(changed), prompt()) == place


@pytest.mark.parametrize(
    ("name", "row", "first_pad"), [("image_rows", 3, 2), ("video_rows", 47, 20), ("image_rows", 60, 35)]
)
def test_d15_other_pixels_of_the_same_size_end_it_at_the_first_token_of_the_medium(name, row, first_pad):
    assert IDS[first_pad] in (8, 9)
    assert IDS[first_pad - 1] == 5
    rows = getattr(prompt(), name).copy()
    rows[row, 1] += 1
    assert shared(prompt(), replace(prompt(), **{name: rows})) == first_pad


def test_d15_the_same_rows_under_another_grid_are_another_picture():
    wide, tall = (
        made_inputs(UNEVEN, [20, 5, *[8] * 8, 6, 21], [grid], [], [], np.random.default_rng(0))
        for grid in ((1, 4, 8), (1, 8, 4))
    )
    np.testing.assert_array_equal(wide.image_rows, tall.image_rows)
    assert np.array_equal(wide.positions[:, 0, :4], tall.positions[:, 0, :4])  # ids and positions begin alike
    assert shared(wide, tall) == 2


def test_d15_another_frame_rate_ends_it_at_the_first_token_whose_time_differs():
    slow, fast = prompt(seconds=2.0), prompt(seconds=1.0)
    assert shared(slow, fast) == IDS.index(9) + 6  # frame 0 has time 0 at any rate; frame 1 has not


def test_d15_nothing_in_common_is_nothing_shared():
    other = prompt([30, *IDS[1:]])
    assert shared(prompt(), other) == 0


@pytest.mark.parametrize(
    ("start", "images", "videos"),
    [
        (0, 2, 1),
        (16, 2, 1),  # the last pad of the first picture is still to come
        (17, 1, 1),
        (31, 1, 1),
        (32, 1, 0),
        (38, 1, 0),
        (39, 0, 0),
        (len(IDS), 0, 0),
    ],
)
def test_d14_media_that_are_cut_or_to_come_are_encoded(start, images, videos):
    inputs = prompt()
    left = remaining_media(inputs, start=start, config=UNEVEN)
    assert left.image_grids.tolist() == [list(grid) for grid in IMAGES[2 - images :]]
    assert left.video_grids.tolist() == [list(grid) for grid in VIDEOS[1 - videos :]]
    patches = [0, 16, 76][images]
    np.testing.assert_array_equal(left.image_rows, inputs.image_rows[76 - patches :])
    assert len(left.video_rows) == 48 * videos
    assert len(left.second_per_grid) == videos


@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_d14_what_became_of_the_media_is_left_out_with_their_rows(done):
    model = qwen25vl.load_processor("tiny")
    noise = np.random.default_rng(0).integers(0, 256, (6, 60, 100, 3), dtype=np.uint8)
    media = [{"type": "image", "image": noise[0]}, {"type": "video", "video": noise[:4]}]
    media += [{"type": "image", "image": noise[5, :28, :56]}]
    inputs = model.prepare([{"role": "user", "content": [*media, {"type": "text", "text": "?"}]}])
    behind = np.flatnonzero(inputs.ids[0] == model.config.vision_end_token_id)  # the last pad stands before it
    for start in (0,) if done == 0 else (behind[done - 1], behind[done - 1] + 1):
        left = remaining_media(inputs, start=int(start), config=model.config)
        kinds = [part["type"] for part in media[done:]]
        assert left.media_counts == ((kinds.count("image"), kinds.count("video")),)
        assert left.pictures == inputs.pictures[2 - kinds.count("image") :]
        assert left.clips == inputs.clips[1 - kinds.count("video") :]
        for rows, grids, prepared in (
            (left.image_rows, left.image_grids, left.pictures),
            (left.video_rows, left.video_grids, left.clips),
        ):
            assert [list(medium.grid) for medium in prepared] == grids.tolist()
            np.testing.assert_array_equal(rows, np.concatenate([rows[:0], *(medium.rows for medium in prepared)]))
