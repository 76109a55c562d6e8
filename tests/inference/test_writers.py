import csv
import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from facegender.errors import MissingExtraError, OutputError
from facegender.faces.types import Face, FaceResult, PhotoError, PhotoResult, Prediction
from facegender.inference.writers import (
    COLUMNS,
    PARQUET_ROW_GROUP,
    CsvSink,
    JsonLinesSink,
    ParquetSink,
    TableSink,
)

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
BROKEN = PhotoResult("c.jpg", error=PhotoError("truncated", "c.jpg is cut short"))
BYTES_NAME = PhotoResult("\udcff.jpg", 1, 1)
ALL = (TWO_FACES, NO_FACE, BROKEN, BYTES_NAME)

FILE_SINKS = {"jsonl": JsonLinesSink, "csv": CsvSink, "parquet": ParquetSink}


def make(kind: str, path: Path):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    return FILE_SINKS[kind](path)


def read(kind, path):
    """The paths in a file, one a record."""
    if kind == "jsonl":
        return [json.loads(line)["path"] for line in path.read_text("utf-8").splitlines()]
    if kind == "csv":
        with path.open(encoding="utf-8", newline="") as file:
            return [row["path"] for row in csv.DictReader(file)]
    parquet = pytest.importorskip("pyarrow.parquet")
    return parquet.ParquetFile(path).read()["path"].to_pylist()


def test_json_lines(tmp_path):
    path = tmp_path / "out.jsonl"
    with JsonLinesSink(path) as sink:
        for result in ALL:
            sink.write(result)
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == [r.to_dict() for r in ALL]


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
    ['odd, "name"\n.jpg', 640, 480, 0, 10.0, 20, 100, 110, 0.8765, 1.0, 0.9877, "male", None, None],
    ['odd, "name"\n.jpg', 640, 480, 1, -5, 0, 40, 44, 0.5, 0.424, 0.45, "uncertain", None, None],
    ["[red]é.png", 3, 2, *[None] * 11],
    ["c.jpg", *[None] * 11, "truncated", "c.jpg is cut short"],
    ["\\udcff.jpg", 1, 1, *[None] * 11],
]


def test_csv(tmp_path):
    path = tmp_path / "out.csv"
    with CsvSink(path) as sink:
        for result in ALL:
            sink.write(result)
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == list(COLUMNS)
    assert rows == [["" if value is None else str(value) for value in row] for row in EXPECTED_ROWS]


def test_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "out.parquet"
    with ParquetSink(path) as sink:
        for result in ALL:
            sink.write(result)
    table = parquet.ParquetFile(path).read()
    assert table.column_names == list(COLUMNS)
    assert [list(row.values()) for row in table.to_pylist()] == EXPECTED_ROWS


def test_parquet_is_streamed_in_row_groups(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "out.parquet"
    with ParquetSink(path) as sink:
        for _ in range(PARQUET_ROW_GROUP + 1):
            sink.write(NO_FACE)
    metadata = parquet.ParquetFile(path).metadata
    assert metadata.num_row_groups == 2
    assert metadata.num_rows == PARQUET_ROW_GROUP + 1


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'facegender\[parquet\]'"):
        ParquetSink(tmp_path / "out.parquet")


@pytest.mark.parametrize("sink_type", [JsonLinesSink, CsvSink])
def test_text_stream_stays_open(sink_type):
    stream = io.StringIO()
    with sink_type(stream) as sink:
        sink.write(NO_FACE)
    assert stream.getvalue().endswith("\n")


@pytest.mark.parametrize("kind", FILE_SINKS)
def test_file_appears_when_the_run_ends(kind, tmp_path):
    path = tmp_path / f"out.{kind}"
    path.write_text("before")
    with make(kind, path) as sink:
        sink.write(NO_FACE)
        assert path.read_text() == "before"
    assert read(kind, path) == [NO_FACE.path]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", FILE_SINKS)
@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_finished_results_stay_after_an_exception(kind, failure, tmp_path):
    path = tmp_path / f"out.{kind}"

    def run():
        with make(kind, path) as sink:
            sink.write(NO_FACE)
            sink.write(BROKEN)
            raise failure

    with pytest.raises(failure) as caught:
        run()
    assert not path.exists()
    partial = tmp_path / f"out.{kind}.partial"
    assert read(kind, partial) == [NO_FACE.path, BROKEN.path]
    assert str(partial) in caught.value.__notes__[0]


@pytest.mark.parametrize("kind", FILE_SINKS)
def test_nothing_stays_without_results(kind, tmp_path):
    def run():
        with make(kind, tmp_path / f"out.{kind}"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", FILE_SINKS)
def test_a_folder_that_cannot_be_written(kind, tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(OutputError, match=folder.name), make(kind, folder / f"out.{kind}"):
            pass
    with pytest.raises(OutputError, match="it is a folder"):
        make(kind, tmp_path)


def test_full_disk():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    stream = Path("/dev/full").open("w")  # noqa: SIM115 (closing it fails, as the disk is full)

    def run():
        with JsonLinesSink(stream) as sink:
            sink.write(NO_FACE)

    with pytest.raises(OSError, match="No space"):
        run()
    with pytest.raises(OSError, match="No space"):
        stream.close()


def table(*results):
    text = io.StringIO()
    with TableSink(Console(file=text, width=200)) as sink:
        for result in results:
            sink.write(result)
    return text.getvalue()


def test_table():
    text = table(TWO_FACES, NO_FACE, BROKEN, BYTES_NAME)
    for part in ("10,20 100x110", "0.988", "male", "[red]é.png", "no face found", "cannot be read: truncated"):
        assert part in text
    assert "4 photos, 2 faces: 0 female, 1 male, 1 uncertain; 1 photo could not be read" in text
    assert text.count("perceived") == 1
    assert "perceived" not in table(NO_FACE)
    assert table() == ""
