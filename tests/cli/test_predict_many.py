"""What a long run needs: workers, archives and lists, going on after an end, samples."""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from facegender.errors import InputError
from facegender.formats.records import FACES
from facegender.formats.registry import by_suffix, read_rows
from facegender.inference.journal import journal_file
from facegender.inference.provenance import run_file
from facegender.survey.results import read_results

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    rng = np.random.default_rng(0)
    for number in range(40):
        image = np.repeat(rng.integers(0, 256, (110, 120, 1), dtype=np.uint8), 3, axis=2)
        image[30:80, 40:90] = (255, 0, number)
        PIL.Image.fromarray(image).save(folder / f"{number:02d}.png")
    (folder / "letter.jpg").write_text("Dear reader")
    return folder


@pytest.fixture
def photos(drawn, tmp_path):
    """A folder of 40 photos of a red square each, and a letter."""
    return shutil.copytree(drawn, tmp_path / "photos")


@pytest.fixture
def few(photos):
    """Ten of the photos, and the letter."""
    for path in sorted(photos.glob("*.png"))[10:]:
        path.unlink()
    return photos


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_workers_and_archives_change_nothing(run, photos, tmp_path):
    assert run(photos, "-o", tmp_path / "here.jsonl").exit_code == 3
    assert run(photos, "-o", tmp_path / "workers.jsonl", "--workers", "2").exit_code == 3
    assert (tmp_path / "workers.jsonl").read_bytes() == (tmp_path / "here.jsonl").read_bytes()
    with tarfile.open(tmp_path / "photos.tar.gz", "w:gz") as archive:
        for path in sorted(photos.iterdir()):
            archive.add(path, path.name)
    assert run(tmp_path / "photos.tar.gz", "-o", tmp_path / "tar.jsonl", "--workers", "2").exit_code == 3
    here, tar = records(tmp_path / "here.jsonl"), records(tmp_path / "tar.jsonl")
    assert [r["path"] for r in tar] == [f"{tmp_path / 'photos.tar.gz'}/{Path(r['path']).name}" for r in here]
    assert [r["faces"] for r in tar] == [r["faces"] for r in here]


def test_the_same_command_again_does_what_is_new(run, photos, save, tmp_path):
    out = tmp_path / "out.csv"
    assert run(photos, "-o", out).exit_code == 3
    before = out.read_text()
    again = run(photos, "-o", out)
    assert (again.exit_code, again.stderr) == (0, f"{out} holds all 41 photos already\n")
    save("photos/00a.png", np.zeros((9, 9, 3), np.uint8))
    assert run(photos, "-o", out).exit_code == 0
    assert out.read_text().startswith(before)
    assert out.read_text().splitlines()[-1].startswith(f"{photos / '00a.png'},9,9,1.0,,")


def test_other_settings_need_another_file(run, photos, tmp_path):
    out = tmp_path / "out.csv"
    run(photos, "-o", out)
    refused = str(run(photos, "-o", out, "--min-face", "30").exception)
    assert refused.startswith(f"{out} was made with --min-face default; this command has --min-face 30 (")
    assert run(photos, "-o", out, "--min-confidence", "1", "--no-resume").exit_code == 3
    assert out.read_text().count("uncertain") == 40


def test_killed_runs_come_to_the_same(networks, photos, tmp_path):
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{path}\n" for path in sorted(photos.iterdir()) * 10))
    script = (
        "from facegender.inference import journal; journal.COMMIT_RECORDS = 32; from facegender.cli import main; main()"
    )
    command = [sys.executable, "-c", script, "predict", *networks, str(listed), "--workers", "2", "-o"]
    assert subprocess.run([*command, whole], stderr=subprocess.DEVNULL, check=False).returncode == 3
    kills = 0
    while not killed.exists():
        process = subprocess.Popen([*command, killed], stderr=subprocess.DEVNULL)
        journal = Path(f"{killed}.journal")
        before = journal.stat().st_size if kills else 0
        while process.poll() is None and kills < 2:
            if journal.exists() and journal.stat().st_size > before + 20_000:  # it has got somewhere
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.01)
        process.wait()
    assert kills == 2
    assert killed.read_bytes() == whole.read_bytes()


