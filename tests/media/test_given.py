"""Frames without a file: lists and arrays."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from films import HEIGHT, WIDTH, film, frame, numbers
from qwen25vl.errors import BadInput
from qwen25vl.media.given import frames_rgb, given_sampling, is_given
from qwen25vl.media.video_settings import video_request


def png(rgb):
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "PNG")
    return stream.getvalue()


def as_path(rgb, folder):
    path = folder / f"{numbers([rgb])[0]}.png"
    path.write_bytes(png(rgb))
    return path


@given(count=st.integers(1, 1000), fps=st.one_of(st.none(), st.floats(0.01, 100)))
def test_v10_all_given_frames_are_taken_at_the_rate_that_the_caller_states(count, fps):
    got = given_sampling([None] * count, request=video_request(fps=fps))
    assert got.indices.tolist() == list(range(count))
    assert got.sampled_fps == (2.0 if fps is None else fps)
    assert got.limits == ()


@pytest.mark.parametrize(
    "made",
    [
        lambda frames, folder: frames,
        lambda frames, folder: tuple(frames),
        lambda frames, folder: np.stack(frames),
        lambda frames, folder: [Image.fromarray(rgb) for rgb in frames],
        lambda frames, folder: [png(rgb) for rgb in frames],
        lambda frames, folder: [as_path(rgb, folder) for rgb in frames],
        lambda frames, folder: [str(as_path(rgb, folder)) for rgb in frames],
        lambda frames, folder: film(frames),
    ],
    ids=["list", "tuple", "array", "Pillow", "bytes", "paths", "names", "file"],
)
def test_v10_v13_whatever_they_come_from_frames_are_the_same(made, tmp_path):
    frames = [frame(number) for number in range(5)]
    got = list(frames_rgb(made(frames, tmp_path), np.array([0, 2, 4])))
    np.testing.assert_array_equal(np.stack(got), np.stack(frames[::2]))


def test_v10_only_lists_tuples_and_arrays_are_frames():
    assert all(is_given(source) for source in ([], (), np.zeros(1)))
    assert not any(is_given(source) for source in ("a.mp4", b"", bytearray(), None))


def test_v17_given_frames_are_decoded_one_at_a_time():
    opened = []

    class Frames(list):
        def __getitem__(self, number):
            opened.append(number)
            return frame(number)

    handed = frames_rgb(Frames([None] * 9), np.arange(9))
    assert opened == []
    next(handed)
    assert opened == [0]
    next(handed)
    assert opened == [0, 1]


# -------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("name", ["nframes", "start_s", "end_s", "min_frames", "max_frames"])
def test_v10_nothing_chooses_among_given_frames(name):
    with pytest.raises(BadInput, match=rf"{name} 4(\.0)? chooses among the frames of a file"):
        given_sampling([None] * 8, request=video_request(**{name: 4}))


@pytest.mark.parametrize("source", [[], (), np.zeros((0, 8, 8, 3), np.uint8)], ids=["list", "tuple", "array"])
def test_v10_no_frames_are_refused(source):
    with pytest.raises(BadInput, match="the video has 0 frames; give at least one"):
        given_sampling(source, request=video_request())


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((2, 8, 8, 3), np.int64),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((), np.uint8),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_v10_an_array_of_another_type_or_shape_is_refused(array):
    with pytest.raises(BadInput, match=r"must be uint8 \[frames, height, width, 3\], got "):
        given_sampling(array, request=video_request())


def test_v13_frames_of_two_sizes_are_refused():
    frames = [frame(0), frame(1), frame(2, height=WIDTH, width=HEIGHT)]
    with pytest.raises(BadInput, match="frame 2 is 60 x 36 pixels, but those before it are 36 x 60"):
        list(frames_rgb(frames, np.arange(3)))


@pytest.mark.parametrize("bad", [None, "no such file.png", b"hello", np.zeros((4, 4, 3))], ids=str)
def test_v10_a_frame_that_is_no_picture_is_refused_by_number(bad):
    with pytest.raises(BadInput, match=r"^frame 1: "):
        list(frames_rgb([frame(0), bad], np.arange(2)))
