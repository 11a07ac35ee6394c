"""Section 02 - decoding: which red, green and blue bytes does a source stand for?

Upstream treats its sources differently, so there are two rules: a file is turned upright and loses its alpha;
an opened Pillow image or an array is taken as it lies, and what is transparent becomes white.
"""

import io
import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from qwen25vl.errors import BadInput
from qwen25vl.media.resample import runs_vertical_first


def decoded_rgb(source: object) -> UInt8[np.ndarray, "height width 3"]:
    """Return the pixels of a picture as 8-bit red, green, blue, row by row from the top.

    Args:
        source: a path (str or Path) or the bytes of an image file; an opened Pillow image; or a uint8 array,
            [height, width] or [height, width, channels] with 1 (grey), 3 (RGB) or 4 (RGBA) channels.

    Returns:
        A new array; it never shares memory with the source.

    Raises:
        BadInput: if the source is of another kind, is missing, is not an image or is a damaged one, has no
            pixels, is too large for Pillow's limit, or holds numbers without a fixed white (32-bit, float).

    Source:   transformers 5.23.0 image_utils.py load_image, image_transforms.py convert_to_rgb; but (I6)
    Spec:     spec/02-images.md (I1 to I7)
    """
    if isinstance(source, np.ndarray):
        rgb = _array_rgb(source)
    elif isinstance(source, Image.Image):
        rgb = _opened_rgb(source)
    elif isinstance(source, bytes | bytearray):
        rgb = _file_rgb(io.BytesIO(source), name=f"the image of {len(source)} bytes")
    elif isinstance(source, str | os.PathLike):
        rgb = _path_rgb(os.fsdecode(source))
    else:
        raise BadInput(
            f"cannot read an image from {_kind(source)}; give a path, bytes, a Pillow image or an array"
        )
    if rgb.size == 0:
        raise BadInput(f"the image has no pixels: {rgb.shape[0]} x {rgb.shape[1]}; both sides need at least 1")
    return rgb


def resized_rgb(
    rgb: UInt8[np.ndarray, "height width 3"], *, height_px: int, width_px: int
) -> UInt8[np.ndarray, "{height_px} {width_px} 3"]:
    """See `qwen25vl.media.resample.resampled_rgb`; here Pillow's own code does the work, one side at a time.

    Two calls, so that the order of the passes is ours whatever the version of Pillow (I17).
    """
    height, width = rgb.shape[:2]
    if runs_vertical_first(height, width, height_px=height_px, width_px=width_px):
        between = (width, height_px)  # Pillow counts (width, height)
    else:
        between = (width_px, height)
    once = Image.fromarray(rgb).resize(between, Image.Resampling.BICUBIC)
    return np.array(once.resize((width_px, height_px), Image.Resampling.BICUBIC))


def on_white(rgba: UInt8[np.ndarray, "height width 4"]) -> UInt8[np.ndarray, "height width 3"]:
    """Return the colours as seen on white paper.

        (colour * alpha + 255 * (255 - alpha)) / 255, to the nearest integer; there are no ties

    Spec: spec/02-images.md (I4)
    """
    wide = rgba.astype(np.int32)
    colour, alpha = wide[..., :3], wide[..., 3:]
    return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)  # (I4)


def _path_rgb(name: str) -> UInt8[np.ndarray, "height width 3"]:
    """Read a file by name."""
    try:
        with Path(name).open("rb") as stream:
            return _file_rgb(stream, name=f"the image file {name!r}")
    except BadInput:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        is_url = "://" in name or name.startswith("data:")
        advice = "fetch the URL yourself and give the bytes" if is_url else "check the path"
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"cannot open the image file {name[:200]!r} ({reason}); {advice}") from error


def _file_rgb(stream: io.BytesIO | io.BufferedReader, *, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """Decode a file: the first frame, upright, alpha dropped."""
    try:
        with Image.open(stream) as image:  # (I1) an animation opens at its first frame
            return _stored_rgb(_upright(image))
    except BadInput as refusal:
        raise BadInput(f"{name}: {refusal}") from refusal
    except UnidentifiedImageError as error:
        raise BadInput(f"{name} is not in a format that Pillow reads; convert it to PNG or JPEG") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadInput(f"{name} is too large ({error}); shrink it, or raise PIL.Image.MAX_IMAGE_PIXELS") from error
    except Exception as error:  # (I7) a decoder fed with foreign bytes may raise anything
        raise BadInput(
            f"{name} cannot be decoded ({type(error).__name__}: {error}); it is damaged, cut off or rare: convert "
            "it to PNG"
        ) from error


def _upright(image: Image.Image) -> Image.Image:
    """Turn the image of a file as its EXIF orientation says (I2)."""
    return ImageOps.exif_transpose(image)


def _stored_rgb(image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """Bring the image of a file to RGB: the colours that are stored, whatever alpha lies over them (I3)."""
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns when a palette's alpha is lost in one step
    return _plain_rgb(image)


def _opened_rgb(image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """Take an image that the caller opened: its current frame, as it lies, transparency on white."""
    if 0 in image.size:
        return np.zeros((image.height, image.width, 3), dtype=np.uint8)
    try:
        image.load()
        # trap: the same file given by its path is turned by EXIF (I2) and shows what alpha hid (I3)
        transparent = "A" in image.getbands() or image.info.get("transparency") is not None
        if transparent and not image.mode.startswith("I;16"):
            return on_white(np.array(image.convert("RGBA")))  # (I4)
        return _plain_rgb(image)
    except BadInput:
        raise
    except Exception as error:  # (I7) an opened file is decoded only now
        raise BadInput(
            f"the image cannot be decoded ({type(error).__name__}: {error}); it is damaged, closed or rare"
        ) from error


def _plain_rgb(image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """Bring a Pillow image of any mode to RGB; alpha, if any, is dropped and no colour profile is applied."""
    if image.mode.startswith("I;16"):
        grey = (np.array(image) >> 8).astype(np.uint8)  # (I6) trap: upstream clips at 255, all white
        return np.repeat(grey[..., np.newaxis], 3, axis=-1)
    if image.mode in ("I", "F"):
        raise BadInput(f"pixels of mode {image.mode!r} have no fixed white; scale them to 0..255 and give uint8")
    return np.array(image.convert("RGB"))  # (I1)


def _array_rgb(array: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    """Take an array: grey repeated, RGB as it is, RGBA on white."""
    if array.dtype != np.uint8:  # (I5) trap: upstream scales floats twice
        raise BadInput(f"an image array must be uint8 (0 to 255), got {array.dtype}; scale and round it yourself")
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4):
        raise BadInput(
            f"an array must be [height, width] or [height, width, 1, 3 or 4 channels], got {array.shape}; "
            "move the channels last"
        )
    if array.shape[-1] == 4:
        return on_white(array)
    return np.array(np.broadcast_to(array, (*array.shape[:2], 3)))  # (I5)


def _kind(source: object) -> str:
    """Name the type of a thing, for a message."""
    return f"{type(source).__module__}.{type(source).__qualname__}".removeprefix("builtins.")
