"""`predict --rows photo`: one row a photo, in every format; another view of the same run."""

import json

import numpy as np
import pytest

from facegender.errors import InputError
from facegender.formats.records import per_photo
from facegender.formats.registry import read_rows
from facegender.inference.journal import journal_file
from facegender.inference.provenance import run_file
from facegender.inference.run import analyze
from facegender.survey.results import read_results

COUNTS = ("faces", "women", "men", "uncertain")
SUFFIXES = ("csv", "jsonl", "parquet", "sqlite")


@pytest.fixture
def photos(save, tmp_path):
    """A photo of two men, one of nobody, one that is broken."""
    image = np.full((120, 260, 3), 90, np.uint8)
    save("photos/nobody.png", image)
    image[30:80, 30:80] = image[30:80, 170:220] = (255, 0, 0)
    save("photos/two.png", image)
    (tmp_path / "photos" / "z.jpg").write_text("Dear reader")
    return tmp_path / "photos"


def rows(path):
    return {row["path"].rsplit("/", 1)[-1]: row for row in read_rows(path)}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_counts_in_every_format(suffix, run, photos, tmp_path):
    out = tmp_path / f"out.{suffix}"
    assert run(photos, "--rows", "photo", "-o", out).exit_code == 3
    found = rows(out)
    assert len(found) == 3
    assert [found["two.png"][name] for name in COUNTS[:1]] == [2]
    assert found["nobody.png"]["faces"] == 0
    assert found["z.jpg"]["faces"] is None
    assert found["z.jpg"]["error_kind"] == "not_an_image"
    if suffix != "jsonl":
        assert [found["two.png"][name] for name in COUNTS] == [2, 0, 2, 0]
        assert [found["z.jpg"][name] for name in COUNTS] == [None] * 4
    totals = json.loads(run_file(out).read_text())
    assert (totals["rows"], totals["photos"], totals["faces"], totals["errors"]) == ("photos", 3, 2, 1)


def test_json_lines_and_the_table(run, photos):
    done = run(photos, "--rows", "photo", "--format", "jsonl")
    nobody, two, broken = map(json.loads, done.stdout.splitlines())
    assert [two[name] for name in COUNTS] == [2, 0, 2, 0]
    assert [nobody[name] for name in COUNTS] == [0] * 4
    assert broken["error"]["kind"] == "not_an_image"
    assert broken["women"] is None
    table = run(photos, "--rows", "photo").stdout.splitlines()
    assert [each.strip() for each in table[0].split("┃")] == ["photo", *COUNTS, ""]
    assert [each.strip() for each in table[3].split("│")][1:] == ["2", "0", "2", "0", ""]
    assert f"cannot be read (not_an_image): {broken['error']['message']}" in table[4]
    assert "3 photos, 2 faces: 0 female, 2 male, 0 uncertain; 1 photo could not be read" in table
    csv = run(photos, "--rows", "photo", "--format", "csv").stdout.splitlines()
    assert csv[0] == "path,width,height,weight,faces,women,men,uncertain,error_kind,error_message"
    assert csv[2] == f"{photos / 'two.png'},260,120,1.0,2,0,2,0,,"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_rows_on_resume_are_written_from_the_journal(suffix, run, photos, tmp_path):
    out, other = tmp_path / f"out.{suffix}", tmp_path / f"other.{suffix}"
    run(photos, "-o", other)
    first = run(photos, "-o", out, "--rows", "photo")
    again = run(photos, "-o", out)
    assert "holds all 3 photos already" in again.stderr
    assert f"rewrote {out}: one row a face, before one a photo" in again.stderr.splitlines()
    unchanged = run(photos, "-o", out)
    assert "rewrote" not in first.stderr + unchanged.stderr
    assert list(read_rows(out)) == list(read_rows(other))
    assert "rows" not in json.loads(run_file(out).read_text())
    (photos / "two.png").rename(photos / "new.png")
    pruned = run(photos, "-o", out, "--rows", "photo", "--prune")
    assert pruned.exit_code == 0
    assert f"rewrote {out}: one row a photo, before one a face" in pruned.stderr.splitlines()
    assert sorted(rows(out)) == ["new.png", "nobody.png", "z.jpg"]


def test_pictures_have_their_column(run, photos, tmp_path):
    out = tmp_path / "out.csv"
    run(photos, "-o", out, "--rows", "photo", "--annotate", tmp_path / "drawn", "--crops", tmp_path / "crops")
    assert rows(out)["two.png"]["annotated"] == "two.faces.jpg"
    assert "crop" not in rows(out)["two.png"]


def test_faces_cannot_be_read_from_rows_of_photos(run, photos, tmp_path):
    out = tmp_path / "out.csv"
    run(photos, "-o", out, "--rows", "photo")
    before = out.read_bytes()
    journal_file(out).unlink()
    for rows_ in ("photo", "face"):
        error = run(photos, "-o", out, "--rows", rows_).exception
        assert isinstance(error, InputError)
        assert "one row a photo" in str(error)
        assert "--no-resume" in str(error)
        assert out.read_bytes() == before
    assert run(photos, "-o", out, "--rows", "face", "--no-resume").exit_code == 3
    journal_file(out).unlink()
    assert run(photos, "-o", out, "--rows", "photo").exit_code == 3
    assert rows(out)["two.png"]["men"] == 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_survey_refuses_them_in_one_sentence(suffix, run, photos, tmp_path):
    out = tmp_path / f"out.{suffix}"
    run(photos, "-o", out, "--rows", "photo")
    with pytest.raises(InputError, match="has one row a photo, and this needs one a face"):
        read_results([out])
    run(photos, "-o", out)
    assert len(read_results([out]).faces) == 2


def test_it_is_for_photos_and_in_python_for_an_output(run, photos, tmp_path):
    (tmp_path / "a.mp4").touch()
    done = run(tmp_path / "a.mp4", "--rows", "photo")
    assert done.exit_code == 2
    assert "--rows" in done.stderr
    with pytest.raises(InputError, match="needs an output"):
        analyze(photos, rows="photo")


def test_labels_are_counted():
    labels = ["female", "female", "male", "uncertain"]
    record = {"path": "a", "width": 1, "height": 1, "weight": 2.0, "faces": [{"label": each} for each in labels]}
    found = per_photo(record | {"error": None, "notes": []})
    assert [found[name] for name in COUNTS] == [4, 2, 1, 1]
    assert found["weight"] == 2.0
    assert list(found)[-1] == "error"
