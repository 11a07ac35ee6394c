"""The cases of what the model computes: they run, they are well formed, and their inputs are telling ones."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import qwen25vl
from case_parts import changed, run_of
from qwen25vl.golden.case import Case, Lab, Part
from qwen25vl.golden.execute import carried_out
from qwen25vl.golden.orders import ORDERS, ordered_ops
from qwen25vl.golden.registry import all_cases
from qwen25vl.golden.stream import TYPE_NAMES
from qwen25vl.port.mutants.running import parts_of_case
from qwen25vl.precision import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, Precision
from qwen25vl.rounding import to_bfloat16
from qwen25vl.tap import Tap
from qwen25vl.tap_names import tap_name
from qwen25vl.vision.windows import window_order

FAMILIES = ("vision", "merger", "text", "logits", "decode", "generation", "batch", "precision")
CASES = {case.id: case for case in all_cases() if case.family in FAMILIES}
PASSES = [name for name, case in CASES.items() if case.tier == "model"]
PIECES = [name for name, case in CASES.items() if case.tier != "model"]

SAFE_MARGIN = 0.05
"""Best score minus second best, of every decoded step: no rounding turns them round."""

MOST_BYTES = 35_000_000

INEXACT_INPUTS = {"inputs.cos", "inputs.sin", "inputs.eps", "inputs.u"}
"""Numbers that no bfloat16 holds, on purpose."""


@cache
def lab(name: str = "tiny") -> Lab:
    return Lab(qwen25vl.load(name, precision="float64"))


@cache
def truth(case_id: str, checkpoint: str = "tiny") -> Mapping[str, np.ndarray]:
    return parts_of_case(CASES[case_id], lab(checkpoint))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_case_gives_well_formed_parts(case: Case):
    for item in case.function(lab()):
        if not isinstance(item, Part):
            continue
        assert re.fullmatch(r"(rows\.\d\d\.)?(inputs|outputs|answer)\.[a-z0-9_.]+", item.id) or tap_name(item.id)
        assert len(item.dims.split()) == item.array.ndim, item.id
        assert item.array.dtype.name in TYPE_NAMES, item.id
        assert item.meaning, item.id


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_case_computes_something_and_says_what_for(case: Case):
    assert any(not name.startswith("inputs.") for name in truth(case.id))
    assert re.fullmatch(r"[a-z0-9_]{12,60}", case.id)
    assert re.fullmatch(r"[A-Z].*\.", case.title)
    assert "." in case.note
    assert bool(case.kills) or "blind" in case.flags


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_case_names_clauses_and_a_page_that_exist(case: Case):
    pages = {path.name[:2]: path.read_text() for path in (Path(__file__).parents[2] / "spec").glob("[0-9]*.md")}
    assert case.section in pages
    for clause in case.clauses:
        assert any(f"**({clause})**" in page for page in pages.values()), clause


@pytest.mark.parametrize("case_id", PIECES)
def test_a_piece_gives_the_same_numbers_again(case_id: str):
    again = parts_of_case(CASES[case_id], lab())
    assert list(again) == list(truth(case_id))
    for name, array in truth(case_id).items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)


@pytest.mark.parametrize("case_id", [name for name in CASES if name != "one_token_at_a_time_gives_the_same"])
def test_a_case_runs_on_an_untied_checkpoint_too(case_id: str):
    assert list(truth(case_id, "tiny-untied")) == list(truth(case_id))


@pytest.mark.parametrize(
    "ordered",
    [*zip((FLOAT32, BFLOAT16, FLOAT16, FLOAT16), ORDERS, strict=True)],
    ids=lambda pair: f"{pair[1]}-{pair[0].name}",
)
@pytest.mark.parametrize("case_id", PIECES)
def test_a_piece_can_be_computed_in_every_precision_and_order(case_id: str, ordered: tuple[Precision, str]):
    found = parts_of_case(CASES[case_id], lab().with_ops(ordered_ops(*ordered)))
    wanted = truth(case_id)
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert found[name].shape == array.shape, name
        if name.startswith("inputs.") and name != "inputs.stop_ids":
            np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("case_id", PIECES)
def test_float32_stays_near_the_truth_of_a_piece(case_id: str):
    found = parts_of_case(CASES[case_id], lab().with_ops(ordered_ops(FLOAT32, "given")))
    for name, wanted in truth(case_id).items():
        if wanted.dtype.kind == "f":
            both = np.isfinite(wanted)
            np.testing.assert_array_equal(np.isfinite(found[name]), both, err_msg=name)
            scale = np.max(np.abs(wanted[both]), initial=1e-30)
            np.testing.assert_allclose(found[name][both], wanted[both], rtol=0, atol=3e-4 * scale, err_msg=name)
        elif name != "inputs.stop_ids":
            np.testing.assert_array_equal(found[name], wanted, err_msg=name)


@pytest.mark.parametrize("case_id", PIECES)
def test_what_is_drawn_for_a_piece_is_exact_in_bfloat16(case_id: str):
    for name, array in truth(case_id).items():
        drawn = name.startswith("inputs.") and array.dtype == np.float64 and name not in INEXACT_INPUTS
        if drawn and case_id != "halves_of_bfloat16_go_to_even":
            np.testing.assert_array_equal(to_bfloat16(array.astype(np.float32)), array, err_msg=name)


@pytest.mark.parametrize("case_id", PASSES)
def test_every_decoded_token_wins_by_a_safe_margin(case_id: str):
    for name, logits in truth(case_id).items():
        if name.endswith("answer.logits"):
            best = np.sort(logits, axis=-1)
            assert np.min(best[:, -1] - best[:, -2]) > SAFE_MARGIN, name


@pytest.mark.parametrize("case_id", ["answer_goes_on_behind_a_picture", "answer_goes_on_behind_a_clip"])
def test_answers_go_on_long_enough_for_the_offset_to_matter(case_id: str):
    assert len(truth(case_id)["answer.ids"]) >= 5
    assert truth(case_id)["inputs.delta"] != 0
    assert (truth(case_id)["inputs.delta"] > 0) == case_id.endswith("clip")


def test_every_row_of_the_batches_decodes_several_tokens():
    for case_id in ("left_padding_changes_nothing", "right_padding_changes_nothing"):
        assert [len(truth(case_id)[f"rows.{b:02d}.answer.ids"]) for b in range(3)] == [4, 4, 4]


def test_all_cases_together_are_small():
    total = sum(array.nbytes for case_id in CASES for array in truth(case_id).values())
    assert total < MOST_BYTES, f"{total / 1e6:.1f} MB"


# ---------------------------------------------------------------- integers that were worked out by hand


def test_the_smallest_telling_grid_has_the_order_worked_out_by_hand():
    parts = truth("odd_grid_restores_the_order_of_rows")
    np.testing.assert_array_equal(parts["vision.window_order"], [0, 1, 2, 5, 6, 7, 3, 4, 8, 9])  # windows of 3
    np.testing.assert_array_equal(parts["vision.window_starts"], [0, 24, 40])
    np.testing.assert_array_equal(parts["vision.frame_starts"], [0, 40])
    order, starts = window_order(np.array([[1, 2, 5]]), window_m=4)  # the releases'
    np.testing.assert_array_equal(order, [0, 1, 2, 3, 5, 6, 7, 8, 4, 9])
    np.testing.assert_array_equal(starts * 4, [0, 32, 40])


def test_partial_windows_have_the_starts_worked_out_by_hand():
    parts = truth("partial_windows_keep_to_themselves")
    np.testing.assert_array_equal(parts["vision.window_starts"], [0, 36, 72, 84, 108, 132, 140])
    _, starts = window_order(np.array([[1, 5, 7]]), window_m=4)
    np.testing.assert_array_equal(starts * 4, [0, 64, 112, 128, 140])


def test_full_windows_have_equal_lengths_and_none_is_empty():
    parts = truth("full_windows_leave_no_empty_one")
    np.testing.assert_array_equal(parts["vision.window_starts"], [0, 36, 72, 108, 144])


def test_a_picture_takes_as_many_positions_as_its_longer_side():
    parts = truth("odd_grid_restores_the_order_of_rows")
    time, height, width = parts["inputs.positions"]
    pads = np.flatnonzero(parts["inputs.ids"] == lab().config.image_token_id)
    start = pads[0]
    assert start > 0
    np.testing.assert_array_equal(time[pads], [start] * 10)
    np.testing.assert_array_equal(height[pads] - start, [0] * 5 + [1] * 5)
    np.testing.assert_array_equal(width[pads] - start, [*range(5)] * 2)
    np.testing.assert_array_equal(parts["inputs.positions"][:, pads[-1] + 1], [start + 5] * 3)
    np.testing.assert_array_equal(parts["inputs.delta"], [-5])


@pytest.mark.parametrize(
    ("case_id", "time"),
    [("slow_clip_keeps_fractions_of_seconds", [0, 4, 8]), ("fast_clip_keeps_its_rows_apart", [0, 1, 3])],
)
def test_time_of_a_clip_is_cut_behind_the_product(case_id: str, time: list[int]):
    """With three positions per second: 4/3 seconds a row make 0, 4, 8; half a second makes 0, 1.5, 3."""
    parts = truth(case_id)
    pads = np.flatnonzero(parts["inputs.ids"] == lab().config.video_token_id)
    rows = parts["inputs.positions"][0, pads].reshape(3, -1)
    np.testing.assert_array_equal(rows - rows[0, 0], np.tile(time, (rows.shape[1], 1)).T)


# ------------------------------------------------------------------------- inputs that can see something


@pytest.mark.parametrize("window_m", [3, 4])
@pytest.mark.parametrize(
    "case_id",
    [
        "odd_grid_restores_the_order_of_rows",
        "partial_windows_keep_to_themselves",
        "adjacent_pictures_do_not_see_each_other",
        "fast_clip_keeps_its_rows_apart",
        "picture_clip_picture_take_their_own_rows",
    ],
)
def test_grids_of_passes_are_telling_under_either_window(case_id: str, window_m: int):
    parts = truth(case_id)
    empty = np.empty((0, 3), dtype=np.int64)
    grids = np.concatenate([parts.get("inputs.image_grids", empty), parts.get("inputs.video_grids", empty)])
    order, _ = window_order(grids // [1, 2, 2], window_m=window_m)
    if case_id != "picture_clip_picture_take_their_own_rows":  # one window a frame: it tests something else
        assert not np.array_equal(np.argsort(order), order)


def test_the_control_is_one_window_under_either_side():
    grid = truth("one_window_hides_window_mistakes")["inputs.image_grids"] // [1, 2, 2]
    for window_m in (3, 4):
        order, starts = window_order(grid, window_m=window_m)
        np.testing.assert_array_equal(order, np.arange(9))
        np.testing.assert_array_equal(starts, [0, 9])


def test_pieces_of_seven_tokens_cut_the_picture():
    ids = truth("pieces_see_what_came_before")["inputs.ids"]
    pads = np.flatnonzero(ids == lab().config.image_token_id)
    assert any(pads[0] < border <= pads[-1] for border in range(7, len(ids), 7))


@pytest.mark.parametrize("case_id", ["pieces_see_what_came_before", "one_token_at_a_time_gives_the_same"])
def test_a_prompt_in_pieces_gives_what_it_gives_whole(case_id: str):
    run = run_of(CASES[case_id], lab())
    whole = lab().model.forward(run.inputs).logits[0]
    np.testing.assert_allclose(
        lab().model.forward(run.inputs, chunk=run.chunk).logits[0], whole, rtol=0, atol=1e-11
    )


def test_the_same_words_about_two_pictures_have_the_same_ids():
    run = run_of(CASES["another_picture_of_one_size_is_another_prompt"], lab())
    np.testing.assert_array_equal(run.inputs.ids, run.before.ids)
    np.testing.assert_array_equal(run.inputs.positions, run.before.positions)
    assert not np.array_equal(run.inputs.image_rows, run.before.image_rows)


def test_the_second_turn_runs_its_own_tokens_alone():
    case = CASES["next_turn_runs_only_what_is_new"]
    run, tap = run_of(case, lab()), Tap("*positions")
    carried_out(run, lab().model, tap=tap)
    new = run.inputs.ids.shape[1] - run.before.ids.shape[1]
    np.testing.assert_array_equal(tap["language.positions"], run.inputs.positions[:, 0, -new:])
    assert tap["language.positions"][0, 0] != run.before.ids.shape[1]  # not its index


def test_a_given_stop_id_ends_the_answer_where_it_first_comes():
    parts = truth("second_stop_id_ends_an_answer")
    free, ids, stops = (
        parts[f"{n}"].tolist() for n in ("outputs.unstopped_ids", "outputs.ids", "inputs.stop_ids")
    )
    assert stops[0] not in free
    assert 1 < len(ids) < len(free)
    assert ids[-1] == stops[1]
    assert ids == free[: len(ids)]
    assert len(parts["outputs.checkpoint_stop_ids"]) == 2


def test_numbers_keep_clear_of_the_borders_between_ids():
    parts = truth("number_stands_for_an_id")
    weights = np.exp(parts["inputs.scores"].astype(np.float64))
    borders = np.cumsum(weights) / np.sum(weights)
    inner = parts["inputs.u"][1:-1]
    assert np.min(np.abs(inner[:, np.newaxis] - borders)) > 1e-6
    assert np.isfinite(parts["inputs.scores"][parts["outputs.ids"]]).all()
    assert parts["outputs.ids"][0] == 2
    assert parts["outputs.ids"][-1] == 14


def test_rules_differ_in_what_they_take_out():
    parts = truth("rules_follow_each_other_in_one_order")
    kept = [int(np.isfinite(parts[f"outputs.{n}"]).sum()) for n in ("tempered", "top_k", "top_p", "scores")]
    assert kept == sorted(kept, reverse=True)
    assert len(set(kept)) == 4, kept


def test_equal_scores_stand_on_both_sides_of_the_limits():
    parts = truth("top_k_keeps_what_equals_the_last")
    assert np.isfinite(parts["outputs.scores"]).sum() > 5
    parts = truth("top_p_keeps_the_id_that_crosses")
    kept = np.isfinite(parts["outputs.scores"])
    last = np.min(parts["inputs.scores"][kept])
    equal = parts["inputs.scores"] == last
    assert kept[equal].any()
    assert not kept[equal].all()


def test_formats_differ_where_a_case_compares_them():
    parts = truth("towers_round_their_rotations_apart")
    for name in ("bfloat16", "float16"):
        different = parts[f"outputs.{name}.vision"] != parts[f"outputs.{name}.language"]
        assert not different[0].any()  # position 0
        assert different.any()
    act = truth("gate_times_up_may_leave_float16")
    assert np.isfinite(act["outputs.act"]).all()
    assert np.isposinf(act["outputs.float16.act"]).any()
    assert np.isneginf(act["outputs.float16.act"]).any()
    assert np.isfinite(act["outputs.bfloat16.act"]).all()
    total = truth("sum_may_pass_the_range_on_its_way")
    assert np.max(np.abs(total["outputs.y"])) < 20
    np.testing.assert_array_equal(total["outputs.bfloat16.y"], to_bfloat16(total["outputs.y"].astype(np.float32)))


def test_float64_in_other_orders_changes_nothing_visible():
    """What counts as a planted bug must not be what a mere order of adding up does."""
    for case_id in PIECES:
        found = parts_of_case(CASES[case_id], lab().with_ops(ordered_ops(FLOAT64, "reversed")))
        assert changed(found, truth(case_id)) == [], case_id
