"""Section 15 - steps in a file: which change of an array does an entry of a map ask for?"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qwen25vl.config import Config
from qwen25vl.port.maps.rules import Make
from qwen25vl.port.maps.steps import Step, piece, unknown
from qwen25vl.wording import shown

OPEN = ("P", "M", "L", "S")
"""Letters whose number the config does not have: they stand for what is left."""

SIDE = re.compile(r"(\d*)([A-Za-z])")
"""A letter, and how many times it."""


def make_of(steps: Any, combine: Any, count: int, *, part: str, config: Config | None) -> Make:
    """Return what an entry does with its tensors.

    Args:
        steps: what stands under `steps`.
        combine: what stands under `combine`, or None.
        count: of the tensors.
        part: the id that comes out; its tower decides what a letter means.
        config: for letters in shapes.

    Raises:
        ValueError: what is wrong, to be put behind the name of the entry.
    """
    if not isinstance(steps, list):
        raise ValueError(f"steps must be a list, got {shown(steps)}")
    joined = _joining(combine, count)
    changes = [_step(step, letters(part, config)) for step in steps]

    def make(arrays: Sequence[np.ndarray]) -> np.ndarray:
        array = joined(arrays)
        for change in changes:
            array = change(array)
        return array

    return make


def letters(part: str, config: Config | None) -> Mapping[str, int] | None:
    """Return the numbers of a shape's letters; None without a config."""
    if config is None:
        return None
    vision, text = config.vision, config.text
    if "vision." in part:
        heads = {"N": vision.num_heads, "d": vision.head_dim, "D": vision.hidden_size}
        return {**heads, "F": vision.intermediate_size, "E": vision.out_hidden_size}
    heads = {"N": text.num_attention_heads, "K": text.num_key_value_heads, "d": text.head_dim}
    return {**heads, "E": text.hidden_size, "F": text.intermediate_size, "V": text.vocab_size}


def _joining(combine: Any, count: int) -> Make:
    """Return what makes one array of several."""
    if count == 1 and combine is None:
        return lambda arrays: arrays[0]
    if count == 1 or combine is None:
        raise ValueError("combine goes with a list of several in from, and only with it")
    if combine == "sum":
        return _sum
    if isinstance(combine, Mapping) and set(combine) == {"concat"}:
        axis = _whole(combine["concat"], "the axis of concat")
        return lambda arrays: np.concatenate(arrays, axis=axis)
    raise ValueError(f'combine must be "sum" or {{ concat = AXIS }}, got {shown(combine)}')


def _sum(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Add arrays of one shape."""
    if len({array.shape for array in arrays}) > 1:
        raise ValueError("arrays of different shapes cannot be added")
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total


def _step(step: Any, sides: Mapping[str, int] | None) -> Step:
    """Return one step."""
    if not isinstance(step, Mapping) or len(step) != 1 or next(iter(step)) not in STEPS:
        raise ValueError(f"a step is a table of one key of {', '.join(STEPS)}, got {shown(step)}")
    ((name, value),) = step.items()
    return STEPS[name](value, sides)


def _reshape(value: Any, sides: Mapping[str, int] | None) -> Step:
    """Return what gives an array another shape."""
    if not isinstance(value, list):
        raise ValueError(f"reshape needs a list of sides, got {shown(value)}")
    shape = [_side(side, sides) for side in value]
    if shape.count(-1) > 1:
        raise ValueError(f"reshape {shown(value)} leaves more than one side open; write numbers for the others")
    return unknown if None in shape else lambda x: x.reshape([side for side in shape if side is not None])


def _transpose(value: Any, sides: Mapping[str, int] | None) -> Step:
    """Return what puts axes into another order."""
    axes = [_whole(axis, "an axis of transpose") for axis in value] if isinstance(value, list) else []
    if not axes or sorted(axes) != list(range(len(axes))):
        raise ValueError(f"transpose needs each axis from 0 on once, got {shown(value)}")
    return lambda x: x.transpose(axes)


def _split(value: Any, sides: Mapping[str, int] | None) -> Step:
    """Return what takes one piece of an axis."""
    keys = set(value) if isinstance(value, Mapping) else set()
    if keys != {"axis", "part", "of"} and not (
        keys == {"axis", "part", "sizes"} and isinstance(value["sizes"], list)
    ):
        raise ValueError(f"split needs axis, part, and of or sizes, got {shown(value)}")
    axis, part = _whole(value["axis"], "the axis of split"), _whole(value["part"], "the part of split")
    sizes = [_side(size, sides) for size in value["sizes"]] if "sizes" in keys else []
    count = len(sizes) if "sizes" in keys else _whole(value["of"], "the of of split")
    if not 0 <= part < count or -1 in sizes:
        raise ValueError(f"split needs a part from 0 on below {count} and numbers as sizes, got {shown(value)}")
    if "of" in keys:
        return piece(axis, part, count)
    known = [size for size in sizes if size is not None]
    return unknown if len(known) < count else _piece_of_sizes(axis, part, known)


def _piece_of_sizes(axis: int, part: int, sizes: Sequence[int]) -> Step:
    """Return what takes one of several unequal pieces of an axis."""

    def step(x: np.ndarray) -> np.ndarray:
        if not -x.ndim <= axis < x.ndim or x.shape[axis] != sum(sizes):
            raise ValueError(f"axis {axis} is not the sum of the sizes {list(sizes)}")
        start = sum(sizes[:part])
        return x.take(range(start, start + sizes[part]), axis=axis)

    return step


def _take(value: Any, sides: Mapping[str, int] | None) -> Step:
    """Return what takes one entry of an axis."""
    if not isinstance(value, Mapping) or set(value) != {"axis", "index"}:
        raise ValueError(f"take needs axis and index, got {shown(value)}")
    axis, index = _whole(value["axis"], "the axis of take"), _whole(value["index"], "the index of take")

    def step(x: np.ndarray) -> np.ndarray:
        if not -x.ndim <= axis < x.ndim or not -x.shape[axis] <= index < x.shape[axis]:
            raise ValueError(f"there is no entry {index} of axis {axis}")
        return x.take(index, axis=axis)

    return step


def _squeeze(value: Any, sides: Mapping[str, int] | None) -> Step:
    """Return what takes off an axis of length 1."""
    axis = _whole(value, "the axis of squeeze")
    return lambda x: x.squeeze(axis)


def _side(side: Any, sides: Mapping[str, int] | None) -> int | None:
    """Return the number of a side, -1 for what is left, None for what only a config knows."""
    found = SIDE.fullmatch(side) if isinstance(side, str) else None
    if found is not None and found[2] in OPEN and not found[1]:
        return -1
    if found is not None and sides is None:
        return None
    if found is not None and sides is not None and found[2] in sides:
        return int(found[1] or 1) * sides[found[2]]
    if isinstance(side, str) or _whole(side, "a side") < -1 or side == 0:
        raise ValueError(f"a side is a number, -1 or a letter of the part's shape, got {shown(side)}")
    return int(side)


def _whole(value: Any, what: str) -> int:
    """Return a whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{what} must be a whole number, got {shown(value)}")
    return value


STEPS: Mapping[str, Callable[[Any, Mapping[str, int] | None], Step]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "split": _split,
    "take": _take,
    "squeeze": _squeeze,
}
"""Every step by its name."""
