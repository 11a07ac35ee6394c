"""Known bugs of pixel rows, planted into what upstream is given."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from qwen25vl.config import Config
from upstream_port import Plant, Port
from upstream_positions import set_positions

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32).reshape(3, 1, 1, 1)
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32).reshape(3, 1, 1, 1)
"""Of each channel, as CLIP has them."""

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1, 1)
IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1, 1)

Patches = np.ndarray
"""[P, channel, frame, y, x]."""


def patches_of(rows: np.ndarray, config: Config) -> Patches:
    v = config.vision
    return rows.reshape(-1, v.in_channels, v.temporal_patch_f, v.patch_px, v.patch_px)


def other_rows(change: Callable[[Patches], np.ndarray]) -> Plant:
    """Change every row by itself, of pictures and clips."""

    def plant(port: Port) -> None:
        def wrong(rows: np.ndarray) -> np.ndarray:
            changed = change(patches_of(rows, port.config)).reshape(rows.shape)
            return np.ascontiguousarray(changed, np.float32)

        i = port.inputs
        port.inputs = replace(i, image_rows=wrong(i.image_rows), video_rows=wrong(i.video_rows))

    return plant


def other_media(change: Callable[[Patches, tuple[int, int, int]], Patches], *, kinds: str = "iv") -> Plant:
    """Change the patches [T, H * W, channel, frame, y, x] of each picture and clip as a whole."""

    def plant(port: Port) -> None:
        def wrong(rows: np.ndarray, grids: np.ndarray) -> np.ndarray:
            ends = np.cumsum([0, *np.prod(grids, axis=1)])
            made = []
            for grid, start, end in zip(grids.tolist(), ends[:-1], ends[1:], strict=True):
                patches = patches_of(rows[start:end], port.config)
                there = patches.reshape(grid[0], -1, *patches.shape[1:])
                made.append(change(there, tuple(grid)).reshape(end - start, -1))
            return np.ascontiguousarray(np.concatenate([rows[:0], *made]))

        i = port.inputs
        if "i" in kinds:
            i = replace(i, image_rows=wrong(i.image_rows, i.image_grids))
        if "v" in kinds:
            i = replace(i, video_rows=wrong(i.video_rows, i.video_grids))
        port.inputs = i

    return plant


def renormalised(*, mean: float | np.ndarray, deviation: float | np.ndarray) -> Plant:
    return other_rows(lambda x: (x * DEVIATION + MEAN - mean) / deviation)


def rescaled(factor: float) -> Plant:
    """Give the processor bytes times another factor than 1/255."""
    return other_rows(lambda x: ((x * DEVIATION + MEAN) * 255 * factor - MEAN) / DEVIATION)


def in_raster_order(patches: Patches, grid: tuple[int, int, int]) -> Patches:
    T, H, W = grid
    blocks = patches.reshape(T, H // 2, W // 2, 2, 2, *patches.shape[2:])
    return blocks.swapaxes(2, 3).reshape(patches.shape)


def without_second_frame(patches: Patches, grid: tuple[int, int, int]) -> Patches:
    """A buffer of zeros, into which a still picture is written once."""
    first = np.arange(2).reshape(2, 1, 1)
    return np.where(first == 0, patches, np.float32(0))


def frames_of(patches: Patches) -> np.ndarray:
    """[2 T, H * W, channel, y, x]."""
    frames = np.moveaxis(patches, 3, 1)
    return frames.reshape(-1, *frames.shape[2:])


def of_frames(frames: np.ndarray) -> Patches:
    """Take neighbours together."""
    return np.moveaxis(frames.reshape(-1, 2, *frames.shape[1:]), 1, 3)


def half_a_clip_apart(patches: Patches, grid: tuple[int, int, int]) -> Patches:
    frames = frames_of(patches)
    pairs = frames.reshape(2, len(frames) // 2, *frames.shape[1:]).swapaxes(0, 1)
    return of_frames(pairs.reshape(frames.shape))


def filled_in_front(patches: Patches, grid: tuple[int, int, int]) -> Patches:
    """Five frames are six with the first one twice, where upstream has the last one twice."""
    frames = frames_of(patches)
    return of_frames(np.concatenate([frames[:1], frames[:-1]]))


def odd_frames_dropped(port: Port) -> None:
    """Five frames are four; the prompt has as many pads as there are rows then."""
    i = port.inputs
    ((T, H, W),) = i.video_grids.tolist()
    pads = np.flatnonzero(i.ids[0] == port.config.video_token_id)
    kept = np.ones(i.ids.shape[1], dtype=bool)
    kept[pads[len(pads) * (T - 1) // T :]] = False
    port.inputs = replace(
        i,
        ids=i.ids[:, kept],
        mask=i.mask[:, kept],
        positions=i.positions[:, :, kept],
        video_rows=i.video_rows[: (T - 1) * H * W],
        video_grids=np.array([[T - 1, H, W]]),
    )
    set_positions()(port)


PLANTS: Mapping[str, Plant] = {
    "channel-order": other_rows(lambda x: x[:, ::-1]),
    "channel-order/green-blue": other_rows(lambda x: x[:, [0, 2, 1]]),
    "clip-mean-half": renormalised(mean=0.5, deviation=0.5),
    "clip-mean-half/imagenet": renormalised(mean=IMAGENET_MEAN, deviation=IMAGENET_DEVIATION),
    "not-rescaled": rescaled(1.0),
    "not-rescaled/twice": rescaled(1 / 255**2),
    "raster-patches": other_media(in_raster_order),
    "inner-order-frame-first": other_rows(lambda x: x.transpose(0, 2, 1, 3, 4)),
    "inner-order-channel-last": other_rows(lambda x: x.transpose(0, 2, 3, 4, 1)),
    "patch-transposed": other_rows(lambda x: x.swapaxes(3, 4)),
    "second-frame-zero": other_media(without_second_frame, kinds="i"),
    "odd-frames-dropped": odd_frames_dropped,
    "first-frame-repeated": other_media(filled_in_front, kinds="v"),
    "frames-interleaved": other_media(half_a_clip_apart, kinds="v"),
    "frame-pair-swapped": other_rows(lambda x: x[:, :, ::-1]),
}
"""By id; behind a stroke, another way to the same bug."""
