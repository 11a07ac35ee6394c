"""Known bugs of patch embedding and of vision attention (sections 05 and 07)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.ops import Ops
from qwen25vl.port.mutants.mutant import OpsSwap, Swap, known_bug, other_way


def other_kernel(change: Callable[[np.ndarray, Ops], np.ndarray]) -> Callable[..., Callable[..., Any]]:
    """Let the patch embedding have another kernel."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def patch_embedding(rows: np.ndarray, weight: np.ndarray, *, ops: Ops) -> Any:
            return right(rows, change(weight, ops), ops=ops)

        return patch_embedding

    return by


@known_bug(
    "patch-weight-layout",
    mechanism="patch embedding",
    clauses=("E1",),
    symptom="Pictures are noise to the model: it answers fluently about something else.",
    cause="A converter has moved the kernel's channels to the end for its runtime, and it is flattened as it "
    "then lies; or the move is done twice, or left out.",
    hidden_by="A picture of one grey, whose values are all alike.",
    fix="Flatten the kernel in the order channel, frame, y, x, in which the pixel rows hold their values.",
    threads=("jundot/omlx#2754", "Blaizzy/mlx-vlm#1521"),
)
def patch_weight_layout() -> Iterator[Swap]:
    yield Swap(
        "vision.patch_embed.patch_embedding",
        other_kernel(lambda weight, ops: weight.transpose(0, 2, 3, 4, 1).reshape(weight.shape)),
    )


@other_way(patch_weight_layout, "frame-first")
def kernel_frame_first() -> Iterator[Swap]:
    yield Swap(
        "vision.patch_embed.patch_embedding",
        other_kernel(lambda weight, ops: weight.swapaxes(1, 2).reshape(weight.shape)),
    )


@known_bug(
    "patch-slices-summed",
    mechanism="patch embedding",
    clauses=("E1",),
    symptom="Stills are right; of a video every second frame is not seen.",
    cause="The two slices of the kernel are added up into a kernel for one frame, which is the same for a still, "
    "and the port later learns videos.",
    hidden_by="Every still picture: its two frames are equal.",
    fix="Keep both slices: the first one for the first frame of a pair, the second one for the second.",
)
def patch_slices_summed() -> Iterator[Swap]:
    def of_one_frame(weight: np.ndarray, ops: Ops) -> np.ndarray:
        summed = np.zeros_like(weight)
        summed[:, :, 0] = ops.precision.rounded(weight.sum(axis=2))
        return summed

    yield Swap("vision.patch_embed.patch_embedding", other_kernel(of_one_frame))


@other_way(patch_slices_summed, "first-slice-twice")
def first_slice_for_both_frames() -> Iterator[Swap]:
    """A kernel for one frame keeps the first slice, and each frame of a pair goes through it."""
    yield Swap(
        "vision.patch_embed.patch_embedding",
        other_kernel(lambda weight, ops: np.repeat(weight[:, :, :1], weight.shape[2], axis=2)),
    )


@known_bug(
    "qkv-layout",
    mechanism="vision attention",
    clauses=("W7",),
    symptom="Pictures are noise to the model, though every shape fits.",
    cause="The fused layer is taken to give queries, keys and values head by head, as Megatron and GPT-NeoX have "
    "it.",
    hidden_by="Nothing but a model of one head.",
    fix="View the result as `[P, 3, N, d]`: all queries, then all keys, then all values.",
)
def qkv_layout() -> Iterator[Swap]:
    def split_heads(fused: np.ndarray, *, num_heads: int) -> np.ndarray:
        return np.moveaxis(fused.reshape(len(fused), num_heads, 3, -1), 2, 0)

    yield Swap("vision.attention.split_heads", lambda right: split_heads)


@known_bug(
    "causal-vision",
    mechanism="vision attention",
    clauses=("W8",),
    symptom="The upper left of a picture is poorly seen, and answers about the whole are weak.",
    cause="The decoder's attention, causal by default, is shared by the vision encoder.",
    hidden_by="Segments of one patch; the last patch of a segment, which sees all.",
    fix="Within its segment a patch sees all patches, later ones included.",
)
def causal_vision() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def vision_attention(*rows: Any, ops: Ops, **settings: Any) -> Any:
            def attention(q: np.ndarray, *kv: np.ndarray, **s: Any) -> np.ndarray:
                return ops.attention(q, *kv, allowed=np.tri(len(q), dtype=bool), **s)

            return right(*rows, ops=replace(ops, attention=attention), **settings)

        return vision_attention

    yield Swap("vision.attention.vision_attention", by)


@known_bug(
    "score-scale",
    mechanism="vision attention",
    clauses=("N13",),
    symptom="Answers are vague and generic: attention is spread too evenly.",
    cause="Scores are divided by the root of the model's width, of all heads together, and not of one head's.",
    hidden_by="A model of one head; tokens that see only themselves.",
    fix="Multiply scores by `head_dim ** -0.5`: heads of 80 in the vision encoder, of 128 in the decoder.",
)
def score_scale() -> Iterator[OpsSwap]:
    def by(right: Ops) -> Callable[..., np.ndarray]:
        def attention(q: np.ndarray, *kv: np.ndarray, **settings: Any) -> np.ndarray:
            return right.attention(q / q.dtype.type(np.sqrt(q.shape[1])), *kv, **settings)

        return attention

    yield OpsSwap("attention", by)
