"""Known bugs of the vision side, planted into the reference: each entry patches it and returns the lab to run.

`with_ops` and `with_config` make another lab; what no argument reaches is patched where it is called.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import qwen25vl.golden.cases.merger as merger
import qwen25vl.golden.cases.vision_blocks as vision_blocks
import qwen25vl.media.clip as clip
import qwen25vl.media.picture as picture
import qwen25vl.vision.encoder as encoder
from qwen25vl.golden.case import Lab
from qwen25vl.golden.orders import ordered_ops
from qwen25vl.layers.activations import gelu, silu
from qwen25vl.precision import FLOAT64
from qwen25vl.vision.windows import frame_starts

Plant = Callable[[pytest.MonkeyPatch, Lab], Lab]
"""Makes the reference wrong in one way."""

PLAIN = ordered_ops(FLOAT64, "given")
"""The right functions."""

PATCH_PX, MERGE_P, CHANNELS, FRAMES = 14, 2, 3, 2
"""Of `tiny`."""


def with_ops(**functions: Callable[..., Any]) -> Plant:
    """Exchange some of the small functions."""
    return lambda _, lab: lab.with_ops(replace(lab.ops, **functions))


def with_config(*, vision: Mapping[str, Any] = {}, text: Mapping[str, Any] = {}) -> Plant:
    """Exchange some numbers of the config that the network computes with; what is given stays."""

    def plant(_: pytest.MonkeyPatch, lab: Lab) -> Lab:
        config = lab.config
        other = replace(config, vision=replace(config.vision, **vision), text=replace(config.text, **text))
        return Lab(replace(lab.model, network=replace(lab.model.network, config=other)))

    return plant


def patched(*targets: tuple[Any, str], by: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Plant:
    """Wrap a function wherever it is called: `by` is given the right one and returns the wrong one."""

    def plant(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Lab:
        for module, name in targets:
            monkeypatch.setattr(module, name, by(getattr(module, name)))
        return lab

    return plant


def both(*plants: Plant) -> Plant:
    """Plant several."""

    def plant(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Lab:
        for one in plants:
            lab = one(monkeypatch, lab)
        return lab

    return plant


# ---------------------------------------------------------------------------------------- windows

ENCODER_ORDER = (encoder, "window_order")


def other_windows(change: Callable[..., tuple[np.ndarray, np.ndarray]]) -> Plant:
    """Change order and starts (in merged tokens) of the encoder: `change(grids, order, starts, window_m)`."""

    def wrong(right: Callable[..., Any]) -> Callable[..., Any]:
        def window_order(grids: np.ndarray, *, window_m: int) -> tuple[np.ndarray, np.ndarray]:
            return change(grids, *right(grids, window_m=window_m), window_m)

        return window_order

    return patched(ENCODER_ORDER, by=wrong)


def other_side(factor: Callable[[int], int]) -> Plant:
    def wrong(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda grids, *, window_m: right(grids, window_m=factor(window_m))

    return patched(ENCODER_ORDER, by=wrong)


def order_for_inverse(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Lab:
    """Twice the order in front of the right inverse is the order instead of it."""
    found: list[np.ndarray] = []
    merge, order_of = encoder.merged_tokens, encoder.window_order

    def window_order(grids: np.ndarray, *, window_m: int) -> tuple[np.ndarray, np.ndarray]:
        order, starts = order_of(grids, window_m=window_m)
        found.append(order)
        return order, starts

    def merged_tokens(*arguments: Any, **settings: Any) -> np.ndarray:
        return merge(*arguments, **settings)[found[-1]][found[-1]]

    monkeypatch.setattr(encoder, "window_order", window_order)
    monkeypatch.setattr(encoder, "merged_tokens", merged_tokens)
    return lab


def whole_windows(
    grids: np.ndarray, order: np.ndarray, starts: np.ndarray, window_m: int
) -> tuple[np.ndarray, ...]:
    """Every window has as many tokens as a whole one."""
    return order, np.unique(np.append(np.arange(0, len(order), window_m**2), len(order)))


def spanning_windows(
    grids: np.ndarray, order: np.ndarray, starts: np.ndarray, window_m: int
) -> tuple[np.ndarray, ...]:
    """A window at the end of a frame reaches into the next frame."""
    frames = frame_starts(grids)[1:-1]
    return order, starts[~np.isin(starts, frames)]


def with_an_empty_window(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Lab:
    """List the end twice; attention passes over a segment without tokens."""
    lab = other_windows(lambda g, order, starts, w: (order, np.append(starts, starts[-1])))(monkeypatch, lab)

    def attention(q: np.ndarray, *arguments: Any, **settings: Any) -> np.ndarray:
        return PLAIN.attention(q, *arguments, **settings) if len(q) else q

    return lab.with_ops(replace(lab.ops, attention=attention))


def starts_in_tokens(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Lab:
    """Starts count merged tokens; the last segment takes what is left, so that every row has a value."""
    right = encoder.vision_block

    def vision_block(
        x: np.ndarray, cos: np.ndarray, sin: np.ndarray, starts: np.ndarray, *rest: Any, **settings: Any
    ):
        return right(x, cos, sin, np.append(starts[:-1] // MERGE_P**2, len(x)), *rest, **settings)

    monkeypatch.setattr(encoder, "vision_block", vision_block)
    return lab


def complement(_: pytest.MonkeyPatch, lab: Lab) -> Lab:
    full = lab.config.vision.full_attention_blocks
    others = tuple(i for i in range(lab.config.vision.depth) if i not in full)
    return with_config(vision={"full_attention_blocks": others})(_, lab)


def other_frames(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    return patched((encoder, "frame_starts"), (vision_blocks, "frame_starts"), by=lambda right: change)


# ---------------------------------------------------------------------- attention within segments


def by_segments(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    """Change the starts that attention is given in the case of ragged segments."""

    def wrong(right: Callable[..., Any]) -> Callable[..., Any]:
        def attended(
            x: np.ndarray, cos: np.ndarray, sin: np.ndarray, starts: np.ndarray, *rest: Any, **settings: Any
        ):
            return right(x, cos, sin, change(starts), *rest, **settings)

        return attended

    return patched((vision_blocks, "vision_attention"), by=wrong)


def no_window_mask(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Lab:
    whole = other_windows(lambda grids, order, starts, w: (order, frame_starts(grids)))
    return both(whole, by_segments(lambda starts: starts[[0, -1]]))(monkeypatch, lab)


def mask_of_ones(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Lab:
    """A mask adds 1 where a query may look and 0 where it may not."""

    def wrong(right: Callable[..., Any]) -> Callable[..., Any]:
        def attended(
            x: np.ndarray, cos: np.ndarray, sin: np.ndarray, starts: np.ndarray, *rest: Any, **settings: Any
        ):
            segment = np.searchsorted(starts, np.arange(len(x)), side="right")
            allowed = segment[:, np.newaxis] == segment
            ops = replace(settings.pop("ops"), attention=lambda *qkv, **s: with_ones(*qkv, allowed=allowed, **s))
            return right(x, cos, sin, starts[[0, -1]], *rest, ops=ops, **settings)

        return attended

    lab = patched((vision_blocks, "vision_attention"), by=wrong)(monkeypatch, lab)
    return lab.with_ops(replace(lab.ops, attention=with_ones))


def with_ones(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, *, allowed: np.ndarray, probs: np.ndarray | None = None
) -> np.ndarray:
    return mixed_by(q, k, v, extra=allowed.astype(np.float64), probs=probs)


def mixed_by(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, *, extra: np.ndarray, probs: np.ndarray | None = None
) -> np.ndarray:
    """Attention with something added to the scores."""
    shared = np.arange(q.shape[1]) * k.shape[1] // q.shape[1]
    scores = np.einsum("snd,tnd->nst", q, k[:, shared]) / np.sqrt(q.shape[2]) + extra
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    if probs is not None:
        probs[:] = weights
    return np.einsum("nst,tnd->snd", weights, v[:, shared])


def causal(q: np.ndarray, *arguments: Any, allowed: np.ndarray | None = None, **settings: Any) -> np.ndarray:
    return PLAIN.attention(
        q, *arguments, allowed=np.tri(len(q), dtype=bool) if allowed is None else allowed, **settings
    )


def head_by_head(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """Queries, keys and values lie head by head in the fused layer."""
    y = PLAIN.linear(x, weight, bias)
    if len(weight) != 3 * weight.shape[1]:
        return y
    heads = 2
    return y.reshape(len(x), heads, 3, -1).swapaxes(1, 2).reshape(y.shape)


# ----------------------------------------------------------------------------- rotation, patches


def other_coordinates(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    def wrong(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda coordinates, **settings: right(change(coordinates), **settings)

    return patched((encoder, "vision_rotation"), (vision_blocks, "vision_rotation"), by=wrong)


def in_raster_order(coordinates: np.ndarray) -> np.ndarray:
    return coordinates[np.lexsort((coordinates[:, 1], coordinates[:, 0]))]


def rows_continue(coordinates: np.ndarray) -> np.ndarray:
    """Rows count on behind each frame."""
    changed, offset = coordinates.copy(), 0
    for i in range(1, len(coordinates)):
        if not coordinates[i].any():
            offset = changed[:i, 0].max() + 1
        changed[i, 0] += offset
    return changed


def rearranged(order: tuple[int, ...]) -> Plant:
    """Read a row's values in another order of channel, frame, y, x."""

    def wrong(right: Callable[..., Any]) -> Callable[..., Any]:
        def patch_embedding(rows: np.ndarray, weight: np.ndarray, **settings: Any) -> np.ndarray:
            inner = rows.reshape(-1, CHANNELS, FRAMES, PATCH_PX, PATCH_PX)
            return right(inner.transpose(0, *order).reshape(rows.shape), weight, **settings)

        return patch_embedding

    return patched((encoder, "patch_embedding"), (vision_blocks, "patch_embedding"), by=wrong)