def test_sqlite(run, photos, tmp_path):
    out = tmp_path / "out.db"
    assert run(photos, "-o", out).exit_code == 3
    database = sqlite3.connect(out)
    [(labels, faces)] = database.execute("SELECT COUNT(DISTINCT label), COUNT(face) FROM faces")
    database.close()
    assert (labels, faces) == (1, 40)


def test_surveys_read_every_format(run, photos, tmp_path):
    read = []
    for suffix in ("jsonl", "csv", "parquet", "sqlite"):
        out = tmp_path / f"out.{suffix}"
        run(photos, "-o", out, "--sample", "30")
        read.append(read_results([out]))
    for collection in read:
        assert collection.model[0] == "tiny"
        assert collection.photos["weight"].tolist() == [41 / 30] * 30
        assert collection.faces.equals(read[0].faces)
        assert collection.photos["path"].equals(read[0].photos["path"])


def test_a_sample_is_drawn_and_weighted(run, photos, tmp_path):
    out = tmp_path / "out.jsonl"
    run(photos, "-o", out, "--sample", "8", "--seed", "3")
    drawn = records(out)
    assert len(drawn) == 8
    assert {r["weight"] for r in drawn} == {41 / 8}
    assert [r["path"] for r in drawn] == sorted(r["path"] for r in drawn)
    provenance = json.loads(run_file(out).read_text())
    assert provenance["sample"] == {"drawn": 8, "population": 41, "seed": 3}
    assert (provenance["photos"], provenance["faces"] + provenance["errors"]) == (8, 8)
    run(photos, "-o", tmp_path / "other.jsonl", "--sample", "8", "--seed", "4")
    assert [r["path"] for r in records(tmp_path / "other.jsonl")] != [r["path"] for r in drawn]
    assert isinstance(run(photos, "-o", out, "--sample", "8", "--seed", "4").exception, InputError)


def test_the_first_photos_and_then_all(run, photos, tmp_path):
    out, whole, table = (
        tmp_path / "out.csv",
        tmp_path / "whole.csv",
        run(photos, "--limit", "3", "--format", "csv").stdout,
    )
    assert run(photos, "-o", out, "--limit", "3").exit_code == 0
    assert out.read_text() == table
    assert [row["path"] for row in read_rows(out)] == [str(photos / f"0{number}.png") for number in range(3)]
    assert run(photos, "-o", out, "--limit", "1000").exit_code == 3  # goes on, to the letter
    assert run(photos, "-o", whole).exit_code == 3
    assert out.read_bytes() == whole.read_bytes()
    both = run(photos, "--limit", "3", "--sample", "3")
    assert both.exit_code == 2
    assert "--sample and --limit exclude each other (give one)" in both.stderr


@pytest.mark.parametrize("packed", [False, True])
def test_only_a_limit_that_left_photos_out_is_noted(run, photos, tmp_path, packed):
    folder, archive, out = tmp_path / "some", tmp_path / "some.tar.gz", tmp_path / "out.csv"
    folder.mkdir()

    def limited(count, limit):
        """What is noted of a run over this number of photos."""
        for number in range(3):
            (folder / f"{number}.png").unlink(missing_ok=True)
        for number in range(count):
            shutil.copyfile(photos / f"0{number}.png", folder / f"{number}.png")
        if packed:  # how many there are is not known before
            with tarfile.open(archive, "w:gz") as tar:
                tar.add(folder, "some")
        done = run(archive if packed else folder, "-o", out, *([] if limit is None else ["--limit", limit]))
        assert done.exit_code == 0, done.stderr
        return json.loads(run_file(out).read_text()).get("limited")

    assert limited(2, 2) is False
    assert limited(3, 2) is True  # nothing is added to the file
    assert limited(2, 2) is False
    assert limited(3, 4) is False
    assert limited(3, 3) is False
    assert limited(3, 2) is True
    assert limited(3, None) is None


