"""Section 15 - cases of pieces of the decoder: embedding, a block, its activation."""

from collections.abc import Iterator

import numpy as np

from qwen25vl.golden.case import Lab, Part, Run, count_part
from qwen25vl.golden.cases.text_attention import AROUND_A_PICTURE
from qwen25vl.golden.cases.vision_taps import tap_part, tapped_parts
from qwen25vl.golden.draws import drawn
from qwen25vl.golden.registry import case
from qwen25vl.language.block import decoder_block
from qwen25vl.language.embed import embedded_tokens
from qwen25vl.language.mrope import mrope_rotation
from qwen25vl.tap import Tap


@case(
    family="text",
    tier="unit",
    section="10",
    clauses=("D1", "D2"),
    kills=(
        "scatter-by-picture",
        "scatter-pad-embedding",
        "pads-by-modality",
        "embedding-scaled",
        "pad-ids-hard-coded",
    ),
    note="Pads of a picture, of a clip, of another picture: rows of pictures and of clips are two lists, each "
    "used up in the order of the prompt. One kind of medium hides a common list.",
)
def nth_pad_takes_the_nth_row(lab: Lab) -> Iterator[Part | Run]:
    """Put drawn rows of two pictures and a clip in the places of their pads."""
    config = lab.config
    image, video = config.image_token_id, config.video_token_id
    before, behind = config.vision_start_token_id, config.vision_end_token_id
    ids = [7, before, image, image, behind, 12, before, *[video] * 4, behind, before, *[image] * 3, behind, 9]
    pictures, clips = drawn(531, (5, config.text.hidden_size)), drawn(532, (4, config.text.hidden_size))
    part = count_part("inputs.ids", ids, "L", "token ids", "04")
    yield part
    yield Part("inputs.picture_rows", pictures, "M E", "merged tokens of the pictures")
    yield Part("inputs.clip_rows", clips, "M E", "merged tokens of the clip")
    weights = lab.model.network.weights.at("model")
    x = embedded_tokens(part.array, lab.held(pictures), lab.held(clips), weights, config=config)
    yield tap_part("language.embed.out", x)


@case(
    family="text",
    tier="block",
    section="10",
    clauses=("D9", "N4", "N12"),
    kills=("gate-up-swapped", "gelu-for-silu", "norm-subtracts-mean", "norm-gain-plus-one", "residual-from-norm"),
    note="A drawn stream with a mean of a half, so that a norm that takes the mean off is another norm, and of a "
    "size other than one, so that adding to the normalised stream shows.",
)
def decoder_block_adds_to_the_stream(lab: Lab) -> Iterator[Part | Run]:
    """Apply the first decoder block."""
    text, positions = lab.config.text, np.array(AROUND_A_PICTURE, dtype=np.int64)
    x = np.abs(drawn(533, (9, text.hidden_size), bits=6)) * 4 - 1
    yield Part("inputs.x", x, "L E", "residual stream in front of the block")
    yield Part("inputs.positions", positions, "3 L", "time, height and width position of each token", "09")
    cos, sin = mrope_rotation(
        positions, head_dim=text.head_dim, theta=text.rope_theta, sections=text.mrope_section, ops=lab.ops
    )
    nothing = np.empty((0, text.num_key_value_heads, text.head_dim), dtype=lab.ops.precision.dtype)
    tap = Tap()
    decoder_block(
        lab.held(x),
        lab.ops.precision.rounded(cos),
        lab.ops.precision.rounded(sin),
        nothing,
        nothing,
        lab.model.network.weights.at("model.layers.0"),
        config=text,
        ops=lab.ops,
        tap=tap.at("language.blocks.00"),
    )
    yield from tapped_parts(tap)


@case(
    family="text",
    tier="unit",
    section="00",
    clauses=("N6",),
    kills=("silu-overflows", "gelu-for-silu"),
    note="From -1024 to 1024. exp(-x) overflows at -89 in float32 and at -710 in float64, exp(x) as far to the "
    "right: the result is then NaN or a warning. Arguments of common size hide it.",
)
def silu_survives_large_arguments(lab: Lab) -> Iterator[Part | Run]:
    """Apply silu to small and to very large numbers."""
    far = np.array([20.0, 40.0, 88.0, 89.0, 96.0, 104.0, 128.0, 256.0, 712.0, 752.0, 1024.0])
    x = np.concatenate([-far[::-1], np.arange(-64, 65) / 8, far])
    yield Part("inputs.x", x, "numbers", "arguments")
    yield Part("outputs.silu", lab.ops.silu(lab.held(x)), "numbers", "x / (1 + exp(-x))")
