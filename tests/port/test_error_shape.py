"""The shape of an error: a fault is planted in drawn arrays, with noise on top, and its kind must come back."""

import re

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from port.error_arrays import ARRAYS, TOLERANCE, Arrays, arrays_of, shaped
from qwen25vl.port.error_shape import KINDS, Layout, error_shape


def told(shape):
    """The number in `every value is 0.5 of the wanted one`."""
    return float(shape.detail.split()[3])


@given(ARRAYS)
def test_small_independent_errors_are_noise(arrays):
    shape = shaped(arrays, arrays.wanted)
    assert (shape.kind, shape.rows, shape.columns) == ("noise", (), ())


@given(arrays_of(rows=12, d=12))
def test_values_without_a_relation_are_other(arrays):
    shape = shaped(arrays, arrays.draw.standard_normal(arrays.wanted.shape) * arrays.scale)
    assert shape.kind == "other"
    assert "% of the values are wrong" in shape.detail
    assert "correlation" in shape.detail


@given(ARRAYS, st.sampled_from([0.125, 0.5, 2.0, 255.0, 1 / 255, 1.3, 0.97, -2.0]))
@example(Arrays(rows=1, heads=2, d=4, seed=0), 0.5)
def test_one_factor_for_all_is_a_scale(arrays, factor):
    shape = shaped(arrays, arrays.wanted * factor)
    assert shape.kind == "scale"
    assert told(shape) == pytest.approx(factor, rel=2e-2 if abs(factor) < 0.1 else 2e-3)


@given(ARRAYS, st.booleans())
def test_the_root_of_a_width_is_named(arrays, by_head):
    size = arrays.wanted.shape[2] if by_head else arrays.wanted[0].size
    assume(size > 4)
    shape = shaped(arrays, arrays.wanted / np.sqrt(size))
    assert shape.kind == "scale"
    assert f"1/sqrt({size})" in shape.detail


@given(arrays_of(rows=4))
def test_a_factor_and_a_number_are_a_scale(arrays):
    shape = shaped(arrays, arrays.wanted * 0.5 + arrays.scale)
    assert shape.kind == "scale"
    assert "times the wanted one plus" in shape.detail
    assert told(shape) == pytest.approx(0.5, rel=2e-3)


@given(ARRAYS)
def test_minus_one_for_all_is_a_sign(arrays):
    shape = shaped(arrays, -arrays.wanted)
    assert (shape.kind, shape.detail) == ("sign", "every value has the wrong sign")


@given(ARRAYS)
def test_minus_one_for_a_half_of_each_head_is_a_sign_too(arrays):
    half = arrays.wanted.shape[2] // 2
    found = arrays.wanted.copy()
    found[..., :half] *= -1
    shape = shaped(arrays, found)
    assert shape.kind == "sign"
    assert "(the first half)" in shape.detail
    assert shape.columns == tuple(range(half))[:8]


@given(arrays_of(heads=2))
def test_minus_one_for_a_head_is_a_sign_that_names_the_head(arrays):
    heads = arrays.wanted.shape[1]
    found = arrays.wanted.copy()
    found[:, heads - 1] *= -1
    shape = shaped(arrays, found)
    assert (shape.kind, shape.detail) == ("sign", f"head {heads - 1} of {heads} has the wrong sign")


@given(ARRAYS, st.sampled_from([-1.0, 1.0]))
def test_one_number_added_to_all_is_an_offset(arrays, sign):
    shape = shaped(arrays, arrays.wanted + sign * 3 * arrays.scale)
    assert shape.kind == "offset"
    assert f"too {'large' if sign > 0 else 'small'}" in shape.detail


@given(arrays_of(rows=7))
def test_one_vector_in_every_row_is_an_offset_that_speaks_of_a_bias(arrays):
    bias = arrays.scale * (2 + arrays.draw.random(arrays.wanted.shape[1:]) * 3)
    bias.flat[3] = 9 * arrays.scale
    shape = shaped(arrays, arrays.wanted + bias)
    assert shape.kind == "offset"
    assert "the same vector, a bias" in shape.detail
    head, channel = divmod(3, arrays.wanted.shape[2])
    assert f"channel {channel}" + (f" of head {head}" if arrays.wanted.shape[1] > 1 else "") in shape.detail


@given(arrays_of(rows=4))
def test_one_number_for_each_row_is_an_offset(arrays):
    shape = shaped(arrays, arrays.wanted + arrays.scale * (2 + arrays.draw.random((len(arrays.wanted), 1, 1))))
    assert shape.kind == "offset"
    assert "one number, of its own for each row" in shape.detail


@given(arrays_of(rows=7))
def test_one_factor_for_each_channel_is_a_scale_that_speaks_of_a_gain(arrays):
    gain = 2 + 3 * arrays.draw.random(arrays.wanted.shape[1:])
    shape = shaped(arrays, arrays.wanted * gain)
    assert shape.kind == "scale"
    assert "each channel has a factor of its own" in shape.detail
    assert "gain" in shape.detail