def other_kernel(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    def wrong(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda rows, weight, **settings: right(rows, change(weight), **settings)

    return patched((encoder, "patch_embedding"), (vision_blocks, "patch_embedding"), by=wrong)


def raster_patches(right: Callable[..., Any]) -> Callable[..., Any]:
    def patch_rows(frames: np.ndarray, **settings: Any) -> tuple[np.ndarray, tuple[int, int, int]]:
        rows, (T, H, W) = right(frames, **settings)
        blocks = rows.reshape(T, H // 2, W // 2, 2, 2, -1)
        return blocks.swapaxes(2, 3).reshape(rows.shape), (T, H, W)

    return patch_rows


def zero_second_frame(right: Callable[..., Any]) -> Callable[..., Any]:
    def patch_rows(frames: np.ndarray, **settings: Any) -> tuple[np.ndarray, tuple[int, int, int]]:
        rows, grid = right(frames, **settings)
        inner = rows.reshape(len(rows), CHANNELS, FRAMES, -1).copy()
        inner[:, :, 1] = 0
        return inner.reshape(rows.shape), grid

    return patch_rows


def other_frames_of_clips(change: Callable[[list[np.ndarray]], list[np.ndarray]]) -> Plant:
    return patched((clip, "_rows"), by=lambda right: lambda frames, **settings: right(change(frames), **settings))


def interleaved(frames: list[np.ndarray]) -> list[np.ndarray]:
    filled = frames + frames[-1:] * (len(frames) % 2)
    half = len(filled) // 2
    return [filled[i // 2 + half * (i % 2)] for i in range(len(filled))]


def turned_sides(right: Callable[..., Any]) -> Callable[..., Any]:
    return lambda height, width, **settings: right(height, width, **settings)[::-1]


# --------------------------------------------------------------------------------- norms, layers


def norm_by(change: Callable[[np.ndarray, np.ndarray, float], np.ndarray]) -> Plant:
    return with_ops(rms_norm=lambda x, weight, *, eps: change(x, weight, eps))


def mean_square(x: np.ndarray) -> np.ndarray:
    return np.mean(np.square(x), axis=-1, keepdims=True)


def squares_overflow(x: np.ndarray, gain: np.ndarray, eps: float) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.square(x.astype(np.float16))
        return gain * x / np.sqrt(np.mean(squares.astype(np.float64), axis=-1, keepdims=True) + eps)


def norm_of_joined(x: np.ndarray, gain: np.ndarray, eps: float) -> np.ndarray:
    joined = x.reshape(len(x) // MERGE_P**2, -1)
    return (joined / np.sqrt(mean_square(joined) + eps)).reshape(x.shape) * gain


def merged_in_columns(right: Callable[..., Any]) -> Callable[..., Any]:
    def merged_tokens(x: np.ndarray, *rest: Any, **settings: Any) -> np.ndarray:
        return right(x.reshape(-1, 4, x.shape[1])[:, [0, 2, 1, 3]].reshape(x.shape), *rest, **settings)

    return merged_tokens


def gelu_by_tanh(x: np.ndarray) -> np.ndarray:
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def without_bias(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    return PLAIN.linear(x, weight)


def silu_by_plain_exp(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return x * np.exp(x) / (1 + np.exp(x))


PLANTS: dict[str, Plant] = {
    "order-for-inverse": order_for_inverse,
    "no-window-order": other_windows(lambda grids, order, starts, w: (np.arange(len(order)), starts)),
    "no-window-mask": no_window_mask,
    "window-in-patches": other_side(lambda window_m: window_m * MERGE_P),
    "window-side-fixed": other_side(lambda window_m: 4),
    "whole-windows-only": other_windows(whole_windows),
    "windows-span-frames": other_windows(spanning_windows),
    "empty-window-kept": with_an_empty_window,
    "starts-in-tokens": starts_in_tokens,
    "frame-starts-one": other_frames(lambda grids: np.array([0, np.sum(np.prod(grids, axis=1))])),
    "frame-starts-per-video": other_frames(lambda grids: np.cumsum([0, *np.prod(grids, axis=1)])),
    "full-blocks-windowed": with_config(vision={"full_attention_blocks": ()}),
    "full-blocks-periodic": with_config(vision={"full_attention_blocks": (1, 3)}),
    "segments-swapped": complement,
    "lengths-for-starts": by_segments(lambda starts: np.array([0, *np.diff(starts), starts[-1]])),
    "mask-of-ones": mask_of_ones,
    "causal-vision": with_ops(attention=causal),
    "qkv-layout": with_ops(linear=head_by_head),
    "score-scale": with_ops(attention=lambda q, *a, **s: PLAIN.attention(q / np.sqrt(q.shape[1]), *a, **s)),
    "vision-rope-missing": with_ops(rotated=lambda x, cos, sin: x),
    "vision-rope-axes": other_coordinates(lambda coordinates: coordinates[:, ::-1]),
    "vision-rope-raster": other_coordinates(in_raster_order),
    "vision-rope-frames-continue": other_coordinates(rows_continue),
    "raster-patches": patched((picture, "patch_rows"), by=raster_patches),
    "second-frame-zero": patched((picture, "patch_rows"), by=zero_second_frame),
    "channel-order": patched((picture, "normalised"), by=lambda right: lambda x, **s: right(x[..., ::-1], **s)),
    "sides-swapped": patched((picture, "smart_resize"), by=turned_sides),
    "inner-order-frame-first": rearranged((2, 1, 3, 4)),
    "inner-order-channel-last": rearranged((2, 3, 4, 1)),
    "patch-transposed": rearranged((1, 2, 4, 3)),
    "patch-weight-layout": other_kernel(lambda w: w.transpose(0, 2, 1, 3, 4).reshape(w.shape)),
    "patch-slices-summed": other_kernel(lambda w: np.repeat(w[:, :, :1], FRAMES, axis=2)),
    "frame-pair-swapped": other_kernel(lambda w: w[:, :, ::-1]),
    "frames-interleaved": other_frames_of_clips(interleaved),
    "odd-frames-dropped": other_frames_of_clips(lambda frames: frames[: len(frames) // 2 * 2]),
    "first-frame-repeated": other_frames_of_clips(lambda frames: frames[:1] * (len(frames) % 2) + frames),
    "norm-eps-outside": norm_by(lambda x, gain, eps: gain * x / (np.sqrt(mean_square(x)) + eps)),
    "norm-subtracts-mean": norm_by(
        lambda x, gain, eps: PLAIN.rms_norm(x - x.mean(axis=-1, keepdims=True), gain, eps=eps)
    ),
    "norm-gain-plus-one": norm_by(lambda x, gain, eps: PLAIN.rms_norm(x, gain + 1, eps=eps)),
    "norm-overflows": norm_by(squares_overflow),
    "merger-norm-behind": norm_by(norm_of_joined),
    "merge-order": patched((merger, "merged_tokens"), by=merged_in_columns),
    "gelu-tanh": with_ops(gelu=gelu_by_tanh),
    "gelu-for-silu": with_ops(silu=gelu),
    "gate-up-swapped": with_ops(silu=lambda x: x, multiplied=lambda gate, up: gate * silu(up)),
    "bias-forgotten": with_ops(linear=without_bias),
    "silu-overflows": with_ops(silu=silu_by_plain_exp),
}
"""Each known bug of the vision side and of the small functions."""
