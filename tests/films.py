"""Small videos, made here: every frame has a colour that tells its number, so that numbers can be read back."""

import io
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH = 36, 60
"""Of a frame, in pixels: no square, so that a turn shows."""


def frame(number, *, height=HEIGHT, width=WIDTH, step=1):
    """A frame whose red and green tell its number; below, a light bar marks the side that is down."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = (step * number % 256, step * number // 256, 77)
    picture[-4:] = 255
    return picture


def numbers(frames, *, step=1):
    """The numbers that are told by colours; with a step of 8 they survive a lossy codec, up to 31."""
    return [round((int(rgb[8, 8, 0]) + (step == 1) * 256 * int(rgb[8, 8, 1])) / step) for rgb in frames]


def film(frames, *, rate=10, container="matroska", codec="ffv1", step=1, stamps=None, flags="", **options):
    """The bytes of a video file; by default without loss.

    Args:
        frames: how many, or the pictures themselves.
        step: of the colours that tell numbers.
        stamps: time stamp of each frame in units of 1/1000 second, else evenly by the rate.
        flags: `movflags` of an MP4 file.
    """
    pictures = [frame(i, step=step) for i in range(frames)] if isinstance(frames, int) else frames
    with tempfile.TemporaryDirectory() as folder:  # a file: to move its head to the front, FFmpeg opens it twice
        path = Path(folder) / "film"
        with av.open(str(path), "w", format=container, options={"movflags": flags} if flags else {}) as output:
            stream = output.add_stream(codec, rate=Fraction(rate).limit_denominator(10**6), options=options)
            stream.height, stream.width = pictures[0].shape[:2] if pictures else (HEIGHT, WIDTH)
            stream.pix_fmt = {"ffv1": "bgr0", "gif": "rgb8"}.get(codec, "yuv420p")
            if stamps is not None:
                stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            for i, picture in enumerate(pictures):
                shown = av.VideoFrame.from_ndarray(picture, format="rgb24")
                if stamps is not None:
                    shown.pts, shown.time_base = stamps[i], Fraction(1, 1000)
                output.mux(stream.encode(shown))
            output.mux(stream.encode())
        return path.read_bytes()


def damaged(file, *, start, length=40):
    """The same bytes with a stretch of them turned around."""
    return file[:start] + bytes(255 - byte for byte in file[start : start + length]) + file[start + length :]


def packet_places(file):
    """Where the packets of each frame lie in a file, and how long they are, in order of storage."""
    with av.open(io.BytesIO(file)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
