"""Section 15 - the estimate: which taps will a prompt have, and how large, before anything is computed?"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from qwen25vl.config import Config
from qwen25vl.errors import BadInput
from qwen25vl.golden.case import Run
from qwen25vl.inputs import Inputs
from qwen25vl.tap import Tap
from qwen25vl.tap_names import TAP_NAMES
from qwen25vl.vision.windows import frame_starts, window_order

LARGE_BYTES = 2_000_000_000
"""A golden above this size is written only when somebody confirms it."""

ID_BYTES, LOGPROB_BYTES = 8, 8
"""Of each step of an answer: its id and the logarithm of its probability, in every precision."""

CHANNELS = 3
"""Bytes of a decoded pixel: red, green, blue."""

INTEGER_TAPS = ("vision.window_order", "vision.window_starts", "vision.frame_starts", "language.positions")
"""Taps that hold places and positions, int64 in every precision."""


@dataclass(frozen=True)
class ExpectedTap:
    """What a tap will be."""

    id: str
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        """Size of its numbers, in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def expected_taps(
    inputs: Inputs, *, config: Config, dtype: np.dtype[np.floating], taps: str = "all"
) -> list[ExpectedTap]:
    """List what `taps` selects of a prompt, with shapes and types, in the order of the table of ids.

    Args:
        inputs: one prompt. Without pictures and videos the vision encoder does not run, and has no taps.
        dtype: of the activations.
        taps: a level or a glob, as in `Tap`.

    Raises:
        BadInput: if nothing is selected.

    Spec: spec/15-golden-values.md (X11, X12, X13)
    """
    listener = Tap(pattern=taps)
    vision, text = _vision_extents(inputs, config), _text_extents(inputs, config)
    found, seen = [], 0
    for row in TAP_NAMES:
        is_vision = row.id.startswith("vision.")
        if is_vision and vision["P"] == 0:
            continue
        depth = config.vision.depth if is_vision else config.text.num_hidden_layers
        for i in range(depth if "NN" in row.id else 1):
            name = row.id.replace("NN", f"{i:02d}")
            seen += 1
            if listener.wants(name):
                extents = _with_segments(vision, config, block=i) if is_vision else text
                shape = tuple(extents[word] for word in row.shape.split())
                found.append(ExpectedTap(name, shape, np.dtype(np.int64) if name in INTEGER_TAPS else dtype))
    if not found:  # (X13)
        raise BadInput(
            f"the taps {taps!r} match none of the {seen} ids of this prompt"
            + ("" if vision["P"] else ", which has no picture and no video")
            + "; give stages, insides, all, or a glob such as '*.resid_post' (`qwen25vl names` lists the ids)"
        )
    return found


def expected_ids(run: Run, *, config: Config, taps: str) -> list[str]:
    """List the ids that a run may report, of those that `taps` selects. With `before`, some of them may not come.

    Args:
        run: what is to be run.
        config: of the checkpoint.
        taps: a level or a glob, as in `Tap`.
    """
    reports = _reports(run, config=config, dtype=np.dtype(np.float64), taps=taps)
    return [name for _, names in reports for name in names]


def expected_bytes(run: Run, *, config: Config, dtype: np.dtype[np.floating], taps: str) -> int:
    """Count the bytes of a run's tensors at most: its inputs, its taps, and the longest answers.

    In pieces, a prompt's taps take what they take in one (attention probabilities less); behind an earlier
    prompt they take less.

    Args:
        run: the prompts.
        config: of the checkpoint.
        dtype: of the activations.
        taps: a level or a glob, as in `Tap`.

    Spec: spec/15-golden-values.md (X12)
    """
    given = sum(input_bytes(inputs) for inputs in (run.inputs, run.before) if inputs is not None)
    found = sum(tap.nbytes for tap, names in _reports(run, config=config, dtype=dtype, taps=taps) if names)
    step = config.text.vocab_size * dtype.itemsize + ID_BYTES + LOGPROB_BYTES
    return given + found + len(run.inputs.ids) * run.answer_tokens * step


