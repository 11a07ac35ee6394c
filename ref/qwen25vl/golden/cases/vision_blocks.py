"""Section 15 - cases of pieces of the vision encoder, on drawn activations and the checkpoint's weights."""

from collections.abc import Iterator

import numpy as np

from qwen25vl.gated_mlp import gated_mlp
from qwen25vl.golden.case import Lab, Part, Run, count_part
from qwen25vl.golden.cases.vision_scenes import said, shapes
from qwen25vl.golden.cases.vision_taps import tap_part, tapped_parts
from qwen25vl.golden.draws import drawn
from qwen25vl.golden.execute import given_parts
from qwen25vl.golden.registry import case
from qwen25vl.model import encoded_media
from qwen25vl.tap import Tap
from qwen25vl.vision.attention import vision_attention
from qwen25vl.vision.block import vision_block
from qwen25vl.vision.patch_embed import patch_embedding
from qwen25vl.vision.rope_2d import patch_coordinates, vision_rotation
from qwen25vl.vision.windows import frame_starts

RAGGED_STARTS = (0, 4, 16, 36)
"""Segments of one, three and five merged tokens, in patches."""

RAGGED_GRID = ((1, 6, 6),)
"""A grid of as many patches."""

TWO_MEDIA = ((2, 2, 4), (1, 4, 6))
"""Frames of 8, 8 and 24 patches."""


@case(
    family="vision",
    tier="unit",
    section="05",
    clauses=("E1", "E2", "E3", "I21"),
    kills=(
        "patch-weight-layout",
        "patch-slices-summed",
    ),
    note="Eight drawn rows; the last four are the first four with their two frames exchanged. Every number of a "
    "row differs from its neighbours, so that no order of channel, frame, y and x gives what another gives.",
)
def patch_rows_go_by_channel_frame_y_x(lab: Lab) -> Iterator[Part | Run]:
    """Embed drawn pixel rows, and the same rows with their frames exchanged."""
    vision = lab.config.vision
    rows = drawn(501, (4, vision.patch_dim))
    frames = rows.reshape(4, vision.in_channels, vision.temporal_patch_f, -1)
    both = np.concatenate([rows, frames[:, :, ::-1].reshape(rows.shape)])
    yield Part("inputs.rows", both, "P C", "pixel rows; the last four have their frames exchanged", "02")
    weight = lab.model.network.weights["visual.patch_embed.proj.weight"]
    yield tap_part("vision.patch_embed.out", patch_embedding(both.astype(np.float32), weight, ops=lab.ops))


@case(
    family="vision",
    tier="block",
    section="07",
    clauses=("W7", "W8", "W9", "R3", "R4", "R5", "N9", "N13"),
    kills=(
        "no-window-mask",
        "mask-of-ones",
        "causal-vision",
        "lengths-for-starts",
        "qkv-layout",
        "bias-forgotten",
        "vision-rope-missing",
        "vision-rope-axes",
        "interleaved-channels",
        "values-rotated",
        "score-scale",
    ),
    note="Segments of 4, 12 and 20 patches: lengths that are equal, or a first segment that starts where it is as "
    "long, would hide lengths taken for starts. The probabilities stand segment by segment.",
)
def ragged_segments_stay_apart(lab: Lab) -> Iterator[Part | Run]:
    """Attend within three segments of different length, through the first block's weights."""
    vision = lab.config.vision
    x = drawn(502, (RAGGED_STARTS[-1], vision.hidden_size))
    yield Part("inputs.x", x, "P D", "normalised activations, in window order")
    starts = count_part("inputs.starts", RAGGED_STARTS, "segments+1", "first patch of each segment, and the end")
    yield starts
    coordinates = patch_coordinates(np.array(RAGGED_GRID), merge_p=vision.merge_p)
    yield Part("inputs.coordinates", coordinates, "P 2", "row and column of each patch", "06")
    tap = Tap()
    cos, sin = vision_rotation(coordinates, head_dim=vision.head_dim, theta=vision.rope_theta, ops=lab.ops)
    cos, sin = tap("vision.rope.cos", cos), tap("vision.rope.sin", sin)
    vision_attention(
        lab.held(x),
        cos,
        sin,
        starts.array,
        lab.model.network.weights.at("visual.blocks.0.attn"),
        num_heads=vision.num_heads,
        ops=lab.ops,
        tap=tap.at("vision.blocks.00.attn"),
    )
    yield from tapped_parts(tap)


