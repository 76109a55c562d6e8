import csv
import json
import sqlite3
import subprocess
import sys
import time

import pytest

from facegender.errors import InputError, OutputError
from facegender.formats.records import FACES
from facegender.formats.registry import by_suffix
from facegender.inference import parts
from facegender.inference.parts import Output, run_file

SETTINGS = {"model": {"name": "tiny"}, "sample": None}


def record(path, faces=1):
    face = {
        "box": [1.0, 2.0, 3.0, 4.0],
        "score": 1.0,
        "quality": 0.5,
        "landmarks": [],
        "p_male": 0.25,
        "label": "female",
    }
    return {"path": path, "width": 9, "height": 9, "weight": 1.0, "faces": [face] * faces, "error": None}


def output(path, settings=SETTINGS, **options):
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow")
    return Output(path, by_suffix(path), FACES, settings, **options)


def paths(path):
    """The path of each row of a file."""
    if path.suffix == ".jsonl":
        return [json.loads(line)["path"] for line in path.read_text().splitlines()]
    if path.suffix == ".csv":
        return [row["path"] for row in csv.DictReader(path.read_text().splitlines())]
    if path.suffix == ".parquet":
        return pytest.importorskip("pyarrow.parquet").ParquetFile(path).read()["path"].to_pylist()
    database = sqlite3.connect(path)
    rows = [row for (row,) in database.execute("SELECT path FROM faces ORDER BY rowid")]
    database.close()
    return rows


FORMATS = pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet", "sqlite"])


@FORMATS
def test_a_file_appears_when_the_run_ends(suffix, tmp_path):
    path = tmp_path / f"out.{suffix}"
    with output(path, command="facegender predict") as out:
        out.write([record("a"), record("b")])
        assert not path.exists()
    assert paths(path) == ["a", "b"]
    account = json.loads(run_file(path).read_text())
    assert account == {"command": "facegender predict", **SETTINGS, "photos": 2, "faces": 2, "errors": 0}
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, run_file(path).name]


@FORMATS
def test_what_a_file_holds_is_not_done_again(suffix, tmp_path):
    path = tmp_path / f"out.{suffix}"
    with output(path) as out:
        out.write([record("a"), record("none", faces=0), record("twice", faces=2), record("twice"), record("\udcff")])
    with output(path) as out:
        assert out.done == 5
        asked = ["a", "b", "none", "twice", "twice", "twice", "\udcff"]
        assert [name for name in asked if not out.is_done(name)] == ["b", "twice"]
        out.write([record("b")])
    assert len(paths(path)) == (6 if suffix == "jsonl" else 7)  # an object a photo, a row a face
    assert paths(path)[-1] == "b"
    assert json.loads(run_file(path).read_text())["photos"] == 6


@FORMATS
def test_nothing_new_leaves_the_file_as_it_is(suffix, tmp_path):
    path = tmp_path / f"out.{suffix}"
    with output(path) as out:
        out.write([record("a")])
    before = path.read_bytes()
    with output(path) as out:
        assert out.is_done("a")
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.parts"))


def interrupt(out, failure=KeyboardInterrupt):
    def run():
        with out:
            out.write([record("a"), record("b")])
            raise failure

    with pytest.raises(failure) as caught:
        run()
    return caught.value


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_finished_results_stay_after_an_exception(failure, tmp_path):
    path = tmp_path / "out.csv"
    error = interrupt(output(path), failure)
    assert "out.csv.parts" in error.__notes__[0]
    assert not path.exists()
    with output(path) as out:
        assert [out.is_done(name) for name in "abc"] == [True, True, False]
        out.write([record("c")])
    assert paths(path) == ["a", "b", "c"]


def test_nothing_stays_without_results(tmp_path):
    with pytest.raises(RuntimeError), output(tmp_path / "out.csv"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_afresh(tmp_path):
    path = tmp_path / "out.csv"
    with output(path) as out:
        out.write([record("a")])
    interrupt(output(path))
    with output(path, {"model": {"name": "other"}, "sample": None}, resume=False) as out:
        assert not out.done
        assert paths(path) == ["a"]
        out.write([record("c")])
    assert paths(path) == ["c"]


def test_another_setting_is_refused(tmp_path):
    path = tmp_path / "out.csv"
    other = {**SETTINGS, "model": {"name": "other"}}
    interrupt(output(path))
    with pytest.raises(InputError, match=r"another model.*tiny.*other.*--no-resume"), output(path, other):
        pass
    with output(path):
        pass
    with pytest.raises(InputError, match=r"another model"), output(path, other):
        pass
    assert paths(path) == ["a", "b"]


def test_a_file_of_unknown_origin_is_not_touched(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("somebody's own")
    with pytest.raises(InputError, match=r"out.csv.run.json.*--no-resume"), output(path):
        pass
    assert path.read_text() == "somebody's own"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


@FORMATS
def test_a_damaged_file_is_refused(suffix, tmp_path):
    path = tmp_path / f"out.{suffix}"
    with output(path) as out:
        out.write([record("a")] * 20)
    path.write_bytes(b"\xff" + path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises((InputError, OutputError), match="out"), output(path):
        pass
    with output(path, resume=False) as out:
        out.write([record("b")])
    assert paths(path) == ["b"]


def test_one_run_at_a_time(tmp_path):
    path = tmp_path / "out.csv"
    with output(path) as out:
        out.write([record("a")])
        with pytest.raises(OutputError, match="another run"), output(path):
            pass
    assert paths(path) == ["a"]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(OutputError, match=folder.name), output(folder / "out.csv"):
            pass
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        output(tmp_path / "out.csv")


def test_parts_come_with_records_and_with_time(tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    count = lambda: len(list(tmp_path.glob("out.csv.parts/part-*")))  # noqa: E731
    with output(path) as out:
        out.write([record("a")] * parts.PART_RECORDS)
        assert count() == 1
        out.write([record("b")])
        assert count() == 1
        later = time.monotonic() + 2 * parts.PART_SECONDS
        monkeypatch.setattr(parts.time, "monotonic", lambda: later)
        out.write([record("c")])
        assert count() == 2


KILLED = """
import json, os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_parts import output, record
step = int(sys.argv[1])
calls = 0
def watch(event, args):
    global calls
    if event in ("os.rename", "os.remove", "open"):
        if any(str(a).find("out.") >= 0 for a in args):
            calls += 1
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
with output(Path({path!r})) as out:
    for name in "abcdef":
        if not out.is_done(name):
            out.write([record(name)])
            out._flush()
"""


@pytest.mark.parametrize("suffix", ["jsonl", "sqlite"])
def test_a_kill_at_any_file_operation_loses_and_doubles_nothing(suffix, tmp_path):
    path = tmp_path / f"out.{suffix}"
    code = KILLED.format(tests=str(__file__).rsplit("/", 1)[0], path=str(path))
    kills, step = 0, 1
    # Each run is killed one operation later than the one before; every other one begins anew.
    while True:
        done = subprocess.run([sys.executable, "-c", code, str(step)], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -9, done.stderr
        kills, step = kills + 1, step + 1
    assert kills > 15
    assert paths(path) == list("abcdef")
    assert json.loads(run_file(path).read_text())["photos"] == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, run_file(path).name]
