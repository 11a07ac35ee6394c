"""Section 15: window and rotation cases see each mistake that they claim to see, planted here one by one."""

import math

import numpy as np
import pytest

from golden_cases import CASES, case_arrays, kills_of, tiny_lab
from qwen25vl.rounding import to_bfloat16

GRIDS = [entry.id for entry in CASES.values() if entry.family == "windows"][:6]
GRIDS += ["windows_of_another_side_give_another_order"]


@pytest.fixture(scope="module")
def lab():
    return tiny_lab()


def windows_of(grid_m, side, bug):
    """Merged tokens `(t, row, column)` of one medium, window by window."""
    T, Hm, Wm = grid_m
    down, right = Hm, Wm
    if bug == "empty-window-kept":  # upstream pads by a whole window where a side divides
        down, right = (length - length % side + side for length in (Hm, Wm))
    windows = []
    frames = [range(T)] if bug == "windows-span-frames" else [[t] for t in range(T)]
    for frame in frames:
        for top in range(0, down, side):
            for left in range(0, right, side):
                rows, columns = range(top, min(top + side, Hm)), range(left, min(left + side, Wm))
                if bug == "whole-windows-only":  # moved inwards
                    rows = range(max(min(top, Hm - side), 0), min(top + side, Hm))
                    columns = range(max(min(left, Wm - side), 0), min(left + side, Wm))
                windows.append([(t, row, column) for t in frame for row in rows for column in columns])
    return windows


def expected(grids, side, bug=""):
    """Order, starts of windows and starts of frames in patches, from the clauses or with a bug."""
    side = {"window-in-patches": 2 * side, "window-side-fixed": 4}.get(bug, side)
    order, sizes, frames, first = [], [], [], 0
    for T, H, W in grids:
        Hm, Wm = H // 2, W // 2
        for window in windows_of((T, Hm, Wm), side, bug):
            order += [first + (t * Hm + row) * Wm + column for t, row, column in window]
            sizes.append(len(window) * (1 if bug == "starts-in-tokens" else 4))
        frames += [T * H * W] if bug == "frame-starts-per-video" else [H * W] * T
        first += T * Hm * Wm
    if bug == "no-window-order":
        order = list(range(first))
    if bug == "frame-starts-one":
        frames = [sum(frames)]
    if bug == "lengths-for-starts":
        return order, sizes, frames
    return order, np.cumsum([0, *sizes]).tolist(), np.cumsum([0, *frames]).tolist()


def parts_of(arrays):
    """The same three as the case gives them."""
    return tuple(arrays[f"vision.{name}"].tolist() for name in ("window_order", "window_starts", "frame_starts"))


@pytest.mark.parametrize("name", GRIDS)
def test_the_clauses_written_again_give_the_same_windows(name, lab):
    arrays = case_arrays(name, lab)
    grids, side = arrays["inputs.grids"].tolist(), int(arrays["inputs.window_m"][0])
    assert expected(grids, side) == parts_of(arrays)
    order = arrays["vision.window_order"]
    assert order[arrays["outputs.place"]].tolist() == list(range(len(order)))


@pytest.mark.parametrize(("name", "bug"), [pair for pair in kills_of("windows") if pair[0] in GRIDS])
def test_a_wrong_rule_gives_other_windows(name, bug, lab):
    arrays = case_arrays(name, lab)
    grids, side = arrays["inputs.grids"].tolist(), int(arrays["inputs.window_m"][0])
    if bug == "order-for-inverse":
        assert not np.array_equal(arrays["vision.window_order"], arrays["outputs.place"])
    else:
        assert expected(grids, side, bug) != parts_of(arrays)


def test_a_control_of_448_pixels_cannot_tell_an_order_from_its_inverse(lab):
    arrays = case_arrays("square_of_448_pixels_hides_the_inverse", lab)
    np.testing.assert_array_equal(arrays["vision.window_order"], arrays["outputs.place"])
    assert arrays["vision.window_order"].tolist() != list(range(256))


