"""Known bugs of decoding: which red, green and blue a file stands for (section 02)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from qwen25vl.media import image as decoding
from qwen25vl.port.mutants.mutant import Swap, known_bug

ORIENTATION = 0x0112
"""Number of the EXIF tag."""

QUARTER_TURNS = (6, 8)
"""Orientations of a file that is shown a quarter turn clockwise, and the other way."""


def _grey(levels: np.ndarray) -> np.ndarray:
    """Repeat one channel three times."""
    return np.repeat(levels.astype(np.uint8)[..., np.newaxis], 3, axis=-1)


def _transparent(image: Image.Image) -> bool:
    """Whether an image has alpha or a transparent colour."""
    return "A" in image.getbands() or "transparency" in image.info


def _files_by(wrong: Callable[[Image.Image], np.ndarray]) -> Iterator[Swap]:
    """Bring transparent files to RGB in a wrong way."""

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda image: wrong(image) if _transparent(image) else right(image)

    yield Swap("media.image._stored_rgb", by)


def _rgba(image: Image.Image) -> np.ndarray:
    """Return four channels of any image."""
    return np.array(image.convert("RGBA"))


@known_bug(
    "exif-ignored",
    mechanism="decode",
    clauses=("I2",),
    symptom="Photos of telephones lie on their side: text is not read, and boxes lie elsewhere.",
    cause="Decoders give pixels as they are stored; the orientation stands beside them, and some paths forget it.",
    hidden_by="Files without an orientation, or with 1: most pictures of the web.",
    fix="Apply the EXIF orientation of a file first of all.",
    threads=("vllm-project/vllm#44974", "sgl-project/sglang#33449", "QwenLM/Qwen3-VL#1352"),
    versions="qwen-vl-utils 0.0.8 to 0.0.14",
)
def exif_ignored() -> Iterator[Swap]:
    yield Swap("media.image._upright", lambda right: lambda image: image)


@known_bug(
    "exif-wrong-turn",
    mechanism="decode",
    clauses=("I2",),
    symptom="Some photos of telephones stand on their head.",
    cause="Orientations 6 and 8 are exchanged: the number says how the camera was held, not how to turn.",
    hidden_by="Files with any other orientation than 6 and 8.",
    fix="Turn orientation 6 clockwise by a quarter, 8 the other way.",
)
def exif_wrong_turn() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def upright(image: Image.Image) -> Image.Image:
            turned: Image.Image = right(image)
            is_quarter = image.getexif().get(ORIENTATION) in QUARTER_TURNS
            return turned.transpose(Image.Transpose.ROTATE_180) if is_quarter else turned

        return upright

    yield Swap("media.image._upright", by)


@known_bug(
    "palette-not-looked-up",
    mechanism="decode",
    clauses=("I1",),
    symptom="Drawings and screenshots of few colours are nearly black.",
    cause="A decoder that is asked for raw samples gives the numbers of the colours.",
    hidden_by="Files without a palette: photos, and most screenshots.",
    fix="Look the palette up before anything else.",
)
def palette_not_looked_up() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda image: _grey(np.array(image)) if image.mode == "P" else right(image)

    yield Swap("media.image._stored_rgb", by)


@known_bug(
    "alpha-as-colour",
    mechanism="decode",
    clauses=("I3", "I5"),
    symptom="Pictures with transparency are striped noise in wrong colours, or break the request.",
    cause="Four channels are read three by three.",
    hidden_by="Files and arrays with three channels.",
    fix="Take the fourth channel off, or lay it on white, before pixels are counted.",
    threads=("EricLBuehler/mistral.rs#935",),
)
def alpha_as_colour() -> Iterator[Swap]:
    def read_by_three(rgba: np.ndarray) -> np.ndarray:
        height, width = rgba.shape[:2]
        return rgba.reshape(-1)[: height * width * 3].reshape(height, width, 3)

    yield from _files_by(lambda image: read_by_three(_rgba(image)))
    yield Swap("media.image.on_white", lambda right: read_by_three)


@known_bug(
    "alpha-on-white",
    mechanism="decode",
    clauses=("I3",),
    symptom="What lies under transparency is not seen, while upstream sees it.",
    cause="Files are laid on white, as an opened picture is; qwen-vl-utils 0.0.14 does so, transformers does not.",
    hidden_by="Opaque files, and files that are white under their transparency.",
    fix="Drop the alpha of a file; lay opened pictures and arrays on white.",
    versions="qwen-vl-utils 0.0.14",
)
def alpha_on_white() -> Iterator[Swap]:
    yield from _files_by(lambda image: decoding.on_white(_rgba(image)))


@known_bug(
    "alpha-on-black",
    mechanism="decode",
    clauses=("I3", "I5"),
    symptom="Black letters on a transparent ground are not seen at all.",
    cause="Colours are multiplied by alpha, as decoders do that give premultiplied pixels.",
    hidden_by="Opaque pictures.",
    fix="Ask the decoder for straight alpha; then drop it, or lay it on white.",
)
def alpha_on_black() -> Iterator[Swap]:
    def on_black(rgba: np.ndarray) -> np.ndarray:
        wide = rgba.astype(np.int32)
        return ((wide[..., :3] * wide[..., 3:] + 127) // 255).astype(np.uint8)

    yield from _files_by(lambda image: on_black(_rgba(image)))
    yield Swap("media.image.on_white", lambda right: on_black)


@known_bug(
    "sixteen-bits-clipped",
    mechanism="decode",
    clauses=("I6",),
    symptom="Scans and X-rays of 16 bits are white.",
    cause="Pillow brings 16-bit grey to 8 bits by clipping at 255.",
    hidden_by="Files of 8 bits, and 16-bit colour, which Pillow shifts.",
    fix="Keep the high byte: `v >> 8`.",
    versions="every release of transformers, by way of Pillow 11 to 13; here on purpose otherwise",
)
def sixteen_bits_clipped() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def plain_rgb(image: Image.Image) -> np.ndarray:
            is_wide = image.mode.startswith("I;16")
            return _grey(np.minimum(np.array(image), 255)) if is_wide else right(image)

        return plain_rgb

    yield Swap("media.image._plain_rgb", by)
