"""Known bugs of video: which frames are chosen, how large they are, and which two share a row (section 03)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from qwen25vl.media.frames import Sampling
from qwen25vl.media.video_settings import VideoProfile, VideoRequest
from qwen25vl.port.mutants.mutant import Swap, known_bug, other_way


def _frames_taken(numbers: Callable[[int], list[int]]) -> Iterator[Swap]:
    """Let patches be cut from other frames, in a whole clip and where frames are cut by themselves.

    Args:
        numbers: given how many frames there are, which are taken; a pair, and a frame alone, stay as they are.
    """

    def rows_by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda resized, **settings: right([resized[i] for i in numbers(len(resized))], **settings)

    def patches_by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda frames, **settings: right(frames[numbers(len(frames))], **settings)

    yield Swap("media.clip._rows", rows_by)
    yield Swap("media.patches.patch_rows", patches_by)


@known_bug(
    "odd-frames-dropped",
    mechanism="video frames",
    clauses=("V10", "I19"),
    symptom="What happens at the very end of a clip is not seen; the clip has fewer tokens than upstream's.",
    cause="The number of frames is divided by two and cut down, as samplers of files give even numbers only.",
    hidden_by="Every even number of frames, and a single one.",
    fix="Repeat the last frame until the number is a multiple of the temporal patch.",
)
def odd_frames_dropped() -> Iterator[Swap]:
    yield from _frames_taken(lambda count: [*range(max(count // 2 * 2, 1))])


@known_bug(
    "first-frame-repeated",
    mechanism="video frames",
    clauses=("V10", "I19"),
    symptom="Answers about the end of a clip mix in its beginning.",
    cause="An odd number of frames is filled up by going round, or a single still frame's rule (frame 0 again) is "
    "taken for all.",
    hidden_by="Even numbers of frames, a single one, and clips that end as they began.",
    fix="Append `frames[-1:]`, not `frames[:1]`.",
)
def first_frame_repeated() -> Iterator[Swap]:
    yield from _frames_taken(lambda count: [*range(count), *[0] * (count % 2)])


@other_way(first_frame_repeated, "in-front")
def filled_up_in_front() -> Iterator[Swap]:
    """The first frame stands twice at the beginning, so that other frames make pairs."""
    yield from _frames_taken(lambda count: [*[0] * (count % 2), *range(count)])


@known_bug(
    "frames-interleaved",
    mechanism="video frames",
    clauses=("V13", "I20"),
    symptom="Motion is described wrong: each row of time holds moments that lie half a clip apart.",
    cause="Frames are viewed as `[2, T]` where they are `[T, 2]`.",
    hidden_by="Clips of one or two frames, and clips in which nothing moves.",
    fix="View frames as `[T, temporal_patch, ...]`: neighbours share a row.",
)
def frames_interleaved() -> Iterator[Swap]:
    def numbers(count: int) -> list[int]:
        filled = [*range(count), *[count - 1] * (count % 2)]
        half = len(filled) // 2
        return filled if count < 2 else [filled[i // 2 + i % 2 * half] for i in range(len(filled))]

    yield from _frames_taken(numbers)


@known_bug(
    "frame-pair-swapped",
    mechanism="video frames",
    clauses=("I21", "V13"),
    symptom="Small losses on motion: within each pair the later frame comes first.",
    cause="The temporal axis of a row, or of the patch kernel, runs backwards.",
    hidden_by="Still pictures, whose two frames are equal, and pairs of equal frames.",
    fix="Within a row the earlier of the two frames comes first, behind the channel.",
)
def frame_pair_swapped() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def patch_rows(frames: np.ndarray, **settings: Any) -> Any:
            whole = np.concatenate([frames, frames[-1:]]) if len(frames) % 2 else frames
            return right(whole[np.arange(len(whole)) ^ 1], **settings)

        return patch_rows

    yield Swap("media.patches.patch_rows", by)


@known_bug(
    "frames-truncated",
    mechanism="video frames",
    clauses=("V8",),
    symptom="The end of a clip is not seen.",
    cause="Frame numbers are `int(i * total / count)`, as many samplers have it.",
    hidden_by="A request for every frame of a clip.",
    fix="Spread from the first to the last frame, both included, and round to the nearest.",
    versions="transformers 4.53 to 5.23, its own sampler (`do_sample_frames`, off unless set)",
)
def frames_truncated() -> Iterator[Swap]:
    def frame_indices(first: int, last: int, *, count: int) -> np.ndarray:
        return first + np.arange(count) * (last - first + 1) // count

    yield Swap("media.frames.frame_indices", lambda right: frame_indices)


@known_bug(
    "frames-from-step-zero",
    mechanism="video frames",
    clauses=("V8",),
    symptom="The last moments of a clip are not seen, and the times of all frames are a little early.",
    cause="The step is `(last - first) / count`: a spread without its end point.",
    hidden_by="Long clips of many frames, whose last two choices show the same.",
    fix="`step = (last - first) / (count - 1)`, or `linspace` with the end point.",
)
def frames_from_step_zero() -> Iterator[Swap]:
    def frame_indices(first: int, last: int, *, count: int) -> np.ndarray:
        return np.rint(first + np.arange(count) * ((last - first) / count)).astype(np.int64)

    yield Swap("media.frames.frame_indices", lambda right: frame_indices)


@known_bug(
    "count-rounded-nearest",
    mechanism="video frames",
    clauses=("V4", "V14"),
    symptom="Some clips have one row of time more than upstream's.",
    cause="`round(n / 2) * 2` from the first version of qwen-vl-utils, or from the rule for `nframes`.",
    hidden_by="Clips that come to an even number at the rate that is asked for, or to less than one above it.",
    fix="A count by rate goes down to a multiple of the temporal patch; a count by `nframes` goes to the nearest.",
    versions="qwen-vl-utils 0.0.8",
)
def count_rounded_nearest() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def count_by_rate(*clip: Any, profile: VideoProfile, **settings: Any) -> Any:
            return right(*clip, profile=replace(profile, rounds_nearest=True), **settings)

        return count_by_rate

    yield Swap("media.frames._count_by_rate", by)


@known_bug(
    "frames-sampled-twice",
    mechanism="video frames",
    clauses=("V8", "V9"),
    symptom="A clip is seen in fewer frames than were asked for, and its time runs too fast.",
    cause="What qwen-vl-utils has sampled is given to a processor that samples, too, as if it were the file.",
    hidden_by="Requests that give the least number of frames, 4, both times.",
    fix="Sample once: pass `do_sample_frames=False`, and the rate of the chosen frames.",
    threads=("EvolvingLMMs-Lab/lmms-eval#674", "EvolvingLMMs-Lab/lmms-eval#780"),
)
def frames_sampled_twice() -> Iterator[Swap]:
    def by(right: Callable[..., Sampling]) -> Callable[..., Sampling]:
        def sampling(source_frames: int, source_fps: float, *, request: VideoRequest, **settings: Any) -> Sampling:
            once = right(source_frames, source_fps, request=request, **settings)
            whole = replace(request, start_s=None, end_s=None)
            again = right(len(once.indices), source_fps, request=whole, **settings)
            return replace(again, indices=once.indices[again.indices])

        return sampling

    yield Swap("media.frames.sampling", by)


@known_bug(
    "frame-limits-of-pictures",
    mechanism="video frames",
    clauses=("V11", "V12", "V14"),
    symptom="Long clips take many times the tokens that they should, or do not fit; short, small ones take fewer.",
    cause="Frames go through the resize of still pictures, with the limits of preprocessor_config.json.",
    hidden_by="Frames whose area lies between the least and the largest of both, in small numbers.",
    fix="Least and largest area of a frame are 128 and 768 tokens, and all frames share a total.",
    versions="qwen-vl-utils up to 0.0.11 for a list of frames; transformers' own video processor",
)
def frame_limits_of_pictures() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def frame_area(frames_f: int, *, profile: VideoProfile, given: bool, **settings: Any) -> Any:
            return right(frames_f, profile=replace(profile, frames_as_pictures=True), given=True, **settings)

        return frame_area

    yield Swap("media.frame_size.frame_area", by)


@known_bug(
    "total-beats-floor",
    mechanism="video frames",
    clauses=("V11",),
    symptom="Long clips are shown in frames so small that nothing can be read in them.",
    cause="The total is divided among the frames, and the least area is forgotten.",
    hidden_by="The usual total: of 768 frames, the most that a rate gives, each has more than the floor.",
    fix="The largest area is at least `int(1.05 * min_pixels)`, however many frames share the total.",
)
def total_beats_floor() -> Iterator[Swap]:
    def frame_budget(share: float, *, least: int, most: int) -> int | float:
        return min(most, share)

    yield Swap("media.frame_size.frame_budget", lambda right: frame_budget)


@known_bug(
    "frame-sides-even",
    mechanism="video frames",
    clauses=("V12",),
    symptom="A crash where patches are cut, or frames that are cropped or filled up to whole patches.",
    cause="The factor of frame counts, 2, stands where that of sides, 28, must.",
    hidden_by="Frames whose sides are multiples of 28 already and which no limit touches.",
    fix="Round sides to multiples of `patch * merge`, 28; the factor 2 is for the number of frames.",
    threads=("QwenLM/Qwen3-VL#70",),
)
def frame_sides_even() -> Iterator[Swap]:
    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda height, width, **settings: right(height, width, **{**settings, "factor_px": 2})

    yield Swap("media.frame_size.frame_target", by)
