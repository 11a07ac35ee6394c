"""The executable specification of Qwen2.5-VL (arXiv 2502.13923), in readable NumPy."""

from qwen25vl.api import Model, Output, load, load_processor
from qwen25vl.errors import BadInput
from qwen25vl.generate.answers import Generation
from qwen25vl.inputs import Inputs
from qwen25vl.processor import Processor
from qwen25vl.tap import Tap

__version__ = "0.1.0"

__all__ = [
    "BadInput",
    "Generation",
    "Inputs",
    "Model",
    "Output",
    "Processor",
    "Tap",
    "__version__",
    "load",
    "load_processor",
]
