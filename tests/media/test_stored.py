"""What a file says of its picture before it is decoded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qwen25vl.media.image import decoded_rgb
from qwen25vl.media.stored import StoredImage, stored_image

PIXELS = np.zeros((20, 30, 3), np.uint8)


@pytest.mark.parametrize(("ending", "kind"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP"), ("bmp", "BMP")])
def test_the_size_is_height_then_width(tmp_path, ending, kind):
    Image.fromarray(PIXELS).save(tmp_path / f"p.{ending}")
    assert stored_image(tmp_path / f"p.{ending}") == StoredImage(kind, "RGB", (20, 30), 1, False)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_i2_the_size_is_that_of_the_file_before_it_is_turned(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "p.jpg", exif=exif)
    found = stored_image(tmp_path / "p.jpg")
    assert (found.size, found.orientation) == ((20, 30), orientation)
    assert decoded_rgb(str(tmp_path / "p.jpg")).shape[:2] == ((30, 20) if orientation >= 5 else (20, 30))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_counts_as_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "p.jpg", exif=exif)
    assert stored_image(tmp_path / "p.jpg").orientation == 1


@pytest.mark.parametrize("frames", [1, 3])
def test_an_animation_says_so(tmp_path, frames):
    pages = [Image.fromarray(PIXELS + 40 * i) for i in range(frames)]
    pages[0].save(tmp_path / "p.gif", save_all=True, append_images=pages[1:])
    assert stored_image(tmp_path / "p.gif").animated is (frames > 1)


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 100, b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"])
def test_a_file_of_another_kind_is_none(tmp_path, content):
    (tmp_path / "p").write_bytes(content)
    assert stored_image(tmp_path / "p") is None


@given(data=st.data())
def test_damage_never_raises(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged"
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"]))
    Image.fromarray(PIXELS).save(path, kind)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert stored_image(path) is None or isinstance(stored_image(path), StoredImage)
