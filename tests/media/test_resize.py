"""Target sizes. Sides of 70, 126, 182 and 238 lie halfway: only they tell half to even from half up."""

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qwen25vl.errors import BadInput
from qwen25vl.media.resize import PROFILES, smart_resize

RELEASED = {"min_pixels": 3136, "max_pixels": 12_845_056}
sides = st.one_of(st.integers(1, 5000), st.integers(1, 60), st.sampled_from([14, 27, 28, 42, 70, 126, 182, 238]))
limits = st.tuples(st.sampled_from([1, 784, 3136, 100_352]), st.sampled_from([100_352, 602_112, 12_845_056]))


@pytest.mark.parametrize(("height", "width"), [(1, 200), (200, 1), (4, 800)])
def test_i8_a_ratio_of_exactly_200_is_allowed(height, width):
    assert min(smart_resize(height, width, **RELEASED)) >= 28


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("side", "nearest"),
    [(70, 56), (126, 112), (182, 168), (238, 224), (42, 56), (98, 112), (69, 56), (71, 84), (99, 112)],
)
def test_i9_half_a_step_goes_to_the_even_multiple(side, nearest, profile):
    assert smart_resize(side, 280, profile=profile, **RELEASED) == (nearest, 280)
    assert smart_resize(280, side, profile=profile, **RELEASED) == (280, nearest)


def test_i9_height_comes_first():
    assert smart_resize(280, 84, **RELEASED) == (280, 84)
    assert smart_resize(84, 280, **RELEASED) == (84, 280)


@pytest.mark.parametrize(
    ("height", "width", "max_pixels", "expected"),
    [
        (1080, 1920, 12_845_056, (1092, 1932)),  # inside the limits: rounded up, not down
        (1920, 1080, 1_003_520, (1316, 728)),
        (6000, 8000, 12_845_056, (3080, 4116)),
        # one multiple less than the limit allows: 10000 / beta / 28 falls just below 128 in float64
        (10000, 10000, 12_845_056, (3556, 3556)),
        (4000, 4000, 12_845_056, (3584, 3584)),
    ],
)
def test_i10_a_large_picture_shrinks_under_the_limit(height, width, max_pixels, expected):
    assert smart_resize(height, width, min_pixels=3136, max_pixels=max_pixels) == expected


def test_i10_the_rounded_area_decides_not_the_original():
    # 41 x 41 is 1681 pixels, above the limit; 28 x 28 is below it, so nothing shrinks
    assert smart_resize(41, 41, min_pixels=1, max_pixels=1000) == (28, 28)
    # 42 x 42 is 1764 pixels, below the limit; 56 x 56 is above it
    assert smart_resize(42, 42, min_pixels=1, max_pixels=2000) == (28, 28)


def test_i10_the_order_of_the_divisions_shows():
    # the example of 10000 x 10000 would give 3584 if the factor were divided out first
    beta = math.sqrt(10000 * 10000 / 12_845_056)
    assert math.floor(10000 / beta / 28) == 127
    assert math.floor(10000 / 28 / beta) == 128


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(14, 14, (56, 56)), (1, 1, (56, 56)), (26, 28, (56, 84)), (10, 1000, (28, 560)), (1000, 10, (560, 28))],
)
def test_i11_a_small_picture_grows_over_the_limit(height, width, expected):
    assert smart_resize(height, width, **RELEASED) == expected


# Computed with the functions themselves, taken from the packages transformers 4.49.0 and
# qwen-vl-utils 0.0.8 and 0.0.14 (which agree). None: refused, or an empty side.
@pytest.mark.parametrize(
    ("height", "width", "max_pixels", "hf", "hf_449", "utils"),
    [
        (10, 1000, 12_845_056, (28, 560), None, (28, 1008)),
        (12, 2000, 12_845_056, (28, 728), None, (28, 1988)),
        (1, 200, 12_845_056, (28, 812), None, (28, 196)),
        (27, 257, 12_845_056, (28, 252), None, (28, 252)),
        (28, 28, 12_845_056, (56, 56), (56, 56), (56, 56)),
        (639, 31, 15_680, (560, 28), None, None),
        (31, 639, 15_680, (28, 560), None, None),
        (1080, 1920, 12_845_056, (1092, 1932), (1092, 1932), (1092, 1932)),
    ],
)
def test_i12_profiles_differ_on_short_sides_only(height, width, max_pixels, hf, hf_449, utils):
    for profile, expected in {"hf": hf, "hf-4.49": hf_449, "utils": utils}.items():
        arguments = {"min_pixels": 3136, "max_pixels": max_pixels, "profile": profile}
        if expected is None:
            with pytest.raises(BadInput, match=profile):
                smart_resize(height, width, **arguments)
        else:
            assert smart_resize(height, width, **arguments) == expected


