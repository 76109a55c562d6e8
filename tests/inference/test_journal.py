import csv
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import pytest

from facegender.errors import InputError, OutputError
from facegender.formats.records import FACES
from facegender.formats.registry import by_suffix
from facegender.inference import journal
from facegender.inference.journal import Output, content_digests, journal_file, run_file
from facegender.sources import Source, content_digest, find_photos, read

SETTINGS = {"model": {"name": "tiny"}, "sample": None}


@pytest.fixture
def tmp_path(memory_folder):
    return memory_folder()


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
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, journal_file(path).name, run_file(path).name]


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
    assert "out.csv.journal" in error.__notes__[0]
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


def test_records_are_safe_after_some_and_after_a_while(tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    with output(path) as out:
        commits = []
        out._base.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        out.write([record("a")] * journal.COMMIT_RECORDS)
        assert len(commits) == 1
        out.write([record("b")])
        assert len(commits) == 1
        later = time.monotonic() + 2 * journal.COMMIT_SECONDS
        monkeypatch.setattr(journal.time, "monotonic", lambda: later)
        out.write([record("c")])
        assert len(commits) == 2


# Runs the same work again and again in processes of their own. Each is killed at the first line of the journal's code
# that finds other files than the line before; after every second kill, one more such line is let pass. At the lines
# between, a kill would leave the same files.
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_journal import photos_in, record, take_up
from facegender.inference import journal

path = Path({path!r})

def files():
    return [file.read_bytes() for file in sorted(path.parent.iterdir())]

def run(step):
    seen, changes = files(), 0
    def watch(frame, event, argument):
        nonlocal seen, changes
        if frame.f_code.co_filename != journal.__file__:
            return None
        if event == "line" and seen != (now := files()):
            seen, changes = now, changes + 1
            if changes == step:
                os.kill(os.getpid(), signal.SIGKILL)
        return watch
    sys.settrace(watch)
    take_up(path, **{options!r})
    os._exit(0)

step, kills = 1, 0
while True:
    child = os.fork()
    if not child:
        run(step)
    status = os.waitpid(child, 0)[1]
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    kills += 1
    step = 1 + kills // 2
print(kills)
"""


def photos_in(folder):
    return [Source.file(str(path)) for path in sorted(folder.glob("*.png"))]


def take_up(path, **options):
    """A run over the photos beside the output, whose records say what the photos hold."""
    with output(path, **options) as out:
        for photo in photos_in(path.parent):
            if not out.is_done(photo):
                text = Path(photo.name).read_text()
                made = {**record(photo.name), "width": len(text)}
                out.write([made], [content_digest(photo.name)])
                out._commit()


def killed_again_and_again(path, **options):
    code = KILLED.format(tests=str(Path(__file__).parent), path=str(path), options=options)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def widths(path):
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [(Path(each["path"]).stem, each["width"]) for each in found]


def fill(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.png").write_text(text)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_at_any_line_loses_and_doubles_nothing(tmp_path):
    path = tmp_path / "out.jsonl"
    fill(tmp_path, a="1", b="1", c="1")
    assert killed_again_and_again(path) > 30
    assert widths(path) == [("a", 1), ("b", 1), ("c", 1)]
    # A second night: one replaced, one new, one gone.
    fill(tmp_path, b="four", d="1")
    (tmp_path / "a.png").unlink()
    assert killed_again_and_again(path, prune=True) > 30
    assert widths(path) == [("b", 4), ("c", 1), ("d", 1)]
    assert json.loads(run_file(path).read_text())["photos"] == 3
    # A third, with the file edited meanwhile.
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    assert killed_again_and_again(path) > 20
    assert widths(path) == [("b", 4), ("c", 1), ("d", 1)]
    assert sorted(p.name for p in tmp_path.glob("out*")) == [path.name, journal_file(path).name, run_file(path).name]


def test_a_kill_of_a_run_that_starts_afresh_doubles_nothing(tmp_path):
    path = tmp_path / "out.jsonl"
    fill(tmp_path, a="1", b="1")
    take_up(path)
    before = path.read_bytes()
    interrupt(output(path, resume=False))
    assert path.read_bytes() == before
    take_up(path)
    assert [r["path"] for r in map(json.loads, path.read_text().splitlines())][:2] == ["a", "b"]
    assert [stem for stem, _ in widths(path)] == ["a", "b"] * 2  # those of the run afresh, then this one's


def asked(path, **options):
    """The photos that a run would analyse, by their stems; it has their records written."""
    with output(path, **options) as out:
        wanted = [photo for photo in photos_in(path.parent) if not out.is_done(photo)]
        for photo in wanted:
            made = {**record(photo.name), "width": len(Path(photo.name).read_text())}
            out.write([made], [content_digest(photo.name)])
    return [Path(photo.name).stem for photo in wanted]


@FORMATS
def test_a_photo_replaced_under_its_name_is_asked_for_again(suffix, tmp_path):
    path = tmp_path / f"out.{suffix}"
    fill(tmp_path, a="old", b="old", c="old")
    assert asked(path) == ["a", "b", "c"]
    fill(tmp_path, b="newer")
    assert asked(path) == ["b"]
    stems = [Path(name).stem for name in paths(path)]
    assert stems == ["a", "b", "c"]  # in its old place
    assert [r["width"] for r in by_suffix(path).records(path, FACES)] == [3, 5, 3]
    assert asked(path) == []


def test_content_counts_not_time(tmp_path):
    path = tmp_path / "out.csv"
    fill(tmp_path, a="same", b="same")
    asked(path)
    for name, text in (("a", "same"), ("b", "diff")):  # as long as before
        fill(tmp_path, **{name: text})
        os.utime(tmp_path / f"{name}.png", ns=(5, 5))
    assert asked(path) == ["b"]
    assert asked(path) == []


def test_a_photo_that_was_not_there_is_tried_again(tmp_path):
    path = tmp_path / "out.jsonl"
    late = Source.file(str(tmp_path / "late.png"))
    with output(path) as out:
        assert not out.is_done(late)
        out.write([{**record(late.name, 0), "error": {"kind": "not_found", "message": "no such file"}}])
    with output(path) as out:
        assert out.is_done(late)
    fill(tmp_path, late="1")
    assert asked(path) == ["late"]
    assert widths(path) == [("late", 1)]


def test_a_photo_that_is_gone_keeps_its_record_until_pruned(tmp_path):
    path = tmp_path / "out.jsonl"
    fill(tmp_path, a="1", b="1", c="1")
    asked(path)
    (tmp_path / "b.png").unlink()
    assert asked(path) == []
    assert len(widths(path)) == 3
    with output(path, prune=True) as out:
        for photo in photos_in(tmp_path)[:1]:  # c is there, but not listed this time
            assert out.is_done(photo)
    assert out.pruned == 1
    assert [stem for stem, _ in widths(path)] == ["a", "c"]
    assert json.loads(run_file(path).read_text())["photos"] == 2


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_members_of_archives_change_and_go(kind, tmp_path):
    archive, path = tmp_path / f"photos.{kind}", tmp_path / "out.jsonl"

    def pack(**texts):
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder), **texts)
            if kind == "zip":
                with zipfile.ZipFile(archive, "w") as packed:
                    for name in texts:
                        packed.write(Path(folder, f"{name}.png"), f"{name}.png")
            else:
                with tarfile.open(archive, "w:gz" if kind.endswith("gz") else "w") as packed:
                    for name in texts:
                        packed.add(Path(folder, f"{name}.png"), f"{name}.png")

    def night(**options):
        with output(path, **options) as out:
            wanted = [photo for photo in find_photos([str(archive)]) if not out.is_done(photo)]
            for photo in wanted:
                out.write([record(photo.name)], [content_digest(read(photo))])
        return [Path(photo.name).stem for photo in wanted], out.pruned

    pack(a="1", b="1")
    assert night() == (["a", "b"], 0)
    assert night(prune=True) == ([], 0)
    pack(b="2", c="1")
    assert night(prune=True) == (["b", "c"], 0 if kind == "tar.gz" else 1)
    archive.unlink()
    with output(path, prune=True) as out:
        pass
    assert out.pruned == (3 if kind == "tar.gz" else 2)


@pytest.mark.parametrize("name", [b"\xff.png", b"\\udcff.png", b"\n.png", "é".encode() * 120])
def test_photos_of_odd_names_change_and_go(name, tmp_path):
    path, photo = tmp_path / "out.csv", os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118 (bytes)
    source = Source.file(os.fsdecode(photo))

    def night(**options):
        with output(path, **options) as out:
            done = out.is_done(source) if os.path.exists(photo) else None  # noqa: PTH110
            if done is False:
                out.write([record(source.name)], [content_digest(source.name)])
        return done, out.pruned

    def put(content):
        with open(photo, "wb") as file:  # noqa: PTH123
            file.write(content)

    put(b"1")
    assert [night(), night(prune=True)] == [(False, 0), (True, 0)]
    put(b"22")
    assert [night(), night()] == [(False, 0), (True, 0)]
    os.utime(photo, ns=(5, 5))
    assert night() == (True, 0)
    os.unlink(photo)  # noqa: PTH108
    assert night(prune=True) == (None, 1)


def test_digests_are_known_beside_the_results(tmp_path):
    path = tmp_path / "out.csv"
    fill(tmp_path, a="same", b="same", c="other")
    asked(path)
    digests = {Path(name).stem: digest for name, digest in content_digests(path).items()}
    assert digests["a"] == digests["b"] == hashlib.sha256(b"same").hexdigest() != digests["c"]
    assert content_digests(tmp_path / "absent.csv") == {}


@FORMATS
def test_without_its_journal_a_file_is_taken_up_all_the_same(suffix, tmp_path):
    path = tmp_path / f"out.{suffix}"
    fill(tmp_path, a="1", b="1")
    asked(path)
    before = path.read_bytes()
    journal_file(path).unlink()
    assert asked(path) == []
    assert path.read_bytes() == before
    fill(tmp_path, b="newer", c="1")
    assert asked(path) == ["b", "c"]
    assert [Path(name).stem for name in paths(path)] == ["a", "b", "c"]


def test_a_file_that_was_removed_is_made_anew(tmp_path):
    path = tmp_path / "out.csv"
    fill(tmp_path, a="1", b="1")
    asked(path)
    path.unlink()
    assert asked(path, settings={**SETTINGS, "model": {"name": "other"}}) == ["a", "b"]


def test_a_damaged_journal(tmp_path):
    path = tmp_path / "out.csv"
    fill(tmp_path, a="1")
    asked(path)
    journal_file(path).write_bytes(b"no database at all, whatever its name" * 100)
    with pytest.raises(InputError, match=r"out\.csv\.journal is damaged.*--no-resume"), output(path):
        pass
    assert asked(path, resume=False) == ["a"]


def test_two_runs_that_find_a_damaged_journal_do_not_both_begin(tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    journal_file(path).write_bytes(b"no database at all" * 100)
    is_damage, others = journal._is_damage, []

    def another_run_is_faster(error):
        damaged = is_damage(error)
        if not others:
            others.append(output(path, resume=False))
            others[0].__enter__()
        return damaged

    monkeypatch.setattr(journal, "_is_damage", another_run_is_faster)
    with pytest.raises(OutputError, match="another run"), output(path, resume=False):
        pass
    others[0].write([record("a")])
    others[0].__exit__(None, None, None)
    assert paths(path) == ["a"]


def test_a_full_disk_is_one_error(tmp_path):
    class Full(type(by_suffix(Path("a.csv")))):
        def writer(self, path, schema):
            raise OSError(28, "No space left on device")

    path = tmp_path / "out.csv"
    with (
        pytest.raises(OutputError, match=r"out\.csv.*No space left") as caught,
        Output(path, Full(), FACES, SETTINGS) as out,
    ):
        out.write([record("a")])
    assert "out.csv.journal" in caught.value.__notes__[0]
    with output(path) as out:
        assert out.is_done("a")
    assert paths(path) == ["a"]
