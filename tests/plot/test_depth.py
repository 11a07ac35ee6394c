"""The residual stream by depth: each point at its block."""

import numpy as np
import pytest

from qwen25vl.plot import residual_norms

VISION = {
    "resid": np.array([1.0, 2.0, 3.0, 4.0]),
    "attn": np.array([0.5, 0.6, 0.7]),
    "mlp": np.array([0.1, 0.2, 0.3]),
}
LANGUAGE = {"resid": np.array([2.0, np.nan, 8.0])}


def curves(axes) -> dict[str, tuple[list[float], list[float]]]:
    """Read the curves by label."""
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}


def test_the_stream_starts_before_block_0_and_what_is_added_at_it():
    axes = residual_norms({"vision": VISION, "language": LANGUAGE}).axes
    assert [found.get_title(loc="left") for found in axes] == ["vision", "language"]
    assert curves(axes[0]) == {
        "residual stream": ([-1, 0, 1, 2], [1.0, 2.0, 3.0, 4.0]),
        "attention adds": ([0, 1, 2], [0.5, 0.6, 0.7]),
        "MLP adds": ([0, 1, 2], [0.1, 0.2, 0.3]),
    }
    assert list(curves(axes[1])) == ["residual stream"]
    assert axes[0].get_ylabel() == "root mean square"


def test_blocks_of_full_attention_are_shaded_in_the_vision_tower_only():
    vision, language = residual_norms(
        {"vision": VISION, "language": LANGUAGE}, full_attention_blocks=(0, 2, 9)
    ).axes
    middles = [patch.get_x() + patch.get_width() / 2 for patch in vision.patches]
    assert middles == pytest.approx([0, 2])
    assert len(language.patches) == 0


def test_the_legend_names_every_curve_once():
    figure = residual_norms({"vision": VISION, "language": VISION}, full_attention_blocks=(1,))
    names = [text.get_text() for text in figure.legends[0].texts]
    assert sorted(names) == ["MLP adds", "attention adds", "full attention", "residual stream"]


@pytest.mark.parametrize(
    ("values", "scale"), [([1.0, 2.0], "log"), ([0.0, 2.0], "linear"), ([np.nan] * 2, "linear")]
)
def test_the_axis_is_logarithmic_where_nothing_is_zero(values, scale):
    assert residual_norms({"vision": {"resid": np.array(values)}}).axes[0].get_yscale() == scale


def test_no_tower_and_wrong_lengths_are_refused():
    with pytest.raises(ValueError, match="at least one tower"):
        residual_norms({})
    with pytest.raises(ValueError, match="mlp needs 2 points for 2 blocks, got 3"):
        residual_norms({"vision": LANGUAGE | {"mlp": np.ones(3)}})