@case(
    family="vision",
    tier="block",
    section="07",
    clauses=("W6", "W10", "R2", "N4", "N12"),
    kills=(
        "frame-starts-per-video",
        "frame-starts-one",
        "vision-rope-frames-continue",
        "norm-subtracts-mean",
        "gate-up-swapped",
        "gelu-for-silu",
        "bias-forgotten",
    ),
    note="A clip of two frames and a picture, of frames of 8, 8 and 24 patches. No still picture can show that a "
    "clip's frames do not see each other. The block is the first that attends over whole frames.",
)
def full_attention_ends_with_the_frame(lab: Lab) -> Iterator[Part | Run]:
    """Apply a block of full attention to a clip and a picture."""
    vision = lab.config.vision
    grids = np.array(TWO_MEDIA, dtype=np.int64)
    block = (*vision.full_attention_blocks, 0)[0]
    x = drawn(503, (40, vision.hidden_size)) * 2
    yield Part("inputs.x", x, "P D", "residual stream in front of the block")
    yield Part("inputs.grids", grids, "media 3", "T, H, W of each medium, in patches")
    tap = Tap()
    coordinates = patch_coordinates(grids, merge_p=vision.merge_p)
    cos, sin = vision_rotation(coordinates, head_dim=vision.head_dim, theta=vision.rope_theta, ops=lab.ops)
    vision_block(
        lab.held(x),
        tap("vision.rope.cos", cos),
        tap("vision.rope.sin", sin),
        tap("vision.frame_starts", frame_starts(grids)),
        lab.model.network.weights.at(f"visual.blocks.{block}"),
        config=vision,
        ops=lab.ops,
        tap=tap.at(f"vision.blocks.{block:02d}"),
    )
    yield from tapped_parts(tap)


@case(
    family="vision",
    tier="unit",
    section="00",
    clauses=("N6", "N12"),
    kills=("gate-up-swapped", "gelu-for-silu", "bias-forgotten"),
    note="Drawn activations, four times as large as those behind a norm, so that the gate reaches where silu is "
    "far from a straight line and gate and up cannot change places.",
)
def gate_is_activated_and_up_is_not(lab: Lab) -> Iterator[Part | Run]:
    """Run the gated MLP of the first vision block, which has biases."""
    x = drawn(504, (6, lab.config.vision.hidden_size)) * 4
    yield Part("inputs.x", x, "P D", "activations in front of the MLP")
    weights, tap = lab.model.network.weights.at("visual.blocks.0.mlp"), Tap()
    gated_mlp(lab.held(x), weights, bias=True, ops=lab.ops, tap=tap.at("vision.blocks.00.mlp"))
    yield from tapped_parts(tap)


@case(
    family="vision",
    tier="block",
    section="07",
    clauses=("W2", "W3", "W12", "M4"),
    kills=("empty-window-kept", "window-in-patches", "window-side-fixed", "order-for-inverse", "no-window-order"),
    note="The picture is two windows wide and two high, whatever the checkpoint's window is (8 x 8 merged tokens "
    "with the releases'). Where a side divides, upstream lists windows without tokens and takes them out again; a "
    "grid that does not divide has none.",
)
def full_windows_leave_no_empty_one(lab: Lab) -> Iterator[Part | Run]:
    """Encode a picture that four whole windows cover."""
    vision = lab.config.vision
    side_px = 2 * (vision.window_px // vision.factor_px) * vision.factor_px
    inputs = lab.prepare([said(shapes(side_px, side_px))])
    yield from (part for part in given_parts(Run(inputs)) if "image" in part.id or "pictures" in part.id)
    kept = ("window_order", "window_starts", "frame_starts", "blocks.00.resid_post", "out")
    tap = Tap()
    encoded_media(inputs, lab.model.network, tap=tap.at("vision"))
    yield from (tap_part(name, tap[name]) for name in (f"vision.{end}" for end in kept))
