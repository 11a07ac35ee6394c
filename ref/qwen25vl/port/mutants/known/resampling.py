"""Known bugs of resampling: which filter, in how many steps, rounded where (section 02)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from qwen25vl.media import resample
from qwen25vl.media.resize import smart_resize
from qwen25vl.port.mutants.mutant import Swap, known_bug

RESAMPLERS = ("media.resample.resampled_rgb", "media.image.resized_rgb")
"""The same step twice: by NumPy, and by Pillow."""


def _resampled_by(wrong: Callable[..., np.ndarray]) -> Iterator[Swap]:
    """Exchange both resamplers by one that is wrong; it is given pixels, height and width."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda rgb, *, height_px, width_px, **order: wrong(rgb, height_px, width_px)

    for target in RESAMPLERS:
        yield Swap(target, by)


def _by_numpy() -> Swap:
    """Let NumPy do what Pillow does, so that a change of the kernel reaches every picture."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda rgb, **size: resample.resampled_rgb(rgb, **size)

    return Swap("media.image.resized_rgb", by)


def _by_pillow(kind: Image.Resampling) -> Iterator[Swap]:
    """Resample with another filter of Pillow."""

    def resampled(rgb: np.ndarray, height_px: int, width_px: int) -> np.ndarray:
        return np.array(Image.fromarray(rgb).resize((width_px, height_px), kind))

    yield from _resampled_by(resampled)


@known_bug(
    "bilinear",
    mechanism="pixels",
    clauses=("I14",),
    symptom="Small print is read worse, and boxes shift by a few pixels.",
    cause="The resize that lies at hand in the language is bilinear.",
    hidden_by="Pictures whose sides are multiples of 28, which are not resampled at all, and smooth ones.",
    fix="Resample with Pillow's bicubic filter, antialiased.",
    threads=("ggml-org/llama.cpp#24629", "ggml-org/llama.cpp#27594", "ikawrakow/ik_llama.cpp#1969"),
)
def bilinear() -> Iterator[Swap]:
    yield from _by_pillow(Image.Resampling.BILINEAR)


@known_bug(
    "nearest",
    mechanism="pixels",
    clauses=("I14",),
    symptom="Jagged edges; small print falls apart where a picture shrinks.",
    cause="The default of a helper that resizes is the nearest pixel.",
    hidden_by="Pictures whose sides are multiples of 28, and plain areas.",
    fix="Resample with Pillow's bicubic filter, antialiased.",
    threads=("hiyouga/LlamaFactory#7125", "verl-project/verl#474"),
)
def nearest() -> Iterator[Swap]:
    yield from _by_pillow(Image.Resampling.NEAREST)


@known_bug(
    "no-antialias",
    mechanism="pixels",
    clauses=("I14",),
    symptom="Fine detail of large pictures flickers: moire, broken letters.",
    cause="Bicubic interpolation reads 4 x 4 pixels, however much a picture shrinks; so do the resizers of many "
    "tensor libraries unless they are asked.",
    hidden_by="Pictures that grow or keep their size.",
    fix="Stretch kernel and support by given / wanted where a side shrinks.",
)
def no_antialias() -> Iterator[Swap]:
    yield Swap("media.resample.kernel_widening", lambda right: lambda *, given, wanted: 1.0)
    yield _by_numpy()


@known_bug(
    "cubic-minus-three-quarters",
    mechanism="pixels",
    clauses=("I14",),
    symptom="Edges are a bit sharper than the model has seen them: bytes differ by some levels, boxes by a pixel.",
    cause="Bicubic kernels of other libraries have a = -3/4.",
    hidden_by="Pictures whose sides are multiples of 28, and smooth ones.",
    fix="Use a = -1/2, that of Pillow.",
)
def cubic_minus_three_quarters() -> Iterator[Swap]:
    def cubic(x: float) -> float:
        x, a = abs(x), -0.75
        if x < 1.0:
            return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
        return (((x - 5.0) * x + 8.0) * x - 4.0) * a if x < 2.0 else 0.0

    yield Swap("media.resample.cubic", lambda right: cubic)
    yield _by_numpy()


@known_bug(
    "resample-in-float",
    mechanism="pixels",
    clauses=("I15", "I16"),
    symptom="None to the eye: some bytes are a level or two off.",
    cause="Weights and the picture between the passes are kept in floats, and rounded once at the end.",
    hidden_by="Pictures that keep one of their sides, but for a byte here and there.",
    fix="Round weights to multiples of 2**-22, and round and clip to bytes behind each pass.",
    threads=("huggingface/transformers#39591", "vllm-project/vllm#19789", "kaiko-ai/eva#971"),
)
def resample_in_float() -> Iterator[Swap]:
    def weights(i: int, *, given: int, wanted: int) -> tuple[int, np.ndarray]:
        first, exact = resample.kernel_weights(i, given=given, wanted=wanted)
        return first, np.array(exact) * 2**resample.FRACTION_BITS

    def one_pass(given: int, wanted: int) -> np.ndarray:
        matrix = np.zeros((wanted, given))
        for i in range(wanted):
            first, exact = resample.kernel_weights(i, given=given, wanted=wanted)
            matrix[i, first : first + len(exact)] = exact
        return matrix

    def resampled(rgb: np.ndarray, height_px: int, width_px: int) -> np.ndarray:
        rows, columns = one_pass(rgb.shape[0], height_px), one_pass(rgb.shape[1], width_px)
        whole = np.einsum("ah,bw,hwc->abc", rows, columns, rgb.astype(np.float64), optimize=True)
        return np.clip(np.floor(whole + 0.5), 0, 255).astype(np.uint8)

    yield Swap("media.resample.fixed_weights", lambda right: weights)
    yield from _resampled_by(resampled)


@known_bug(
    "resample-height-first",
    mechanism="pixels",
    clauses=("I17",),
    symptom="None to the eye: some bytes are a few levels off.",
    cause="A loop over the rows is written first, so the height is always resampled first.",
    hidden_by="Pictures that keep one of their sides, and those that lose over twice as much of their height.",
    fix="Take the width first, unless the height loses over twice as many pixels.",
)
def resample_height_first() -> Iterator[Swap]:
    yield Swap("media.resample.runs_vertical_first", lambda right: lambda height, width, **wanted: True)


@known_bug(
    "resample-width-first",
    mechanism="pixels",
    clauses=("I17",),
    symptom="Some bytes of tall pictures are up to 8 levels off.",
    cause="The filter was translated from Pillow up to 12.1, which always takes the width first.",
    hidden_by="Pictures that keep a side, and those that do not lose over twice as many rows as columns.",
    fix="Take the height first where it loses pixels and over twice as many as the width.",
)
def resample_width_first() -> Iterator[Swap]:
    yield Swap("media.resample.runs_vertical_first", lambda right: lambda height, width, **wanted: False)


@known_bug(
    "resized-twice",
    mechanism="pixels",
    clauses=("I25",),
    symptom="Pictures are blurred, and in some sizes the grid is another one; boxes shift.",
    cause="A helper resizes by its own limits, and then the processor does again by its own.",
    hidden_by="Pictures that meet the limits of both, which the second step leaves as they are.",
    fix="Resize in one place: compute the size from the decoded picture and all limits.",
    threads=(
        "sgl-project/sglang#12390",
        "2U1/Qwen-VL-Series-Finetune#113",
        "QwenLM/Qwen3.8#101",
        "hiyouga/LlamaFactory#6925",
        "hiyouga/LlamaFactory#8856",
        "hiyouga/LlamaFactory#7690",
    ),
)
def resized_twice() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def resampled(rgb: np.ndarray, **size: Any) -> np.ndarray:
            first = smart_resize(*rgb.shape[:2], min_pixels=56 * 56, max_pixels=16384 * 28 * 28)
            return right(right(rgb, height_px=first[0], width_px=first[1]), **size)

        return resampled

    for target in RESAMPLERS:
        yield Swap(target, by)
