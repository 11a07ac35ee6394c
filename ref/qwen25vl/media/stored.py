"""Section 02 - stored images: what does a file say about its picture before it is decoded?"""

import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

ORIENTATION = 0x0112
"""The EXIF tag that says how a picture has to be turned to stand upright; 1 means not at all."""


@dataclass(frozen=True)
class StoredImage:
    """The head of an image file."""

    format: str
    """As Pillow calls it: PNG, JPEG ..."""
    mode: str
    """Pillow's word for the kind of pixel: RGB, RGBA, L, P ..."""
    size: tuple[int, int]
    """Height and width in pixels, as they lie in the file."""
    orientation: int
    """1 to 8, as EXIF counts; 1 where the file does not say."""
    animated: bool
    """Whether more frames follow the first."""


def stored_image(path: Path) -> StoredImage | None:
    """Read the head of an image file; None where Pillow does not know the format.

    Raises:
        OSError: if the file cannot be read.

    Spec: spec/02-images.md (I1, I2)
    """
    with path.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about sizes, and about EXIF: decoding comes later and says it
        try:
            image = Image.open(stream)
        except UnidentifiedImageError:
            return None
        except Exception:  # a bomb, or a head that confuses its reader: decoding will refuse it by name
            return StoredImage("?", "?", (0, 0), 1, False)
        with image:
            return StoredImage(
                format=image.format or "?",
                mode=image.mode,
                size=(image.height, image.width),
                orientation=_orientation(image),
                animated=bool(getattr(image, "is_animated", False)),
            )


def _orientation(image: Image.Image) -> int:
    """Read the tag; what cannot be read, or is none of the eight, counts as upright."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF
        return 1
    return value if value in range(1, 9) else 1
