"""What all pictures have in common: the same bytes again, white paper, the user's settings untouched."""

import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import qwen25vl
from qwen25vl.cli.plot_file import ENDINGS
from qwen25vl.plot import FORMATS, figure_bytes, frame_times, parameter_bars, patch_grid, residual_norms
from qwen25vl.plot.style import PAPER, STYLE, WIDTH_IN, drawable
from qwen25vl.vision.window_boxes import window_boxes

ROOT = Path(qwen25vl.__file__).parents[1]
TITLE = "q$\\frac$.png 漢\n\ufffd"
"""Broken mathematics, a sign that the font lacks, a line feed: names of files hold such things."""


KINDS = ("grid", "frames", "parameters", "norms")


def pictures():
    """Draw one of each kind."""
    grey = np.full((56, 84, 3), 90, dtype=np.uint8)
    return {
        "grid": patch_grid(
            grey,
            patch_px=14,
            merge_p=2,
            window_m=4,
            windows=window_boxes((1, 2, 3), window_m=4)[:, 1:],
            title=TITLE,
        ),
        "frames": frame_times(
            np.stack([grey] * 3), np.arange(3.0), np.arange(2), temporal_patch_f=2, duration_s=3.0, title=TITLE
        ),
        "parameters": parameter_bars([("text", "all", 7)], title=TITLE),
        "norms": residual_norms({"text": {"resid": np.array([1.0, 2.0])}}, title=TITLE),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_two_runs_give_the_same_bytes(kind, ending, magic):
    one, two = (figure_bytes(pictures()[kind], ending=ending) for _ in range(2))
    assert one.startswith(magic)
    assert one == two


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_is_white_and_as_wide_as_a_notebook(kind):
    figure = pictures()[kind]
    assert figure.get_figwidth() == WIDTH_IN
    assert matplotlib.colors.to_hex(figure.get_facecolor()) == PAPER
    assert all(matplotlib.colors.to_hex(axes.get_facecolor()) == PAPER for axes in figure.axes)


def test_drawing_neither_reads_nor_changes_the_users_settings():
    plain = figure_bytes(pictures()["norms"], ending="png")
    theirs = {"font.size": 30.0, "figure.facecolor": "black", "text.usetex": False, "lines.linewidth": 9.0}
    with matplotlib.rc_context(theirs):
        assert figure_bytes(pictures()["norms"], ending="png") == plain
        assert {name: matplotlib.rcParams[name] for name in theirs} == theirs
    assert STYLE["font.size"] == 9.0


def test_a_sign_that_the_font_lacks_is_shown_as_its_escape():
    assert drawable("a$b é") == "a$b é"
    assert drawable("漢\n\ud800") == r"\u6f22\n\ud800"


def test_another_ending_is_refused():
    assert tuple(FORMATS) == ENDINGS
    with pytest.raises(ValueError, match="png, svg, pdf, not as 'gif'"):
        figure_bytes(pictures()["norms"], ending="gif")


def test_the_package_is_imported_without_matplotlib_and_plots_without_pyplot():
    code = (
        "import sys, qwen25vl, qwen25vl.cli.main; assert 'matplotlib' not in sys.modules; "
        "import qwen25vl.plot; assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, check=True, timeout=120)