@given(arrays_of(rows=4))
def test_one_factor_for_each_row_is_a_scale(arrays):
    shape = shaped(arrays, arrays.wanted * (2 + 3 * arrays.draw.random((len(arrays.wanted), 1, 1))))
    assert shape.kind == "scale"
    assert "each row has a factor of its own" in shape.detail


@given(arrays_of(rows=12, heads=2, d=8))
def test_pairs_turned_by_a_wrong_angle_are_seen_in_a_rotated_part_only(arrays):
    rows, _, d = arrays.wanted.shape
    angle = arrays.draw.uniform(0.5, 3, (rows, 1, d // 2))
    a, b = arrays.wanted[..., : d // 2], arrays.wanted[..., d // 2 :]
    found = np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], axis=-1)
    shape = shaped(arrays, found, part="language.blocks.00.attn.q_rope", dims="L N d")
    assert shape.kind == "other"
    assert shape.detail.startswith(f"channels j and j + {d // 2} have the right length together but a wrong angle")
    assert "angle" not in shaped(arrays, found, part="language.blocks.00.attn.q", dims="L N d").detail
    garbage = arrays.draw.standard_normal(found.shape) * arrays.scale
    assert "angle" not in shaped(arrays, garbage, part="language.blocks.00.attn.q_rope", dims="L N d").detail


def test_a_norm_that_was_left_out_is_suspected():
    rows = np.random.default_rng(0).standard_normal((30, 64)) * np.linspace(1, 9, 30)[:, np.newaxis]
    wanted = rows / np.sqrt(np.mean(np.square(rows), axis=1, keepdims=True))
    shape = error_shape(rows, wanted, part="x", dims="L E", tolerance=1e-6, layout=Layout())
    assert shape.kind == "scale"
    assert shape.detail.endswith("the wanted tokens have one length, so a normalisation may be missing")
    shape = error_shape(wanted, rows, part="x", dims="L E", tolerance=1e-6, layout=Layout())
    assert shape.detail.endswith("the tokens found have one length, so there may be a normalisation too many")


# ------------------------------------------------------------------------------------- values that ran out


@given(ARRAYS, st.integers(0, 10**6))
def test_one_nan_is_found_where_it_is(arrays, at):
    found = arrays.wanted.copy()
    at %= found.size
    found.flat[at] = np.nan
    row, column = divmod(at, found[0].size)
    shape = shaped(arrays, found)
    assert (shape.kind, shape.rows, shape.columns) == ("nan", (row,), (column,))
    assert f"NaN in row {row}, from channel {column} on" in shape.detail


def test_nan_from_a_row_on_is_told_from_nan_in_some_rows():
    wanted = np.random.default_rng(0).standard_normal((20, 16))
    found = wanted.copy()
    found[12:, 3:] = np.nan
    shape = error_shape(found, wanted, part="x", dims="L E", tolerance=1e-6, layout=Layout())
    assert shape.detail == "NaN from token 12, channel 3 on, in every row behind it, 32.5 % of the values"
    found = wanted.copy()
    found[[2, 3, 9]] = np.nan
    shape = error_shape(found, wanted, part="x", dims="L E", tolerance=1e-6, layout=Layout())
    assert shape.detail == "NaN in all of tokens 2, 3 and 9, first at channel 0, 15 % of the values"
    shape = error_shape(wanted * np.nan, wanted, part="x", dims="L E", tolerance=1e-6, layout=Layout())
    assert (shape.kind, shape.detail) == ("nan", "NaN everywhere")


def test_infinity_of_the_largest_values_is_saturation_and_any_other_is_not():
    wanted = np.random.default_rng(0).standard_normal((20, 16)) * 4e4
    found = np.where(np.abs(wanted) >= 65520, np.sign(wanted) * np.inf, wanted)
    shape = error_shape(found, wanted, part="x", dims="L E", tolerance=1.0, layout=Layout())
    assert shape.kind == "saturation"
    assert "as float16 has it" in shape.detail
    found = wanted.copy()
    found[7, 3] = np.inf if wanted[7, 3] > 0 else -np.inf
    assert abs(wanted[7, 3]) < 65520
    shape = error_shape(found, wanted, part="x", dims="L E", tolerance=1.0, layout=Layout())
    assert (shape.kind, shape.rows, shape.columns) == ("nan", (7,), (3,))
    assert shape.detail.startswith("infinity in token 7")
    found[8, 1] = np.nan
    shape = error_shape(found, wanted, part="x", dims="L E", tolerance=1.0, layout=Layout())
    assert shape.detail.startswith("NaN and infinity in tokens 7 and 8")


def test_what_is_wanted_to_be_infinite_is_right_if_it_is():
    wanted = np.random.default_rng(0).standard_normal((6, 8))
    wanted[2, 3], wanted[4, 4] = -np.inf, np.nan
    assert error_shape(wanted.copy(), wanted, part="x", dims="L E", tolerance=0.0, layout=Layout()).kind == "noise"
    found = wanted.copy()
    found[2, 3] = 0.0
    assert error_shape(found, wanted, part="x", dims="L E", tolerance=0.0, layout=Layout()).kind == "other"


@given(ARRAYS, st.sampled_from(["below", "above", "both"]))
def test_values_clipped_to_a_bound_are_saturation(arrays, side):
    bound = 0.4 * arrays.scale
    low, high = (-bound if side != "above" else -np.inf), (bound if side != "below" else np.inf)
    passed = (arrays.noisy < low).sum(), (arrays.noisy > high).sum()
    assume(
        all(count >= 3 for count, is_on in zip(passed, (side != "above", side != "below"), strict=True) if is_on)
    )
    shape = error_shape(
        np.clip(arrays.noisy, low, high),
        arrays.wanted,
        part="x",
        dims="P N d",
        tolerance=arrays.tolerance,
        layout=Layout(),
    )
    assert shape.kind == "saturation"
    assert "clipped to" in shape.detail


def test_one_value_at_the_end_of_float16_is_saturation():
    wanted = np.linspace(-6e4, 7e4, 40).reshape(10, 4)
    wanted[9, 2] = 6.5e4
    found = np.minimum(wanted, 65504.0)
    shape = error_shape(found, wanted, part="x", dims="L E", tolerance=1.0, layout=Layout())
    assert (shape.kind, shape.detail) == ("saturation", "values above 65504 are clipped to it, where float16 ends")


# ------------------------------------------------------------------------------------ sensible at the edges


def test_values_that_nobody_wrote_are_said_to_be_constant():
    wanted = np.random.default_rng(0).standard_normal((6, 8))
    shape = error_shape(wanted * 0, wanted, part="x", dims="L E", tolerance=1e-6, layout=Layout())
    assert (shape.kind, shape.detail) == ("other", "every value is 0, as if nothing had been written")


def test_of_constant_arrays_a_difference_is_told_and_no_permutation():
    ones = np.ones((6, 8))
    assert error_shape(ones, ones, part="x", dims="L E", tolerance=0.0, layout=Layout()).kind == "noise"
    shape = error_shape(ones * 2, ones, part="x", dims="L E", tolerance=0.0, layout=Layout())
    assert (shape.kind, shape.detail) == ("offset", "every value is 1 too large")
    shape = error_shape(ones, ones * 0, part="x", dims="L E", tolerance=0.0, layout=Layout())
    assert (shape.kind, shape.detail) == ("offset", "every value is 1 too large")


def test_integers_off_by_one_are_an_offset():
    ids = np.array([151644, 8948, 198, 2610, 525, 264], dtype=np.float64)
    shape = error_shape(ids - 1, ids, part="outputs.ids", dims="L", tolerance=0.0, layout=Layout())
    assert (shape.kind, shape.detail) == ("offset", "every value is 1 too small")


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_single_value_is_other_and_both_numbers_are_told(shape):
    found, wanted = np.full(shape, 3.0), np.full(shape, 151655.0)
    result = error_shape(found, wanted, part="x", dims="", tolerance=0.0, layout=Layout())
    assert (result.kind, result.detail) == ("other", "3 for 151655")


def test_no_values_are_noise():
    none = np.zeros((0, 8))
    assert error_shape(none, none, part="x", dims="M E", tolerance=0.0, layout=Layout()).kind == "noise"


def test_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"found\.shape=\(2,\)"):
        error_shape(np.zeros(2), np.zeros(3), part="x", dims="M", tolerance=0.0, layout=Layout())


