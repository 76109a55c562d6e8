import csv
import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from facegender.cli import app, predict
from facegender.errors import InputError, OutputError, WeightsError
from facegender.inference.engines import InProcess
from facegender.inference.options import Options
from facegender.inference.run import analyze

#: What a run over the fixture `photo` ends with on standard error.
SUMMARY = (
    r"1 photo in \d+ s: 1 face: 0 women, 1 man, 0 uncertain; 0 without a face\n"
    r"1 photo has heavy grain, which was smoothed before the search\nmodel tiny: MIT\n"
)

#: Where a table was printed, which ends with the counts.
BELOW_TABLE = r"1 photo in \d+ s\nmodel tiny: MIT\n"

FACE_X, FACE_Y = 92, 97  # the face's centre in the fixture `photo`


@pytest.fixture
def photo(save):
    """A picture of 200 x 220 pixels with one face, as the tiny detector sees it: a red square in gray noise."""
    image = np.repeat(np.random.default_rng(2).integers(0, 256, (220, 200, 1), dtype=np.uint8), 3, axis=2)
    image[FACE_Y - 25 : FACE_Y + 25, FACE_X - 25 : FACE_X + 25] = (255, 0, 0)
    return save("photos/square.png", image)


@pytest.fixture
def spawn(networks):
    def start(*args):
        return subprocess.Popen(
            [sys.executable, "-m", "facegender", "predict", *networks, *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Where the tests run in the background of a shell, they ignore interrupts, and what they start would too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )

    return start


def records(format_, text):
    """(path, label) of each face in an output."""
    if format_ == "jsonl":
        found = [json.loads(line) for line in text.splitlines()]
        return [(r["path"], face["label"], *face["box"]) for r in found for face in r["faces"]]
    if format_ == "csv":
        rows = csv.DictReader(io.StringIO(text))
        return [(r["path"], r["label"], *(float(r[k]) for k in "xywh")) for r in rows]
    found = re.findall(r"^ *(\S+) *│ (-?\d+),(-?\d+) (\d+)x(\d+) *│.*│ (\w+)", text, re.MULTILINE)
    return [(path, label, *map(float, box)) for path, *box, label in found]


@pytest.mark.parametrize("source", ["file", "folder", "recursive", "stdin"])
@pytest.mark.parametrize("format_", ["table", "jsonl", "csv", "parquet"])
def test_every_source_in_every_format(source, format_, photo, run, tmp_path):
    args, stdin = {
        "file": ([photo], None),
        "folder": ([photo.parent], None),
        "recursive": (["-r", tmp_path], None),
        "stdin": (["-"], f"\n  \n{photo}\n\n"),
    }[source]
    if format_ == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        result = run(*args, "-o", tmp_path / "out.parquet", stdin=stdin)
        table = parquet.ParquetFile(tmp_path / "out.parquet").read().to_pylist()
        found = [(r["path"], r["label"], *(r[k] for k in "xywh")) for r in table]
        assert result.stdout == ""
    else:
        result = run(*args, "--format", format_, stdin=stdin)
        found = records(format_, result.stdout)
    assert result.exit_code == 0
    assert re.fullmatch(BELOW_TABLE if format_ == "table" else SUMMARY, result.stderr)
    [(path, label, x, y, width, height)] = found
    assert path == str(photo)
    assert label in ("female", "male", "uncertain")
    assert x < FACE_X < x + width
    assert y < FACE_Y < y + height


def test_the_table_says_what_the_answer_is(photo, run):
    result = run(photo, photo)
    assert "2 photos, 2 faces" in result.stdout
    assert result.stdout.count("perceived") == 1
    assert "perceived" not in run(photo, "--format", "csv").output


@pytest.mark.parametrize("format_", ["jsonl", "csv"])
def test_format_from_the_suffix(format_, photo, run, tmp_path):
    path = tmp_path / f"out.{format_.upper()}"
    result = run(photo, "-o", path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert len(records(format_, path.read_text())) == 1


def test_options_reach_the_analysis(photo, run):
    assert "uncertain" in run(photo, "--min-confidence", "1", "--format", "csv").stdout
    assert "1 face" in run(photo, "--min-face", "40").stdout
    assert "no face found" in run(photo, "--min-face", "150").stdout
    assert "no face found" in run(photo, "--min-score", "0.99").stdout


def test_faces_of_low_quality_are_kept_and_marked(run, save):
    image = np.full((100, 100, 3), 60, np.uint8)
    image[40:54, 40:54] = (255, 0, 0)
    small = save("small.png", image)
    assert re.search(r"0\.3\d low", run(small).stdout)
    [face] = json.loads(run(small, "--format", "jsonl").stdout)["faces"]
    assert 0.3 < face["quality"] < 0.4
    assert len(face["landmarks"]) == 5


def test_a_detector_that_cannot_be_used(run, photo, tmp_path):
    for detector in ("builtin", "yunet"):
        options = ["--detector", detector, "--detector-model", tmp_path / "absent.onnx", "-o", tmp_path / "out.csv"]
        error = run(photo, *options).exception
        assert isinstance(error, WeightsError)
        assert "absent.onnx" in str(error)
    assert not list(tmp_path.glob("out.csv*"))


def test_yunet_needs_its_file(photo):
    result = CliRunner().invoke(app, ["predict", str(photo), "--detector", "yunet"])
    assert result.exit_code == 2
    assert "--detector-model" in result.stderr


def test_some_photos_fail(photo, run, tmp_path):
    (tmp_path / "letter.jpg").write_text("Dear reader")
    (tmp_path / "empty.png").touch()
    cut = tmp_path / "cut.png"
    cut.write_bytes(photo.read_bytes()[:5000])
    bad = {
        tmp_path / "letter.jpg": "not_an_image",
        tmp_path / "empty.png": "not_an_image",
        tmp_path / "absent.jpg": "not_found",
        cut: "truncated",
    }
    result = run(*list(bad)[:2], photo, *list(bad)[2:], "--format", "jsonl")
    assert result.exit_code == 3
    found = {r["path"]: r for r in map(json.loads, result.stdout.splitlines())}
    assert {path: found[str(path)]["error"]["kind"] for path in bad} == bad
    assert found[str(photo)]["error"] is None
    *lines, summary, _, _ = result.stderr.splitlines()
    assert len(lines) == len(bad)
    assert summary.endswith("; 0 without a face; 4 errors (not_an_image 2, not_found 1, truncated 1)")
    for line, (path, kind) in zip(lines, bad.items(), strict=True):
        assert kind in line
        assert str(path) in line


def test_pixel_limit_names_the_remedy(photo, run):
    result = run(photo, "--max-pixels", "1000", "--format", "csv")
    assert "--max-pixels 44000" in result.stderr
    assert "pixel_limit" in result.stdout


def test_no_photo_could_be_read(run, tmp_path):
    result = run(tmp_path / "a.jpg", tmp_path / "b.jpg", "--format", "jsonl")
    assert result.exit_code == 1
    assert [json.loads(line)["error"]["kind"] for line in result.stdout.splitlines()] == ["not_found"] * 2


def test_empty_folder(run, tmp_path):
    result = run(tmp_path)
    assert isinstance(result.exception, InputError)
    assert str(tmp_path) in str(result.exception)
    assert str(result.exception) == f"{tmp_path} holds no files"
    (tmp_path / "deeper").mkdir()
    assert "--recursive" in str(run(tmp_path).exception)
    assert "--recursive" not in str(run(tmp_path, "-r").exception)


def test_empty_folder_among_others_is_a_remark(run, photo, tmp_path):
    (tmp_path / "hollow").mkdir()
    result = run(tmp_path / "hollow", photo)
    assert result.exit_code == 0
    assert f"{tmp_path / 'hollow'} holds no files" in result.stderr
    assert "hollow" in result.stderr


def test_empty_list(run):
    assert isinstance(run("-", stdin="\n\n").exception, InputError)


def test_folders_are_sorted_and_hold_photos_only(run, photo, tmp_path):
    folder = tmp_path / "many"
    for name in ("b.png", "a.PNG", "c.heic", "sub/c.png", "note.txt", ".hidden.png", ".git/d.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(photo.read_bytes())

    def names(*args):
        lines = run(folder, *args, "--format", "jsonl").stdout.splitlines()
        return [str(Path(json.loads(line)["path"]).relative_to(folder)) for line in lines]

    assert names() == ["a.PNG", "b.png", "c.heic"]
    assert names("--recursive") == ["a.PNG", "b.png", "c.heic", "sub/c.png"]


def test_names_that_are_not_utf8(run, photo, tmp_path):
    name = os.fsencode(tmp_path) + b"/\xff.png"
    Path(os.fsdecode(name)).write_bytes(photo.read_bytes())
    result = run("-", "--format", "jsonl", stdin=name + b"\n")
    assert json.loads(result.stdout)["path"] == os.fsdecode(name)
    for format_ in ("csv", "table"):
        result = run("-", "--format", format_, stdin=name + b"\n")
        assert result.exit_code == 0
        assert "\\udcff.png" in result.stdout


def test_annotate(run, photo, save, tmp_path):
    other = save("other/square.jpg", np.zeros((50, 60, 3), np.uint8))
    folder = tmp_path / "new" / "drawn"
    result = run(photo, other, tmp_path / "absent.png", "--annotate", folder)
    assert result.exit_code == 3
    assert sorted(p.name for p in folder.iterdir()) == ["square-2.faces.jpg", "square.faces.jpg"]
    with PIL.Image.open(folder / "square.faces.jpg") as drawn, PIL.Image.open(photo) as plain:
        assert drawn.size == plain.size
        assert np.abs(np.array(drawn).astype(int) - np.array(plain)).max() > 100


def test_annotating_into_the_folder_of_the_photos(run, photo, tmp_path):
    folder = tmp_path / "album"
    folder.mkdir()
    for name in ("a.png", "a.faces.jpg"):  # the second is somebody's own photo
        (folder / name).write_bytes(photo.read_bytes())
    before = (folder / "a.faces.jpg").read_bytes()
    assert run(folder / "a.png", folder / "a.faces.jpg", "--annotate", folder).exit_code == 0
    assert (folder / "a.faces.jpg").read_bytes() == before
    drawn = {path.name for path in folder.iterdir()}
    assert run(folder, "--annotate", tmp_path / "elsewhere", "--format", "csv").exit_code == 0
    assert {"a-2.faces.jpg", "a.faces.faces.jpg"} <= drawn
    # The copies that were drawn are no photos later, wherever others are drawn to; the somebody's own is one.
    for options in (["--annotate", folder], ["--annotate", tmp_path / "elsewhere"], []):
        result = run(folder, *options, "--format", "csv")
        paths = sorted({row["path"] for row in csv.DictReader(io.StringIO(result.stdout))})
        assert paths == [str(folder / "a.faces.jpg"), str(folder / "a.png")]
        assert result.stderr.startswith("2 files passed over (made by facegender 2)\n2 photos in ")
    assert {path.name for path in folder.iterdir()} == drawn


def test_a_folder_that_cannot_be_listed_does_not_end_the_run(tiny_model, tiny_detector, photo, unprivileged):
    for network in (tiny_model, tiny_detector):
        network.parent.chmod(0o755)
    album = photo.parent
    (album / "locked").mkdir()
    (album / "locked" / "b.png").write_bytes(photo.read_bytes())
    (album / "locked").chmod(0)
    # In this process: another one could not import what may lie where only root reads.
    options, engine = Options(model=tiny_model, detector=tiny_detector), InProcess()
    list(analyze(photo, options=options, engine=engine))  # imports all it needs
    with unprivileged():
        results = list(analyze(album, recursive=True, options=options, engine=engine))
    (album / "locked").chmod(0o755)
    assert [r.error and r.error.kind for r in results] == [None, "permission"]
    assert "locked" in results[1].error.message


@pytest.mark.parametrize("option", ["--output", "--annotate"])
def test_output_is_checked_before_the_work(option, run, photo, tmp_path):
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "out.csv"
    result = run(photo, tmp_path / "absent.jpg", option, target)
    assert isinstance(result.exception, OutputError)
    assert str(tmp_path / "file") in str(result.exception)
    assert result.stderr == ""


def test_output_that_is_a_folder(run, photo, tmp_path):
    for folder in (tmp_path, "."):
        result = run(photo, "--format", "csv", "-o", folder)
        assert result.exit_code == 2
        said = "".join(result.stderr.replace("│", "").split())
        assert f"{folder}isafolder(nameafileinit,suchas{Path(folder, 'faces.jsonl')})" in said


def test_a_file_where_a_folder_is_needed(run, photo):
    for option in ("--annotate", "--crops", "--report", "--xmp"):
        result = run(photo, option, photo)
        assert result.exit_code == 2
        assert f"isafile;{option}needsafolder" in "".join(result.stderr.replace("│", "").split())


def test_values_are_refused_in_plain_words(run, photo):
    for option, value, words in [
        ("--min-face", "0", "it must be at least 1"),
        ("--min-face", "few", "it must be a whole number"),
        ("--max-error", "0.6", "it must be at most 0.5"),
        ("--min-score", "high", "it must be a number"),
        ("--rows", "phot", "'--rows': 'phot' is not one of 'face', 'photo'"),
    ]:
        result = run(photo, option, value)
        assert result.exit_code == 2
        assert words in " ".join(result.stderr.replace("│", " ").split())


def test_interrupted_before_anything_was_written(run, photo, monkeypatch):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(predict, "collect", interrupt)
    result = run(photo)
    assert (result.exit_code, result.stderr) == (130, "Nothing was written\ninterrupted\n")


def test_nothing_is_left_behind_when_the_model_is_unknown(run, photo, tmp_path):
    result = run(photo, "--model", "nobody", "-o", tmp_path / "out.csv")
    assert isinstance(result.exception, WeightsError)
    assert [p.name for p in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize(
    "args",
    [
        ["--format", "parquet"],
        ["--format", "table", "-o", "out.csv"],
        ["-o", "out.docx"],
        ["-o", "out"],
        ["-o", "."],
        ["--format", "xml"],
        ["--device", "tpu"],
        ["--detector", "dlib"],
        ["--min-face", "0"],
        ["--min-score", "0"],
        ["--min-confidence", "0.2"],
        ["--max-error", "0.6"],
        ["--max-error", "0.01", "--min-confidence", "0.9"],
        ["--max-pixels", "many"],
    ],
    ids=" ".join,
)
def test_usage(args, run, photo):
    assert run(photo, *args).exit_code == 2


def test_no_path_is_a_usage_error(run):
    assert run().exit_code == 2


def test_from_the_shell(spawn, tmp_path):
    with spawn(tmp_path) as process:
        stdout, stderr = process.communicate()
    assert process.returncode == 1
    assert stdout == ""
    assert f"error (input): {tmp_path} holds no files" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("format_", ["jsonl", "table"])
def test_closed_pipe(format_, spawn, save):
    dot = save("dot.png", np.zeros((1, 1, 3), np.uint8))
    with spawn("-", "--format", format_) as process:
        # Lines come as photos are done, a table comes at the end.
        process.stdin.write(f"{dot}\n" * (3000 if format_ == "jsonl" else 200))
        process.stdin.close()
        if format_ == "jsonl":
            assert json.loads(process.stdout.readline())["path"] == str(dot)
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_interrupted(spawn, save, tmp_path):
    dot = save("dot.png", np.zeros((1, 1, 3), np.uint8))
    out = tmp_path / "out.jsonl"
    with spawn("-", "-o", out) as process:
        process.stdin.write("absent.jpg\n" + f"{dot}\n" * 60_000)
        process.stdin.close()
        assert "absent.jpg" in process.stderr.readline()  # the run is under way
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert not out.exists()
    assert "interrupted" in rest
    assert f"{out}.journal" in rest
    assert "Traceback" not in rest
    with closing(sqlite3.connect(f"{out}.journal")) as journal:
        lines = [line for (line,) in journal.execute("SELECT record FROM photos ORDER BY id")]
    assert json.loads(lines[0])["path"] == "absent.jpg"
    assert all(json.loads(line)["path"] == str(dot) for line in lines[1:])


def test_importing_the_package_is_light():
    code = (
        "import sys, facegender, facegender.cli.predict; "
        "heavy = 'torch pyarrow skimage matplotlib pillow_heif onnx av pandas scipy ray fsspec aiohttp'.split(); "
        "print(set(heavy) & sys.modules.keys())"
    )
    out = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert (out.stdout.strip(), out.stderr) == ("set()", "")
