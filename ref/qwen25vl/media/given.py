"""Section 03 - given frames: what stands for a video when there is no file?"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

import numpy as np
from jaxtyping import Int64, UInt8

from qwen25vl.errors import BadInput
from qwen25vl.media.frames import Sampling, Timeline
from qwen25vl.media.image import decoded_rgb
from qwen25vl.media.video_settings import FPS, VideoRequest


def is_given(source: object) -> TypeGuard[Sequence[Any] | np.ndarray]:
    """Whether the source is frames, not a file."""
    return isinstance(source, list | tuple | np.ndarray)


def given_sampling(source: Sequence[Any] | np.ndarray, *, request: VideoRequest) -> Sampling:
    """Choose all given frames; the caller states their rate.

    Args:
        source: a list of frames, or a uint8 array [frames, height, width, 3].
        request: what the caller asks for.

    Raises:
        BadInput: if there is no frame, the array has another shape or type, or the request would choose.

    Source:   qwen-vl-utils 0.0.14 vision_process.py, fetch_video, which passes over what would choose
    Spec:     spec/03-video.md (V10)
    """
    for name in ("nframes", "start_s", "end_s", "min_frames", "max_frames"):  # (V10)
        if getattr(request, name) is not None:
            raise BadInput(
                f"{name} {getattr(request, name)} chooses among the frames of a file; choose yourself what to give"
            )
    if isinstance(source, np.ndarray) and (source.dtype != np.uint8 or source.ndim != 4 or source.shape[-1] != 3):
        raise BadInput(
            f"an array of frames must be uint8 [frames, height, width, 3], got {source.dtype} {source.shape}"
        )
    if not len(source):
        raise BadInput("the video has 0 frames; give at least one")
    fps = FPS if request.fps is None else request.fps
    return Sampling(np.arange(len(source)), fps, ())


def frames_rgb(
    source: object, indices: Int64[np.ndarray, " F"], *, film: Timeline | None = None
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Decode the frames of these numbers, one at a time, whatever they come from.

    Args:
        source: a path, bytes, a list of frames or an array of them.
        indices: frame numbers, ascending.
        film: the timeline of a file, where somebody has read it already.

    Raises:
        BadInput: if a frame cannot be decoded, or is not of the size of the first.

    Spec: spec/03-video.md (V13, V17)
    """
    if is_given(source):
        decoded: Iterator[np.ndarray] = (_given_rgb(source[number], number) for number in indices.tolist())
    else:
        from qwen25vl.media.video import decoded_at, timeline  # FFmpeg takes time to load

        decoded = decoded_at(source, indices, timeline=timeline(source) if film is None else film)
    size: tuple[int, ...] = ()
    for number, rgb in zip(indices.tolist(), decoded, strict=True):  # (V17) the one before is free by now
        size = size or rgb.shape
        if rgb.shape != size:  # (V13)
            raise BadInput(
                f"frame {number} is {rgb.shape[0]} x {rgb.shape[1]} pixels, but those before it are {size[0]} x "
                f"{size[1]}; bring all frames to one size"
            )
        yield rgb


def _given_rgb(frame: object, number: int) -> UInt8[np.ndarray, "height width 3"]:
    """Decode one given frame; a refusal says which."""
    try:
        return decoded_rgb(frame)
    except BadInput as refusal:
        raise BadInput(f"frame {number}: {refusal}") from refusal