def test_crops(run, photos, tmp_path):
    crops = tmp_path / "crops"
    assert run(photos / "03.png", "--crops", crops, "--annotate", crops).exit_code == 0
    assert sorted(p.name for p in crops.iterdir()) == ["03.face0.png", "03.faces.jpg"]
    with PIL.Image.open(crops / "03.face0.png") as crop:
        assert crop.size == (64, 64)
        assert np.array(crop)[32, 32].tolist() == [255, 0, 3]


def test_pictures_in_the_folder_of_the_photos_are_not_photos_the_next_time(run, photos):
    assert run(photos, "--crops", photos, "--annotate", photos).exit_code == 3
    assert re.search(r"^41 photos", run(photos, "--crops", photos, "--annotate", photos).stdout, re.MULTILINE)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "sqlite", "parquet"])
def test_pictures_added_to_a_finished_run_are_made(suffix, run, few, tmp_path):
    out, drawn, crops = tmp_path / f"out.{suffix}", tmp_path / "drawn", tmp_path / "crops"
    assert run(few, "-o", out).exit_code == 3
    plain = list(by_suffix(out).records(out, FACES))
    assert "annotated" not in plain[0]
    assert run(few, "-o", out, "--annotate", drawn).exit_code == 0
    assert len(list(drawn.iterdir())) == 10
    assert run(few, "-o", out, "--crops", crops).exit_code == 0
    assert len(list(crops.iterdir())) == 10
    records = list(by_suffix(out).records(out, FACES))
    for before, record in zip(plain, records, strict=True):
        if record["error"] is None:
            stem = Path(record["path"]).stem
            assert record.pop("annotated") == f"{stem}.faces.jpg"
            assert record["faces"][0].pop("crop") == f"{stem}.face0.png"
        assert record == before
    before = out.read_bytes()
    again = run(few, "-o", out, "--annotate", drawn, "--crops", crops)
    assert "holds all 11 photos already" in again.stderr
    (drawn / "07.faces.jpg").unlink()
    assert run(few, "-o", out, "--annotate", drawn).exit_code == 0
    assert len(list(drawn.iterdir())) == 10
    assert run(few, "-o", out).exit_code == 0  # without pictures the record still says whose they are
    assert out.read_bytes() == before


def test_the_record_says_which_picture_is_whose(run, photos, save, tmp_path):
    out, drawn = tmp_path / "out.jsonl", tmp_path / "drawn"
    listed = tmp_path / "list.txt"

    def pictures(*paths):
        listed.write_text("".join(f"{path}\n" for path in paths))
        run(listed, "-o", out, "--annotate", drawn)
        return {record["path"]: record["annotated"] for record in records(out)}

    b = save("b/03.png", np.zeros((9, 9, 3), np.uint8))
    first = pictures(photos / "03.png", b)
    assert first == {str(photos / "03.png"): "03.faces.jpg", str(b): "03-2.faces.jpg"}
    a = save("a/03.png", np.full((9, 9, 3), 50, np.uint8))
    before = {name: (drawn / name).read_bytes() for name in first.values()}
    # A new photo that comes first takes nobody's name.
    assert pictures(a, photos / "03.png", b) == {**first, str(a): "03-3.faces.jpg"}
    assert {name: (drawn / name).read_bytes() for name in first.values()} == before
    save("b/03.png", np.full((5, 5, 3), 50, np.uint8))  # replaced: its picture too
    assert pictures(a, photos / "03.png", b)[str(b)] == "03-2.faces.jpg"
    with PIL.Image.open(drawn / "03-2.faces.jpg") as picture:
        assert picture.size == (5, 5)


def test_crops_and_copies_of_photos_with_long_names(run, save, tmp_path):
    long = [save(f"photos/{'ü' * 125}{letter}.png", np.zeros((9, 9, 3), np.uint8)) for letter in "ab"]
    assert run(long[0].parent, "-o", tmp_path / "o.csv", "--annotate", tmp_path / "d").exit_code == 0
    assert len(list((tmp_path / "d").iterdir())) == 2


