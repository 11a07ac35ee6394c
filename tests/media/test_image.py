"""Decoding. The pictures are made here, small enough to know every byte, in every kind that files come in."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from qwen25vl.errors import BadInput
from qwen25vl.media.image import decoded_rgb, on_white

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
OPAQUE, HALF, CLEAR = 255, 128, 0
KINDS = ("PNG", "JPEG", "GIF", "TIFF", "WEBP")


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(bits, colour_type, *lines):
    """A PNG file written out by hand, for the kinds that Pillow does not write."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    width = len(lines[0]) * 8 // (bits * channels)
    header = struct.pack(">IIBBBBB", width, len(lines), bits, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + line for line in lines))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def palette_picture():
    """Three pixels: red, green, blue, through a palette."""
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *GREEN, *BLUE])
    image.putdata([0, 1, 2])
    return image


def two_bars(orientation):
    """16 x 8 as stored: left half red, right half blue, one corner green; the tag says how to hold it."""
    stored = np.zeros((8, 16, 3), np.uint8)
    stored[:, :8], stored[:, 8:], stored[0, 0] = RED, BLUE, GREEN  # the corner tells a turn from a mirror
    exif = Image.Exif()
    exif[0x0112] = orientation
    return stored, encoded(Image.fromarray(stored), exif=exif)


@pytest.mark.parametrize(
    "as_source", [str, lambda p: p, lambda p: p.read_bytes(), lambda p: bytearray(p.read_bytes())]
)
def test_i1_a_path_and_its_bytes_are_one_picture(tmp_path, as_source):
    pixels = np.arange(30, dtype=np.uint8).reshape(2, 5, 3)
    path = tmp_path / "a picture.png"
    path.write_bytes(encoded(Image.fromarray(pixels)))
    rgb = decoded_rgb(as_source(path))
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, pixels)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("1", (1, 1), 1), (255, 255, 255)),
        (Image.new("L", (1, 1), 77), (77, 77, 77)),
        (palette_picture(), RED),
        (Image.new("RGB", (1, 1), (1, 2, 3)), (1, 2, 3)),
        (Image.new("CMYK", (1, 1), (51, 102, 0, 51)), (163, 122, 204)),  # 204 - round(51 * 204 / 255), ...
    ],
)
@pytest.mark.parametrize("kind", ["TIFF", None])
def test_i1_every_kind_becomes_red_green_blue(image, expected, kind):
    source = image if kind is None else encoded(image, kind)
    assert decoded_rgb(source)[0, 0].tolist() == list(expected)


def test_i1_an_animation_shows_its_first_frame():
    frames = [Image.new("RGB", (2, 2), colour) for colour in (RED, GREEN)]
    for kind in ("GIF", "PNG", "WEBP"):
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
        assert decoded_rgb(content)[0, 0].tolist() == list(RED), kind


def test_i1_a_colour_profile_is_not_applied():
    # any profile whose numbers differ from sRGB would do; Display-P3 is the common one
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    content = encoded(Image.new("RGB", (1, 1), (200, 100, 50)), icc_profile=profile)
    assert Image.open(io.BytesIO(content)).info["icc_profile"] == profile
    assert decoded_rgb(content)[0, 0].tolist() == [200, 100, 50]


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda p: p),
        (2, lambda p: p[:, ::-1]),
        (3, lambda p: p[::-1, ::-1]),
        (4, lambda p: p[::-1]),
        (5, lambda p: p.transpose(1, 0, 2)),
        (6, lambda p: np.rot90(p, -1)),  # a camera held upright: the stored left edge is the top
        (7, lambda p: p[::-1, ::-1].transpose(1, 0, 2)),
        (8, np.rot90),
    ],
)
def test_i2_a_file_is_turned_upright(orientation, upright):
    stored, content = two_bars(orientation)
    np.testing.assert_array_equal(decoded_rgb(content), upright(stored))


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_i2_a_tiff_is_turned_once_whoever_turns_it(tmp_path, compression):
    # Pillow turns a TIFF while it loads it, but forgets to when the file is opened by its name and mapped
    stored = np.arange(12, dtype=np.uint8).reshape(3, 4)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.tif"
    Image.fromarray(stored).save(path, exif=exif, compression=compression)
    np.testing.assert_array_equal(decoded_rgb(path)[..., 0], np.rot90(stored, -1))


@pytest.mark.parametrize("alpha", [OPAQUE, HALF, CLEAR])
def test_i3_a_file_shows_the_colours_under_its_alpha(alpha):
    assert decoded_rgb(encoded(Image.new("RGBA", (1, 1), (10, 20, 30, alpha))))[0, 0].tolist() == [10, 20, 30]
    assert decoded_rgb(encoded(Image.new("LA", (1, 1), (77, alpha))))[0, 0].tolist() == [77, 77, 77]


