"""What the two kinds of `qwen25vl golden` take from the command line alike."""

import argparse
import os
from pathlib import Path

from qwen25vl.bundled import BUNDLED
from qwen25vl.cli.media_options import printable
from qwen25vl.errors import BadInput
from qwen25vl.golden.arithmetic import chosen_arithmetic
from qwen25vl.golden.noise import ALL_NOISE, LIGHT_NOISE, NO_NOISE, NoisePlan

NOISE_PLANS = {"full": ALL_NOISE, "light": LIGHT_NOISE, "none": NO_NOISE}
"""What `--noise` chooses from."""


def is_bundled(options: argparse.Namespace) -> bool:
    """Say whether the checkpoint is one of those in the package."""
    return options.model in BUNDLED


def arithmetic_of(options: argparse.Namespace) -> str:
    """Return how sums are to be added up. (X19)"""
    return chosen_arithmetic(options.precision, blas=options.blas)


def noise_plan(options: argparse.Namespace) -> NoisePlan:
    """Return which noise is to be measured: of float64, the truth; all of it where the checkpoint is small.

    Raises:
        BadInput: if it is asked for in another precision.
    """
    if options.precision != "float64":
        if options.noise not in (None, "none"):
            raise BadInput(
                f"--noise {options.noise} measures how far rounding leads away from float64, and --precision is "
                f"{options.precision}; leave one of the two out"
            )
        return NO_NOISE
    if options.noise is not None:
        return NOISE_PLANS[options.noise]
    return ALL_NOISE if is_bundled(options) else LIGHT_NOISE


def model_name(options: argparse.Namespace) -> str:
    """Return what the checkpoint's directory is called."""
    return Path(os.path.abspath(printable(options.model))).name  # noqa: PTH100 - a link keeps its own name