@pytest.mark.parametrize("workers", ["0", "-1", "some", "9999999999"])
def test_workers_are_a_number(workers, run, photos):
    assert run(photos, "--workers", workers).exit_code == 2


def spawned(networks, *args, **options):
    command = [sys.executable, "-m", "facegender", "predict", *networks, *map(str, args)]
    return subprocess.run(command, capture_output=True, check=False, **options)


def labels(path):
    return [(row["path"], row["face"], row["p_male"], row["label"]) for row in read_rows(path)]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet", "sqlite"])
def test_another_accepted_error_relabels_and_analyses_nothing(suffix, run, few, tmp_path):
    """With its journal and without, the file is as if it had been made with the new setting."""
    out, alone, fresh = (tmp_path / f"{name}.{suffix}" for name in ("out", "alone", "fresh"))
    assert run(few, "-o", out).exit_code == 3
    shutil.copy2(out, alone)
    shutil.copy2(run_file(out), run_file(alone))
    p_male = sorted(p for _, _, p, _ in labels(out) if p is not None)
    between = str((p_male[0] + p_male[-1]) / 2)
    before = labels(out)
    for options, rates in (
        (["--min-confidence", between], f"--max-error 0.01 before, --min-confidence {float(between):g} now"),
        (["--max-error", "0.02"], f"--min-confidence {float(between):g} before, --max-error 0.02 now"),
        (["--min-confidence", "1"], "--max-error 0.02 before, --min-confidence 1 now"),
        ([], "--min-confidence 1 before, --max-error 0.01 now"),
    ):
        assert run(few, "-o", fresh, "--no-resume", *options).exit_code == 3
        for path in (out, alone):
            again = run(few, "-o", path, *options)
            said = again.stderr.splitlines()
            assert said.count(f"relabelled 11 photos: {rates}") == 1
            if path == out:
                assert (again.exit_code, said[1:]) == (0, [f"{path} holds all 11 photos already"])
            else:  # the letter is tried again: without the journal it is not known whether it is the same
                assert again.exit_code == 3
                assert re.match(r"1 photo in \d+ s: 0 faces", said[-2])
                journal_file(alone).unlink()
            assert labels(path) == labels(fresh)
            if suffix != "sqlite" and (path == out or suffix != "jsonl"):
                assert path.read_bytes() == fresh.read_bytes()
            settings = [json.loads(run_file(each).read_text())["model"] for each in (path, fresh)]
            assert settings[0] == settings[1]
            if options == ["--min-confidence", between]:
                assert {label for *_, label in labels(path)} == {"male", "uncertain", None}
    assert labels(out) == labels(alone) == before


def test_what_a_drawn_copy_says_is_drawn_anew(run, photos, tmp_path):
    out, drawn = tmp_path / "out.csv", tmp_path / "drawn"
    assert run(photos, "-o", out, "--annotate", drawn).exit_code == 3
    before = {path.name: path.read_bytes() for path in drawn.iterdir()}
    assert run(photos, "-o", out, "--annotate", drawn, "--min-confidence", "1").exit_code == 0
    assert before.keys() == {path.name for path in drawn.iterdir()}
    assert all(path.read_bytes() != before[path.name] for path in drawn.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("format_", ["table", "jsonl", "csv"])
def test_a_full_disk_behind_standard_output_is_one_line(format_, networks, photos):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "facegender", "predict", *networks, photos / "00.png", "--format", format_]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "error (output): cannot write standard output: No space left on device\n",
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_standard_error_ends_nothing(networks, photos, tmp_path):
    out = tmp_path / "out.csv"
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "facegender", "predict", *networks, photos, "-o", out]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert len(out.read_text().splitlines()) == 42