@pytest.mark.parametrize("transparency", [1, bytes([OPAQUE, CLEAR, HALF])])
def test_i3_a_palette_keeps_its_colours(transparency):
    content = encoded(palette_picture(), transparency=transparency)
    assert decoded_rgb(content)[0].tolist() == [list(RED), list(GREEN), list(BLUE)]


def test_i4_an_opened_image_is_laid_on_white():
    image = Image.new("RGBA", (1, 1), (10, 20, 30, HALF))
    # (10 * 128 + 255 * 127) / 255 = 132.02
    assert decoded_rgb(image)[0, 0].tolist() == [132, 137, 142]
    assert decoded_rgb(Image.new("LA", (1, 1), (77, CLEAR)))[0, 0].tolist() == [255, 255, 255]
    opened = Image.open(io.BytesIO(encoded(palette_picture(), transparency=bytes([OPAQUE, CLEAR, HALF]))))
    assert decoded_rgb(opened)[0].tolist() == [list(RED), [255, 255, 255], [127, 127, 255]]
    keyed = Image.open(io.BytesIO(encoded(Image.new("RGB", (1, 1), GREEN), transparency=GREEN)))
    assert decoded_rgb(keyed)[0].tolist() == [[255, 255, 255]]


def test_i4_white_is_exact_for_every_colour_and_alpha():
    colour, alpha = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    rgba = np.stack([colour, colour, colour, alpha], axis=-1)
    white = Image.new("RGBA", (256, 256), (255, 255, 255, 255))
    pillow = Image.alpha_composite(white, Image.fromarray(rgba)).convert("RGB")
    np.testing.assert_array_equal(on_white(rgba), np.asarray(pillow))


def test_i4_an_opened_image_is_not_turned():
    stored, content = two_bars(6)
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(decoded_rgb(image), stored)


def test_i4_an_opened_animation_shows_its_current_frame():
    frames = [Image.new("RGB", (2, 2), colour) for colour in (RED, GREEN)]
    with Image.open(io.BytesIO(encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]))) as image:
        image.seek(1)
        assert decoded_rgb(image)[0, 0].tolist() == list(GREEN)


def test_i5_arrays_are_grey_rgb_or_rgba():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    repeated = np.repeat(grey[..., np.newaxis], 3, axis=-1)
    np.testing.assert_array_equal(decoded_rgb(grey), repeated)
    np.testing.assert_array_equal(decoded_rgb(grey[..., np.newaxis]), repeated)
    np.testing.assert_array_equal(decoded_rgb(repeated), repeated)
    rgba = np.array([[[10, 20, 30, OPAQUE], [10, 20, 30, HALF]]], np.uint8)
    assert decoded_rgb(rgba)[0].tolist() == [[10, 20, 30], [132, 137, 142]]


def test_i5_three_lines_of_three_columns_are_channels_last():
    # upstream takes any array whose first side is 1, 3 or 4 for channels first
    square = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    np.testing.assert_array_equal(decoded_rgb(square), square)


def test_i5_the_result_never_shares_memory():
    array = np.zeros((2, 2, 3), np.uint8)
    for source in (array, array[..., 0], Image.fromarray(array)):
        rgb = decoded_rgb(source)
        assert rgb.flags.owndata
        assert rgb.flags.writeable
        assert not np.shares_memory(rgb, array)


def test_i6_sixteen_bits_keep_the_high_byte():
    values = [0, 255, 256, 511, 0x80FF, 0xFFFF]
    line = struct.pack(">6H", *values)
    high = [value >> 8 for value in values]
    assert decoded_rgb(png(16, 0, line))[0, :, 0].tolist() == high
    with Image.open(io.BytesIO(png(16, 0, line))) as image:
        assert image.mode.startswith("I;16")
        assert decoded_rgb(image)[0, :, 2].tolist() == high
        image.info["transparency"] = 0xFFFF  # a transparent grey is not looked at
        assert decoded_rgb(image)[0, :, 1].tolist() == high


def test_i6_sixteen_bits_of_grey_and_of_colour_agree():
    values = [0, 255, 256, 511, 0x80FF, 0xFFFF]
    grey = decoded_rgb(png(16, 0, struct.pack(">6H", *values)))
    colour = decoded_rgb(png(16, 2, struct.pack(">18H", *np.repeat(values, 3).tolist())))
    np.testing.assert_array_equal(grey, colour)