@given(height=sides, width=sides, limit=limits, factor=st.sampled_from([28, 32, 6]))
def test_i12_profiles_agree_when_both_sides_are_long(height, width, limit, factor):
    height, width = height + 2 * factor, width + 2 * factor
    if max(height, width) > 20 * min(height, width):
        height = width  # a strip may shrink below one factor, where the guards show
    results = {
        smart_resize(height, width, factor=factor, min_pixels=limit[0], max_pixels=limit[1], profile=profile)
        for profile in PROFILES
    }
    assert len(results) == 1


@pytest.mark.parametrize("profile", ["hf-4.49", "utils"])
def test_i13_an_empty_side_is_refused(profile):
    with pytest.raises(BadInput, match="empty 560 x 0"):
        smart_resize(639, 31, min_pixels=3136, max_pixels=15_680, profile=profile)


@given(
    height=sides,
    width=sides,
    factor=st.sampled_from([28, 32, 6]),
    min_pixels=st.sampled_from([1, 784, 3136]),
    max_pixels=st.sampled_from([602_112, 12_845_056]),  # far enough apart for a strip of 1 to 200
)
def test_i13_every_result_is_a_positive_multiple_within_the_limits(height, width, factor, min_pixels, max_pixels):
    if max(height, width) > 200 * min(height, width):
        height = width
    tall, wide = smart_resize(height, width, factor=factor, min_pixels=min_pixels, max_pixels=max_pixels)
    assert tall > 0
    assert wide > 0
    assert tall % factor == wide % factor == 0
    assert min_pixels <= tall * wide <= max_pixels


@pytest.mark.oracle
@given(height=sides, width=sides, limit=limits, factor=st.sampled_from([28, 32, 6]))
@example(height=10000, width=10000, limit=(3136, 12_845_056), factor=28)
@example(height=639, width=31, limit=(3136, 15_680), factor=28)
@example(height=26, width=28, limit=(3136, 12_845_056), factor=28)
def test_i10_matches_upstream(height, width, limit, factor):
    import oracle

    arguments = {"factor": factor, "min_pixels": limit[0], "max_pixels": limit[1]}
    if max(height, width) > 200 * min(height, width):
        with pytest.raises(ValueError, match="ratio"):
            oracle.smart_resize(height, width, **arguments)
        with pytest.raises(BadInput, match="200 times"):
            smart_resize(height, width, **arguments)
    else:
        assert smart_resize(height, width, **arguments) == oracle.smart_resize(height, width, **arguments)


@pytest.mark.data
def test_i10_matches_targets_that_others_recorded(data_dir):
    cases = json.loads((data_dir / "recorded" / "smart_resize.json").read_text())
    assert cases
    for case in cases:
        expected = tuple(case.pop("expected"))
        assert smart_resize(case.pop("height"), case.pop("width"), **case) == expected


@pytest.mark.parametrize(
    ("height", "width", "change", "message"),
    [
        (1, 201, {}, "at most 200 times"),
        (201, 1, {}, "at most 200 times"),
        (0, 10, {}, r"height must be a whole number from 1 to 2\*\*53, got 0"),
        (10, 0, {}, "width must be a whole number from 1"),
        (-3, 10, {}, "height must be .* got -3"),
        (10, 10, {"factor": 0}, "factor must be .* got 0"),
        (10, 10, {"min_pixels": 0}, "min_pixels must be .* got 0"),
        (10, 10, {"min_pixels": 5000, "max_pixels": 4999}, "min_pixels=5000 max_pixels=4999"),
        (10, 10, {"profile": "qwen"}, "choose one of hf, hf-4.49, utils"),
        (27, 400, {"profile": "hf-4.49"}, "shorter than 28"),
        (400, 27, {"profile": "hf-4.49"}, "shorter than 28"),
    ],
)
def test_i8_what_has_no_target_size_is_refused(height, width, change, message):
    with pytest.raises(BadInput, match=message):
        smart_resize(height, width, **{**RELEASED, **change})
