"""Parameters by part: one bar each, as long as the part is large."""

import pytest

from qwen25vl.plot import parameter_bars
from qwen25vl.plot.parameters import COLOURS, parameter_text

PARTS = [("vision", "blocks", 600), ("text", "embedding", 1400), ("text", "norm", 1), ("text", "head", 0)]


def test_each_part_is_a_bar_from_the_top_down():
    (axes,) = parameter_bars(PARTS, title="a model").axes
    bars = axes.patches
    assert [bar.get_width() for bar in bars] == [600, 1400, 1, 0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["blocks", "embedding", "norm", "head"]
    assert axes.yaxis_inverted()
    assert axes.get_title(loc="left") == "a model"
    assert axes.get_xlabel() == "parameters"


def test_a_bar_is_coloured_by_tower_and_the_legend_says_so():
    (axes,) = parameter_bars(PARTS).axes
    colours = [bar.get_facecolor() for bar in axes.patches]
    assert colours[0] != colours[1] == colours[2] == colours[3]
    assert [text.get_text() for text in axes.get_legend().texts] == ["vision", "text"]
    assert [handle.get_facecolor() for handle in axes.get_legend().legend_handles] == colours[:2]
    assert len(set(COLOURS)) == len(COLOURS)


def test_every_bar_bears_its_count_and_share():
    (axes,) = parameter_bars(PARTS).axes
    assert [text.get_text() for text in axes.texts] == [
        "600 (30.0%)",
        "1.4 k (70.0%)",
        "1 (<0.1%)",
        "none of its own",
    ]


@pytest.mark.parametrize(
    ("count", "text", "tick"),
    [
        (3_754_622_976, "3.75 B", "3.75462 B"),
        (668_684_288, "668.7 M", "668.684 M"),
        (2_000_000_000, "2.00 B", "2 B"),
        (999, "999", "999"),
        (0, "0", "0"),
    ],
)
def test_counts_are_said_in_few_digits(count, text, tick):
    assert parameter_text(count) == text
    assert parameter_text(count, tick=True) == tick


@pytest.mark.parametrize("parts", [[], [("text", "head", 0)]])
def test_nothing_to_draw_is_refused(parts):
    with pytest.raises(ValueError, match="need parts"):
        parameter_bars(parts)