@given(ARRAYS, st.floats(0, 1e3))
def test_a_factor_of_one_is_not_a_scale(arrays, tolerance):
    shape = error_shape(arrays.wanted, arrays.wanted, part="x", dims="P N d", tolerance=tolerance, layout=Layout())
    assert shape.kind == "noise"


def test_a_tolerance_for_each_row_counts_row_by_row():
    wanted = np.random.default_rng(0).standard_normal((10, 16))
    found = wanted + np.linspace(0.1, 1, 10)[:, np.newaxis] * np.random.default_rng(1).choice([-1, 1], (10, 16))
    tolerance = np.linspace(0.1, 1, 10)[:, np.newaxis] + 1e-9
    assert error_shape(found, wanted, part="x", dims="L E", tolerance=tolerance, layout=Layout()).kind == "noise"
    tolerance[4] = 0.01
    shape = error_shape(found, wanted, part="x", dims="L E", tolerance=tolerance, layout=Layout())
    assert (shape.kind, shape.rows) == ("token", (4,))


def test_tolerances_move_with_the_rows():
    draw = np.random.default_rng(0)
    tolerance = np.where(np.arange(20) % 4 == 0, 0.1, 1e-4)[:, np.newaxis]
    wanted = draw.standard_normal((20, 16))
    noisy = wanted + draw.uniform(-1, 1, wanted.shape) * tolerance / 4
    order = np.roll(np.arange(20), 3)
    shape = error_shape(noisy[order], wanted, part="x", dims="L E", tolerance=tolerance, layout=Layout())
    assert (shape.kind, shape.detail) == (
        "permutation",
        "every token stands 3 places too late, going round at the end",
    )


