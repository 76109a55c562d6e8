"""Which frames are sampled, and what happens to files that are no good."""

import sys

import av
import numpy as np
import pytest

from facegender.errors import (
    InputError,
    MissingExtraError,
    NotAVideoError,
    NoVideoError,
    VideoNotFoundError,
    VideoPermissionError,
    VideoReadError,
)
from facegender.video.frames import Video

from .conftest import HEIGHT, WIDTH, scene


def numbered(count):
    """Frames of different grays: 16 + 4 n."""
    return [scene(background=(16 + 4 * i,) * 3) for i in range(count)]


def seen(video, **scales):
    """Time, span and number of each sampled frame."""
    return [
        (round(f.time, 3), round(f.span, 3), round((float(f.picture.pixels.mean()) - 16) / 4))
        for f in video.frames(**scales)
    ]


def test_frames_are_sampled_by_the_clock(film):
    with Video(film(numbered(50)), 5) as video:
        found = seen(video)
        assert (video.width, video.height) == (WIDTH, HEIGHT)
        assert video.end == pytest.approx(2, abs=0.01)
    assert [time for time, _, _ in found] == pytest.approx(np.arange(10) / 5, abs=0.13)
    assert sum(span for _, span, _ in found) == pytest.approx(2, abs=0.01)
    assert [number for _, _, number in found] == [round(time * 25) for time, _, _ in found]


def test_every_frame(film):
    with Video(film(numbered(20)), None) as video:
        assert [number for _, _, number in seen(video)] == list(range(20))


def test_a_variable_frame_rate(film):
    """What is on screen at 0, 0.5, 1.0 ... is sampled: a frame that stays counts once, of a burst only one."""
    times = [0, 0.4, 0.45, 0.48, 0.9, 4.2, 4.24, 4.28, 4.6]
    with Video(film(numbered(9), "vfr.mkv", times=times), 2) as video:
        found = seen(video)
    assert [(time, number) for time, _, number in found] == [(0, 0), (0.48, 3), (0.9, 4), (4.28, 7)]
    assert [span for _, span, _ in found][:3] == pytest.approx([0.48, 0.42, 3.38], abs=0.002)


def test_sparse_samples_of_a_film_of_many_key_frames(film):
    """Only key frames are decoded then; the times are those of the frames all the same."""
    with Video(film(numbered(50), g="5", sc_threshold="0"), 2) as video:
        found = seen(video)
    assert len(found) == 4
    assert all(number == round(time * 25) and number % 5 == 0 for time, _, number in found)


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [
        ((1, 0, 0, 1), (0, 0)),
        ((0, 1, -1, 0), (0, -1)),  # a quarter clockwise: what was top left is top right
        ((-1, 0, 0, -1), (-1, -1)),
        ((0, -1, 1, 0), (-1, 0)),
        ((-1, 0, 0, 1), (0, -1)),  # mirrored
    ],
)
def test_rotation(film, matrix, corner):
    """The display matrix in the file is applied: 16.16 fixed point in the track's header."""
    image = scene()
    image[:40, :40] = 255
    path = film([image] * 3)
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd")
    start = data.index((0x10000).to_bytes(4, "big") + bytes(12) + (0x10000).to_bytes(4, "big"), start)
    for place, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[start + place : start + place + 4] = (value * 0x10000).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    with Video(path, None) as video:
        turned = matrix[0] == 0
        assert (video.width, video.height) == ((HEIGHT, WIDTH) if turned else (WIDTH, HEIGHT))
        for frame in video.frames(small=0.5):
            assert frame.picture.pixels.shape == (video.height, video.width, 3)
            assert frame.small.pixels.shape == (video.height / 2, video.width / 2, 3)
            assert frame.small.width == video.width
            for picture in (frame.picture, frame.small):
                bright = [picture.pixels[y, x].mean() > 200 for y in (0, -1) for x in (0, -1)]
                assert bright == [(y, x) == corner for y in (0, -1) for x in (0, -1)]


def test_pixels_that_are_not_square(film):
    path = film([scene()] * 3, "wide.mkv", codec="mpeg4", aspect="32:9")
    with av.open(str(path)) as container:
        aspect = container.streams.video[0].sample_aspect_ratio
    with Video(path) as video:
        assert video.width == round(WIDTH * (aspect or 1))


def test_broken_packets_are_passed_over(film):
    path = film([scene((60 + 3 * i, 90, 40)) for i in range(60)], "broken.ts", g="10")
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for place in rng.integers(len(data) // 3, 2 * len(data) // 3, 60):
        data[place] = rng.integers(256)
    path.write_bytes(data)
    with Video(path, None) as video:
        times = [frame.time for frame in video.frames()]
        assert video.damaged > 0
    assert len(times) >= 25
    assert times == sorted(times)
    assert times[-1] > 2


def test_a_film_that_was_cut_off(film):
    path = film([scene((60 + 2 * i, 90, 40)) for i in range(100)], movflags="faststart")
    # The index is at the end unless the muxer was told otherwise: rewrite it with the index first.
    first = path.with_name("first.mp4")
    with av.open(str(path)) as source, av.open(str(first), "w", options={"movflags": "faststart"}) as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    first.write_bytes(first.read_bytes()[: first.stat().st_size // 2])
    with Video(first, 5) as video:
        frames = list(video.frames())
        assert frames
        assert video.ends_early
        assert frames[-1].time < video.end < 3 < video.duration


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"", NotAVideoError), (b"words, not pictures\n" * 500, NotAVideoError), (bytes(5000), NotAVideoError)],
)
def test_what_is_no_video(tmp_path, content, kind):
    path = tmp_path / "no.mp4"
    path.write_bytes(content)
    with pytest.raises(kind, match=r"no\.mp4"):
        Video(path)


def test_playlists_do_not_open_other_files(film, tmp_path):
    film([scene()] * 3, "secret.mp4")
    path = tmp_path / "list.mp4"
    path.write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(NotAVideoError):
        Video(path)


def test_files_that_cannot_be_opened(tmp_path, film, unprivileged):
    with pytest.raises(VideoNotFoundError):
        Video(tmp_path / "absent.mp4")
    with pytest.raises(VideoNotFoundError):
        Video(tmp_path)
    path = film([scene()])
    path.chmod(0)
    with unprivileged(), pytest.raises(VideoPermissionError):
        Video(path)
    with pytest.raises(InputError):
        Video(path, -1)


def test_sound_alone_and_no_whole_frame(tmp_path, film):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16_000
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    with pytest.raises(NoVideoError, match="audio"):
        Video(path)

    path = film([scene()] * 5)
    data = path.read_bytes()
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    path.write_bytes(data[:start] + bytes(end - start) + data[end:])
    with pytest.raises(VideoReadError):
        Video(path)


def test_without_pyav(film, monkeypatch):
    path = film([scene()])
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match="video"):
        Video(path)


def test_one_frame(film):
    with Video(film([scene()])) as video:
        (frame,) = video.frames()
    assert frame.time == 0
    assert frame.span == pytest.approx(0.04, abs=0.001)
