"""Section 15: position cases see each mistake that they claim to see, planted here one by one."""

import numpy as np
import pytest

from golden_cases import CASES, case_arrays, kills_of, tiny_lab
from qwen25vl.rounding import to_bfloat16

BATCH = "padding_moves_no_position"
SINGLE = [entry.id for entry in CASES.values() if entry.family == "positions" and entry.id != BATCH]


@pytest.fixture(scope="module")
def lab():
    return tiny_lab()


def media_of(arrays, bug=""):
    """The media of a prompt in its order: kind, grid in merged tokens, times of rows and their distance."""
    image_id, video_id, merge_p, tps = arrays["inputs.constants"].tolist()
    if bug == "tokens-per-second-fixed":
        tps = 2
    images = [
        ("image", (T, H // merge_p, W // merge_p), (np.zeros(T), 1))
        for T, H, W in arrays["inputs.image_grids"].tolist()
    ]
    videos = []
    for (T, H, W), seconds in zip(
        arrays["inputs.video_grids"].tolist(), arrays["inputs.second_per_grid"].tolist(), strict=True
    ):
        seconds = int(seconds) if bug == "seconds-truncated-first" else seconds
        times = (np.arange(T, dtype=np.float32) * np.float32(seconds) * np.float32(tps)).astype(float)
        if bug in ("time-products-joined", "time-rounded"):
            times = np.arange(T) * (seconds * tps)
        videos.append(("video", (T, H // merge_p, W // merge_p), (times, int(seconds) * tps)))
    ids = arrays["inputs.ids"]
    at = np.flatnonzero(np.isin(ids, [image_id, video_id]) & ~np.isin(np.roll(ids, 1), [image_id, video_id]))
    media = [(images if ids[i] == image_id else videos).pop(0) for i in at]
    return media[1::-1] + media[2:] if bug == "picture-taken-for-video" else media


def block(medium, start, bug):
    """Positions of one medium, from its start on."""
    kind, (T, Hm, Wm), (times, step) = medium
    if bug == "grid-transposed-positions":
        Hm, Wm = Wm, Hm
    scale = 2 if bug == "positions-in-patches" else 1
    rows = []
    for t in range(T):
        time = {
            "video-time-constant": 0,
            "video-time-by-row": t,
            "video-time-from-start": start * (step - 1) if kind == "video" else 0,
            "time-rounded": round(times[t % len(times)]),
            "still-time-scaled": int(times[t % len(times)]) + start * (kind == "image"),
        }.get(bug, int(times[t % len(times)]))
        rows += [(start + time, start + scale * h, start + scale * w) for h in range(Hm) for w in range(Wm)]
    if bug == "video-block-order":
        rows = rows[::2] + rows[1::2]
    return rows


def walked(arrays, bug=""):
    """Positions of a prompt `[3, L]`, written from the clauses, or with a bug."""
    media, ids = media_of(arrays, bug), arrays["inputs.ids"].tolist()
    pads = set(arrays["inputs.constants"][:2].tolist())
    if bug == "positions-sequential":
        return np.tile(np.arange(len(ids)), (3, 1))
    rows, start, text_run = [], 0, 0
    while len(rows) < len(ids):
        if ids[len(rows)] not in pads:
            rows.append((start,) * 3)
            start, text_run = start + 1, text_run + 1
            continue
        medium = media.pop(0) if media else ("image", (1, 1, 1), (np.zeros(1), 1))  # a wrong grid left pads over
        if bug == "position-restarts" or (bug == "adjacent-pictures-joined" and text_run == 2):
            start = 0 if bug == "position-restarts" else start - 2
        found = block(medium, start, bug)
        _, (T, Hm, Wm), _ = medium
        start = {
            "text-after-by-tokens": start + T * Hm * Wm,
            "text-after-by-time": found[-1][0] + 1,
            "text-after-by-sides": start + max(Hm, Wm),
        }.get(bug, max(map(max, found)) + 1)
        rows, text_run = rows + found, 0
    positions = np.array(rows[: len(ids)]).T
    return to_bfloat16(positions.astype(np.float32)) if bug == "positions-rounded" else positions


@pytest.mark.parametrize("name", SINGLE)
def test_the_clauses_written_again_give_the_same_positions_and_offset(name, lab):
    arrays = case_arrays(name, lab)
    positions = walked(arrays)
    np.testing.assert_array_equal(positions, arrays["language.positions"])
    assert arrays["outputs.delta"].tolist() == [positions.max() + 1 - positions.shape[1]]


@pytest.mark.parametrize(("name", "bug"), [pair for pair in kills_of("positions") if pair[0] != BATCH])
def test_a_wrong_rule_gives_other_positions(name, bug, lab):
    arrays = case_arrays(name, lab)
    if bug == "delta-missing":
        length = len(arrays["inputs.ids"])
        assert arrays["outputs.later_positions"][0, 0] != length
        return
    assert not np.array_equal(walked(arrays, bug), arrays["language.positions"])
    if "outputs.later_positions" in arrays:
        assert walked(arrays, bug).max() + 1 != arrays["outputs.later_positions"][0, 0]


def test_the_controls_see_nothing_of_the_bugs_they_are_controls_of(lab):
    at_two = case_arrays("time_at_two_frames_per_second_hides_the_order_of_steps", lab)
    for bug in ("seconds-truncated-first", "time-rounded"):
        np.testing.assert_array_equal(walked(at_two, bug), at_two["language.positions"])
    text = case_arrays("text_alone_counts_on_all_three_axes", lab)
    for bug in ("positions-sequential", "still-time-scaled", "text-after-by-tokens"):
        np.testing.assert_array_equal(walked(text, bug), text["language.positions"])


# -------------------------------------------------------------------------------- numbers that are published


def test_t2_t3_two_pictures_have_the_published_positions(lab):
    arrays = case_arrays("two_pictures_side_by_side_stay_two", lab)
    assert arrays["language.positions"].tolist() == [
        [0, 1, 2, 3, 3, 3, 3, 5, 6, 7, 7, 7, 7, 9],
        [0, 1, 2, 3, 3, 4, 4, 5, 6, 7, 7, 8, 8, 9],
        [0, 1, 2, 3, 4, 3, 4, 5, 6, 7, 8, 7, 8, 9],
    ]
    assert arrays["outputs.delta"].tolist() == [-4]


def test_t4_a_wide_and_a_tall_picture_have_the_published_positions(lab):
    wide, tall = (
        case_arrays(f"a_{name}_picture_advances_by_its_{side}", lab)
        for name, side in (("wide", "width"), ("tall", "height"))
    )
    time, height, width = wide["language.positions"]
    assert time[2:12].tolist() == [2] * 10
    assert height[2:12].tolist() == [2] * 5 + [3] * 5
    assert width[2:12].tolist() == [2, 3, 4, 5, 6] * 2
    assert wide["language.positions"][:, 12].tolist() == [7, 7, 7]
    assert wide["outputs.delta"].tolist() == tall["outputs.delta"].tolist() == [-5]
    time, height, width = tall["language.positions"]
    assert (height[2:12].min(), height[2:12].max()) == (2, 6)
    assert (width[2:12].min(), width[2:12].max()) == (2, 3)
    assert tall["language.positions"][:, 12].tolist() == [7, 7, 7]


def test_t3_t5_text_behind_a_video_has_the_published_position(lab):
    arrays = case_arrays("text_behind_a_video_follows_its_last_second", lab)
    time = arrays["language.positions"][0]
    assert time[15:27].tolist() == [15] * 6 + [19] * 6
    assert arrays["language.positions"][:, 27].tolist() == [20, 20, 20]
    assert arrays["outputs.delta"].tolist() == [-7]


@pytest.mark.parametrize(
    ("name", "times", "truncated_first"),
    [
        ("time_at_three_halves_is_cut_last", [0, 2, 5, 8, 10, 13, 16, 18], [0, 2, 4, 6, 8, 10, 12, 14]),
        ("time_above_two_frames_per_second_does_not_stop", [0, 1, 2, 3, 4, 5, 6, 7], [0] * 8),
        (
            "time_at_two_frames_per_second_hides_the_order_of_steps",
            [0, 2, 4, 6, 8, 10, 12, 14],
            [0, 2, 4, 6, 8, 10, 12, 14],
        ),
        ("rows_of_a_fast_clip_share_a_time", [0, 0, 0, 0, 0, 0, 1, 1], [0] * 8),
    ],
)
def test_t6_time_is_cut_where_it_is_published(name, times, truncated_first, lab):
    arrays = case_arrays(name, lab)
    in_grid = arrays["language.positions"][0, 3:-1].reshape(8, -1)
    assert (in_grid[:, 0] - 3).tolist() == times
    wrong = walked(arrays, "seconds-truncated-first")[0, 3:-1].reshape(8, -1)
    assert (wrong[:, 0] - 3).tolist() == truncated_first


def test_t5_the_example_of_upstreams_documentation_has_its_times(lab):
    time = case_arrays("other_constants_give_other_positions", lab)["language.positions"][0] - 3
    assert sorted({int(t) for t in time[3:15]}) == [0, 50, 100]
    assert time[15] == 101


# ----------------------------------------------------------------------------------------------- a batch


def batch_walked(arrays, side, bug=""):
    """Positions and offsets of the padded batch, prompt by prompt, or with a bug."""
    ids, mask = arrays[f"inputs.ids_{side}"], arrays[f"inputs.mask_{side}"]
    positions, delta = np.ones((3, *ids.shape), dtype=np.int64), []
    grids, image_id = arrays["inputs.image_grids"], arrays["inputs.constants"][0]
    for b, row in enumerate(mask):
        used = 0 if bug == "batch-grids-restart" else sum(image_id in ids[i] for i in range(b))
        real = ids[b, : row.sum()] if bug == "right-padding-assumed" else ids[b, row]
        found = walked(
            {
                "inputs.ids": real,
                "inputs.image_grids": grids[used:],
                "inputs.video_grids": arrays["inputs.video_grids"],
                "inputs.second_per_grid": arrays["inputs.second_per_grid"],
                "inputs.constants": arrays["inputs.constants"],
            }
        )
        if bug == "padding-counted":
            found = found + np.flatnonzero(row)[0]
        if bug == "padding-position-zero":
            positions[:, b, ~row] = 0
        place = np.arange(len(real)) if bug == "right-padding-assumed" else np.flatnonzero(row)
        positions[:, b, place] = found
        delta.append(found.max() + 1 - (len(real) if bug == "delta-unpadded" else len(row)))
    return positions, delta[::-1] if bug == "delta-of-other-prompt" else delta


@pytest.mark.parametrize("bug", ["", *(bug for name, bug in kills_of("positions") if name == BATCH)])
def test_t7_to_t9_a_wrong_rule_for_batches_gives_other_positions_or_offsets(bug, lab):
    arrays = case_arrays(BATCH, lab)
    same = []
    for side in ("left", "right"):
        positions, delta = batch_walked(arrays, side, bug)
        same.append(
            np.array_equal(positions, arrays[f"outputs.positions_{side}"])
            and delta == arrays[f"outputs.delta_{side}"].tolist()
        )
    if bug == "padding-counted" or bug == "right-padding-assumed":
        assert same == [False, True]  # nothing stands in front of a prompt that is padded behind
    else:
        assert same == [bug == ""] * 2


def test_t9_padding_has_position_one_and_the_offset_counts_from_the_padded_length(lab):
    arrays = case_arrays(BATCH, lab)
    for side in ("left", "right"):
        positions, mask = arrays[f"outputs.positions_{side}"], arrays[f"inputs.mask_{side}"]
        assert np.all(positions[:, ~mask] == 1)
        for b in range(3):
            length = mask.shape[1]
            assert arrays[f"outputs.delta_{side}"][b] == positions[:, b, mask[b]].max() + 1 - length
