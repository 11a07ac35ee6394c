"""Numbers on the command line: read here, refused here with what was wanted."""

import argparse
import math


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    return _whole(text, least=1)


def whole(text: str) -> int:
    """Read a whole number of at least 0."""
    return _whole(text, least=0)


def rate(text: str) -> float:
    """Read a number above 0."""
    if not (value := _number(text)) > 0:
        raise argparse.ArgumentTypeError(f"need a number above 0, got {text!r}")
    return value


def seconds(text: str) -> float:
    """Read a number of at least 0."""
    if not (value := _number(text)) >= 0:
        raise argparse.ArgumentTypeError(f"need seconds of at least 0, got {text!r}")
    return value


def _whole(text: str, *, least: int) -> int:
    """Read digits alone: no sign, no point, none of other scripts."""
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"need a whole number of at least {least}, got {text!r}")
    return int(text)


def _number(text: str) -> float:
    """Read a finite number; NaN stands for everything else."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
