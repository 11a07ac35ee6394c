"""The report of a picture: its numbers are those of the picture, and the rule is the one that decided."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from media_settings import RELEASED
from qwen25vl.errors import BadInput
from qwen25vl.media.picture import prepared_picture
from qwen25vl.media.resize import PROFILES, RULES, resize_target, smart_resize
from qwen25vl.report.picture import picture_report, resize_facts
from qwen25vl.vision.windows import window_order


@pytest.fixture
def saved(tmp_path):
    """Return a function that writes a picture of a size."""

    def save(height: int, width: int, **options):
        path = tmp_path / "p.png"
        Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path, **options)
        return path

    return save


@pytest.mark.parametrize(
    ("size", "limits", "rule", "clause"),
    [
        ((427, 640), {}, "nearest", "I9"),
        ((427, 640), {"max_pixels": 100_352}, "max_pixels", "I10"),
        ((14, 14), {}, "min_pixels", "I11"),
        # 41 x 41 rounds to 28 x 28, which is within 1000 pixels, though 1681 are not: neither limit acts
        ((41, 41), {"min_pixels": 1, "max_pixels": 1000}, "nearest", "I9"),
    ],
)
def test_i9_to_i11_the_rule_that_decided_is_named(saved, size, limits, rule, clause):
    _, facts = picture_report(saved(*size), settings=replace(RELEASED, **limits), window_m=4)
    assert (facts["resize"]["rule"], facts["resize"]["clause"]) == (rule, clause)
    assert facts["resize"]["within_limits"] is True


@given(
    height=st.integers(2, 300),
    width=st.integers(2, 300),
    limits=st.sampled_from([(1, 784), (3136, 20_000), (3136, 12_845_056), (50_000, 60_000)]),
)
def test_i9_to_i11_the_rule_is_told_by_the_area_of_the_nearest_multiples(height, width, limits):
    least, most = limits
    target = resize_target(height, width, factor=28, min_pixels=least, max_pixels=most, profile="hf")
    nearest = round(height / 28) * 28 * round(width / 28) * 28
    assert target.rule == ("max_pixels" if nearest > most else "min_pixels" if nearest < least else "nearest")
    assert target.rule in RULES
    assert (target.height_px, target.width_px) == smart_resize(height, width, min_pixels=least, max_pixels=most)


def test_i12_a_strip_that_a_guard_keeps_above_the_limit_says_so():
    facts = resize_facts((31, 639), settings=replace(RELEASED, min_pixels=3136, max_pixels=3500))
    assert facts["rule"] == "max_pixels"
    assert facts["area"] == 28 * smart_resize(31, 639, min_pixels=3136, max_pixels=3500)[1] > 3500
    assert facts["within_limits"] is False


def test_i12_every_profile_says_what_it_would_do():
    profiles = resize_facts((10, 1000), settings=RELEASED)["profiles"]
    assert list(profiles) == list(PROFILES)
    assert profiles["hf"] == [28, 560]
    assert profiles["utils"] == [28, 1008]
    assert "refuses a side shorter than 28" in profiles["hf-4.49"]


@given(height=st.integers(15, 200), width=st.integers(15, 200), window_m=st.integers(1, 4))
def test_the_counts_are_those_of_the_picture(tmp_path_factory, height, width, window_m):
    path = tmp_path_factory.getbasetemp() / "counts.png"
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)
    picture, facts = picture_report(path, settings=RELEASED, window_m=window_m)
    same = prepared_picture(str(path), settings=RELEASED)
    np.testing.assert_array_equal(picture.rows, same.rows)
    assert facts["stored_size"] == facts["original_size"] == [height, width]
    assert facts["resized_size"] == list(same.resized_size)
    assert facts["grid"] == list(same.grid)
    assert facts["patches"] == len(same.rows)
    assert facts["tokens"] == same.tokens_m == np.prod(facts["merged_grid"])
    assert facts["rows"] == {"shape": list(same.rows.shape), "dtype": "float32", "bytes": same.rows.nbytes}
    _, starts = window_order(np.array([facts["merged_grid"]]), window_m=window_m)
    windows = facts["windows"]
    assert windows["count"] == len(starts) - 1 == sum(count for _, _, count in windows["shapes"])
    assert windows["full"] == np.sum(np.diff(starts) == window_m**2)
    assert sorted(np.diff(starts)) == sorted(h * w for h, w, count in windows["shapes"] for _ in range(count))


def test_i2_a_picture_that_was_turned_has_two_sizes(saved):
    exif = Image.Exif()
    exif[0x0112] = 6
    _, facts = picture_report(saved(56, 112, exif=exif), settings=RELEASED, window_m=4)
    assert (facts["orientation"], facts["stored_size"], facts["original_size"]) == (6, [56, 112], [112, 56])
    assert facts["scale"] == [1.0, 1.0]


def test_what_cannot_be_prepared_is_refused(saved):
    with pytest.raises(BadInput, match="at most 200 times"):
        picture_report(saved(1, 201), settings=RELEASED, window_m=4)