def test_w12_sides_of_windows_by_other_units_are_other_numbers(lab):
    arrays = case_arrays("side_of_a_window_is_given_in_pixels", lab)
    shapes, sides = arrays["inputs.shapes"].tolist(), arrays["outputs.window_m"].tolist()
    assert sides == [4, 2, 3, 3, 4, 8]
    assert [window // patch for window, patch, _ in shapes] != sides
    assert [4] * len(shapes) != sides
    assert [round(window / patch / merge) for window, patch, merge in shapes] != sides


@pytest.mark.parametrize("bug", ["", "patches-leave-their-block", "order-for-inverse", "no-window-order"])
def test_w4_rows_that_move_otherwise_lie_elsewhere(bug, lab):
    arrays = case_arrays("whole_blocks_move_and_come_back", lab)
    rows, order = arrays["inputs.rows"], arrays["inputs.window_order"]
    assert len(np.unique(rows, axis=0)) == len(rows)
    patches = (4 * order[:, np.newaxis] + np.arange(4)).ravel()
    if bug == "patches-leave-their-block":
        patches = np.concatenate([order + 10 * i for i in range(4)])
    there = rows if bug == "no-window-order" else rows[patches]
    back = there[patches] if bug == "order-for-inverse" else there[np.argsort(patches)]
    moved, returned = arrays["outputs.in_windows"], arrays["outputs.back"]
    assert (np.array_equal(there, moved) and np.array_equal(back, returned)) == (bug == "")
    np.testing.assert_array_equal(returned, rows)


# -------------------------------------------------------------------------------- numbers that are published


@pytest.mark.parametrize(
    ("name", "order", "place", "starts"),
    [
        ("two_windows_side_by_side", [0, 1, 2, 3, 5, 6, 7, 8, 4, 9], [0, 1, 2, 3, 8, 4, 5, 6, 7, 9], [0, 32, 40]),
        (
            "odd_grid_leaves_partial_windows",
            [0, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 17],
            [0, 1, 2, 3, 16, 17, 18, 4, 5, 6, 7, 19],
            [0, 64, 112, 128, 140],
        ),
        ("even_grid_has_no_empty_window", [0, 1, 2, 3, 8, 9], [0, 1, 2, 3, 16, 17], [0, 64, 128, 192, 256]),
    ],
)
def test_w2_w3_windows_have_the_published_numbers(name, order, place, starts, lab):
    arrays = case_arrays(name, lab)
    assert arrays["vision.window_order"][: len(order)].tolist() == order
    assert arrays["outputs.place"][: len(place)].tolist() == place
    assert arrays["vision.window_starts"].tolist() == starts


def test_w3_upstreams_list_with_empty_windows_is_the_published_one():
    _, starts, _ = expected([[1, 16, 16]], 4, "empty-window-kept")
    assert starts == [0, 64, 128, 128, 192, 256, 256, 256, 256, 256]


def test_w6_frames_have_the_published_starts(lab):
    arrays = case_arrays("every_frame_of_every_video_stands_alone", lab)
    assert arrays["vision.frame_starts"][:6].tolist() == [0, 16, 32, 48, 56, 64]


# ---------------------------------------------------------------------------------------------- rotation


def frequency(i, width, theta):
    """Radians per position, without rounding."""
    return 1 / theta ** (2 * i / width)


def vision_angle(row, column, channel, bug=""):
    """The angle of one channel of a vision head of 80."""
    channel %= 40
    axis, i = divmod(channel, 20)
    width = 80 if bug == "vision-rope-width" else 40
    theta = 1_000_000 if bug == "theta-swapped" else 10_000
    pair = (column, row) if bug == "vision-rope-axes" else (row, column)
    if bug == "vision-rope-merged":
        pair = (pair[0] // 2, pair[1] // 2)
    turn = frequency(i, width, theta)
    if bug == "frequencies-rounded":
        turn = float(to_bfloat16(np.array([turn], dtype=np.float32))[0])
    place = pair[axis]
    if bug == "positions-rounded":
        place = float(to_bfloat16(np.array([place], dtype=np.float32))[0])
    return 0.0 if bug == "vision-rope-missing" else place * turn


def language_angle(position, channel, bug=""):
    """The angle of one channel of a decoder's head of 128."""
    i = channel % 64
    axis = 0 if i < 16 else 1 if i < 40 else 2
    if bug == "sections-interleaved":
        axis = i % 3
    if bug == "sections-order":
        axis = 1 if i < 24 else 2 if i < 48 else 0
    if bug == "sections-repeated-whole":
        axis = 0 if channel < 32 else 1 if channel < 80 else 2
    turn = frequency(i, 128, 10_000 if bug == "theta-swapped" else 1_000_000)
    if bug == "frequencies-rounded":
        turn = float(to_bfloat16(np.array([turn], dtype=np.float32))[0])
    place = position[axis]
    if bug == "positions-rounded":
        place = float(to_bfloat16(np.array([place], dtype=np.float32))[0])
    return place * turn


def vision_table(coordinates, bug=""):
    """Angles of patches `[P, 80]`."""
    return np.array([[vision_angle(row, column, c, bug) for c in range(80)] for row, column in coordinates])


def language_table(positions, bug=""):
    """Angles of tokens `[L, 128]`."""
    return np.array([[language_angle(position, c, bug) for c in range(128)] for position in positions.T.tolist()])


def is_close(angles, arrays, tower):
    """Whether cosines and sines are those of these angles: frequencies have 24 bits."""
    slack = 1e-7 * max(1.0, np.max(np.abs(angles)))
    return all(
        np.allclose(turn(angles), arrays[f"{tower}.rope.{name}"], rtol=0, atol=slack)
        for name, turn in (("cos", np.cos), ("sin", np.sin))
    )


def raster(grids):
    """Coordinates without blocks."""
    return [(y, x) for T, H, W in grids for _ in range(T) for y in range(H) for x in range(W)]


ANGLES = [pair for pair in kills_of("rope") if pair[0] == "coordinates_follow_blocks_and_windows"]


@pytest.mark.parametrize("bug", ["", *(bug for _, bug in ANGLES)])
def test_r1_to_r4_wrong_coordinates_or_frequencies_give_other_angles(bug, lab):
    arrays = case_arrays("coordinates_follow_blocks_and_windows", lab)
    grids, order = arrays["inputs.grids"].tolist(), arrays["vision.window_order"]
    coordinates, below = [], 0
    for T, H, W in grids:
        for _ in range(T):
            blocks = [(top, left) for top in range(0, H, 2) for left in range(0, W, 2)]
            coordinates += [(below + top + y, left + x) for top, left in blocks for y in (0, 1) for x in (0, 1)]
            below += H if bug == "vision-rope-frames-continue" else 0
    if bug == "vision-rope-raster":
        coordinates = raster(grids)
    moved = [coordinates[4 * token + i] for token in order for i in range(4)]
    assert is_close(vision_table(moved, bug), arrays, "vision") == (bug == "")
    if bug == "":
        assert arrays["outputs.coordinates"].tolist() == [list(pair) for pair in coordinates]
        assert not is_close(vision_table(coordinates), arrays, "vision")  # windows move the angles, too


LAYOUTS = ["sections-interleaved", "sections-order", "sections-repeated-whole"]


@pytest.mark.parametrize("bug", ["", *LAYOUTS, "theta-swapped"])
def test_t10_sections_that_are_dealt_otherwise_give_other_angles(bug, lab):
    arrays = case_arrays("sections_follow_time_height_and_width", lab)
    assert is_close(language_table(arrays["inputs.positions"], bug), arrays, "language") == (bug == "")


def test_text_alone_hides_how_sections_are_dealt():
    positions = np.tile(np.arange(5), (3, 1))
    for bug in LAYOUTS:
        np.testing.assert_array_equal(language_table(positions, bug), language_table(positions))


@pytest.mark.parametrize("bug", ["", "frequencies-rounded", "positions-rounded"])
def test_n2_rounded_frequencies_and_positions_show_at_the_end_of_the_range(bug, lab):
    arrays = case_arrays("angles_of_the_last_row_and_position", lab)
    vision, language = (
        vision_table(arrays["inputs.coordinates"], bug),
        language_table(arrays["inputs.positions"], bug),
    )
    assert is_close(vision, arrays, "vision") == (bug == "")
    assert is_close(language, arrays, "language") == (bug == "")


def test_the_last_row_is_that_of_the_tallest_picture_that_is_allowed():
    tallest = max(
        round(height / 28) * 28
        for width in range(200, 300)
        for height in range(200 * width - 300, 200 * width + 1)
        if round(height / 28) * round(width / 28) * 28**2 <= 12_845_056
    )
    assert tallest // 14 - 1 == 3639
    # a picture that has to shrink stays below: its height is at most the root of 200 times the area
    assert math.sqrt(200 * 12_845_056) < tallest


@pytest.mark.parametrize("bug", ["", "theta-swapped", "frequencies-rounded", "vision-rope-width"])
def test_n8_frequencies_of_other_bases_widths_or_roundings_are_other_numbers(bug, lab):
    arrays = case_arrays("frequencies_of_both_towers", lab)
    vision, language = 10_000.0, 1_000_000.0
    if bug == "theta-swapped":
        vision, language = language, vision
    width = 80 if bug == "vision-rope-width" else 40
    found = [
        np.array([frequency(i, width, vision) for i in range(20)]),
        np.array([frequency(i, 128, language) for i in range(64)]),
    ]
    if bug == "frequencies-rounded":
        found = [to_bfloat16(array.astype(np.float32)) for array in found]
    right = [arrays["outputs.vision"], arrays["outputs.language"]]
    close = [np.allclose(*pair, rtol=3e-7, atol=0) for pair in zip(found, right, strict=True)]
    assert close == [bug == "", bug in ("", "vision-rope-width")]


def turned(q, angles, bug):
    """Rotate heads `[S, N, d]`, or with a bug."""
    d = q.shape[-1]
    cos, sin = np.cos(angles)[:, np.newaxis], np.sin(angles)[:, np.newaxis]
    if bug == "rotation-sign":
        sin = -sin
    if bug == "interleaved-channels":
        pairs = np.stack([-q[..., 1::2], q[..., ::2]], axis=-1).reshape(q.shape)
        half = np.repeat(angles[:, np.newaxis, : d // 2], 2, axis=-1)
        return q * np.cos(half) + pairs * np.sin(half)
    other = np.concatenate([-q[..., d // 2 :], q[..., : d // 2]], axis=-1)
    return q if bug == "vision-rope-missing" else q * cos + other * sin


TURNS = {
    "a_vision_head_turns_by_halves": "vision.blocks.00.attn.q_rope",
    "a_language_head_turns_by_halves": "language.blocks.00.attn.q_rope",
}


@pytest.mark.parametrize(("name", "bug"), [(name, bug) for name, bug in kills_of("rope") if name in TURNS])
def test_n9_heads_that_turn_otherwise_are_other_heads(name, bug, lab):
    arrays = case_arrays(name, lab)
    q, right = arrays["inputs.q"], arrays[TURNS[name]]
    of_vision = name.startswith("a_vision")

    def angles(rule=""):
        if of_vision:
            return vision_table(arrays["inputs.coordinates"], rule)
        return language_table(arrays["inputs.positions"], rule)

    np.testing.assert_allclose(turned(q, angles(), ""), right, rtol=0, atol=3e-5)
    wrong = turned(q, angles(bug), bug)
    assert np.max(np.abs(wrong - right)) > 0.1
