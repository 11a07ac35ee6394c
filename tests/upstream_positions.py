"""Known bugs of positions, planted into the array that upstream is given."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby

import numpy as np

from qwen25vl.config import Config
from qwen25vl.inputs import Inputs
from upstream_port import Plant, Port

Block = Callable[["Medium"], np.ndarray]
"""Positions [3, tokens] of a medium, counted from its start."""


class Medium:
    """A picture or clip within a prompt: its sides in merged tokens, where it starts, its time."""

    def __init__(self, *, is_clip: bool, grid: tuple[int, int, int], seconds: float, start: int, rate: int):
        self.is_clip, self.seconds, self.start, self.rate = is_clip, seconds, start, rate
        self.T, self.Hm, self.Wm = grid[0], grid[1] // 2, grid[2] // 2

    def axes(self) -> np.ndarray:
        """Row of time, row and column [3, tokens], in the order of the tokens."""
        return np.indices((self.T, self.Hm, self.Wm)).reshape(3, -1)

    def timed(self, time: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Give the rows of a clip these times; a picture has none."""
        t, h, w = self.axes()
        return np.stack([time(t) if self.is_clip else t, h, w])


def right_block(m: Medium) -> np.ndarray:
    return m.timed(lambda t: np.floor(t * m.seconds * m.rate).astype(np.int64))


def next_start(m: Medium, block: np.ndarray) -> int:
    """Where the text behind a medium goes on, counted from its start."""
    return int(block.max()) + 1


def media_of(inputs: Inputs) -> dict[bool, Iterator[tuple[tuple[int, int, int], float]]]:
    """Grids and seconds, of pictures and of clips."""
    clips = zip(map(tuple, inputs.video_grids.tolist()), inputs.second_per_grid.tolist(), strict=True)
    return {False: ((tuple(grid), 0.0) for grid in inputs.image_grids.tolist()), True: clips}


def walked(
    inputs: Inputs,
    config: Config,
    *,
    block: Block = right_block,
    after: Callable[[Medium, np.ndarray], int] = next_start,
    first: Callable[[int, int], int] = lambda start, last: start,
    markers: bool = True,
) -> np.ndarray:
    """Positions [3, L], written again; the defaults are right.

    Args:
        inputs: of one prompt.
        config: for its ids.
        block: of each medium.
        after: what follows a medium goes on so far behind its start.
        first: start of a medium, from where it should start and where the last one did (-1: there is none).
        markers: whether markers between two media, without a text, count.
    """
    pads, left = (config.image_token_id, config.video_token_id), media_of(inputs)
    columns, start, last = [], 0, -1
    for kind, run in groupby(inputs.ids[0].tolist(), key=lambda token: token if token in pads else None):
        tokens = list(run)
        if kind is None:
            columns.append(np.tile(np.arange(len(tokens)), (3, 1)) + start)
            between = tokens == [config.vision_end_token_id, config.vision_start_token_id]
            start += 0 if between and not markers else len(tokens)
            last = last if between else -1
            continue
        is_clip = kind == config.video_token_id
        grid, seconds = next(left[is_clip])
        start = first(start, last)
        rate = config.vision.tokens_per_second
        medium = Medium(is_clip=is_clip, grid=grid, seconds=seconds, start=start, rate=rate)
        made = block(medium)[:, : len(tokens)]
        columns.append(made + start)
        last, start = start, start + after(medium, made)
    return np.concatenate(columns, axis=1)


def set_positions(**rules: object) -> Plant:
    """Walk over the prompt with other rules."""

    def plant(port: Port) -> None:
        positions = walked(port.inputs, port.config, **rules)
        port.inputs = replace(port.inputs, positions=positions[:, None])

    return plant


def sequential(port: Port) -> None:
    L = port.inputs.ids.shape[1]
    port.inputs = replace(port.inputs, positions=np.tile(np.arange(L), (3, 1, 1)))


def in_patches(m: Medium) -> np.ndarray:
    return right_block(m) * np.array([[1], [2], [2]])


def still_time_scaled(m: Medium) -> np.ndarray:
    """As transformers 5.3.0: the start is multiplied, too."""
    return right_block(m) if m.is_clip else m.axes() + np.array([[m.start * (m.rate - 1)], [0], [0]])


