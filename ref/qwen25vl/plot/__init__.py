"""Every picture of the project: one function for each kind, each returns a matplotlib Figure.

matplotlib is an optional extra, `pip install 'qwen25vl[plot]'`, and only this room imports it.
"""

from qwen25vl.plot.clip import frame_times
from qwen25vl.plot.depth import residual_norms
from qwen25vl.plot.grid import patch_grid
from qwen25vl.plot.parameters import parameter_bars
from qwen25vl.plot.save import FORMATS, figure_bytes

__all__ = ["FORMATS", "figure_bytes", "frame_times", "parameter_bars", "patch_grid", "residual_norms"]
