"""Known bugs of pixels: normalisation and channels (section 02)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.port.mutants.mutant import Swap, known_bug, other_way


def _normalised_by(wrong: Callable[..., np.ndarray]) -> Iterator[Swap]:
    """Exchange the normalising; the wrong one is given the right one, pixels, mean and deviation."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda rgb, *, mean, std: wrong(right, rgb, mean, std)

    yield Swap("media.patches.normalised", by)


@known_bug(
    "channel-order",
    mechanism="pixels",
    clauses=("I1", "I21"),
    symptom="Colours are named wrong: red things are blue.",
    cause="The decoder gives blue, green, red; or a wrong order of patches was mended by exchanging channels.",
    hidden_by="Grey pictures, and questions that colours do not matter to.",
    fix="Compare a picture with three different gradients number by number, not by asking for a colour.",
    threads=("warpfront/hipfire#35", "warpfront/hipfire#325", "warpfront/hipfire#324"),
)
def channel_order() -> Iterator[Swap]:
    yield from _normalised_by(lambda right, rgb, mean, std: right(rgb[..., ::-1], mean=mean, std=std))


@other_way(channel_order, "behind-normalising")
def channels_exchanged_behind_normalising() -> Iterator[Swap]:
    """Each channel keeps its mean and deviation, and goes into the place of another one."""
    yield from _normalised_by(lambda right, rgb, mean, std: right(rgb, mean=mean, std=std)[::-1])


@other_way(channel_order, "green-blue")
def green_and_blue_exchanged() -> Iterator[Swap]:
    yield from _normalised_by(lambda right, rgb, mean, std: right(rgb, mean=mean, std=std)[[0, 2, 1]])


@known_bug(
    "clip-mean-half",
    mechanism="pixels",
    clauses=("I18",),
    symptom="Fluent answers that are a bit worse; contrast is about half of what the model knows.",
    cause="Mean and deviation are those of a sibling, or the defaults of a class.",
    hidden_by="Questions that need no fine contrast: every picture shows it in numbers.",
    fix="Read `image_mean` and `image_std` from the checkpoint's own file.",
    threads=("apple/coreai-models#82", "apple/coreai-models#105"),
)
def clip_mean_half() -> Iterator[Swap]:
    yield from _normalised_by(lambda right, rgb, mean, std: right(rgb, mean=(0.5,) * 3, std=(0.5,) * 3))


@other_way(clip_mean_half, "imagenet")
def mean_of_imagenet() -> Iterator[Swap]:
    yield from _normalised_by(
        lambda right, rgb, mean, std: right(rgb, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    )


@known_bug(
    "not-rescaled",
    mechanism="pixels",
    clauses=("I18",),
    symptom="Nonsense: the encoder reads numbers up to 950.",
    cause="Bytes go into a step that expects 0 to 1, or a float array of 0 to 1 is divided once more.",
    hidden_by="A black picture, but for its constant.",
    fix="Divide by 255 once, in front of mean and deviation.",
)
def not_rescaled() -> Iterator[Swap]:
    def unit(right: Callable[..., Any], rgb: np.ndarray, mean: Any, std: Any) -> np.ndarray:
        given = rgb.astype(np.float32) - np.array(mean, dtype=np.float32)
        return np.ascontiguousarray((given / np.array(std, dtype=np.float32)).transpose(2, 0, 1))

    yield from _normalised_by(unit)


@other_way(not_rescaled, "twice")
def rescaled_twice() -> Iterator[Swap]:
    def unit(right: Callable[..., Any], rgb: np.ndarray, mean: Any, std: Any) -> np.ndarray:
        brightness = rgb.astype(np.float32) / np.float32(255) / np.float32(255)
        given = (brightness - np.array(mean, dtype=np.float32)) / np.array(std, dtype=np.float32)
        return np.ascontiguousarray(given.transpose(2, 0, 1))

    yield from _normalised_by(unit)


@known_bug(
    "normalise-folded",
    mechanism="pixels",
    clauses=("I18",),
    symptom="None: last bits of the pixel rows differ from those of the PIL processor.",
    cause="1/255 is folded into mean and deviation, as the torchvision processor does.",
    hidden_by="Tolerances of whole pixel rows: numbers are 2.4e-7 off at most. It shows in those closest to zero.",
    fix="Round to float32 behind the product with 1/255, behind the difference and behind the quotient.",
    threads=("huggingface/transformers#39591",),
    versions="the fast processors of transformers, the default from 4.54",
    unseen={
        "bfloat16": "The numbers closest to zero are off by 1.4e-5 of the largest of them; a unit of bfloat16 is "
        "7.8e-3 of a number."
    },
)
def normalise_folded() -> Iterator[Swap]:
    def unit(right: Callable[..., Any], rgb: np.ndarray, mean: Any, std: Any) -> np.ndarray:
        centre, spread = (np.array(values, dtype=np.float32) * np.float32(255) for values in (mean, std))
        return np.ascontiguousarray(((rgb.astype(np.float32) - centre) / spread).transpose(2, 0, 1))

    yield from _normalised_by(unit)
