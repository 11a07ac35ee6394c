"""Known bugs of the merger (section 08)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.ops import Ops
from qwen25vl.port.mutants.mutant import Swap, known_bug


def other_norm(change: Callable[..., np.ndarray]) -> Callable[..., Callable[..., Any]]:
    """Let the merger, and nothing else, have another norm: `change(ops, x, weight, eps=..., merge_unit=...)`."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def merged_tokens(x: np.ndarray, weights: Any, *, config: Any, ops: Ops, tap: Any) -> Any:
            def rms_norm(rows: np.ndarray, weight: np.ndarray, *, eps: float) -> np.ndarray:
                return change(ops, rows, weight, eps=eps, merge_unit=config.merge_unit)

            return right(x, weights, config=config, ops=replace(ops, rms_norm=rms_norm), tap=tap)

        return merged_tokens

    return by


@known_bug(
    "merge-order",
    mechanism="merger",
    clauses=("M2",),
    symptom="Fine detail is wrong, small text above all; the whole is described well.",
    cause="The four patches of a block are joined column by column, or the block is taken for two rows of a "
    "picture.",
    hidden_by="A picture without detail inside of 28 x 28 pixels, such as one colour.",
    fix="Join top left, top right, bottom left, bottom right: four neighbouring rows as they lie.",
)
def merge_order() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def joined_patches(rows: np.ndarray, *, merge_unit: int) -> Any:
            side = int(np.sqrt(merge_unit))
            in_columns = rows.reshape(-1, side, side, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)
            return right(in_columns, merge_unit=merge_unit)

        return joined_patches

    yield Swap("vision.merger.joined_patches", by)


@known_bug(
    "merger-norm-behind",
    mechanism="merger",
    clauses=("M1", "M2"),
    symptom="Descriptions hold, details fade: a patch of small numbers beside one of large ones is lost.",
    cause="The four patches are joined first, and the norm runs over 5120 values, with its gain of 1280 repeated.",
    hidden_by="Blocks whose four patches have rows of one size.",
    fix="Normalise each row of 1280, then join four.",
)
def merger_norm_behind() -> Iterator[Swap]:
    def norm_of_joined(ops: Ops, x: np.ndarray, weight: np.ndarray, *, eps: float, merge_unit: int) -> np.ndarray:
        joined = x.reshape(-1, merge_unit * x.shape[1])
        return ops.rms_norm(joined, np.tile(weight, merge_unit), eps=eps).reshape(x.shape)

    yield Swap("vision.merger.merged_tokens", other_norm(norm_of_joined))


@known_bug(
    "merger-layer-norm",
    mechanism="merger",
    clauses=("M1", "N4"),
    symptom="Fluent answers, details a little off: it loads without complaint and is numerically wrong.",
    cause="The merger of Qwen2-VL, whose norm is a LayerNorm, is used for Qwen2.5-VL, its bias left at zero.",
    hidden_by="Rows whose mean is small beside their size.",
    fix="The merger's norm is an RMS norm: no mean is subtracted, and there is no bias.",
    threads=("NVIDIA/TensorRT-Model-Connect#191", "lablup/mlxcel#866"),
)
def merger_layer_norm() -> Iterator[Swap]:
    def layer_norm(ops: Ops, x: np.ndarray, weight: np.ndarray, *, eps: float, merge_unit: int) -> np.ndarray:
        return ops.rms_norm(x - np.mean(x, axis=-1, keepdims=True), weight, eps=eps)

    yield Swap("vision.merger.merged_tokens", other_norm(layer_norm))