def _reports(
    run: Run, *, config: Config, dtype: np.dtype[np.floating], taps: str
) -> Iterator[tuple[ExpectedTap, list[str]]]:
    """Give each tap of each prompt, and the ids that it reports under, of those that `taps` selects."""
    listener, rows = Tap(pattern=taps), len(run.inputs.ids)
    for b in range(rows):
        row = run.inputs.row(b)
        scope = f"rows.{b:02d}." if rows > 1 else ""
        chunks = [""]
        if run.chunk is not None:
            chunks = [f"chunks.{i:02d}." for i in range(-(-row.ids.shape[1] // run.chunk))]
        for tap in expected_taps(row, config=config, dtype=dtype):
            pieces = chunks if tap.id.startswith("language.") else [""]
            names = [f"{scope}{piece}{tap.id}" for piece in pieces]
            yield tap, [name for name in names if listener.wants(name)]


def input_bytes(inputs: Inputs) -> int:
    """Count the bytes of what prompts are given: arrays, and pictures and frames as decoded and as resized.

    Only several prompts have a mask and counts of media. No frame is decoded: of a video the number and size of
    its chosen frames are known.

    Spec: spec/15-golden-values.md (X2, X12)
    """
    arrays = [inputs.ids, inputs.positions, inputs.delta, inputs.image_rows, inputs.image_grids]
    arrays += [inputs.video_rows, inputs.video_grids, inputs.second_per_grid]
    if len(inputs.ids) > 1:  # (X2)
        arrays += [inputs.mask, np.array(inputs.media_counts, dtype=np.int64)]
    for picture in inputs.pictures:
        arrays += [picture.rgb, picture.resized]
    decoded = 0
    for clip in inputs.clips:
        arrays += [clip.indices, clip.resized]
        decoded += len(clip.indices) * math.prod(clip.original_size) * CHANNELS
    return decoded + sum(array.nbytes for array in arrays)


def _text_extents(inputs: Inputs, config: Config) -> Mapping[str, int]:
    """Say what the words of a language shape mean for a prompt."""
    text = config.text
    return {
        "3": 3,
        "L": inputs.ids.shape[1],
        "E": text.hidden_size,
        "N": text.num_attention_heads,
        "K": text.num_key_value_heads,
        "d": text.head_dim,
        "F": text.intermediate_size,
        "V": text.vocab_size,
    }


def _vision_extents(inputs: Inputs, config: Config) -> dict[str, int]:
    """Say what the words of a vision shape mean for a prompt."""
    vision = config.vision
    windows, frames = _segment_starts(inputs, config)
    P = len(inputs.image_rows) + len(inputs.video_rows)
    return {
        "P": P,
        "M": P // vision.merge_unit,
        "D": vision.hidden_size,
        "4D": vision.merge_unit * vision.hidden_size,
        "N": vision.num_heads,
        "d": vision.head_dim,
        "F": vision.intermediate_size,
        "E": config.text.hidden_size,
        "windows+1": len(windows),
        "frames+1": len(frames),
        "windows S": _sum_of_squares(windows),
        "frames S": _sum_of_squares(frames),
    }


def _with_segments(extents: dict[str, int], config: Config, *, block: int) -> dict[str, int]:
    """Add S, which depends on whether a block attends within windows or frames."""
    kind = "frames" if block in config.vision.full_attention_blocks else "windows"
    return {**extents, "S": extents[f"{kind} S"]}


def _segment_starts(inputs: Inputs, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Return the first patch of each window and of each frame, and the ends."""
    grids = np.concatenate([inputs.image_grids, inputs.video_grids])
    if len(grids) == 0:
        return np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    vision = config.vision
    grids_m = grids // np.array([1, vision.merge_p, vision.merge_p])
    _, starts_m = window_order(grids_m, window_m=vision.window_m)
    return starts_m * vision.merge_unit, frame_starts(grids)


def _sum_of_squares(starts: np.ndarray) -> int:
    """Count the attention probabilities of one head: the sum of the squared segment lengths."""
    return int(np.sum(np.square(np.diff(starts))))
