"""Known bugs of the decoder's rotation: pairs of channels, direction, base, sections (sections 00 and 09)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.ops import Ops
from qwen25vl.port.mutants.mutant import AnySwap, OpsSwap, Swap, known_bug
from qwen25vl.rounding import to_bfloat16

VISION_THETA = 10_000.0
"""Base of the vision encoder in every release, and the usual default of a rotary module."""


def in_neighbouring_pairs(rotated: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Turn channel 2 j against channel 2 j + 1, by the angle of pair j."""

    def wrong(x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
        in_halves = np.concatenate([x[..., ::2], x[..., 1::2]], axis=-1)
        first, second = np.split(rotated(in_halves, cos, sin), 2, axis=-1)
        return np.stack([first, second], axis=-1).reshape(x.shape)

    return wrong


@known_bug(
    "interleaved-channels",
    mechanism="rotation",
    clauses=("N9", "R4", "T11"),
    symptom="Fluent at first, then nonsense: text degrades with its length, and boxes are off.",
    cause="A rotation for neighbouring channels (GPT-J, the original RoPE, Llama's own code) is used on weights "
    "that are stored for halves, or weights are permuted for one and run with the other.",
    hidden_by="Tokens at position 0 and patches at row 0, column 0: nothing turns. Norms of queries and keys are "
    "the same either way.",
    fix="Turn channel j against channel j + d/2, as `rotate_half` does.",
)
def interleaved_channels() -> Iterator[OpsSwap]:
    yield OpsSwap("rotated", lambda right: in_neighbouring_pairs(right.rotated))
    yield OpsSwap("rotated_in_steps", lambda right: in_neighbouring_pairs(right.rotated_in_steps))


@known_bug(
    "rotation-sign",
    mechanism="rotation",
    clauses=("N9",),
    symptom="Answers lose their thread, and places in pictures are mirrored: what stands before a token has the "
    "scores of what would stand as far behind it.",
    cause="The minus stands on the other half: `concat(x2, -x1)` for `concat(-x2, x1)`, or the angle is negated.",
    hidden_by="Tokens and patches at one position: the angle between them is 0, whose sign does not count. Sine "
    "and cosine exchanged give the same scores, and other rotated queries and keys.",
    fix="y[j] = x[j] cos - x[j + d/2] sin, and y[j + d/2] = x[j + d/2] cos + x[j] sin.",
)
def rotation_sign() -> Iterator[OpsSwap]:
    yield OpsSwap("rotated", lambda right: lambda x, cos, sin: right.rotated(x, cos, -sin))
    yield OpsSwap("rotated_in_steps", lambda right: lambda x, cos, sin: right.rotated_in_steps(x, cos, -sin))


@known_bug(
    "theta-swapped",
    mechanism="rotation",
    clauses=("N8",),
    symptom="Text is wrong from the first tokens on, with and without a picture, and worse the longer it is.",
    cause="The helper's default base of 10,000, right in the vision encoder, is left in the decoder, which needs "
    "1,000,000; newer configs have it under `rope_parameters`, where older code does not look.",
    hidden_by="A prompt of a few tokens, nearly: the first frequency of both bases is 1, and the others turn "
    "little.",
    fix="Read `rope_theta` of each tower: 1,000,000 in the decoder, 10,000 in the vision encoder.",
)
def theta_swapped() -> Iterator[Swap]:
    yield Swap(
        "layers.rotary.inverse_frequencies",
        lambda right: lambda *, width, theta: right(width=width, theta=VISION_THETA),
    )


@known_bug(
    "frequencies-rounded",
    mechanism="rotation",
    clauses=("N2", "N8"),
    symptom="Short prompts are right; long ones drift, and boxes on large pictures are a little off.",
    cause="The whole model is cast to bfloat16, and the buffer of inverse frequencies with it.",
    hidden_by="Small positions: the angle is wrong by up to a 512th of itself, so by 0.02 at position 10 and by "
    "more than a whole turn at some thousands.",
    fix="Keep inverse frequencies, and the angles made of them, in float32 whatever the model's format.",
    threads=("NVIDIA-NeMo/Automodel#3856", "NVIDIA-NeMo/Automodel#2549"),
)
def frequencies_rounded() -> Iterator[Swap]:
    yield Swap(
        "layers.rotary.inverse_frequencies", lambda right: lambda **settings: to_bfloat16(right(**settings))
    )


@known_bug(
    "values-rotated",
    mechanism="rotation",
    clauses=("W7", "D7", "R5"),
    symptom="Nonsense in text and in pictures, though queries and keys are right.",
    cause="One rotation is applied to the fused queries, keys and values, or a loop over the three forgets to "
    "stop.",
    hidden_by="The first token and the first patch: at 0 nothing turns.",
    fix="Turn queries and keys; leave values as the layer gives them.",
)
def values_rotated() -> Iterator[Swap]:
    def in_decoder(right: Callable[..., Any]) -> Callable[..., Any]:
        def decoder_attention(
            x: np.ndarray, cos: np.ndarray, sin: np.ndarray, *past: Any, ops: Ops, **settings: Any
        ) -> Any:
            def turned(v: np.ndarray) -> np.ndarray:
                known = len(v) - len(x)
                return np.concatenate([v[:known], ops.rotated_in_steps(v[known:], cos, sin)])

            other = replace(ops, attention=lambda q, k, v, **s: ops.attention(q, k, turned(v), **s))
            out, keys, values = right(x, cos, sin, *past, ops=other, **settings)
            return out, keys, turned(values)

        return decoder_attention

    def in_vision(right: Callable[..., Any]) -> Callable[..., Any]:
        def vision_attention(
            x: np.ndarray,
            cos: np.ndarray,
            sin: np.ndarray,
            starts: np.ndarray,
            *rest: Any,
            ops: Ops,
            **settings: Any,
        ) -> np.ndarray:
            first = iter(starts)

            def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, **s: Any) -> np.ndarray:
                part = slice(at := next(first), at + len(v))
                return ops.attention(q, k, ops.rotated(v, cos[part], sin[part]), **s)

            found: np.ndarray = right(
                x, cos, sin, starts, *rest, ops=replace(ops, attention=attention), **settings
            )
            return found

        return vision_attention

    yield Swap("language.attention.decoder_attention", in_decoder)
    yield Swap("vision.attention.vision_attention", in_vision)


