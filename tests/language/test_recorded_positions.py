"""Positions against recordings of transformers 4.51.3 (tools/record_positions.py), the last with the authors' own.

Later versions deviate for video. Where the installed one does is derived here by rule, and then looked at.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from qwen25vl.config import Config, TextConfig, VisionConfig
from qwen25vl.language.mrope import mrope_positions

RECORDED = json.loads((Path(__file__).parent / "recorded" / "positions_4_51_3.json").read_text(encoding="utf-8"))
IDS, MERGE_P = RECORDED["special_ids"], RECORDED["merge_p"]
CASES = {case["name"]: case for case in RECORDED["cases"]}
ARRAYS = {
    "ids": np.int64,
    "mask": bool,
    "image_grids": np.int64,
    "video_grids": np.int64,
    "second_per_grid": np.float64,
}


def arrays_of(case):
    """What `mrope_positions` takes."""
    arrays = {name: np.array(case[name], dtype=dtype) for name, dtype in ARRAYS.items()}
    for name in ("image_grids", "video_grids"):
        arrays[name] = arrays[name].reshape(-1, 3)
    return tuple(arrays.values())


def installed(case):
    """Positions and delta of the transformers that is installed."""
    import oracle

    text = TextConfig(hidden_size=8, num_attention_heads=1, num_key_value_heads=1, mrope_section=(1, 1, 2))
    config = Config(
        vision=VisionConfig(merge_p=MERGE_P, tokens_per_second=case["tokens_per_second"], out_hidden_size=8),
        text=text,
        image_token_id=IDS["image"],
        video_token_id=IDS["video"],
        vision_start_token_id=IDS["start"],
        vision_end_token_id=IDS["end"],
    )
    return oracle.upstream_positions(config, *arrays_of(case))


def rows_of_parts(case):
    """Each prompt as its parts: ("text", length), ("image", grid) or ("video", grid, seconds)."""
    images, videos = iter(case["image_grids"]), zip(case["video_grids"], case["second_per_grid"], strict=True)
    for ids, mask in zip(case["ids"], case["mask"], strict=True):
        real = [token for token, seen in zip(ids, mask, strict=True) if seen]
        parts, at = [], 0
        while at < len(real):
            kind = {IDS["image"]: "image", IDS["video"]: "video"}.get(real[at], "text")
            if kind == "text":
                length, part = 1, ("text", 1)
            else:
                grid, *seconds = (next(images),) if kind == "image" else next(videos)
                length, part = grid[0] * (grid[1] // MERGE_P) * (grid[2] // MERGE_P), (kind, grid, *seconds)
            parts.append(part)
            at += length
        yield parts


def times(case, grid, seconds, *, late):
    """Times of a video's rows: the authors' order of products in float32, or that of 5.23.0."""
    rows, rate = range(grid[0]), case["tokens_per_second"]
    if late:
        return [int(t * (rate * seconds)) for t in rows]
    return [int(np.float32(np.float32(t) * np.float32(seconds)) * np.float32(rate)) for t in rows]


def deviates(case):
    """Whether 5.23.0 must differ on a token that is not padding, by the two rules of the page.

    Text, or anything, behind a video starts half a side behind it there, whatever time has passed; and the product
    of rate and seconds comes first.
    """
    for parts in rows_of_parts(case):
        for number, (kind, *what) in enumerate(parts):
            if kind != "video":
                continue
            grid, seconds = what
            authors, theirs = (times(case, grid, seconds, late=late) for late in (False, True))
            side = max(grid[1], grid[2]) // MERGE_P
            if authors != theirs or (authors[-1] + 1 > side and number + 1 < len(parts)):
                return True
    return False


def test_the_recording_covers_what_tells_versions_apart():
    assert RECORDED["transformers"] == "4.51.3"
    assert len(CASES) == len(RECORDED["cases"]) >= 30
    seconds = {s for case in CASES.values() for s in case["second_per_grid"]}
    assert {2 / fps for fps in (0.5, 1, 1.5, 2, 3, 4, 24)} < seconds
    assert {case["tokens_per_second"] for case in CASES.values()} >= {2, 3, 5}
    assert any(not all(mask) for case in CASES.values() for mask in case["mask"])


@pytest.mark.parametrize("name", CASES)
def test_t1_to_t9_positions_are_those_of_transformers_4_51_3(name):
    case = CASES[name]
    positions, delta = mrope_positions(
        *arrays_of(case),
        image_token_id=IDS["image"],
        video_token_id=IDS["video"],
        merge_p=MERGE_P,
        tokens_per_second=case["tokens_per_second"],
    )
    np.testing.assert_array_equal(positions, case["positions"])  # padding too
    np.testing.assert_array_equal(delta, case["delta"])


@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
def test_the_installed_transformers_deviates_exactly_where_the_page_says(name):
    import oracle

    if not oracle.since("5.18"):
        pytest.skip("transformers before 5.18 deviates by another rule: it rounds the seconds of a grid row first")
    case = CASES[name]
    positions, delta = installed(case)
    recorded, mask = np.array(case["positions"]), np.array(case["mask"], dtype=bool)
    differs = bool(np.any(positions[:, mask] != recorded[:, mask]))
    assert differs == deviates(case), f"{positions.tolist()} {recorded.tolist()}"
    assert np.all(positions[:, ~mask] == 0)  # 1 in 4.51.3
    if not differs:
        np.testing.assert_array_equal(delta, np.array(case["delta"]) + np.sum(~mask, axis=1))


def test_about_half_of_the_recorded_cases_deviate():
    # Otherwise the test above would look at one kind alone.
    count = sum(deviates(case) for case in CASES.values())
    assert 8 <= count <= len(CASES) - 8
