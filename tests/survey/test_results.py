"""What a survey reads: every format, metadata, and files that are not what they should be."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facegender.errors import InputError
from facegender.formats.records import FACES
from facegender.formats.registry import by_suffix
from facegender.inference.output import Output
from facegender.sources import Source, content_digest
from facegender.survey.labels import strata_of
from facegender.survey.results import join_metadata, read_results

from .conftest import photo


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet", ".sqlite"])
def test_every_format_says_the_same(write, tmp_path, couples, suffix):
    read = read_results([write(tmp_path / f"faces{suffix}", couples)])
    assert (read.kind, len(read.photos), len(read.faces)) == ("photos", 800, 1200)
    assert read.photos["error_kind"].notna().sum() == 40
    first = couples[0]["faces"][0]
    face = read.faces.iloc[0]
    assert (face["quality"], face["p_male"], face["label"]) == (first["quality"], first["p_male"], first["label"])
    assert list(read.faces["face"][:4]) == [0, 1, 0, 1]
    assert read.model == ("tiny", "ab" * 32)


def test_the_folder_of_a_cluster(write, tmp_path, couples):
    folder = tmp_path / "out.parquet"
    folder.mkdir()
    write(folder / "part-1.parquet", couples[:300])
    run = write(folder / "part-0.parquet", couples[300:])
    run.with_name("part-0.parquet.run.json").rename(folder / "run.json")
    read = read_results([folder])
    assert (len(read.photos), len(read.faces), read.model) == (800, 1200, ("tiny", "ab" * 32))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no results"):
        read_results([tmp_path / "empty"])


def test_several_files_are_one_collection(write, tmp_path, couples):
    files = [
        write(tmp_path / "a.jsonl", [photo("none.jpg"), photo("bad.jpg", error="truncated")]),
        write(tmp_path / "b.csv", [photo("one.jpg", [(1, 0.1)])]),
        write(tmp_path / "c.parquet", [photo("empty.jpg")]),
        write(tmp_path / "d.sqlite", couples),
    ]
    read = read_results(files)
    assert (len(read.photos), len(read.faces)) == (804, 1201)
    assert read.photos["path"][read.faces["photo"].iloc[0]] == "one.jpg"
    assert read.photos["error_kind"].notna().sum() == 41


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_tracks_of_videos(tmp_path, suffix):
    tracks = [
        {
            "track": 0,
            "begin": 0,
            "end": 9,
            "seconds": 9.0,
            "faces": 9,
            "quality": 0.9,
            "p_male": 0.1,
            "label": "female",
        },
        {"track": 1, "begin": 2, "end": 5, "seconds": 3.0, "faces": 3, "quality": 0.8, "p_male": 0.9, "label": "male"},
    ]
    about = {"path": "a.mp4", "width": 9, "height": 9, "duration": 9.0}
    path = tmp_path / f"tracks{suffix}"
    if suffix == ".jsonl":
        dark = {**about, "path": "b.mp4", "tracks": [], "error": {"kind": "no_video", "message": "none"}}
        path.write_text(json.dumps({**about, "tracks": tracks, "error": None}) + "\n" + json.dumps(dark) + "\n")
    else:
        rows = [{**about, **track} for track in tracks]
        pd.DataFrame([*rows, {"path": "b.mp4", "error_kind": "no_video"}]).to_csv(path, index=False)
    read = read_results([path])
    assert (read.kind, list(read.faces["seconds"])) == ("videos", [9.0, 3.0])
    assert list(read.photos["error_kind"].notna()) == [False, True]


def test_a_sample_without_weights_takes_them_from_its_run(write, tmp_path, couples):
    path = write(tmp_path / "a.csv", couples, sample={"drawn": 800, "population": 80_000, "seed": 1})
    pd.read_csv(path).drop(columns="weight").to_csv(path, index=False)
    assert set(read_results([path]).photos["weight"]) == {100.0}


def test_a_photo_counts_once(write, tmp_path):
    one = write(tmp_path / "one.jsonl", [photo("a.jpg", [(1, 0.1)])])
    two = write(tmp_path / "two.csv", [photo("b.jpg"), photo("a.jpg")])
    with pytest.raises(InputError, match=r"a\.jpg has results twice, in .*one.jsonl and .*two.csv"):
        read_results([one, two])
    again = write(tmp_path / "again.jsonl", [photo("a.jpg", [(1, 0.1)])] * 2)
    with pytest.raises(InputError, match="twice"):
        read_results([again])


def analysed(folder, out, names, prune=False):
    """Results of photos as a run leaves them, a face in each whose quality is the first byte of its content."""
    with Output(out, by_suffix(out), FACES, {"model": None}, prune=prune) as output:
        for name in names:
            source = Source.file(str(folder / name))
            if not output.is_done(source):
                content = (folder / name).read_bytes()
                output.write([photo(source.name, [(content[0] / 255, 0.1)])], [content_digest(content)])
    return out


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet", ".sqlite"])
def test_copies_count_once(suffix, tmp_path):
    (tmp_path / "again").mkdir()
    for name, content in {"a.jpg": b"1", "b.jpg": b"2", "again/c.jpg": b"1", "d.jpg": b"3"}.items():
        (tmp_path / name).write_bytes(content)
    out = analysed(tmp_path, tmp_path / f"out{suffix}", ["a.jpg", "b.jpg", "again/c.jpg", "again/../a.jpg"])
    read = read_results([out])
    assert ([Path(path).name for path in read.photos["path"]], read.copies) == (["a.jpg", "b.jpg"], 2)
    assert list(read.faces["photo"]) == [0, 1]
    more = analysed(tmp_path, tmp_path / f"more{suffix}", ["again/../again/c.jpg", "d.jpg"])
    read = read_results([out, more])
    assert ([Path(path).name for path in read.photos["path"]], read.copies) == (["a.jpg", "b.jpg", "d.jpg"], 3)
    # Replaced since: the same names, other contents.
    (tmp_path / "again/c.jpg").write_bytes(b"9")
    names = ["a.jpg", "b.jpg", "again/c.jpg", "again/../a.jpg"]
    read = read_results([analysed(tmp_path, out, names)])
    assert (len(read.photos), read.copies) == (3, 1)


def test_copies_count_all_where_that_is_asked_for(tmp_path):
    """Two photos, and one of them again in another folder; of the three faces two are different."""
    (tmp_path / "again").mkdir()
    for name, content in {"a.jpg": b"1", "b.jpg": b"2", "again/c.jpg": b"1"}.items():
        (tmp_path / name).write_bytes(content)
    out = analysed(tmp_path, tmp_path / "out.csv", ["a.jpg", "b.jpg", "again/c.jpg"])
    once, read = read_results([out]), read_results([out], copies="all")
    assert [Path(path).name for path in read.photos["path"]] == ["a.jpg", "b.jpg", "c.jpg"]
    assert (read.copies, {Path(path).name for path in read.again}, once.again) == (1, {"c.jpg"}, frozenset())
    assert strata_of(read)[1] == strata_of(once)[1]  # labels of the one are labels of the other
    with pytest.raises(InputError, match="no way 'twice' to count copies"):
        read_results([out], copies="twice")


def test_copies_in_a_sample_all_count(tmp_path):
    for name in "abc":
        (tmp_path / name).write_bytes(b"1")
    out = tmp_path / "out.csv"
    sample = {"sample": {"drawn": 3, "population": 30, "seed": 0}}
    with Output(out, by_suffix(out), FACES, sample) as output:
        for name in "abc":
            output.write([photo(name, weight=10.0)], [content_digest(b"1")])
    read = read_results([out])
    assert (len(read.photos), read.copies) == (3, 0)


def test_three_nights(tmp_path):
    """2,000 photos; each night some are changed, deleted and moved."""
    rng = np.random.default_rng(0)
    folder, out = tmp_path / "photos", tmp_path / "out.jsonl"
    folder.mkdir()
    for number in range(2000):
        (folder / f"{number:04d}.jpg").write_bytes(rng.bytes(20))
    for night in range(3):
        names = sorted(path.name for path in folder.iterdir())
        shuffled = rng.permutation(names)
        for name in shuffled[:50]:
            (folder / name).write_bytes(b"changed " + rng.bytes(12))
        for name in shuffled[50:80]:
            (folder / name).unlink()
        for number, name in enumerate(shuffled[80:100]):
            (folder / name).rename(folder / f"moved-{night}-{number}.jpg")
        there = {path.name: path.read_bytes()[0] / 255 for path in folder.iterdir()}
        for prune in (False, True):
            read = read_results([analysed(folder, out, sorted(there), prune)])
            stems = read.photos["path"].map(lambda path: Path(path).name)
            found = dict(zip(stems[read.faces["photo"]], read.faces["quality"], strict=True))
            gone = 0 if prune or not night else 30
            assert len(read.photos) == len(there) + gone
            assert read.copies == (0 if prune or not night else 20)
            if prune:
                assert found == pytest.approx(there)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("faces.jsonl", '{"path": "a.jpg", "faces": [], "error": null}\n{"path": "b.jpg", "fa', "line 2 of"),
        ("faces.jsonl", "", "holds no results"),
        ("faces.csv", "path,face,quality,p_male,label\n", "holds no results"),
        ("faces.csv", "path,face,quality,p_male,label\na.jpg,0,1,1.5,male\n", "p_male"),
        ("faces.csv", "path,face,quality,p_male,label\na.jpg,0,1,0.5,boy\n", "unknown label"),
        ("faces.csv", "a,b\n1,2\n", "no column named path"),
        ("faces.parquet", "PAR1", "no Parquet file"),
        ("faces.sqlite", "no database at all, whatever its name", "no SQLite file"),
        ("faces.txt", "", "its name must end in"),
    ],
)
def test_files_that_are_something_else(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_results([tmp_path / name])


def test_absent_files_and_two_models(write, tmp_path):
    with pytest.raises(InputError, match=r"absent\.jsonl"):
        read_results([tmp_path / "absent.jsonl"])
    one = write(tmp_path / "one.jsonl", [photo("a.jpg")])
    two = write(tmp_path / "two.jsonl", [photo("b.jpg")], model={"name": "other", "sha256": "cd" * 32})
    with pytest.raises(InputError, match="different models"):
        read_results([one, two]).model  # noqa: B018


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_metadata_is_joined_on_path(write, tmp_path, suffix):
    results = read_results([write(tmp_path / "a.jsonl", [photo("a.jpg"), photo("b.jpg"), photo("NA")])])
    rows = pd.DataFrame({"path": ["b.jpg", "a.jpg", "c.jpg"], "section": ["NA", "news", "x"], "weight": ["7"] * 3})
    path = tmp_path / f"more{suffix}"
    rows.to_csv(path, index=False) if suffix == ".csv" else rows.to_parquet(path)
    joined = join_metadata(results, path).photos
    assert list(joined["path"]) == ["a.jpg", "b.jpg", "NA"]
    assert set(joined["weight"]) == {1.0}
    assert list(joined["section"].fillna("none")) == ["news", "NA", "none"]


def test_metadata_goes_by_file_name_where_only_one_can_be_meant(write, tmp_path):
    paths = ["a/one.jpg", "a/two.jpg", "b/two.jpg", "a/three.jpg", r"C:\\scans\\four.jpg", "five.jpg"]
    results = read_results([write(tmp_path / "a.jsonl", [photo(path) for path in paths])])
    more = tmp_path / "more.csv"
    more.write_text(
        "path,year\none.jpg,1\ntwo.jpg,2\nx/three.jpg,3\ny/three.jpg,4\nfour.jpg,5\nb/two.jpg,6\nz/five.jpg,7\n"
    )
    joined = join_metadata(results, more).photos
    assert list(joined["path"]) == paths
    # a/two.jpg takes the row that b/two.jpg, which has its own, leaves over; three.jpg could be either of two rows.
    assert list(joined["year"].fillna("none")) == ["1", "2", "6", "none", "5", "7"]


def test_metadata_of_another_folder_is_of_another_photo(write, tmp_path):
    paths = ["2019/one.jpg", "/scans/2019/two.jpg", r"D:\scans\2019\three.jpg", "old/2019/four.jpg", "x/five.jpg"]
    results = read_results([write(tmp_path / "a.jsonl", [photo(path) for path in paths])])
    more = tmp_path / "more.csv"
    more.write_text("path,year\n2020/one.jpg,1\n2019/two.jpg,2\n./2019/three.jpg,3\nnew/2019/four.jpg,4\nfive.jpg,5\n")
    joined = join_metadata(results, more)
    assert list(joined.photos["year"].fillna("none")) == ["none", "2", "3", "4", "5"]
    assert joined.across_folders == 2  # four.jpg and five.jpg
    more.write_text("path,year\n2020/one.jpg,1\n")
    with pytest.raises(InputError, match="none of the photos"):
        join_metadata(results, more)


def test_two_photos_of_one_name_take_no_row(write, tmp_path):
    results = read_results([write(tmp_path / "a.jsonl", [photo("a/x.jpg"), photo("b/x.jpg"), photo("y.jpg")])])
    more = tmp_path / "more.csv"
    more.write_text("path,year\nx.jpg,1\nc/y.jpg,2\n")
    assert list(join_metadata(results, more).photos["year"].fillna("none")) == ["none", "none", "2"]


def test_metadata_that_does_not_fit(write, tmp_path):
    results = read_results([write(tmp_path / "a.jsonl", [photo("photos/a.jpg")])])
    more = tmp_path / "more.csv"
    for text, message in (
        ("file,year\na.jpg,1\n", "no column named path"),
        ("path,year\nb.jpg,1\n", "it begins with b.jpg, they with photos/a.jpg"),
        ("path,year\nx/a.jpg,1\ny/a.jpg,2\n", "it begins with x/a.jpg, they with photos/a.jpg"),
        ("path,year\nphotos/a.jpg,1\nphotos/a.jpg,2\n", "two rows for photos/a.jpg"),
    ):
        more.write_text(text)
        with pytest.raises(InputError, match=message):
            join_metadata(results, more)


def test_empty_rows_of_a_spreadsheet_are_no_photos(write, tmp_path):
    results = read_results([write(tmp_path / "a.jsonl", [photo("a.jpg"), photo("None")])])
    more = tmp_path / "more.csv"
    more.write_text("path,year\na.jpg,1\n,\n,2\n")
    assert list(join_metadata(results, more).photos["year"].fillna("none")) == ["1", "none"]


def test_accents_of_one_and_of_two_characters_are_the_same(write, tmp_path):
    """As the file system of a Mac and a spreadsheet write them."""
    paths = ["e\u0301te\u0301/Zoe\u0308.jpg", "hiver/Zoe\u0308.jpg", "No\u00ebl.jpg", "a/Zu\u0308rich.jpg"]
    results = read_results([write(tmp_path / "a.jsonl", [photo(path) for path in paths])])
    more = tmp_path / "more.csv"
    more.write_text(
        "path,year\n\u00e9t\u00e9/Zo\u00eb.jpg,1\nhiver/Zo\u00eb.jpg,2\nNoe\u0308l.jpg,3\nZ\u00fcrich.jpg,4\n",
        encoding="utf-8",
    )
    joined = join_metadata(results, more)
    assert list(joined.photos["year"]) == ["1", "2", "3", "4"]
    assert list(joined.photos["path"]) == paths
    assert joined.across_folders == 1  # the last one's row has no folder
