"""Outputs of made-up runs, and what they hold."""

import csv
import json
import sqlite3
from pathlib import Path

import pytest

from facegender.formats.records import FACES
from facegender.formats.registry import by_suffix
from facegender.inference.output import Output
from facegender.sources import Source, content_digest

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


def interrupt(out, failure=KeyboardInterrupt):
    def run():
        with out:
            out.write([record("a"), record("b")])
            raise failure

    with pytest.raises(failure) as caught:
        run()
    return caught.value


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
                out._journal.commit()


def asked(path, **options):
    """The photos that a run would analyse, by their stems; it has their records written."""
    with output(path, **options) as out:
        wanted = [photo for photo in photos_in(path.parent) if not out.is_done(photo)]
        for photo in wanted:
            made = {**record(photo.name), "width": len(Path(photo.name).read_text())}
            out.write([made], [content_digest(photo.name)])
    return [Path(photo.name).stem for photo in wanted]


def widths(path):
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [(Path(each["path"]).stem, each["width"]) for each in found]


def fill(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.png").write_text(text)
