"""Section 03 - a clip: from a video file or frames to patch rows and the seconds between them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from qwen25vl.media.frame_size import frame_area, frame_target
from qwen25vl.media.frames import row_seconds, sampling
from qwen25vl.media.given import frames_rgb, given_sampling, is_given
from qwen25vl.media.image import resized_rgb
from qwen25vl.media.patches import normalised, patch_rows
from qwen25vl.media.settings import MediaSettings
from qwen25vl.media.video_settings import video_profile, video_request


@dataclass(frozen=True, eq=False)
class Clip:
    """A prepared video, with the steps on the way.

    Spec: spec/03-video.md
    """

    resized: UInt8[np.ndarray, "F resized_height resized_width 3"]
    """The chosen frames at the size of `smart_resize`, before an odd count is filled up."""
    rows: Float32[np.ndarray, "P D"]
    """What the vision encoder reads."""
    grid: tuple[int, int, int]
    """T, H, W in patches."""
    merge_p: int
    """Side of the square of patches that becomes one merged token."""
    indices: Int64[np.ndarray, " F"]
    """Numbers of the chosen frames in the source."""
    times_s: Float64[np.ndarray, " F"]
    """When the chosen frames are shown, in seconds: number / source_fps."""
    source_frames: int
    """Frames in the source."""
    source_fps: float
    """Frames per second of the source."""
    sampled_fps: float
    """Frames per second among the chosen."""
    second_per_grid: float
    """Seconds that one row of the time axis spans: temporal patch / sampled_fps."""
    original_size: tuple[int, int]
    """Height and width as decoded, in pixels."""
    limits: tuple[str, ...]
    """Which limit of frames or pixels decided, in short sentences with numbers."""
    source: object
    """What the clip was made from, so that its frames can be decoded again."""

    @property
    def resized_size(self) -> tuple[int, int]:
        """Height and width after resizing, in pixels; the coordinates of boxes and points refer to it."""
        return self.resized.shape[1], self.resized.shape[2]

    @property
    def tokens_m(self) -> int:
        """Merged tokens, that is pad ids in the prompt (I22)."""
        T, H, W = self.grid
        return T * H * W // self.merge_p**2


def prepared_clip(
    source: object,
    *,
    settings: MediaSettings,
    profile: str | None = None,
    fps: object = None,
    nframes: object = None,
    start_s: object = None,
    end_s: object = None,
    min_frames: object = None,
    max_frames: object = None,
    min_pixels: object = None,
    max_pixels: object = None,
    total_pixels: object = None,
) -> Clip:
    """Decode, choose, resize, normalise and cut a video.

    Args:
        source: path or bytes of a video file; a list of frames, each anything that `decoded_rgb` takes; or a
            uint8 array [frames, height, width, 3].
        settings: of the checkpoint.
        profile: a key of `VIDEO_PROFILES`; None means the settings' own.
        fps: frames to look at per second of a file (2); of frames, the rate at which they were taken (2).
        nframes: number of frames to look at, instead of `fps`.
        start_s: beginning of the part that is looked at, in seconds.
        end_s: its end.
        min_frames: least number of frames that `fps` gives (4).
        max_frames: largest number (768).
        min_pixels: least area of a frame after resizing, in pixels (100,352).
        max_pixels: largest area; it can only lower the budget.
        total_pixels: budget of area of all time steps together (90,316,800).

    Raises:
        BadInput: if a step refuses.

    Spec: spec/03-video.md (V9 to V13)
    """
    request = video_request(
        fps=fps,
        nframes=nframes,
        start_s=start_s,
        end_s=end_s,
        min_frames=min_frames,
        max_frames=max_frames,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
        total_pixels=total_pixels,
    )
    rules = video_profile(settings.profile if profile is None else profile)
    patch_f = settings.temporal_patch_f
    film = None
    if is_given(source):
        chosen = given_sampling(source, request=request)
        source_frames, source_fps = len(chosen.indices), chosen.sampled_fps
    else:
        from qwen25vl.media.video import timeline  # FFmpeg takes time to load, and only files need it

        film = timeline(source)
        source_frames, source_fps = len(film.stamps), film.fps
        chosen = sampling(source_frames, source_fps, request=request, profile=rules, temporal_patch_f=patch_f)
    filled_f = -(-len(chosen.indices) // patch_f) * patch_f
    area_px, area_limits = frame_area(
        filled_f,
        request=request,
        profile=rules,
        factor_px=settings.factor_px,
        temporal_patch_f=patch_f,
        given=film is None,
    )
    resized: list[np.ndarray] = []
    original_size: tuple[int, int] = (0, 0)
    size_limits: tuple[str, ...] = ()
    for rgb in frames_rgb(source, chosen.indices, film=film):
        if not resized:
            original_size = rgb.shape[0], rgb.shape[1]
            target, size_limits = frame_target(
                *original_size, area_px=area_px, factor_px=settings.factor_px, profile=rules
            )
        resized.append(resized_rgb(rgb, height_px=target.height_px, width_px=target.width_px))  # (V12, V17)
    rows, grid = _rows(resized, settings=settings)
    return Clip(
        resized=np.stack(resized),
        rows=rows,
        grid=grid,
        merge_p=settings.merge_p,
        indices=chosen.indices,
        times_s=chosen.indices / source_fps,
        source_frames=source_frames,
        source_fps=source_fps,
        sampled_fps=chosen.sampled_fps,
        second_per_grid=row_seconds(chosen.sampled_fps, temporal_patch_f=patch_f),
        original_size=original_size,
        limits=chosen.limits + area_limits + size_limits,
        source=source,
    )


def decoded_frames(clip: Clip) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Decode the chosen frames once more, one at a time, at their original size."""
    return frames_rgb(clip.source, clip.indices)


def _rows(
    resized: list[np.ndarray], *, settings: MediaSettings
) -> tuple[Float32[np.ndarray, "P D"], tuple[int, int, int]]:
    """Cut the frames into patch rows, one time step at a time, so that no other copy in float32 is needed."""
    steps = []
    for start in range(0, len(resized), settings.temporal_patch_f):
        frames = [
            normalised(rgb, mean=settings.mean, std=settings.std)
            for rgb in resized[start : start + settings.temporal_patch_f]
        ]
        rows, (_, H, W) = patch_rows(  # (V13) the last step repeats its last frame (I19)
            np.stack(frames),
            patch_px=settings.patch_px,
            temporal_patch_f=settings.temporal_patch_f,
            merge_p=settings.merge_p,
        )
        steps.append(rows)
    return np.concatenate(steps), (len(steps), H, W)