def test_an_explanation_in_the_main_says_what_it_leaves():
    draw = np.random.default_rng(0)
    wanted = draw.standard_normal((40, 64))
    found = wanted * 1.5 * (1 + 0.02 * draw.standard_normal(wanted.shape))
    shape = error_shape(found, wanted, part="x", dims="L E", tolerance=1e-6, layout=Layout())
    assert shape.kind == "scale"
    assert re.fullmatch(
        r"every value is 1\.50\d times the wanted one; that leaves 1/1\d of the error, more than noise",
        shape.detail,
    )
    found = wanted * 1.5 * (1 + 0.2 * draw.standard_normal(wanted.shape))  # leaves a half
    assert error_shape(found, wanted, part="x", dims="L E", tolerance=1e-6, layout=Layout()).kind == "other"


def test_a_whole_explanation_owns_up_to_what_it_does_not_explain():
    wanted = np.random.default_rng(0).standard_normal((40, 64))
    found = wanted * 2
    found[3, 4] = 99.0
    shape = error_shape(found, wanted, part="x", dims="L E", tolerance=1e-6, layout=Layout())
    assert shape.kind == "scale"
    assert shape.detail.endswith("; 0.0391 % of the values have another fault too")


def test_one_huge_value_does_not_make_a_claim_true():
    wanted = np.random.default_rng(0).standard_normal((40, 64))
    wanted[0, 5] = 1e4  # as the first token of a real model has
    found = wanted + np.random.default_rng(1).standard_normal((40, 64)) * 0.5
    found[0, 5] *= 2  # nearly all of the squared error: a factor of 2 would take it away
    assert error_shape(found, wanted, part="x", dims="L E", tolerance=1e-6, layout=Layout()).kind == "other"


def test_of_an_error_without_a_name_is_told_where_it_begins_and_whether_it_grows():
    draw = np.random.default_rng(0)
    wanted = draw.standard_normal((100, 32))
    found = wanted.copy()
    found[64:] += draw.standard_normal((36, 32))
    shape = error_shape(found, wanted, part="x", dims="L E", tolerance=1e-6, layout=Layout())
    assert (shape.kind, shape.rows[0]) == ("other", 64)
    assert "36 % of the values are wrong, from token 64 on" in shape.detail
    found = wanted + draw.standard_normal((100, 32)) * np.linspace(0.01, 1, 100)[:, np.newaxis]
    shape = error_shape(found, wanted, part="x", dims="L E", tolerance=1e-6, layout=Layout())
    assert "times larger in the last quarter of the tokens" in shape.detail


def test_values_rounded_to_a_narrow_type_are_seen_to_be_so():
    wanted = np.random.default_rng(0).standard_normal((40, 32))
    found = wanted.astype(np.float16).astype(np.float64)
    shape = error_shape(found, wanted, part="x", dims="L E", tolerance=1e-7, layout=Layout())
    assert shape.kind == "other"
    assert shape.detail.endswith("every value is a number of float16")


def test_values_at_the_end_of_float64_raise_nothing():
    wanted = np.random.default_rng(0).standard_normal((10, 8))
    found = wanted / np.abs(wanted).max() * 1.7e308
    shape = error_shape(found, wanted, part="x", dims="L E", tolerance=1e-6, layout=Layout())
    assert shape.kind in KINDS


def test_arguments_stay_as_they_are():
    wanted = np.random.default_rng(0).standard_normal((12, 8))
    found = wanted[::-1].copy()
    before = found.copy(), wanted.copy()
    error_shape(found, wanted, part="x", dims="L E", tolerance=TOLERANCE, layout=Layout())
    assert np.array_equal(found, before[0])
    assert np.array_equal(wanted, before[1])


def test_the_same_arrays_give_the_same_words():
    wanted = np.random.default_rng(0).standard_normal((400, 48))
    found = wanted[np.random.default_rng(1).permutation(400)]
    shapes = [error_shape(found, wanted, part="x", dims="L E", tolerance=1e-6, layout=Layout()) for _ in range(2)]
    assert shapes[0] == shapes[1]
