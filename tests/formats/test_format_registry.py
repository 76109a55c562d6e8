"""One table of formats: what predict writes, a later run takes up and a survey reads, whatever the file is called."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from facegender.errors import InputError
from facegender.formats import registry
from facegender.formats.records import FACES, Schema, printable, unprinted
from facegender.formats.registry import Format, by_name, by_suffix, formats, of_file, register
from facegender.survey.results import read_results


@pytest.fixture
def photos(save):
    image = np.full((110, 120, 3), 90, np.uint8)
    image[30:80, 40:90] = (255, 0, 0)
    return [save("photos/a.png", image), save("photos/b.png", np.full((9, 9, 3), 5, np.uint8))]


@pytest.fixture
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_formats", {known.name: known for known in formats()})


class YamlWriter(AbstractContextManager["YamlWriter"]):
    """Documents of one line of JSON each, which are YAML."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self._file, self._schema = path.open("w", encoding="ascii"), schema

    def write(self, record) -> None:
        for row in self._schema.rows(record):
            self._file.write(f"--- {json.dumps(row)}\n")

    def __exit__(self, *_: object) -> None:
        self._file.close()


class Yaml(Format):
    """A format that another package brings."""

    name, title, suffixes = "yaml", "YAML", (".yaml", ".yml")

    def recognizes(self, head: bytes) -> bool:
        return head.startswith(b"---")

    def writer(self, path, schema):
        return YamlWriter(path, schema)

    def rows(self, path) -> Iterator[dict]:
        yield from (json.loads(line.removeprefix("--- ")) for line in path.open(encoding="ascii"))


@pytest.mark.usefixtures("own_registry")
@pytest.mark.filterwarnings("ignore:unclosed file")
def test_a_format_from_outside_is_written_taken_up_and_surveyed(run, photos, tmp_path):
    register(Yaml)
    out = tmp_path / "out.yml"
    assert run(photos[0], "-o", out).exit_code == 0
    assert run(*photos, "-o", out).exit_code == 0
    assert out.read_text().count("--- ") == 2
    assert "holds all 2 photos already" in run(*photos, "-o", out).stderr
    read = read_results([out])
    assert (list(read.photos["path"]), len(read.faces)) == ([str(photo) for photo in photos], 1)
    assert "yaml needs --output" in run(photos[0], "--format", "yaml").stderr
    other = tmp_path / "other.txt"
    assert run(*photos, "--format", "yaml", "-o", other).exit_code == 0
    assert other.read_bytes() == out.read_bytes()


@pytest.mark.usefixtures("own_registry")
def test_two_formats_cannot_share_a_suffix():
    class Database(Yaml):
        name, suffixes = "database", (".db",)

    with pytest.raises(ValueError, match="sqlite"):
        register(Database)


def test_the_formats_there_are():
    assert [f.name for f in formats()] == ["csv", "jsonl", "parquet", "sqlite"]
    for name, format_ in {"a.SQLite3": "sqlite", "a.db": "sqlite", "b.jsonl": "jsonl", "c.x.csv": "csv"}.items():
        assert by_suffix(Path(name)) is by_name(format_)
    for ask in (lambda: by_suffix(Path("a.txt")), lambda: by_name("xml")):
        with pytest.raises(InputError, match="csv, jsonl, parquet, sqlite"):
            ask()


@pytest.mark.parametrize("name", ["x.sqlite3", "x.txt", "x", "x.csv", "x.jsonl", "x.parquet"])
@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet", "sqlite"])
def test_what_was_written_is_surveyed_whatever_its_name(format_, name, run, photos, tmp_path):
    written, out = tmp_path / "new", tmp_path / name
    assert run(*photos, "--format", format_, "-o", written).exit_code == 0
    for end in ("", ".run.json", ".journal"):
        Path(f"{written}{end}").rename(f"{out}{end}")
    assert of_file(out).name == format_
    read = read_results([out])
    assert (list(read.photos["path"]), len(read.faces)) == ([str(photo) for photo in photos], 1)


def test_a_format_that_the_name_contradicts_is_refused(run, photos, tmp_path):
    result = run(photos[0], "--format", "parquet", "-o", tmp_path / "x.csv")
    assert result.exit_code == 2
    assert "x.csv is a name for csv, and --format is parquet" in " ".join(result.stderr.replace("│", " ").split())
    for name in ("x", "x.txt", "x.parquet"):
        for held in ("1 photo in", "holds the 1 photo already"):
            assert held in run(photos[0], "--format", "parquet", "-o", tmp_path / name).stderr


def test_a_format_that_is_not_there(run, photos):
    result = run(photos[0], "--format", "xml")
    assert result.exit_code == 2
    assert "'xml' is not one of table, csv, jsonl, parquet, sqlite" in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    "name",
    ["a\rb", "a\r\nb", 'a"b\r', "\r", "a\nb", ",", "\udcff", "\\udcff", "\\x5cudcff", "a\\b", "\\"],
)
@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet", "sqlite"])
def test_odd_names_come_back(format_, name, tmp_path):
    face = {"box": [1.5, 2, 3, 4], "score": 0.5, "quality": 1.0, "p_male": 0.25, "label": "female"}
    record = {"path": name, "width": 9, "height": 8, "weight": 1.0, "faces": [face, face], "error": None}
    broken = {**record, "path": f"{name} ", "faces": [], "error": {"kind": "truncated", "message": f"{name} is cut"}}
    path = tmp_path / "out"
    with by_name(format_).writer(path, FACES) as writer:
        writer.write(record)
        writer.write(broken)
    assert list(by_name(format_).records(path, FACES)) == [record, broken]


def test_printable_texts_differ_as_their_texts_do():
    texts = ["\udcff", "\\udcff", "\\x5cudcff", "\\x5cx5cudcff", "\\x5c", "\\ud", "\\\udcff", "\\\\udcff"]
    written = [printable(text) for text in texts]
    assert len(set(written)) == len(texts)
    assert [unprinted(text) for text in written] == texts
    assert (printable("C:\\users\\x.jpg"), printable("\udce9.jpg")) == ("C:\\users\\x.jpg", "\\udce9.jpg")


def test_columns_of_the_users_own_are_not_thrown_away(run, photos, tmp_path):
    out = tmp_path / "out.csv"
    run(photos[0], "-o", out)
    lines = out.read_text().splitlines()
    out.write_text(f"{lines[0]},year\n{lines[1]},1990\n")
    before = out.read_bytes()
    error = run(*photos, "-o", out).exception
    assert isinstance(error, InputError)
    assert "column year of its own" in str(error)
    assert out.read_bytes() == before
    assert list(read_results([out]).photos["year"]) == ["1990"]
