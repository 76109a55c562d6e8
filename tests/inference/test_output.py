import json
from pathlib import Path

import pytest
from outputs import FORMATS, SETTINGS, asked, fill, interrupt, output, paths, record

from facegender.errors import InputError, OutputError
from facegender.formats.records import FACES
from facegender.formats.registry import by_suffix
from facegender.inference.journal import journal_file
from facegender.inference.output import Output
from facegender.inference.provenance import run_file


@FORMATS
def test_a_file_appears_when_the_run_ends(suffix, tmp_path):
    path = tmp_path / f"out.{suffix}"
    with output(path, command="facegender predict") as out:
        out.write([record("a"), record("b")])
        assert not path.exists()
    assert paths(path) == ["a", "b"]
    provenance = json.loads(run_file(path).read_text())
    assert provenance == {"command": "facegender predict", **SETTINGS, "photos": 2, "faces": 2, "errors": 0}
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
    with pytest.raises(InputError, match=r"--model tiny; .* --model other .*--no-resume"), output(path, other):
        pass
    with output(path):
        pass
    with pytest.raises(InputError, match=r"--model tiny; .* --model other"), output(path, other):
        pass
    assert paths(path) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "before", "now", "words"),
    [
        (
            "model",
            {"name": "tiny", "sha256": "0a" * 32},
            {"name": "tiny", "sha256": "1b" * 32},
            "other weights of --model tiny (sha256 0a0a0a0a0a0a...); this command has sha256 1b1b1b1b1b1b...",
        ),
        ("version", "0.1", "0.2", "facegender 0.1; this command has facegender 0.2"),
        (
            "options",
            {"min_face": 20, "fps": 2.0, "max_pixels": 9},
            {"min_face": None, "fps": 1.0, "max_pixels": 9},
            "--min-face 20 --fps 2.0; this command has --min-face default --fps 1.0",
        ),
        (
            "sample",
            None,
            {"drawn": 5, "population": 1000, "seed": 1},
            "no --sample; this command has --sample 5 --seed 1 of 1,000 photos",
        ),
    ],
)
def test_what_differs_is_said_and_nothing_else(name, before, now, words, tmp_path):
    path = tmp_path / "out.csv"
    with output(path, {**SETTINGS, name: before}) as out:
        out.write([record("a")])
    with pytest.raises(InputError) as caught, output(path, {**SETTINGS, name: now}):
        pass
    remedy = "choose another --output, or replace it with --no-resume"
    assert str(caught.value) == f"{path} was made with {words} ({remedy})"


def test_a_file_of_unknown_origin_is_not_touched(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("somebody's own")
    with (
        pytest.raises(InputError, match=r"exists, .*out.csv.run.json is missing .*--no-resume"),
        output(path),
    ):
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


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(OutputError, match=r"file is a file.*another folder"), output(folder / "out.csv"):
            pass


def test_an_absent_folder_is_made(tmp_path):
    path = tmp_path / "absent" / "deeper" / "out.csv"
    with output(path) as out:
        out.write([record("a")])
    assert paths(path) == ["a"]


def test_no_folder_takes_the_place_of_a_file(tmp_path):
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        output(tmp_path / "out.csv")


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