def clip_time_scaled(m: Medium) -> np.ndarray:
    """As transformers 5.3.0: all of a clip has its start, multiplied."""
    return m.timed(lambda t: 0 * t + int(m.start * m.seconds * m.rate) - m.start)


def longer_side(m: Medium, block: np.ndarray) -> int:
    """What transformers 5 lets follow, whatever the time."""
    return max(m.Hm, m.Wm)


def transposed(m: Medium) -> np.ndarray:
    """The grid is taken for (T, W, H)."""
    t, h, w = np.indices((m.T, m.Wm, m.Hm)).reshape(3, -1)
    return np.stack([m.timed(lambda t: right_block(m)[0])[0] if m.is_clip else t, h, w])


def column_by_column(m: Medium) -> np.ndarray:
    """Tokens of a frame count down, not across."""
    order = np.arange(m.T * m.Hm * m.Wm).reshape(m.T, m.Hm, m.Wm).swapaxes(1, 2).ravel()
    return right_block(m)[:, order] if m.is_clip else right_block(m)


def frames_innermost(m: Medium) -> np.ndarray:
    order = np.arange(m.T * m.Hm * m.Wm).reshape(m.T, -1).T.ravel()
    return right_block(m)[:, order]


def as_one_list(port: Port) -> None:
    """Grids are taken one after the other from a list of pictures, then clips."""
    i, config = port.inputs, port.config
    media = [(g, 0.0) for g in i.image_grids.tolist()]
    media += list(zip(i.video_grids.tolist(), i.second_per_grid.tolist(), strict=True))
    grids = iter(media)

    def block(m: Medium) -> np.ndarray:
        grid, seconds = next(grids)
        other = Medium(is_clip=m.is_clip, grid=tuple(grid), seconds=seconds, start=m.start, rate=m.rate)
        made = right_block(other)
        count = m.T * m.Hm * m.Wm
        return np.concatenate([made] * (count // made.shape[1] + 1), axis=1)[:, :count]

    port.inputs = replace(i, positions=walked(i, config, block=block)[:, None])


PLANTS: Mapping[str, Plant] = {
    "positions-sequential": sequential,
    "grid-transposed-positions": set_positions(block=transposed),
    "positions-in-patches": set_positions(block=in_patches),
    "text-after-by-tokens": set_positions(after=lambda m, block: block.shape[1]),
    "text-after-by-time": set_positions(after=lambda m, block: int(block[0].max()) + 1),
    "text-after-by-sides": set_positions(after=longer_side),
    "still-time-scaled": set_positions(block=still_time_scaled, after=longer_side),
    "video-time-constant": set_positions(block=lambda m: m.timed(lambda t: 0 * t)),
    "video-time-from-start": set_positions(block=clip_time_scaled, after=longer_side),
    "video-time-by-row": set_positions(block=lambda m: m.timed(lambda t: t)),
    "seconds-truncated-first": set_positions(block=lambda m: m.timed(lambda t: t * int(m.seconds) * m.rate)),
    "fixed-rate-for-time": set_positions(block=lambda m: m.timed(lambda t: t * m.rate)),
    "time-rounded": set_positions(
        block=lambda m: m.timed(lambda t: np.rint(t * m.seconds * m.rate).astype(np.int64))
    ),
    "time-rounded/each-step": set_positions(
        block=lambda m: m.timed(lambda t: t * round(m.seconds * m.rate + 1e-9))
    ),
    "tokens-per-second-fixed": set_positions(
        block=lambda m: m.timed(lambda t: np.floor(t * m.seconds * 2).astype(np.int64))
    ),
    "tokens-per-second-fixed/25": set_positions(
        block=lambda m: m.timed(lambda t: np.floor(t * m.seconds * 25).astype(np.int64))
    ),
    "video-block-order": set_positions(block=column_by_column),
    "video-block-order/frames-innermost": set_positions(block=frames_innermost),
    "position-restarts": set_positions(first=lambda start, last: 0),
    "position-restarts/behind": set_positions(after=lambda m, block: -m.start),
    "adjacent-pictures-joined": set_positions(first=lambda start, last: start if last < 0 else last),
    "adjacent-pictures-joined/markers": set_positions(markers=False),
    "picture-taken-for-video": as_one_list,
}
"""By id; behind a stroke, another way to the same bug."""