@pytest.mark.oracle
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"])
@given(seed=st.integers(0, 2**32 - 1))
def test_i4_an_opened_image_of_any_mode_matches_upstream(mode, seed):
    import oracle

    if mode in ("LA", "PA", "RGBA") and not oracle.since("5.21"):
        pytest.skip("transformers before 5.21 drops the alpha of an opened image")
    rgba = np.random.default_rng(seed).integers(0, 256, (4, 5, 4), np.uint8)
    first = "RGBA" if mode in ("LA", "PA", "RGBA", "RGBX") else "RGB"
    image = Image.fromarray(rgba).convert(first)
    image = image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)
    np.testing.assert_array_equal(decoded_rgb(image), oracle.pil_processor_rgb(image))


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *[("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")],
        *[("JPEG", mode) for mode in ("L", "RGB", "CMYK")],
        *[("WEBP", mode) for mode in ("RGB", "RGBA")],
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
@given(seed=st.integers(0, 2**32 - 1))
def test_i3_a_file_of_any_mode_matches_upstream(kind, mode, orientation, tmp_path_factory, seed):
    import oracle

    rgba = np.random.default_rng(seed).integers(0, 256, (4, 5, 4), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path_factory.getbasetemp() / f"{mode}{orientation}.{kind}"
    image = Image.fromarray(rgba)
    image = image if mode in ("LA", "RGBA") else image.convert("RGB")
    image.convert(mode).save(path, kind, exif=exif)
    np.testing.assert_array_equal(decoded_rgb(path), oracle.pil_processor_rgb(str(path)))


@pytest.mark.oracle
@pytest.mark.parametrize("channels", [1, 3, 4])
@given(seed=st.integers(0, 2**32 - 1))
def test_i5_an_array_matches_upstream(channels, seed):
    import oracle

    if channels != 3 and not oracle.since("5.21"):
        pytest.skip("transformers before 5.21 leaves an array's channels as they are")
    array = np.random.default_rng(seed).integers(0, 256, (5, 6, channels), np.uint8)
    np.testing.assert_array_equal(decoded_rgb(array), oracle.pil_processor_rgb(array))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no/such/picture.png", "No such file or directory"),
        (".", "Is a directory"),
        ("a\0b", "check the path"),
        ("x" * 5000, "File name too long"),
        ("https://example.org/cat.png", "fetch the URL yourself"),
        ("data:image/png;base64,AAAA", "fetch the URL yourself"),
        (b"", "image of 0 bytes is not in a format"),
        (b"not an image", "not in a format that Pillow reads"),
        (None, "cannot read an image from NoneType"),
        ([[1, 2], [3, 4]], "cannot read an image from list"),
        (np.zeros((4, 4, 3), np.float32), "got float32"),
        (np.zeros((4, 4), np.uint16), "got uint16"),
        (np.zeros((4, 4), bool), "got bool"),
        (np.zeros((3, 8, 8), np.uint8), "move the channels last"),
        (np.zeros((8, 8, 2), np.uint8), "move the channels last"),
        (np.zeros((1, 8, 8, 3), np.uint8), "move the channels last"),
        (np.zeros(8, np.uint8), "move the channels last"),
        (np.zeros((0, 8, 3), np.uint8), "no pixels: 0 x 8"),
        (np.zeros((8, 0), np.uint8), "no pixels: 8 x 0"),
        (Image.new("RGB", (0, 5)), "no pixels: 5 x 0"),
        (Image.new("I", (2, 2)), "no fixed white"),
        (Image.new("F", (2, 2)), "no fixed white"),
        (encoded(Image.new("F", (2, 2)), "TIFF"), "image of .* bytes: pixels of mode 'F'"),
        *[(encoded(Image.effect_noise((64, 64), 90), kind)[:-400], "cannot be decoded") for kind in KINDS],
    ],
)
def test_i7_what_cannot_be_decoded_is_refused(source, message):
    with pytest.raises(BadInput, match=message) as caught:
        decoded_rgb(source)
    assert "\n" not in str(caught.value)


def test_i7_an_opened_image_that_was_closed_is_refused():
    image = Image.open(io.BytesIO(encoded(Image.new("RGB", (2, 2)))))
    image.close()
    with pytest.raises(BadInput, match="cannot be decoded"):
        decoded_rgb(image)


@pytest.mark.parametrize("side", [11, 20])  # over the limit, where Pillow warns, and over twice the limit
def test_i7_a_decompression_bomb_is_refused(monkeypatch, side):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(BadInput, match="too large"):
        decoded_rgb(encoded(Image.new("RGB", (side, 10 if side == 11 else side))))


@given(
    position=st.integers(0, 10_000),
    byte=st.integers(0, 255),
    kind=st.sampled_from(KINDS),
)
def test_i7_a_damaged_file_is_decoded_or_refused(position, byte, kind):
    content = bytearray(encoded(Image.linear_gradient("L").resize((9, 7)), kind))
    content[position % len(content)] = byte
    with contextlib.suppress(BadInput):  # and nothing else
        assert decoded_rgb(bytes(content)).size > 0
