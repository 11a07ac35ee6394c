"""Known bugs of the target size: guards of short sides, and what a request asks for (section 02)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.errors import BadInput
from qwen25vl.media.clip import Clip
from qwen25vl.media.image import resized_rgb
from qwen25vl.media.patches import normalised, patch_rows
from qwen25vl.media.picture import Picture
from qwen25vl.media.resize import Guards, Target
from qwen25vl.media.settings import MediaSettings
from qwen25vl.media.video_settings import VideoProfile
from qwen25vl.port.mutants.mutant import Swap, known_bug


@known_bug(
    "side-of-zero",
    mechanism="resize",
    clauses=("I12", "I13"),
    symptom="A long strip breaks the request, or gives a picture without tokens.",
    cause="The floor of a side below one factor is 0, and nothing keeps it at one factor.",
    hidden_by="The usual budget, where a ratio above 200 is refused before a side vanishes; 31 x 639 at 15,680 "
    "shows it.",
    fix="Take the larger of one factor and the floor.",
    threads=("QwenLM/Qwen3-VL#1145", "QwenLM/Qwen3-VL#2121"),
    versions="transformers up to 4.52, qwen-vl-utils 0.0.8 to 0.0.14",
)
def side_of_zero() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def guards(*numbers: Any) -> Guards:
            return replace(right(*numbers), keeps_shrunk=False)

        return guards

    yield Swap("media.resize._checked_guards", by)


@known_bug(
    "short-side-refused",
    mechanism="resize",
    clauses=("I12",),
    symptom="Small pictures and thin strips give an error.",
    cause="A side below 28 pixels is taken for a mistake of the caller, or makes an empty patch.",
    hidden_by="Pictures with both sides of at least 28 pixels.",
    fix="Leave out the check; the least area makes short sides longer.",
    threads=(
        "ollama/ollama#11297",
        "vllm-project/vllm#15080",
        "vllm-project/vllm#21109",
        "EvolvingLMMs-Lab/lmms-eval#598",
        "EvolvingLMMs-Lab/lmms-eval#737",
    ),
    versions="transformers up to 4.52",
)
def short_side_refused() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def resize_target(height: int, width: int, *, factor: int, **limits: Any) -> Target:
            if min(height, width) < factor:
                raise BadInput(f"a picture needs sides of at least {factor} pixels, got {height} x {width}")
            return right(height, width, factor=factor, **limits)

        return resize_target

    yield Swap("media.resize.resize_target", by)


@known_bug(
    "other-profile",
    mechanism="resize",
    clauses=("I12", "V5", "V14"),
    symptom="Right but for thin strips, small budgets and long clips, where upstream takes another size.",
    cause="qwen-vl-utils 0.0.8 was translated, and the port is compared with transformers.",
    hidden_by="Pictures whose sides are at least 28 pixels, and short clips.",
    fix="Choose one implementation and version, and take all guards and totals from it.",
)
def other_profile() -> Iterator[Swap]:
    def size_by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda height, width, **limits: right(height, width, **limits | {"profile": "utils"})

    def video_by(right: Callable[..., Any]) -> Callable[..., Any]:
        def video_profile(name: str) -> VideoProfile:
            return right("utils-0.0.8")

        return video_profile

    yield Swap("media.resize.resize_target", size_by)
    yield Swap("media.video_settings.video_profile", video_by)


@known_bug(
    "caller-limits-ignored",
    mechanism="resize",
    clauses=("I25",),
    symptom="`max_pixels` changes nothing: as many tokens as before, and memory runs out with large pictures.",
    cause="The limit is set on one object, or under one name, and the size is read from another, such as "
    "`size.longest_edge`.",
    hidden_by="Pictures that meet neither limit, and callers who ask for none.",
    fix="Hand the limits of the request down to where the size is computed; they replace the settings' own.",
    threads=(
        "huggingface/transformers#41955",
        "QwenLM/Qwen3-VL#1052",
        "EvolvingLMMs-Lab/lmms-engine#159",
        "vllm-project/vllm#15364",
        "vllm-project/vllm#35284",
        "QwenLM/Qwen3-VL#1434",
    ),
)
def caller_limits_ignored() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda source, *, settings, **limits: right(source, settings=settings)

    yield Swap("media.picture.prepared_picture", by)


@known_bug(
    "pictures-of-one-size",
    mechanism="several media",
    clauses=("I25",),
    symptom="A second picture of another size, also one of a later turn, is squeezed, and spoils the answers.",
    cause="The pictures of a request are stacked to one array, so all get the largest height and width.",
    hidden_by="Requests with one picture, or with pictures of one size.",
    fix="Resize each picture by itself, and join the patch rows one behind the other.",
    threads=("EricLBuehler/mistral.rs#1949", "EricLBuehler/mistral.rs#1950"),
)
def pictures_of_one_size() -> Iterator[Swap]:
    def at_size(picture: Picture, height_px: int, width_px: int, settings: MediaSettings) -> Picture:
        resized = resized_rgb(picture.rgb, height_px=height_px, width_px=width_px)
        frame = normalised(resized, mean=settings.mean, std=settings.std)
        rows, grid = patch_rows(
            frame[np.newaxis],
            patch_px=settings.patch_px,
            temporal_patch_f=settings.temporal_patch_f,
            merge_p=settings.merge_p,
        )
        return replace(picture, resized=resized, rows=rows, grid=grid)

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def opened(parts: Sequence[Any], *, settings: MediaSettings, **limits: Any) -> list[Picture | Clip]:
            media = right(parts, settings=settings, **limits)
            sizes = [medium.resized_size for medium in media if isinstance(medium, Picture)]
            tall, wide = (max((size[axis] for size in sizes), default=0) for axis in (0, 1))
            return [
                at_size(medium, tall, wide, settings) if isinstance(medium, Picture) else medium
                for medium in media
            ]

        return opened

    yield Swap("opened.each_opened", by)
