"""Section 15: image cases see each mistake that they claim to see, planted here one by one."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from golden_cases import case_arrays, kills_of, tiny_lab
from qwen25vl.golden.cases.image_png import RGB, orientation, png_file


@pytest.fixture(scope="module")
def lab():
    return tiny_lab()


# ----------------------------------------------------------------------------------------------- sizes


def nearest(side, factor, bug):
    """The multiple of a factor that a side goes to."""
    if bug == "round-up-always":
        return math.ceil(side / factor) * factor
    if bug == "round-half-up":
        return math.floor(side / factor + 0.5) * factor
    low = side // factor * factor
    if 2 * (side - low) == factor:
        return low if low // factor % 2 == 0 else low + factor
    return low if 2 * (side - low) < factor else low + factor


def size_of(height, width, least, most, factor, *, bug="", profile="hf"):
    """A target size, written from the clauses, or with a bug; 0 0 is a refusal."""
    if bug == "sides-swapped":
        height, width = width, height
    if max(height, width) > 200 * min(height, width):
        return 0, 0
    if min(height, width) < factor and (profile == "hf-4.49" or bug == "short-side-refused"):
        return 0, 0
    sides = [nearest(side, factor, bug) for side in (height, width)]
    if profile == "utils":
        sides = [max(side, factor) for side in sides]
    area = math.prod(sides)
    limited = bug != "no-pixel-limits"
    original = sides if bug == "limit-from-rounded-sides" else [height, width]
    if area > most and limited:
        beta = math.sqrt(math.prod(original) / most)
        cut = round if bug == "limit-rounded-not-floored" else math.floor
        if bug == "limit-floor-order":
            sides = [cut(side / (beta * factor)) * factor for side in original]
        else:
            sides = [cut(side / beta / factor) * factor for side in original]
        if profile == "hf" and bug != "side-of-zero":
            sides = [max(side, factor) for side in sides]
    elif area < least and limited:
        beta = math.sqrt(least / math.prod(original))
        sides = [math.ceil(side * beta / factor) * factor for side in original]
    return tuple(sides) if min(sides) else (0, 0)


TABLES = {
    "sides_go_to_the_nearest_multiple_halves_to_even": ("outputs.sizes", "hf"),
    "areas_stay_within_their_limits": ("outputs.sizes", "hf"),
    "short_sides_are_kept_at_one_factor": ("outputs.sizes", "hf"),
    "each_profile_guards_short_sides_its_own_way": ("outputs.sizes_hf", "hf"),
}


@pytest.mark.parametrize(("name", "bug"), [pair for pair in kills_of("image") if pair[0] in TABLES])
def test_a_wrong_size_rule_gives_another_table(name, bug, lab):
    arrays = case_arrays(name, lab)
    part, profile = TABLES[name]
    requests, sizes = arrays["inputs.requests"].tolist(), arrays[part].tolist()
    assert [list(size_of(*row, profile=profile)) for row in requests] == sizes
    if bug == "other-profile":
        for other in ("hf-4.49", "utils"):
            right = arrays[f"outputs.sizes_{other.replace('-', '_').replace('.', '_')}"].tolist()
            assert [list(size_of(*row, profile=other)) for row in requests] == right
            assert right != sizes
        return
    assert [list(size_of(*row, profile=profile, bug=bug)) for row in requests] != sizes


def test_i9_i10_published_sizes_stand_in_the_tables(lab):
    halves = case_arrays("sides_go_to_the_nearest_multiple_halves_to_even", lab)
    found = {
        (height, factor): target
        for (height, _, _, _, factor), (target, _) in zip(
            halves["inputs.requests"].tolist(), halves["outputs.sizes"].tolist(), strict=True
        )
    }
    assert [found[side, 28] for side in (70, 126, 182, 238, 42)] == [56, 112, 168, 224, 56]
    assert found[1080, 28] == 1092
    limits = case_arrays("areas_stay_within_their_limits", lab)
    assert limits["outputs.sizes"][0].tolist() == [3556, 3556]
    strips = case_arrays("short_sides_are_kept_at_one_factor", lab)
    assert strips["outputs.sizes"][0].tolist() == [28, 560]


# -------------------------------------------------------------------------------------------- resampling


def weighted(image, wanted, *, a, bug):
    """Resample the first axis, or with a bug."""
    given = len(image)
    stretch = 1.0 if bug == "no-antialias" else max(given / wanted, 1.0)
    out = np.empty((wanted, *image.shape[1:]))
    for i in range(wanted):
        centre = (i + 0.5) * given / wanted
        low, high = (math.floor(centre + side * 2 * stretch + 0.5) for side in (-1, 1))
        reach = np.arange(max(low, 0), min(high, given))
        d = np.abs(reach + 0.5 - centre) / stretch
        near, far = ((a + 2) * d - (a + 3)) * d * d + 1, (((d - 5) * d + 8) * d - 4) * a
        weights = np.where(d < 1, near, np.where(d < 2, far, 0))
        weights = weights / weights.sum()
        if bug != "resample-in-float":
            weights = np.floor(weights * 2**22 + 0.5) / 2**22  # sums of bytes times these are exact
        out[i] = np.tensordot(weights, image[reach], axes=1)
    return out


def resampled(rgb, height, width, *, bug="", vertical_first=False):
    """Resample a picture, or with a bug."""
    if bug in ("bilinear", "nearest"):
        kind = Image.Resampling[bug.upper()]
        return np.array(Image.fromarray(rgb).resize((width, height), kind))
    a = -0.75 if bug == "cubic-minus-three-quarters" else -0.5
    image = rgb.astype(np.float64)
    for axis in (0, 1) if vertical_first else (1, 0):
        wanted = (height, width)[axis]
        if image.shape[axis] != wanted:
            image = weighted(image.swapaxes(0, axis), wanted, a=a, bug=bug).swapaxes(0, axis)
        if bug != "resample-in-float":
            image = np.clip(np.floor(image + 0.5), 0, 255)
    return np.clip(np.floor(image + 0.5), 0, 255).astype(np.uint8)


FILTERS = [
    pair
    for pair in kills_of("image")
    if pair[1] in ("no-antialias", "bilinear", "nearest", "cubic-minus-three-quarters", "resample-in-float")
]


@pytest.mark.parametrize(
    ("name", "bug"), [pair for pair in FILTERS if not pair[0].startswith(("weights", "limits"))]
)
def test_a_wrong_filter_gives_other_bytes(name, bug, lab):
    arrays = case_arrays(name, lab)
    rgb, (height, width), right = arrays["inputs.rgb"], arrays["inputs.size"].tolist(), arrays["outputs.rgb"]
    np.testing.assert_array_equal(resampled(rgb, height, width), right)
    once = Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(np.array(once), right)  # Pillow's own, width first here
    assert not np.array_equal(resampled(rgb, height, width, bug=bug), right)


@pytest.mark.parametrize(
    ("part", "vertical_first"), [("taller_rgb", True), ("rgb", False)], ids=["over twice", "twice"]
)
def test_i17_the_two_orders_of_passes_give_other_bytes(part, vertical_first, lab):
    arrays = case_arrays("the_order_of_the_two_passes_follows_the_loss", lab)
    rgb, right = arrays[f"inputs.{part}"], arrays[f"outputs.{part}"]
    np.testing.assert_array_equal(resampled(rgb, 28, 28, vertical_first=vertical_first), right)
    assert not np.array_equal(resampled(rgb, 28, 28, vertical_first=not vertical_first), right)


@pytest.mark.parametrize("bug", ["no-antialias", "cubic-minus-three-quarters", "resample-in-float"])
def test_i15_weights_of_another_kernel_are_other_numbers(bug, lab):
    arrays = case_arrays("weights_of_the_kernel_are_whole_numbers", lab)
    ends = np.cumsum(arrays["outputs.taps"])
    weights = np.split(arrays["outputs.weights"], ends[:-1])
    a = -0.75 if bug == "cubic-minus-three-quarters" else -0.5
    place, wrong = 0, 0
    for given, wanted in arrays["inputs.lengths"].tolist():
        dense = weighted(np.eye(given), wanted, a=a, bug=bug)  # row i: the weights of position i
        exact = weighted(np.eye(given), wanted, a=-0.5, bug="")
        for i in range(wanted):
            first, found = arrays["outputs.first"][place], weights[place]
            reach = slice(first, first + len(found))
            np.testing.assert_allclose(found / 2**22, exact[i, reach], rtol=0, atol=0.6 / 2**22)
            assert exact[i].sum() == pytest.approx(exact[i, reach].sum())  # nothing lies outside
            wrong += not np.array_equal(dense[i, reach] * 2**22, found)
            place += 1
    assert place == len(weights)
    assert wrong


def test_i25_a_picture_that_is_resized_twice_has_other_bytes(lab):
    arrays = case_arrays("a_picture_is_resized_once", lab)
    rgb, right = arrays["inputs.rgb"], arrays["outputs.rgb"]
    limits = arrays["inputs.limits"].tolist()
    assert size_of(61, 130, *limits, 28) == right.shape[:2]
    np.testing.assert_array_equal(resampled(rgb, *right.shape[:2]), right)
    first = size_of(61, 130, 3136, 12_845_056, 28)
    assert size_of(*first, *limits, 28) == right.shape[:2]  # the size is the same by either way
    assert not np.array_equal(resampled(resampled(rgb, *first), *right.shape[:2]), right)
    assert size_of(61, 130, *limits, 28, bug="no-pixel-limits") != right.shape[:2]


@pytest.mark.parametrize("bug", ["", *(bug for name, bug in FILTERS if name.startswith("limits"))])
def test_i25_a_limit_of_the_caller_decides_the_size_and_a_wrong_filter_shows(bug, lab):
    arrays, settings = case_arrays("limits_of_a_caller_replace_those_of_the_settings", lab), lab.processor.settings
    least, most = settings.min_pixels, settings.max_pixels
    shapes = set()
    for name, limits in (("none", (least, most)), ("largest", (least, 7000)), ("least", (20_000, most))):
        right = arrays[f"outputs.{name}.rgb"]
        size = size_of(90, 150, *limits, 28)
        assert right.shape[:2] == size == tuple(14 * side for side in arrays[f"outputs.{name}.grid"][1:])
        shapes.add(size)
        if name == "largest" or bug != "no-antialias":  # the others grow, or hardly shrink
            found = resampled(arrays["inputs.rgb"], *size, bug=bug)
            assert np.array_equal(found, right) == (bug == "")
    assert len(shapes) == 3


def test_i11_one_row_of_pixels_has_this_size_and_no_other(lab):
    arrays = case_arrays("a_single_row_of_pixels_is_a_picture", lab)
    assert arrays["inputs.size"].tolist() == list(size_of(1, 40, 3136, 12_845_056, 28)) == [28, 364]
    assert size_of(1, 40, 3136, 12_845_056, 28, bug="short-side-refused") == (0, 0)
    assert size_of(1, 40, 3136, 12_845_056, 28, bug="no-pixel-limits") == (0, 0)  # a side of zero
    np.testing.assert_array_equal(resampled(arrays["inputs.rgb"], 28, 364), arrays["outputs.rgb"])


# ------------------------------------------------------------------------------------- normalising, rows


@pytest.mark.parametrize("bug", ["", "clip-mean-half", "not-rescaled", "normalise-folded", "channel-order"])
def test_i18_other_constants_and_other_roundings_give_other_numbers(bug, lab):
    arrays = case_arrays("every_byte_is_normalised_in_its_channel", lab)
    rgb, right = arrays["inputs.rgb"], arrays["outputs.normalised"]
    mean, std = (arrays[f"inputs.{name}"].astype(np.float32) for name in ("mean", "std"))
    if bug == "clip-mean-half":
        mean, std = np.full(3, 0.5, np.float32), np.full(3, 0.5, np.float32)
    if bug == "channel-order":
        mean, std = mean[::-1], std[::-1]
    unit = rgb.astype(np.float32) if bug == "not-rescaled" else (rgb.astype(np.float64) / 255).astype(np.float32)
    unit = (unit - mean) / std
    if bug == "normalise-folded":
        unit = (rgb.astype(np.float32) - mean * np.float32(255)) / (std * np.float32(255))
        np.testing.assert_allclose(unit.transpose(2, 0, 1), right, rtol=1e-4, atol=1e-6)
    assert np.array_equal(unit.transpose(2, 0, 1), right) == (bug == "")
    assert {len(np.unique(channel)) for channel in right} == {256}


def rows_by_axes(frames, order):
    """Cut frames `[F, C, height, width]` into rows with the axes in an order of letters.

    t row of time, k frame in a patch, f channel; g, h row and column of blocks; r, c in a block; y, x in a patch
    """
    F, C, height, width = frames.shape
    split = frames.reshape(F // 2, 2, C, height // 28, 2, 14, width // 28, 2, 14)
    letters = "tkfgryhcx"
    return split.transpose([letters.index(letter) for letter in order.replace(" ", "")]).reshape(-1, C * 392)


@pytest.mark.parametrize(
    ("bug", "order"),
    [
        ("", "t g h r c f k y x"),
        ("raster-patches", "t g r h c f k y x"),
        ("inner-order-frame-first", "t g h r c k f y x"),
        ("inner-order-channel-last", "t g h r c k y x f"),
        ("patch-transposed", "t g h r c f k x y"),
        ("sides-swapped", "t h g c r f k y x"),
        ("second-frame-zero", "t g h r c f k y x"),
        ("channel-order", "t g h r c f k y x"),
    ],
)
def test_i20_i21_rows_in_another_order_are_other_rows(bug, order, lab):
    arrays = case_arrays("rows_go_block_by_block_and_channel_by_channel", lab)
    settings = lab.processor.settings
    mean, std = (np.array(values, dtype=np.float32) for values in (settings.mean, settings.std))
    rgb = arrays["inputs.rgb"]
    assert len(np.unique(rgb.reshape(-1, 3), axis=0)) == rgb.shape[0] * rgb.shape[1]  # no two pixels are alike
    if bug == "channel-order":
        rgb = rgb[..., ::-1]
    unit = ((rgb / 255).astype(np.float32) - mean) / std
    second = np.zeros_like(unit) if bug == "second-frame-zero" else unit
    frames = np.stack([unit, second]).transpose(0, 3, 1, 2)
    same = np.array_equal(rows_by_axes(frames, order), arrays["outputs.rows"])
    assert same == (bug == "")
    assert arrays["outputs.grid"].tolist() == [1, 4, 6]


# ------------------------------------------------------------------------------------------------ files


def opened(arrays):
    """The stored file, as Pillow opens it."""
    return Image.open(io.BytesIO(arrays["inputs.file"].tobytes()))


def test_i2_no_other_orientation_gives_the_same_pixels(lab):
    arrays = case_arrays("a_file_is_turned_upright", lab)
    stored, right = np.array(opened(arrays)), arrays["outputs.rgb"]
    assert opened(arrays).getexif()[0x0112] == 6
    np.testing.assert_array_equal(np.rot90(stored, -1), right)  # a quarter turn clockwise
    turns = [np.rot90(picture, k) for picture in (stored, stored[:, ::-1]) for k in range(4)]
    assert sum(np.array_equal(turn, right) for turn in turns) == 1
    np.testing.assert_array_equal(png_file(stored, kind=RGB, extra=(orientation(6),)), arrays["inputs.file"])


def test_i3_a_palette_that_is_laid_on_something_or_not_looked_up_gives_other_pixels(lab):
    arrays = case_arrays("a_palette_is_looked_up_and_its_transparency_dropped", lab)
    right = arrays["outputs.rgb"]
    indices = np.array(opened(arrays))
    assert not np.array_equal(np.repeat(indices[..., np.newaxis], 3, axis=-1), right)
    for paper in ((255, 255, 255), (0, 0, 0)):
        laid = Image.new("RGBA", opened(arrays).size, paper)
        laid.alpha_composite(opened(arrays).convert("RGBA"))
        assert not np.array_equal(np.array(laid.convert("RGB")), right)
    assert right[0].tolist()[:5] == [[255, 0, 0], [0, 200, 10], [5, 6, 250], [90, 90, 90], [255, 255, 0]]


def test_i3_i5_alpha_that_goes_the_other_way_gives_other_pixels(lab):
    arrays = case_arrays("alpha_goes_one_way_in_a_file_and_another_in_an_array", lab)
    rgba = arrays["inputs.rgba"].astype(np.int64)
    dropped, alpha = rgba[..., :3], rgba[..., 3:]
    on_white = np.rint((dropped * alpha + 255 * (255 - alpha)) / 255)
    on_black = np.rint(dropped * alpha / 255)
    np.testing.assert_array_equal(arrays["outputs.rgb"], dropped)
    np.testing.assert_array_equal(arrays["outputs.rgb_of_array"], on_white)
    for wrong in (on_white, on_black, rgba[..., 1:]):
        assert not np.array_equal(wrong, arrays["outputs.rgb"])
    for wrong in (dropped, on_black):
        assert not np.array_equal(wrong, arrays["outputs.rgb_of_array"])


def test_i6_sixteen_bits_that_are_clipped_or_rounded_give_other_pixels(lab):
    arrays = case_arrays("sixteen_bits_of_grey_keep_the_high_byte", lab)
    stored = np.array(opened(arrays)).astype(np.int64)
    for wrong, is_right in (
        (stored // 256, True),
        (np.clip(stored, 0, 255), False),
        (np.rint(stored / 257), False),
    ):
        repeated = np.repeat(wrong[..., np.newaxis], 3, axis=-1)
        assert np.array_equal(repeated, arrays["outputs.rgb"]) == is_right
