"""Section 15 - PNG files of cases: how is a picture file made that is the same to the byte everywhere?"""

import struct
import zlib

import numpy as np
from jaxtyping import UInt8

GREY, RGB, PALETTE, RGBA = 0, 2, 3, 6
"""Kinds of pixels, as the head of a PNG file numbers them."""


def png_file(
    samples: np.ndarray, *, kind: int, bits: int = 8, extra: tuple[tuple[bytes, bytes], ...] = ()
) -> UInt8[np.ndarray, " bytes"]:
    """Return a PNG file whose pixels are stored, not compressed: compressors differ between machines.

    Args:
        samples: `[height, width]` or `[height, width, channels]`, whole numbers of `bits` bits.
        kind: what the numbers of a pixel mean.
        bits: 8 or 16.
        extra: names and bodies of further chunks, in front of the pixels.
    """
    height, width = samples.shape[:2]
    rows = samples.astype(">u2" if bits == 16 else np.uint8).reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)  # no filter
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    chunks = [(b"IHDR", head), *extra, (b"IDAT", zlib.compress(raw, 0)), (b"IEND", b"")]
    return np.frombuffer(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks), dtype=np.uint8)


def orientation(value: int) -> tuple[bytes, bytes]:
    """Return the chunk that gives a PNG file an EXIF orientation, 1 to 8."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, value, 0)  # the tag, a short, one of it
    return b"eXIf", b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)


def _chunk(name: bytes, body: bytes) -> bytes:
    """Return one chunk with its length and its checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