# ---------------------------------------------------------------------------------------- sections


def axes_of_channels(axes: Callable[[tuple[int, ...]], np.ndarray]) -> Callable[..., Callable[..., Any]]:
    """Let each channel of a whole head follow another axis than it should: 0 time, 1 height, 2 width."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def mrope_rotation(positions: np.ndarray, *, sections: tuple[int, ...], **settings: Any) -> Any:
            by_axis = [right(np.tile(row, (3, 1)), sections=sections, **settings) for row in positions]
            axis = axes(sections)  # [d]
            chosen = axis[np.newaxis, np.newaxis]
            cos, sin = (
                np.take_along_axis(np.stack(angles), np.broadcast_to(chosen, (1, *angles[0].shape)), axis=0)[0]
                for angles in zip(*by_axis, strict=True)
            )
            return cos, sin

        return mrope_rotation

    return by


def in_turns(sections: tuple[int, ...]) -> np.ndarray:
    """Deal frequencies out as Qwen3-VL does: height has every third from 1 on, width every third from 2 on."""
    axis = np.zeros(sum(sections), dtype=np.int64)
    for which in (1, 2):
        axis[which : 3 * sections[which] : 3] = which
    return np.tile(axis, 2)


@known_bug(
    "sections-interleaved",
    mechanism="section layout",
    clauses=("T10",),
    symptom="Text is right, pictures are described fluently, and boxes, counts and reading suffer.",
    cause="The rotation of Qwen3-VL, whose sections are dealt out in turns, is shared with Qwen2.5-VL.",
    hidden_by="Text: its three positions are equal, and every layout gives the same.",
    fix="Three contiguous parts of the frequencies: 16 by time, 24 by height, 24 by width, in each half of a "
    "head.",
    threads=("Blaizzy/mlx-vlm#576", "ml-explore/mlx-swift-lm#239"),
)
def sections_interleaved() -> Iterator[Swap]:
    yield Swap("language.mrope.mrope_rotation", axes_of_channels(in_turns))


@known_bug(
    "sections-repeated-whole",
    mechanism="section layout",
    clauses=("T10", "T11"),
    symptom="Text is right, places in pictures are not.",
    cause="Upstream's `mrope_section * 2` repeats a list, 16 24 24 16 24 24; a port in another language "
    "multiplies the three numbers, 32 48 48.",
    hidden_by="Text: its three positions are equal.",
    fix="Lay the three sections over half a head, and repeat the half.",
)
def sections_repeated_whole() -> Iterator[Swap]:
    yield Swap(
        "language.mrope.mrope_rotation",
        axes_of_channels(lambda sections: np.repeat([0, 1, 2], [2 * count for count in sections])),
    )


@known_bug(
    "sections-order",
    mechanism="section layout",
    clauses=("T10",),
    symptom="Text is right, places in pictures are not, and a video's frames are confused with its rows.",
    cause="The counts are taken for height, width, time: rows of positions are stored in another order than read.",
    hidden_by="Text: its three positions are equal.",
    fix="The first section follows time, the second height, the third width.",
)
def sections_order() -> Iterator[Swap]:
    yield Swap(
        "language.mrope.mrope_rotation",
        axes_of_channels(lambda sections: np.tile(np.repeat([1, 2, 0], sections), 2)),
    )


@known_bug(
    "sections-lost",
    mechanism="section layout",
    clauses=("T10",),
    symptom="Text is right; pictures are described, but nothing in them has a place: all tokens of one have one "
    "time.",
    cause='The file calls the rotary type "default", or keeps one of three counts, and a rotation for one '
    "position takes the first row of positions.",
    hidden_by="Text: its three positions are equal.",
    fix="Use the sections whatever the type is called; 16 24 24 where a converter lost them.",
    threads=("1bit-MONSTER/1bit-MONSTER#1798", "vllm-project/vllm#8281", "modelscope/ms-swift#2340"),
)
def sections_lost() -> Iterator[AnySwap]:
    yield Swap(
        "language.mrope.mrope_rotation",
        axes_of_channels(lambda sections: np.zeros(2 * sum(sections), dtype=np.int64)),
    )
