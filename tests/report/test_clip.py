"""The report of a clip: positions of time as the language model gets them."""

from dataclasses import replace

import numpy as np
import pytest

from media_settings import RELEASED
from qwen25vl.language.mrope import block_positions
from qwen25vl.media.clip import Clip
from qwen25vl.report.clip import clip_report

SETTINGS = replace(RELEASED, min_pixels=1)


def made_clip(*, frames: int, sampled_fps: float) -> Clip:
    """A clip of black frames of 28 x 56 from a source of 25 frames per second."""
    T = -(-frames // 2)
    indices = np.arange(frames) * 10
    return Clip(
        resized=np.zeros((frames, 28, 56, 3), np.uint8),
        rows=np.zeros((T * 8, 1176), np.float32),
        grid=(T, 2, 4),
        merge_p=2,
        indices=indices,
        times_s=indices / 25,
        source_frames=132,
        source_fps=25.0,
        sampled_fps=sampled_fps,
        second_per_grid=2 / sampled_fps,
        original_size=(30, 60),
        limits=("a limit",),
        source="film.mp4",
    )


@pytest.mark.parametrize("sampled_fps", [0.5, 1.0, 25 / 22, 2.0, 3.0, 24.0])
@pytest.mark.parametrize("per_second", [2, 3])
def test_t5_t6_the_positions_are_those_of_the_language_model(sampled_fps, per_second):
    clip = made_clip(frames=10, sampled_fps=sampled_fps)
    facts = clip_report(clip, settings=SETTINGS, window_m=4, tokens_per_second=per_second)
    positions = block_positions((5, 1, 2), second_per_grid=2 / sampled_fps, tokens_per_second=per_second)
    assert facts["time_ids"] == positions[0].reshape(5, 2)[:, 0].tolist()


def test_two_positions_a_second():
    facts = clip_report(made_clip(frames=6, sampled_fps=2.0), settings=SETTINGS, window_m=4, tokens_per_second=2)
    assert facts["second_per_grid"] == 1.0
    assert facts["time_ids"] == [0, 2, 4]


def test_the_facts_are_those_of_the_clip():
    clip = made_clip(frames=5, sampled_fps=2.0)
    facts = clip_report(clip, settings=SETTINGS, window_m=4, tokens_per_second=2)
    assert facts["duration_s"] == 132 / 25
    assert facts["indices"] == [0, 10, 20, 30, 40]
    assert facts["times_s"] == [0.0, 0.4, 0.8, 1.2, 1.6]
    assert facts["limits"] == ["a limit"]
    assert (facts["grid"], facts["merged_grid"], facts["patches"], facts["tokens"]) == (
        [3, 2, 4],
        [3, 1, 2],
        24,
        6,
    )
    assert facts["windows"]["count"] == 3  # one a frame row: a window never spans two
    assert facts["scale"] == [28 / 30, 56 / 60]
