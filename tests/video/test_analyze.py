"""Whole films: tracks, times, answers, and the files made of them."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pyarrow.parquet
import pytest

from facegender.errors import InputError, OutputError
from facegender.faces.types import PhotoError
from facegender.formats.records import TIMELINE, TRACKS
from facegender.lab.datasets.images import paths_by_name, read_images
from facegender.video.analyze import VideoAnalyzer
from facegender.video.annotate import annotate_video
from facegender.video.subtitles import save_ass, save_webvtt
from facegender.video.types import VideoResult

from .conftest import HEIGHT, WIDTH, scene

DATA = Path(os.environ.get("FACEGENDER_DATA", Path(__file__).parents[3] / "shared" / "datasets"))
LFW = DATA / "lfw" / "lfw-deepfunneled.tar"


def test_a_walk_is_one_track(film, walk, analyzer):
    shares = []
    result = analyzer(fps=5.0).analyze(film(walk(50)), shares.append)
    assert (result.width, result.height, result.error) == (WIDTH, HEIGHT, None)
    assert result.duration == pytest.approx(2, abs=0.01)
    (track,) = result.tracks
    assert (track.begin, track.prediction.label) == (0, "male")
    assert track.seconds == pytest.approx(2, abs=0.01)
    assert len(track.sightings) == result.frames == 10
    middles = [s.face.box[0] + s.face.box[2] / 2 for s in track.sightings]
    assert middles == pytest.approx([60 + 160 * s.time / 2 for s in track.sightings], abs=4)
    assert shares == sorted(shares)
    assert 0.8 < shares[-1] <= 1


def test_a_frame_at_a_reduced_size_gives_full_places(film, walk, tiny_model, tiny_detector):
    """The detector looks at half the size; boxes and crops are those of the full frame."""
    from facegender.inference.detector import OnnxDetector

    half = VideoAnalyzer(tiny_model, OnnxDetector(tiny_detector, min_face=32, threads=1))
    (track,) = half.analyze(film(walk(10))).tracks
    assert track.sightings[0].face.box[2] == pytest.approx(40, abs=4)
    assert track.sightings[0].p_male > 0.6


def test_tracks_end_at_a_cut(film, analyzer):
    one, two = scene((100, 90, 40)), scene((100, 90, 40), background=(20, 60, 160))
    tracks = analyzer(fps=None).analyze(film([one] * 10 + [two] * 10)).tracks
    assert [(t.number, round(t.begin, 2), round(t.end, 2)) for t in tracks] == [(0, 0, 0.4), (1, 0.4, 0.8)]


def test_two_faces_at_once_and_seconds_by_answer(film, analyzer):
    frames = [scene((60, 90, 40), (240, 90, 40)) for _ in range(25)] + [scene((60, 90, 40)) for _ in range(25)]
    result = analyzer(fps=5.0).analyze(film(frames))
    assert len(result.tracks) == 2
    assert result.seconds() == pytest.approx({"male": 3, "female": 0, "uncertain": 0}, abs=0.25)


def test_records_follow_the_contract(film, walk, analyzer):
    path = film(walk(50))
    result = analyzer(fps=5.0).analyze(path)
    record = json.loads(json.dumps(result.to_dict()))
    assert list(record) == ["path", "width", "height", "duration", "tracks", "error"]
    assert list(record["tracks"][0]) == [
        *("track", "begin", "end", "seconds", "faces", "quality"),
        *("p_male", "label"),
    ]
    (row,) = TRACKS.rows(record)
    assert list(row) == list(TRACKS.columns)
    assert (row["path"], row["label"], row["error_kind"]) == (str(path), "male", None)


def test_a_file_that_is_no_video_is_a_result(tmp_path, analyzer):
    path = tmp_path / "no.mp4"
    path.write_bytes(b"")
    result = analyzer().analyze(path)
    assert result.error is not None
    assert result.error.kind == "not_a_video"
    (row,) = TRACKS.rows(result.to_dict())
    assert (row["error_kind"], row["track"], row["width"]) == ("not_a_video", None, None)


def test_broken_packets_are_remarked_on(film, walk, analyzer):
    path = film(walk(60), "broken.ts", g="10")
    data = bytearray(path.read_bytes())
    for place in np.random.default_rng(0).integers(len(data) // 3, 2 * len(data) // 3, 60):
        data[place] ^= 0xFF
    path.write_bytes(data)
    result = analyzer(fps=5.0).analyze(path)
    assert result.error is None
    assert "could not be decoded" in result.remarks[0]
    assert result.tracks


def test_wrong_settings():
    with pytest.raises(InputError):
        VideoAnalyzer(workers=0)


class TestSubtitles:
    @pytest.fixture
    def result(self, film, analyzer):
        return analyzer(fps=5.0).analyze(film([scene((60 + 3 * i, 90, 40)) for i in range(30)], "subtitled.mp4"))

    def test_ass(self, result, tmp_path):
        path = tmp_path / "out.ass"
        save_ass(result, path)
        with av.open(str(path)) as container:  # FFmpeg's own parser
            stream = container.streams.subtitles[0]
            shown = [packet for packet in container.demux(stream) if packet.size]
            assert float(shown[0].pts * stream.time_base) == 0
        assert len(shown) == 2 * len(result.tracks[0].sightings)
        text = path.read_text()
        assert f"PlayResX: {WIDTH}\nPlayResY: {HEIGHT}\n" in text
        x, y, width, height = (round(v) for v in result.tracks[0].sightings[0].face.box)
        first = next(line for line in text.splitlines() if line.startswith("Dialogue: 0"))
        assert f"\\move({x},{y}," in first
        assert f"m 0 0 l {width} 0 {width} {height} 0 {height}" in first
        assert ",male,,0,0,0,,{" in text

    def test_webvtt(self, result, tmp_path):
        path = tmp_path / "out.vtt"
        save_webvtt(result, path)
        with av.open(str(path)) as container:
            stream = container.streams.subtitles[0]
            shown = [packet for packet in container.demux(stream) if packet.size]
        assert len(shown) == len(result.tracks[0].sightings)
        text = path.read_text()
        assert text.startswith("WEBVTT\n")
        begins = re.findall(r"^(\d\d:\d\d:\d\d\.\d{3}) --> (\d\d:\d\d:\d\d\.\d{3}) position:", text, re.MULTILINE)
        assert begins[0] == ("00:00:00.000", "00:00:00.200")
        assert [a for a, _ in begins[1:]] == [b for _, b in begins[:-1]]


def test_timelines(film, walk, analyzer):
    result = analyzer(fps=5.0).analyze(film(walk(25)))
    rows = list(TIMELINE.rows(result.timeline()))
    assert list(rows[0]) == list(TIMELINE.columns)
    assert [row["time"] for row in rows] == [round(s.time, 3) for s in result.tracks[0].sightings]
    assert [row["sighting"] for row in rows] == list(range(len(rows)))
    (row,) = TIMELINE.rows(VideoResult("b.mp4", error=PhotoError("not_a_video", "")).timeline())
    assert (row["time"], row["error_kind"]) == (None, "not_a_video")


class TestAnnotated:
    def test_every_frame_comes_back_with_boxes_and_sound(self, film, walk, analyzer, tmp_path):
        source = film(walk(50), "talk.mp4", sound=True)
        out = tmp_path / "out.mp4"
        assert annotate_video(analyzer(fps=5.0).analyze(source), out) == ()
        with av.open(str(source)) as before, av.open(str(out)) as after:
            old, new = before.streams.video[0], after.streams.video[0]
            assert (new.width, new.height) == (WIDTH, HEIGHT)
            frames = list(after.decode(new))
            assert [f.time for f in frames] == pytest.approx([f.time for f in before.decode(old)], abs=1e-3)
            assert after.duration == pytest.approx(before.duration, abs=50_000)
            drawn = frames[12].to_ndarray(format="rgb24").astype(int)
        # Frame 12 was not sampled: the box stands where the face is all the same.
        x = round(60 + 160 * 12 / 50 - 20)
        box = np.abs(drawn[80:100, x - 6 : x + 6] - (0, 158, 115)).sum(2).min(1)
        assert np.median(box) < 120  # halved colours, and the codec
        for path in (source, out):
            with av.open(str(path)) as container:
                heard = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
            assert len(heard) > 30
        assert not list(tmp_path.glob(".*writing"))

    def test_odd_times_survive(self, film, walk, analyzer, tmp_path):
        times = [0, 0.1, 0.15, 0.8, 0.82, 1.5, 1.55, 1.6]
        source = film(walk(8), "vfr.mkv", times=times)
        annotate_video(analyzer(fps=5.0).analyze(source), tmp_path / "out.mp4")
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert [f.time for f in container.decode(video=0)] == pytest.approx(times, abs=2e-3)


class TestTheCommand:
    @pytest.fixture
    def networks(self, networks):
        return [*networks, "--min-face", "16"]

    def test_every_file_of_every_video(self, film, walk, run, tmp_path):
        broken = tmp_path / "no.mp4"
        broken.write_bytes(b"words")
        (tmp_path / "b").mkdir()
        paths = [film(walk()[:10], "film.mp4"), broken, film(walk()[:10], "b/FILM.mkv")]
        made, out, timeline = tmp_path / "made", tmp_path / "out.csv", tmp_path / "t.parquet"
        command = [*paths, "-o", out, "--timeline", timeline, "--subtitles", made, "--annotate", made, "--fps", "5"]
        done = run(*command)
        assert done.exit_code == 3, done.output
        assert "skipped (not_a_video)" in done.stderr
        assert sorted(p.name for p in made.iterdir()) == [
            *("FILM-2.ass", "FILM-2.faces.mp4", "FILM-2.vtt", "film.ass", "film.faces.mp4", "film.vtt"),
        ]
        with out.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [(Path(r["path"]).name, r["label"], r["error_kind"]) for r in rows] == [
            ("film.mp4", "male", ""),
            ("no.mp4", "", "not_a_video"),
            ("FILM.mkv", "male", ""),
        ]
        seen = pyarrow.parquet.read_table(timeline).to_pylist()
        assert [row["time"] for row in seen] == [0.0, 0.2, None, 0.0, 0.2]
        before = out.read_bytes(), timeline.read_bytes()
        again = run(*command)
        assert (again.exit_code, again.stderr) == (0, f"{out} holds all 3 videos already\n")
        assert (out.read_bytes(), timeline.read_bytes()) == before

    def test_folders_without_what_was_drawn_and_files_added_to_a_finished_run(self, film, walk, run, tmp_path):
        folder = tmp_path / "films"
        folder.mkdir()
        film(walk()[:10], "films/film.mp4")
        film(walk()[:10], "films/own.faces.mp4")  # somebody's own
        out = tmp_path / "out.jsonl"
        assert run(folder, "-o", out, "--fps", "5").exit_code == 0
        before = out.read_bytes()
        assert [Path(json.loads(line)["path"]).name for line in before.splitlines()] == ["film.mp4", "own.faces.mp4"]
        for options in (["--annotate", folder], ["--subtitles", tmp_path / "s"]):
            assert run(folder, "-o", out, "--fps", "5", *options).exit_code == 0
            assert out.read_bytes() == before
        drawn = ["film.faces.mp4", "film.mp4", "own.faces.faces.mp4", "own.faces.mp4"]
        assert sorted(path.name for path in folder.iterdir()) == drawn
        assert len(list((tmp_path / "s").iterdir())) == 4
        again = run(f"{folder}/*", "-o", out, "--fps", "5", "--annotate", folder)
        assert (again.exit_code, again.stderr) == (0, f"{out} holds all 2 videos already\n")

    def test_files_that_are_the_users_are_kept(self, film, walk, run, tmp_path):
        folder = tmp_path / "films"
        folder.mkdir()
        film(walk()[:10], "films/film.mp4")
        (folder / "film.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n")
        for _ in range(2):
            assert run(folder, "--fps", "5", "--subtitles", folder, "-o", tmp_path / "out.csv").exit_code == 0
        assert "Hello" in (folder / "film.vtt").read_text()
        assert sorted(path.name for path in folder.iterdir()) == ["film-2.ass", "film-2.vtt", "film.mp4", "film.vtt"]

    def test_films_of_earlier_runs_keep_their_files(self, film, walk, run, tmp_path):
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        films = [film(walk()[:10], "one/film.mp4"), film(walk()[:15], "two/film.mp4")]
        made, command = tmp_path / "made", ["-o", tmp_path / "out.csv", "--subtitles", tmp_path / "made", "--fps", "5"]
        assert run(films[0], *command).exit_code == 0
        first = (made / "film.vtt").read_text()
        assert run(films[1], *command).exit_code == 0
        assert (made / "film.vtt").read_text() == first != (made / "film-2.vtt").read_text()
        assert "holds all" in run(*films[::-1], *command).stderr

    def test_another_accepted_error_renews_subtitles_without_a_new_analysis(
        self, film, walk, run, tmp_path, monkeypatch
    ):
        made, out = tmp_path / "made", tmp_path / "out.jsonl"
        two = [scene((60 + i, 60, 40), (250 - i, 120, 40, (250, 10, 60))) for i in range(20)]
        films = [film(walk()[:10], "one.mp4"), film(two, "two.mp4"), film([scene()] * 5, "none.mp4")]
        files = ["--subtitles", made]

        def texts():
            return {path.name: path.read_text() for path in made.iterdir()}

        def night(*options):
            done = run(*films, "-o", out, "--fps", "5", *options)
            assert done.exit_code == 0, done.output
            return done.stderr

        night(*files, "--min-confidence", "0.5")
        sure = texts()
        assert ",male,,0,0,0,," in sure["one.ass"]
        # The first is sure from here on, of the second at most one.
        fresh, doubt = tmp_path / "fresh", ["--min-confidence", "1"]
        night(*doubt, "--no-resume", "--subtitles", fresh)
        uncertain = {path.name: path.read_text() for path in fresh.iterdir()}
        assert "uncertain" in uncertain["one.vtt"] != sure["one.vtt"]
        night(*files, "--min-confidence", "0.5", "--no-resume")
        monkeypatch.setattr(VideoAnalyzer, "analyze", None)
        said = night(*files, *doubt)
        assert said.startswith("relabelled 3 videos")
        assert texts() == uncertain
        # Without the option they stay, which is said; the option given later finds it.
        said = night("--min-confidence", "0.5")
        assert "keep their labels; renew them: add --subtitles DIR and --annotate DIR" in said
        assert texts() == uncertain
        own = uncertain["one.ass"] + "Dialogue: 1,0:00:00.00,0:00:01.00,uncertain,,0,0,0,,A walk\n"
        (made / "one.ass").write_text(own)
        assert night(*files, "--min-confidence", "0.5") == f"{out} holds all 3 videos already\n"
        assert texts().pop("one.ass").startswith(sure["one.ass"])
        assert texts().pop("one.ass").endswith("uncertain,,0,0,0,,A walk\n")
        assert {**texts(), "one.ass": sure["one.ass"]} == sure

    def test_copies_with_other_labels_are_drawn_again(self, film, walk, run, tmp_path):
        made, out = tmp_path / "made", tmp_path / "out.jsonl"
        films = [film(walk()[:10], "one.mp4"), film([scene()] * 5, "none.mp4")]

        def night(*options):
            assert run(*films, "-o", out, "--fps", "5", *options).exit_code == 0
            return [(made / f"{stem}.faces.mp4").stat().st_mtime_ns for stem in ("one", "none")]

        one, none = night("--annotate", made, "--min-confidence", "0.5")
        assert night("--annotate", made, "--min-confidence", "0.5") == [one, none]
        assert night("--min-confidence", "1") == [one, none]
        later, same = night("--annotate", made, "--min-confidence", "1")
        assert later > one
        assert same == none  # it has no faces
        assert night("--annotate", made, "--min-confidence", "1") == [later, none]
        assert [track["label"] for line in out.read_text().splitlines() for track in json.loads(line)["tracks"]] == [
            "uncertain"
        ]

    def test_a_folder_is_tried_before_a_film_is_analysed(self, film, walk, run, tmp_path):
        (tmp_path / "file").touch()
        done = run(film(walk()[:10]), "-o", tmp_path / "out.csv", "--subtitles", tmp_path / "file" / "s")
        assert isinstance(done.exception, OutputError)
        assert str(tmp_path / "file") in str(done.exception)
        assert not (tmp_path / "out.csv").exists()

    def test_a_table(self, film, walk, run):
        text = run(film(walk(25)), "--fps", "0").stdout
        assert re.search(r"0:00:00.0 - 0:00:01.0 .* 1.0 .* male", text)
        assert "1 video, 1 track: 0 female, 1 male, 0 uncertain" in text

    @pytest.mark.parametrize("format_", ["table", "csv"])
    def test_a_reader_that_has_seen_enough(self, format_, film, walk, networks):
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "facegender", "predict", *networks, film(walk()[:10]), "--format", format_]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
        os.close(writing)
        assert (done.returncode, b"error" in done.stderr) == (0, False)

    @pytest.mark.parametrize(
        "args",
        [
            *(["a.jpg"], ["--timeline", "t.json"], ["--crops", "c"], ["--sample", "3"], ["--on", "ray", "-o", "o"]),
            ["--prune", "-o", "o.csv"],
        ],
        ids=" ".join,
    )
    def test_usage(self, args, run):
        assert run("a.mp4", *args).exit_code == 2
        assert run("a.jpg", "--timeline", "t.csv").exit_code == 2
        assert run("a.mp4", "-o", "o.csv", "--timeline", "o.csv").exit_code == 2
        assert "machine" in run("https://localhost/a.mp4").output


@pytest.mark.data
@pytest.mark.skipif(not LFW.exists(), reason=f"{LFW} is absent; FACEGENDER_DATA names another folder")
def test_people_in_moved_photos(film):
    """Photos that a camera moves over: one track a photo of one person, with the answer to that person."""
    names = [name for name in sorted(paths_by_name(LFW)) if "George_W_Bush_00" in name or "Serena_Williams_00" in name]
    people = ["George_W_Bush_0010", "Serena_Williams_0010", "George_W_Bush_0020", "Serena_Williams_0020"]
    wanted = [next(name for name in names if person in name) for person in people]
    photos = dict(read_images(LFW, wanted))
    frames = []
    for name in wanted:
        photo = PIL.Image.open(io.BytesIO(photos[name])).convert("RGB").resize((480, 480))
        for i in range(25):
            frames.append(np.array(photo.crop((60 + 2 * i, 140 + i, 60 + 2 * i + WIDTH, 140 + i + HEIGHT))))
    result = VideoAnalyzer(fps=5.0, min_confidence=0.5).analyze(film(frames))
    large = [track for track in result.tracks if track.seconds > 0.7]
    assert [track.prediction.label for track in large] == ["male", "female", "male", "female"]
    assert [track.begin for track in large] == pytest.approx([0, 1, 2, 3], abs=0.01)
