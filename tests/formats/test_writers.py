import csv
import io
import json
import sqlite3
import sys
from pathlib import Path

import pytest
from rich.console import Console

from facegender.errors import MissingExtraError
from facegender.faces.types import Face, FaceResult, PhotoError, PhotoResult, Prediction
from facegender.formats.parquet import ParquetWriter
from facegender.formats.records import FACES, ROW_GROUP
from facegender.formats.registry import by_name
from facegender.formats.sqlite import SqliteWriter
from facegender.formats.table import TableWriter

FRONTAL = ((30.04, 50.0), (70.0, 50.0), (50.02, 75.0), (35.0, 95.0), (65.0, 95.0))
TURNED = ((0.0, 10.0), (20.0, 10.0), (24.0, 20.0), (5.0, 30.0), (18.0, 30.0))

TWO_FACES = PhotoResult(
    'odd, "name"\n.jpg',
    640,
    480,
    (
        FaceResult(Face((10.04, 20, 100, 110), FRONTAL, 0.876543), Prediction(0.98765, "male")),
        FaceResult(Face((-5, 0, 40, 44), TURNED, 0.5), Prediction(0.45, "uncertain")),
    ),
)
NO_FACE = PhotoResult("[red]é.png", 3, 2)
BROKEN = PhotoResult("c.jpg", error=PhotoError("truncated", "c.jpg is cut short"), weight=50.0)
BYTES_NAME = PhotoResult("\udcff.jpg", 1, 1)
ALL = (TWO_FACES, NO_FACE, BROKEN, BYTES_NAME)


def test_json_lines():
    stream = io.StringIO()
    with by_name("jsonl").stream_writer(stream, FACES) as writer:
        for result in ALL:
            writer.write(result.to_dict())
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [r.to_dict() for r in ALL]


def test_a_face_in_json():
    face = TWO_FACES.to_dict()["faces"][0]
    assert face == {
        "box": [10.0, 20, 100, 110],
        "score": 0.8765,
        "quality": 1.0,
        "landmarks": [[30.0, 50.0], [70.0, 50.0], [50.0, 75.0], [35.0, 95.0], [65.0, 95.0]],
        "p_male": 0.9877,
        "label": "male",
    }


EXPECTED_ROWS = [
    ['odd, "name"\n.jpg', 640, 480, 1.0, 0, 10.0, 20, 100, 110, 0.8765, 1.0, 0.9877, "male", None, None],
    ['odd, "name"\n.jpg', 640, 480, 1.0, 1, -5, 0, 40, 44, 0.5, 0.424, 0.45, "uncertain", None, None],
    ["[red]é.png", 3, 2, 1.0, *[None] * 11],
    ["c.jpg", None, None, 50.0, *[None] * 9, "truncated", "c.jpg is cut short"],
    ["\\udcff.jpg", 1, 1, 1.0, *[None] * 11],
]


def test_csv():
    stream = io.StringIO()
    with by_name("csv").stream_writer(stream, FACES) as writer:
        for result in ALL:
            writer.write(result.to_dict())
    header, *rows = csv.reader(io.StringIO(stream.getvalue()))
    assert header == list(FACES.columns)
    assert rows == [["" if value is None else str(value) for value in row] for row in EXPECTED_ROWS]


def test_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "out.parquet"
    with ParquetWriter(path, FACES) as writer:
        for result in ALL:
            writer.write(result.to_dict())
    table = parquet.ParquetFile(path).read()
    assert table.column_names == list(FACES.columns)
    assert [list(row.values()) for row in table.to_pylist()] == EXPECTED_ROWS


def test_parquet_is_streamed_in_row_groups(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "out.parquet"
    with ParquetWriter(path, FACES) as writer:
        for _ in range(ROW_GROUP + 1):
            writer.write(NO_FACE.to_dict())
        writer.write(BROKEN.to_dict())
    metadata = parquet.ParquetFile(path).metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [ROW_GROUP, 2]
    assert parquet.ParquetFile(path).read()["path"].to_pylist()[-2:] == [NO_FACE.path, BROKEN.path]


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'facegender\[parquet\]'"):
        ParquetWriter(tmp_path / "out.parquet", FACES)


def test_sqlite(tmp_path):
    path = tmp_path / "out.sqlite"
    for results in (ALL[:2], ALL[2:]):
        with SqliteWriter(path, FACES) as writer:
            for result in results:
                writer.write(result.to_dict())
    database = sqlite3.connect(path)
    assert [list(row) for row in database.execute("SELECT * FROM faces")] == EXPECTED_ROWS
    plan = database.execute("EXPLAIN QUERY PLAN SELECT * FROM faces WHERE path = 'c.jpg'").fetchall()
    assert "INDEX" in str(plan)
    database.close()


def test_full_disk():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    stream = Path("/dev/full").open("w")  # noqa: SIM115 (closing it fails, as the disk is full)
    with pytest.raises(OSError, match="No space"), by_name("jsonl").stream_writer(stream, FACES) as writer:
        writer.write(NO_FACE.to_dict())
    with pytest.raises(OSError, match="No space"):
        stream.close()


def table(*records):
    text = io.StringIO()
    with TableWriter(Console(file=text, width=200)) as writer:
        for record in records:
            writer.write(record)
    return text.getvalue()


def test_table():
    text = table(*(result.to_dict() for result in ALL))
    for part in ("10,20 100x110", "0.988", "male", "[red]é.png", "no face found", "cannot be read (truncated): "):
        assert part in text
    assert "4 photos, 2 faces: 0 female, 1 male, 1 uncertain; 1 photo could not be read" in text
    assert text.count("perceived") == 1
    assert "perceived" not in table(NO_FACE.to_dict())
    assert table() == ""


def test_table_says_what_is_to_be_known_of_photos():
    pages = {**NO_FACE.to_dict(), "notes": [{"kind": "pages", "message": "2 more pages of the file not analysed"}]}
    assert "\n1 photo has further pages that were not analysed\n" in table(pages, NO_FACE.to_dict())
    assert "\n2 photos have further pages that were not analysed\n" in table(pages, pages)


def test_table_of_tracks():
    track = {"begin": 3.25, "end": 3725.5, "seconds": 7, "quality": 0.25, "p_male": 0.02, "label": "female"}
    film = {"path": "a.mp4", "error": None, "tracks": [track]}
    text = table(film, {"path": "b.mp4", "error": {"kind": "not_a_video", "message": "b"}, "tracks": []})
    for part in ("0:00:03.2 - 1:02:05.5", "7.0", "0.25 low", "0.020", "cannot be read (not_a_video): b"):
        assert part in text
    assert "2 videos, 1 track: 1 female, 0 male, 0 uncertain; 1 video could not be read" in text