def test_a_reader_that_leaves_early_is_told_what_is_not_made(networks, few, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "facegender", "predict", *networks, few, "--format", "jsonl"]
    for options, said in ([], ""), (["--report", tmp_path / "r"], "no report or sidecars are made"):
        done = subprocess.run([*command, *options], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 0
        assert said in done.stderr
        assert not said or "report: " not in done.stderr
    os.close(writing)


@pytest.mark.skipif(os.name != "posix", reason="a shell's way to close an output")
def test_a_closed_standard_output_harms_nothing(networks, few, tmp_path):
    command = [sys.executable, "-m", "facegender", "predict", *networks, few, "-o", tmp_path / "out.csv"]
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 12


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("verb", [["--help"], ["--version"], ["predict", "--help"]])
def test_every_verb_says_that_the_disk_is_full(verb):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "facegender", *verb], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr


# CSV is in UTF-8 whatever the terminal's encoding.
@pytest.mark.parametrize(
    ("format_", "encoding"), [("table", "cp1252"), ("table", "ascii"), ("table", "utf-8"), ("csv", "ascii")]
)
def test_names_that_standard_output_cannot_encode(encoding, format_, networks, save):
    image = np.zeros((9, 9, 3), np.uint8)
    names = ["ü.png", "日本.png", "\N{GRINNING FACE}.png", "z.png"]
    paths = [save(f"photos/{name}", image) for name in names]
    done = spawned(networks, paths[0].parent, "--format", format_, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    text = done.stdout.decode("utf-8" if format_ == "csv" else encoding)
    shown = sorted(
        name if format_ == "csv" else name.encode(encoding, "backslashreplace").decode(encoding) for name in names
    )
    assert [name for name in shown if name not in text] == []


ESCAPES = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202egpj.\r\n"


@pytest.mark.parametrize("format_", ["table", "csv", "jsonl"])
def test_escape_sequences_in_names_do_not_reach_the_terminal(format_, networks, save, tmp_path):
    photo = save("photos/x.png", np.zeros((9, 9, 3), np.uint8))
    good, bad = photo.with_name(f"{ESCAPES}.png"), photo.with_name(f"{ESCAPES}.jpg")
    photo.rename(good)
    bad.write_text("Dear reader")
    parent, child = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "facegender", "predict", *networks, good.parent, "--format", format_],
        stdout=child,
        stderr=child,
        env={**os.environ, "TERM": "dumb", "NO_COLOR": "1"},
    ) as process:
        os.close(child)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            while more := os.read(parent, 4096):
                shown += more
    os.close(parent)
    assert process.returncode == 3
    text = shown.decode().replace("\r\n", "\n")
    for control in "\x1b\x07\x9b\u202e\r":
        assert control not in text
    assert "\\x1b" in text or "\\u001b" in text
    assert text.count("0 faces: ") == 1  # by the table or after it, not twice


def test_a_photo_on_standard_input(networks, photos):
    data = (photos / "03.png").read_bytes()
    done = spawned(networks, "-", "--format", "jsonl", input=data)
    [record] = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, record["path"], len(record["faces"])) == (0, "-", 1)
    assert done.stderr.startswith(b"1 photo in ")
    cut = spawned(networks, "-", "--format", "jsonl", input=data[:3000])
    assert (cut.returncode, json.loads(cut.stdout)["error"]["kind"]) == (1, "truncated")


def test_what_is_passed_over_is_said_at_the_end(run, photos, tmp_path):
    (photos / "notes.pdf").write_text("x")
    (photos / "film.mp4").write_text("x")
    result = run(photos, "-o", tmp_path / "out.csv")
    assert result.exit_code == 3
    passed, summary, terms = result.stderr.splitlines()[-3:]
    of_their_own = "videos are analysed in a run of their own that names them: facegender predict 'FOLDER/*.mp4'"
    assert passed == f"2 files passed over (suffixes: .pdf 1; videos 1); {of_their_own}"
    answers = "40 faces: 0 women, 40 men, 0 uncertain; 0 without a face; 1 error (not_an_image 1)"
    assert re.fullmatch(rf"41 photos in \d+ s: {re.escape(answers)}", summary)
    assert terms == "model tiny: MIT"
