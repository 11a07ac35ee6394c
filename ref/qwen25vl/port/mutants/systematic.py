"""Section 15 - systematic faults: the small slips that nobody files an issue about, made at every place.

Each weight is forgotten, transposed where that fits, or exchanged with its neighbour of the same shape; each
activation is each other one; each small function has its arguments of one shape exchanged; each whole number is
off by one. A port that makes none of the known mistakes may still make one of these.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from itertools import combinations
from typing import Any

import numpy as np

from qwen25vl.layers.activations import gelu, silu
from qwen25vl.ops import Ops
from qwen25vl.port.mutants.mutant import Mutant, OpsSwap, Swap
from qwen25vl.port.mutants.slip import slip
from qwen25vl.port.mutants.systematic_weights import weight_faults

EPS: Mapping[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "left out": lambda square, eps: np.sqrt(square),
    "squared": lambda square, eps: np.sqrt(square + eps * eps),
    "taken as a least value": lambda square, eps: np.sqrt(np.maximum(square, eps)),
}
"""What a row is divided by, from its mean square and the small number."""

ACTIVATIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "silu": silu,
    "gelu": gelu,
    "gelu by tanh": lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "gelu by sigmoid": lambda x: x / (1 + np.exp(-1.702 * x)),
    "relu": lambda x: np.maximum(x, 0),
    "squared relu": lambda x: np.square(np.maximum(x, 0)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}
"""What stands in libraries under names that are easily taken for each other."""

Change = Callable[[Any], Any]
"""Makes a result wrong."""


@cache
def systematic_mutants() -> Mapping[str, Mutant]:
    """Give every systematic fault by its id."""
    faults = (*weight_faults(), *_norms(), *_activations(), *_arguments(), *_counts())
    return {fault.id: fault for fault in faults}


def _norms() -> Iterator[Mutant]:
    """Put the small number of a norm into other places."""
    for where, root in EPS.items():

        def norm(right: Ops, root: Callable[[np.ndarray, float], np.ndarray] = root) -> Callable[..., np.ndarray]:
            def rms_norm(x: np.ndarray, weight: np.ndarray, *, eps: float) -> np.ndarray:
                square = np.mean(np.square(x), axis=-1, keepdims=True)
                return weight * right.precision.rounded((x / root(square, eps)).astype(x.dtype))

            return rms_norm

        name = where.replace(" ", "-")
        yield slip(
            f"eps-{name}", f"The small number of a norm is {where}.", "norms", ("N4",), OpsSwap("rms_norm", norm)
        )


def _activations() -> Iterator[Mutant]:
    """Take each other activation."""
    for name in ("silu", "gelu"):
        for other, function in ACTIVATIONS.items():
            if other == name or (name, other) in (("silu", "gelu"), ("gelu", "gelu by tanh")):
                continue  # itself, and what is a known bug
            clause = "N6" if name == "silu" else "N7"
            yield slip(
                f"{name}-is-{other.replace(' ', '-')}",
                f"In place of {name} stands {other}.",
                "activations",
                (clause,),
                OpsSwap(name, lambda right, function=function: function),  # type: ignore[misc]
            )


def _arguments() -> Iterator[Mutant]:
    """Exchange arguments of one shape."""
    for name, tower in (("rotated", "vision encoder"), ("rotated_in_steps", "decoder")):
        yield slip(
            f"cos-sin-exchanged {tower.split()[0]}",
            f"Cosine and sine are exchanged in the {tower}.",
            "rotation",
            ("N9",),
            OpsSwap(name, lambda right, name=name: lambda x, cos, sin: getattr(right, name)(x, sin, cos)),  # type: ignore[misc]
        )
    for one, other in combinations(range(3), 2):
        names = "qkv"[one], "qkv"[other]
        yield slip(
            f"attention-{names[0]}-{names[1]}-exchanged",
            f"Attention is given {names[0]} for {names[1]} and the other way round, where their shapes are alike.",
            "vision attention",
            ("N10",),
            OpsSwap("attention", partial(_other_attention, one, other)),
        )


def _counts() -> Iterator[Mutant]:
    """Let whole numbers be off by one."""
    table: tuple[tuple[str, str, str, tuple[str, ...], Change], ...] = (
        ("vision.windows.window_order", "The window order", "window order", ("W2",), _first(_rolled)),
        ("vision.windows.window_order", "Each start of a window", "segment boundaries", ("W3",), _second(_later)),
        ("vision.windows.inverse_order", "The way back from the windows", "window order", ("M4",), _rolled),
        ("vision.windows.frame_starts", "Each start of a frame", "segment boundaries", ("W6",), _later),
        ("vision.rope_2d.patch_coordinates", "The row of each patch", "2-D rotary", ("R1",), _raised(0)),
        ("vision.rope_2d.patch_coordinates", "The column of each patch", "2-D rotary", ("R1",), _raised(1)),
        ("language.mrope.mrope_positions", "The time of each token", "positions", ("T1",), _first(_plane(0))),
        ("language.mrope.mrope_positions", "The height of each token", "positions", ("T1",), _first(_plane(1))),
        ("language.mrope.mrope_positions", "The width of each token", "positions", ("T1",), _first(_plane(2))),
        (
            "language.mrope.mrope_positions",
            "The delta of a prompt",
            "delta and cache",
            ("D11",),
            _second(_raised()),
        ),
    )
    for target, what, mechanism, clauses, change in table:
        yield slip(
            f"off-by-one {what.lower().removeprefix('the ').removeprefix('each ').replace(' ', '-')}",
            f"{what} is off by one.",
            mechanism,
            clauses,
            Swap(target, partial(_changed, change)),
        )


def _other_attention(one: int, other: int, right: Ops) -> Callable[..., np.ndarray]:
    """Exchange two of queries, keys and values."""

    def attention(*qkv: np.ndarray, **settings: Any) -> np.ndarray:
        given = list(qkv)
        if given[one].shape == given[other].shape:
            given[one], given[other] = given[other], given[one]
        return right.attention(*given, **settings)

    return attention


def _changed(change: Change, right: Callable[..., Any]) -> Callable[..., Any]:
    """Change the result of a function."""
    return lambda *arguments, **settings: change(right(*arguments, **settings))


def _first(change: Change) -> Change:
    """Change the first of two results."""
    return lambda pair: (change(pair[0]), pair[1])


def _second(change: Change) -> Change:
    """Change the second of two results."""
    return lambda pair: (pair[0], change(pair[1]))


def _rolled(order: np.ndarray) -> np.ndarray:
    """Begin one place later: the order stays one."""
    return np.roll(order, 1)


def _later(starts: np.ndarray) -> np.ndarray:
    """Let each segment but the first begin one later, as far as none becomes empty."""
    moved = starts.copy()
    inner = np.flatnonzero(np.diff(starts) > 1)
    moved[inner[inner > 0]] += 1
    return moved


def _raised(column: int | None = None) -> Change:
    """Count one more, in a column or everywhere."""

    def change(numbers: np.ndarray) -> np.ndarray:
        raised = numbers.copy()
        raised[(..., column) if column is not None else ...] += 1
        return raised

    return change


def _plane(axis: int) -> Change:
    """Count one more along an axis of positions `[3, B, L]`, where the axes differ: in pictures and videos."""

    def change(positions: np.ndarray) -> np.ndarray:
        raised = positions.copy()
        raised[axis][np.ptp(positions, axis=0) > 0] += 1
        return raised

    return change
