"""Section 15: video cases see each mistake that they claim to see, planted here one by one."""

import math

import numpy as np
import pytest

from golden_cases import case_arrays, kills_of, tiny_lab

CLIPS = ("seconds_of_a_row_come_from_the_frames_chosen", "a_fast_clip_has_rows_shorter_than_a_second")


@pytest.fixture(scope="module")
def lab():
    return tiny_lab()


def chosen(total, fps, asked, bug=""):
    """Frame numbers and seconds per row, from the clauses or with a bug."""
    wanted = min(max(total / fps * asked, 4), min(768, total))
    count = round(wanted / 2) * 2 if bug == "count-rounded-nearest" else int(wanted // 2) * 2
    numbers = [math.floor(i * (total - 1) / (count - 1) + 0.5) for i in range(count)]  # never a tie: count is even
    if bug == "frames-truncated":
        numbers = [int(i * total / count) for i in range(count)]
    if bug == "frames-from-step-zero":
        numbers = [math.floor(i * (total - 1) / count + 0.5) for i in range(count)]
    if bug == "frames-sampled-twice":
        numbers = [numbers[n] for n in chosen(count, fps, asked)[0]]
    seconds = {
        "asked-rate-for-time": 2 / asked,
        "source-rate-for-time": 2 / fps,
        "fixed-rate-for-time": 1.0,
    }.get(bug, 2 / (count / total * fps))
    return numbers, seconds


@pytest.mark.parametrize(("name", "bug"), [pair for pair in kills_of("video") if pair[0] in CLIPS])
def test_a_wrong_rule_chooses_other_frames_or_another_time(name, bug, lab):
    arrays = case_arrays(name, lab)
    clip = [arrays[f"inputs.{part}"].item() for part in ("source_frames", "source_fps", "fps")]
    right = arrays["outputs.indices"].tolist(), pytest.approx(arrays["outputs.second_per_grid"].item())
    assert chosen(*clip) == right
    assert chosen(*clip, bug) != right


def test_v8_v9_the_clip_of_the_specification_has_its_numbers(lab):
    arrays = case_arrays(CLIPS[0], lab)
    assert arrays["outputs.indices"].tolist() == [0, 26, 52, 79, 105, 131]
    assert arrays["outputs.second_per_grid"].item() == pytest.approx(1.76)


def count_of(total, fps, asked, *, nearest):
    """How many frames a rate gives; 0 is a refusal."""
    wanted = min(max(total / fps * asked, 4), min(768, total) // 2 * 2)
    count = round(wanted / 2) * 2 if nearest else int(min(wanted, total) // 2) * 2
    return count if 2 <= count <= total else 0


def test_v4_v5_counts_that_are_rounded_otherwise_are_other_counts(lab):
    arrays = case_arrays("the_number_of_frames_is_even_and_within_limits", lab)
    clips = arrays["inputs.clips"].tolist()
    down, nearest = ([count_of(int(total), *rates, nearest=n) for total, *rates in clips] for n in (False, True))
    assert arrays["outputs.frames_utils"].tolist() == down
    assert arrays["outputs.frames_utils_0_0_8"].tolist() == nearest
    assert down != nearest
    assert (down[0], nearest[0]) == (6, 8)
    asked = arrays["inputs.nframes"].tolist()
    even = [round(n / 2) * 2 for n in asked]  # Python's halves go to even
    assert arrays["outputs.frames_of_nframes"].tolist() == [n if 2 <= n <= 30 else 0 for n in even]
    assert [(n + 1) // 2 * 2 for n in asked][:6] != even[:6]


def test_v3_a_range_that_is_rounded_outwards_or_forgotten_gives_other_frames(lab):
    arrays = case_arrays("a_range_of_time_is_rounded_inwards", lab)
    start, end = arrays["inputs.range"].tolist()
    first, last = math.ceil(start * 25), math.floor(end * 25)
    assert (first, last) == (26, 99)
    total = last - first + 1
    numbers = [first + n for n in chosen(total, 25.0, 2.0)[0]]
    assert arrays["outputs.indices"].tolist() == numbers
    assert arrays["outputs.sampled_fps"].item() == pytest.approx(4 / total * 25)
    for bug in ("frames-from-step-zero", "frames-truncated"):
        assert [first + n for n in chosen(total, 25.0, 2.0, bug)[0]] != numbers
    outwards = math.floor(start * 25), math.ceil(end * 25)
    assert outwards != (first, last)
    assert arrays["outputs.sampled_fps"].item() != pytest.approx(4 / 132 * 25)
    assert 2 / arrays["outputs.sampled_fps"].item() != pytest.approx(2 / 25)  # the rate of the file


# ------------------------------------------------------------------------------------------------- rows


def rows_of(frames, lab, order="t g h r c f k y x"):
    """Patch rows of an even number of frames 28 x 28; letters as in the test of pictures."""
    settings = lab.processor.settings
    mean, std = (np.array(values, dtype=np.float32) for values in (settings.mean, settings.std))
    unit = (((frames / 255).astype(np.float32) - mean) / std).transpose(0, 3, 1, 2)
    split = unit.reshape(len(frames) // 2, 2, 3, 1, 2, 14, 1, 2, 14)
    return split.transpose(["tkfgryhcx".index(letter) for letter in order.replace(" ", "")]).reshape(-1, 1176)


@pytest.mark.parametrize("bug", ["", "odd-frames-dropped", "first-frame-repeated"])
def test_v10_an_odd_count_that_is_filled_otherwise_gives_other_rows(bug, lab):
    arrays = case_arrays("the_last_frame_fills_up_an_odd_count", lab)
    for count, name in ((1, "one"), (3, "three"), (5, "five")):
        frames = arrays["inputs.frames"][:count]
        filled = {
            "odd-frames-dropped": frames[: count // 2 * 2],
            "first-frame-repeated": np.concatenate([frames, frames[:1]]),
        }.get(bug, np.concatenate([frames, frames[-1:]]))
        rows = rows_of(filled, lab)
        same = np.array_equal(rows, arrays[f"outputs.rows_of_{name}"])
        assert same == (bug == "" or (bug == "first-frame-repeated" and count == 1))


@pytest.mark.parametrize(
    ("bug", "frames", "order"),
    [
        ("", [0, 1, 2, 3], "t g h r c f k y x"),
        ("frames-interleaved", [0, 2, 1, 3], "t g h r c f k y x"),
        ("frame-pair-swapped", [1, 0, 3, 2], "t g h r c f k y x"),
        ("inner-order-frame-first", [0, 1, 2, 3], "t g h r c k f y x"),
    ],
)
def test_v13_frames_that_are_paired_otherwise_give_other_rows(bug, frames, order, lab):
    arrays = case_arrays("neighbouring_frames_share_a_row", lab)
    rows = rows_of(arrays["inputs.frames"][frames], lab, order)
    assert np.array_equal(rows, arrays["outputs.rows"]) == (bug == "")
    assert arrays["outputs.grid"].tolist() == [2, 2, 2]


# ------------------------------------------------------------------------------------------------ sizes

AREA = 28 * 28
TOTAL = 115_200 * AREA


def frame_size(frames_f, height, width, least, most, total, *, bug=""):
    """Size of frames under the normative profile, or with a bug."""
    asked_least, asked_most = least, most
    least = 128 * AREA if asked_least < 0 else asked_least
    if asked_least < 0 <= asked_most:
        least = min(least, asked_most)
    share = (TOTAL if total < 0 else total) / frames_f * 2
    budget = (
        min(768 * AREA, share) if bug == "total-beats-floor" else max(min(768 * AREA, share), int(least * 1.05))
    )
    if bug == "frame-limits-of-pictures":
        least, budget = (3136 if asked_least < 0 else asked_least), 12_845_056
    if asked_most >= 0:
        budget = min(budget, asked_most)
    if bug == "sides-swapped":
        height, width = width, height
    factor = 2 if bug == "frame-sides-even" else 28
    sides = [round(side / factor) * factor for side in (height, width)]
    if math.prod(sides) > budget:
        beta = math.sqrt(height * width / budget)
        sides = [max(factor, math.floor(side / beta / factor) * factor) for side in (height, width)]
    elif math.prod(sides) < least:
        beta = math.sqrt(least / (height * width))
        sides = [math.ceil(side * beta / factor) * factor for side in (height, width)]
    return sides


@pytest.mark.parametrize(
    "bug", ["", *(bug for name, bug in kills_of("video") if name == "many_frames_share_one_area")]
)
def test_v11_other_limits_of_area_give_other_sizes(bug, lab):
    arrays = case_arrays("many_frames_share_one_area", lab)
    sizes = [frame_size(*row, bug=bug) for row in arrays["inputs.requests"].tolist()]
    assert (sizes == arrays["outputs.sizes"].tolist()) == (bug == "")


def test_v14_every_profile_has_sizes_that_another_does_not_have(lab):
    arrays = case_arrays("each_version_of_the_sampler_has_its_own_areas", lab)
    tables = {part: array.tolist() for part, array in arrays.items() if part.startswith("outputs.")}
    hf = [tables[f"outputs.sizes_of_{of}_hf"] for of in ("files", "frames")]
    for profile in ("hf_4_49", "utils", "utils_0_0_11", "utils_0_0_8"):
        assert [tables[f"outputs.sizes_of_{of}_{profile}"] for of in ("files", "frames")] != hf
    assert tables["outputs.sizes_of_files_utils_0_0_8"] != tables["outputs.sizes_of_files_utils_0_0_10"]
    assert tables["outputs.sizes_of_frames_utils_0_0_11"] != tables["outputs.sizes_of_frames_utils"]
    refused = [table.count([0, 0]) for table in tables.values()]
    assert {0, 1, 2} == set(refused)  # none is refused by `hf`, two by `hf-4.49`, one strip by `utils`
