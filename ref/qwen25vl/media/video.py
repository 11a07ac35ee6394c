"""Section 03 - video files: which frames does a file hold, and what are their pixels?

PyAV, which is FFmpeg, reads them; imageio reads with it too, but hides the time stamps, without which a frame
that is missing would shift the numbers of all behind it.
"""

import io
import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import Int64, UInt8

from qwen25vl.errors import BadInput, NotAVideo
from qwen25vl.media.frames import Timeline
from qwen25vl.media.picture import LARGEST_AREA_PX

CONTAINERS = "mov,matroska,avi,mpegts,mpeg,flv,gif,ogg,asf,nut,ivf,yuv4mpegpipe"
"""Demuxers of FFmpeg that may open a file: none that takes a text for a film or follows names to other files."""

READABLE = "MP4, MOV, MKV, WebM, AVI, MPEG, FLV, Ogg, WMV or GIF"
"""The same, for messages."""


def timeline(source: object) -> Timeline:
    """Count the frames of a video file without decoding them; 8 bytes each are kept.

    Args:
        source: path or bytes of a file.

    Raises:
        BadInput: if the file is missing, empty, no video, cut off, or without frames, time stamps or a rate.

    Source:   decord video_reader.cc and torchcodec count packets and sort them by time stamp, too
    Spec:     spec/03-video.md (V1, V16)
    """
    with _opened(source) as (container, stream, name):
        stamps, read = array("q"), 0
        for packet in container.demux(stream):
            if packet.size == 0:
                continue  # the end of the file; a frame that was never stored
            read += 1
            if packet.is_discard:
                continue  # (V1) an edit list cuts it away
            if packet.pts is None:
                raise BadInput(f"{name} has frames without a time stamp; convert it to MP4")  # (V16)
            stamps.append(packet.pts)
        ordered = np.sort(np.frombuffer(stamps, dtype=np.int64)) if stamps else np.empty(0, dtype=np.int64)
        rate = stream.average_rate or stream.guessed_rate  # (V1)
        if read < stream.frames:  # (V16)
            raise BadInput(
                f"{name} announces {stream.frames} frames but holds {read}; it is cut off, copy it again"
            )
    if not len(ordered) or not rate or rate <= 0:
        raise BadInput(f"{name} holds {len(ordered)} frames at a rate of {rate} per second; give a video")
    if np.any(np.diff(ordered) == 0):
        raise BadInput(f"{name} has two frames with one time stamp; convert it to MP4")
    return Timeline(ordered, float(rate))


def decoded_at(
    source: object, indices: Int64[np.ndarray, " F"], *, timeline: Timeline
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Decode a file from the beginning and hand out the chosen frames, one at a time.

    Args:
        source: path or bytes of the file.
        indices: frame numbers, ascending.
        timeline: of the same file.

    Raises:
        BadInput: if the file cannot be read, or a chosen frame cannot be decoded, or is too large.

    Spec: spec/03-video.md (V2, V15)
    """
    with _opened(source) as (container, stream, name):
        frames = _numbered(container, stream, timeline)
        here = _Numbered(-1, None, sound=True)
        for wanted in indices.tolist():
            while here.number < wanted:
                here = next(frames, _Numbered(len(timeline.stamps), None, sound=False))
            if here.number != wanted or here.frame is None or not here.sound:  # (V15)
                raise BadInput(
                    f"{name}: frame {wanted} (at {wanted / timeline.fps:.2f} s) cannot be decoded; it, or one "
                    "that it builds on, is damaged: mend the file, or choose others by nframes, start and end"
                )
            if here.frame.width * here.frame.height > LARGEST_AREA_PX:  # (V16)
                raise BadInput(
                    f"{name}: frame {wanted} has {here.frame.height} x {here.frame.width} pixels, more than "
                    f"{LARGEST_AREA_PX}; give a smaller video"
                )
            quarter_turns = round(here.frame.rotation / 90)  # counter-clockwise
            yield np.ascontiguousarray(np.rot90(here.frame.to_ndarray(format="rgb24"), quarter_turns))  # (V2)


@dataclass(frozen=True, eq=False)
class _Numbered:
    """A decoded frame and its number."""

    number: int
    frame: VideoFrame | None
    sound: bool
    """Nothing was damaged from the last key frame up to here."""


def _numbered(container: InputContainer, stream: VideoStream, timeline: Timeline) -> Iterator[_Numbered]:
    """Every frame that the decoder gives, with its number by time stamp; what it refuses is passed over."""
    sound = True
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            sound = False  # (V15) a chosen frame that is missing is noticed by its number
            continue
        for frame in frames:
            sound = (sound or frame.key_frame) and not frame.is_corrupt  # (V15)
            place = -1 if frame.pts is None else int(np.searchsorted(timeline.stamps, frame.pts))
            if 0 <= place < len(timeline.stamps) and timeline.stamps[place] == frame.pts:
                yield _Numbered(place, frame, sound)


@contextmanager
def _opened(source: object) -> Iterator[tuple[InputContainer, VideoStream, str]]:
    """Open a file; whatever goes wrong in it, later too, becomes one sentence (V16)."""
    with _file(source) as (stream_of_bytes, name):
        try:
            with av.open(stream_of_bytes, mode="r", options={"format_whitelist": CONTAINERS}) as container:
                stream = container.streams.best("video")
                if not isinstance(stream, VideoStream) or stream.codec_context is None:
                    raise NotAVideo(f"{name} has no video that FFmpeg decodes; give a video")
                height, width = stream.codec_context.height, stream.codec_context.width
                if height * width > LARGEST_AREA_PX:  # before anything of that size is allocated
                    raise BadInput(
                        f"{name} announces frames of {height} x {width} pixels, more than {LARGEST_AREA_PX}; give "
                        "a smaller video"
                    )
                stream.codec_context.options = {"max_pixels": str(LARGEST_AREA_PX)}
                yield container, stream, name
        except BadInput:
            raise
        except Exception as error:  # (V16) a decoder fed with foreign bytes may raise anything
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise NotAVideo(
                f"{name} cannot be read as a video ({reason}); it is damaged, or not {READABLE}"
            ) from error


@contextmanager
def _file(source: object) -> Iterator[tuple[BinaryIO, str]]:
    """Open a path or bytes for reading, never a URL."""
    if isinstance(source, bytes | bytearray):
        if not source:
            raise BadInput("the video of 0 bytes is empty; give the bytes of a whole file")
        yield io.BytesIO(source), f"the video of {len(source)} bytes"
        return
    if not isinstance(source, str | os.PathLike):
        raise BadInput(
            f"cannot read a video from {type(source).__name__}; give a path, bytes, a list of frames or a uint8 "
            "array [frames, height, width, 3]"
        )
    path = os.fsdecode(source)
    try:
        stream = Path(path).open("rb")  # noqa: SIM115 - closed below
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        is_url = "://" in path or path.startswith("data:")
        advice = "fetch the URL yourself and give the bytes" if is_url else "check the path"
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"cannot open the video file {path[:200]!r} ({reason}); {advice}") from error
    with stream:
        if not stream.seekable() or stream.seek(0, io.SEEK_END) == 0:
            raise NotAVideo(f"the video file {path!r} is empty; check the path")
        stream.seek(0)
        yield stream, f"the video file {path!r}"
