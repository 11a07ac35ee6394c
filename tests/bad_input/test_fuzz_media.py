"""Damaged pictures and malformed messages."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from bad_input.faults import check_refusal_or_success, damaged, damaged_bytes, nest, values
from bad_input.plain import PLAIN
from qwen25vl.media.image import decoded_rgb

PIXELS = np.random.default_rng(0).integers(0, 256, (13, 19, 4), dtype=np.uint8)


def encoded(kind: str, mode: str, **options: Any) -> bytes:
    """A small picture of a format, as the bytes of its file."""
    stream = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


FILES = {
    "png": encoded("PNG", "RGBA"),
    "png palette": encoded("PNG", "P", transparency=3),
    "png 16 bit": encoded("PNG", "I;16"),
    "jpeg": encoded("JPEG", "RGB"),
    "jpeg cmyk": encoded("JPEG", "CMYK"),
    "jpeg turned": encoded(
        "JPEG", "L", exif=Image.Exif().tobytes() + b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0"
    ),
    "gif": encoded("GIF", "P"),
    "gif animated": encoded("GIF", "RGB", save_all=True, append_images=[Image.new("RGB", (19, 13))]),
    "webp": encoded("WEBP", "RGBA"),
    "tiff": encoded("TIFF", "RGB", compression="tiff_lzw"),
    "tiff plain": encoded("TIFF", "L"),
    "bmp": encoded("BMP", "RGB"),
    "ppm": encoded("PPM", "RGB"),
    "tga": encoded("TGA", "RGB"),
    "ico": encoded("ICO", "RGBA"),
    "pcx": encoded("PCX", "RGB"),
    "jpeg 2000": encoded("JPEG2000", "RGB"),
}

MOST_BYTES = 40_000_000
"""Of a damaged picture of 1 kB: a header may promise up to Pillow's limit, but pixels that are not there are not
made... by most decoders; what Python sees of it is bounded so."""


@pytest.mark.parametrize("kind", FILES)
@given(data=st.data())
def test_i7_a_damaged_picture_is_refused_or_decoded(kind, data):
    content = data.draw(damaged_bytes(FILES[kind]))
    check_refusal_or_success(lambda: decoded_rgb(content), most_bytes=600_000_000)


@given(content=st.binary(max_size=64) | st.sampled_from(list(FILES.values())).map(lambda file: file[:40]))
def test_i7_bytes_of_any_kind_are_refused(content):
    assert not check_refusal_or_success(lambda: decoded_rgb(content), most_bytes=600_000_000)


PROCESSOR = PLAIN.load_processor("tiny")


class Strange:
    """An object that fails at whatever is asked of it."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("nothing equals me")

    __hash__ = None


def cycle() -> list[Any]:
    """A list that holds itself."""
    found: list[Any] = []
    found.append(found)
    return found


def cyclic_part() -> dict[str, Any]:
    """A part that holds itself."""
    part: dict[str, Any] = {"type": "text", "text": "x"}
    part["more"] = part
    return part


things = st.one_of(
    values,
    st.builds(cycle),
    st.binary(max_size=3),
    st.sampled_from(
        [1j, b"", range(3), {1, 2}, (), lambda: None, np.zeros(3), np.float32(1), Image.new("L", (3, 3))]
    ),
)


@st.composite
def conversations(draw: st.DrawFn) -> Any:
    """A good conversation with one to three things dropped, replaced or added; or no conversation at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(things)
    plain = draw(damaged([dict(message) for message in FRAME]))
    return filled(plain, draw)


FRAME = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "image", "image": "PIXELS", "max_pixels": 3136},
            {"type": "text", "text": "Hello"},
            {"type": "video", "video": ["PIXELS", "PIXELS"], "fps": 2.0, "min_pixels": 784, "max_pixels": 1568},
        ],
    },
]


def filled(value: Any, draw: st.DrawFn) -> Any:
    """Arrays in place of their name, and now and then a thing that JSON does not know."""
    if value == "PIXELS":
        return PIXELS[..., :3]
    if isinstance(value, list):
        return [filled(entry, draw) for entry in value]
    if isinstance(value, dict):
        return {key: filled(entry, draw) for key, entry in value.items()}
    return draw(things) if draw(st.integers(0, 19)) == 0 else value


@given(messages=conversations(), batch=st.booleans())
@example(messages=[{"role": "user", "content": [cyclic_part()]}], batch=False)
@example(messages=cycle(), batch=False)
@example(messages=cycle(), batch=True)
@example(messages=[{"role": "user", "content": cycle()}], batch=False)
@example(messages=[{"role": "user", "content": [{"type": "text", "text": "x", ("a",): [nest(300)]}]}], batch=False)
@example(messages=[{"role": "user", "content": [{"text": "x", 7: 8, None: 9, "y" * 9999: 1}]}], batch=False)
@example(messages=[{"role": "user", "content": "\ud800"}], batch=False)
@example(messages=[{"role": "user", "content": [{"type": "image", "image": "\x00"}]}], batch=False)
@example(messages=[{"role": "user", "content": [{"type": "image", "image": "x" * 9999}]}], batch=False)
@example(messages=[{"role": "user", "content": [{"type": "image", "image_url": {"url": cycle()}}]}], batch=False)
@example(messages=[{"role": "user", "content": [{"image": PIXELS, "max_pixels": True}]}], batch=False)
@example(messages=[{"role": "user", "content": [{"image": PIXELS, "min_pixels": float("nan")}]}], batch=False)
@example(messages=[{"role": "user", "content": [{"video": [PIXELS], "fps": "2"}]}], batch=False)
def test_p1_messages_of_any_kind_are_refused_or_prepared(messages, batch):
    given_messages = [messages, messages] if batch else messages
    check_refusal_or_success(
        lambda: PROCESSOR.prepare(given_messages), most_bytes=30_000_000, error=PLAIN.BadInput
    )


STRANGE = {
    "role": {"role": Strange(), "content": "x"},
    "content": {"role": "user", "content": Strange()},
    "part": {"role": "user", "content": [Strange()]},
    "type": {"role": "user", "content": [{"type": Strange(), "text": "x"}]},
    "text": {"role": "user", "content": [{"type": "text", "text": Strange()}]},
    "image": {"role": "user", "content": [{"type": "image", "image": Strange()}]},
    "limit": {"role": "user", "content": [{"type": "image", "image": PIXELS, "max_pixels": Strange()}]},
    "rate": {"role": "user", "content": [{"type": "video", "video": [PIXELS], "fps": Strange()}]},
}


@pytest.mark.parametrize("place", STRANGE)
def test_p1_an_object_that_cannot_even_be_shown_is_refused(place):
    with pytest.raises(PLAIN.BadInput, match="Strange"):
        PROCESSOR.prepare([STRANGE[place]])
