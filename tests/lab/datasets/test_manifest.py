"""Photos described by a CSV file."""

import subprocess

import pytest

from facegender.errors import DatasetError
from facegender.lab.datasets.listing import prepare
from facegender.lab.datasets.manifest import list_manifest
from facegender.lab.datasets.store import open_store

pytestmark = pytest.mark.usefixtures("red_squares_are_faces")

MANIFEST = """\ufeffpath, label,identity,split,party
2019/a.jpg,Female,Ann,train,Greens
./2019/b.jpg,m,Bob,Test,"Labour, Left"
2020/c.jpg,F,Ann,,
2020/d.jpg,male,,,Greens
2020/e.jpg,,Eve,,
2020/gone.jpg,male,Gus,val,
"""


@pytest.fixture
def manifest(tmp_path, draw):
    for number, path in enumerate(("2019/a.jpg", "2019/b.jpg", "2020/c.jpg", "2020/d.jpg", "2020/e.jpg")):
        photo = tmp_path / "photos" / path
        photo.parent.mkdir(parents=True, exist_ok=True)
        draw(number, (0.3, 0.4), (160, 120), 0.2).save(photo)
    (tmp_path / "photos" / "people.csv").write_text(MANIFEST, encoding="utf-8")
    return tmp_path / "photos" / "people.csv"


def rows(listing):
    return [(e.name, e.label, e.identity, e.attributes["party"]) for e in listing.entries]


def test_rows_become_crops_with_all_that_is_told(manifest, tmp_path):
    listing = list_manifest(manifest, "mine")
    assert rows(listing) == [
        ("2019/a.jpg", 0, "Ann", "Greens"),
        ("2019/b.jpg", 1, "Bob", "Labour, Left"),
        ("2020/c.jpg", 0, "Ann", ""),
        ("2020/d.jpg", 1, "", "Greens"),
    ]
    assert listing.counts == [("labelled rows", 2, 3)]
    assert listing.findings == {
        "without a label, left out": ["2020/e.jpg"],
        "absent or no photo, left out": ["2020/gone.jpg"],
    }
    report = prepare(listing, tmp_path / "store")
    assert (report.female, report.male, report.people) == (2, 2, 2)
    assert open_store(tmp_path / "store").attributes["party"] == ["Greens", "Labour, Left", "", "Greens"]


def test_who_has_a_split_has_it_everywhere(manifest):
    for split in ("train", "validation", "test"):
        manifest.write_text(MANIFEST.replace("Ann,train", f"Ann,{split}"), encoding="utf-8")
        splits = {e.name: e.split for e in list_manifest(manifest, "mine").entries}
        assert splits["2019/a.jpg"] == splits["2020/c.jpg"] == split
        assert splits["2019/b.jpg"] == "test"


def test_without_splits_a_person_is_in_one(manifest):
    lines = ["path,label,identity"]
    for number in range(120):
        (manifest.parent / f"{number}.jpg").write_bytes(b"never read")
        lines.append(f"{number}.jpg,female,Person {number // 3}")
    manifest.write_text("\n".join(lines))
    splits = {}
    for entry in list_manifest(manifest, "mine").entries:
        assert splits.setdefault(entry.identity, entry.split) == entry.split
    assert set(splits.values()) == {"train", "validation", "test"}


def test_paths_start_from_the_root(manifest, tmp_path):
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_text(MANIFEST, encoding="utf-8")
    with pytest.raises(DatasetError, match=r"none of the 5 photos.*2019/a\.jpg.*--root"):
        list_manifest(elsewhere, "mine", tmp_path / "photos" / "2019")
    expected = rows(list_manifest(manifest, "mine"))
    assert rows(list_manifest(elsewhere, "mine", manifest.parent)) == expected
    subprocess.run(["tar", "-cf", tmp_path / "all.tar", "-C", manifest.parent, "."], check=True)
    from_archive = list_manifest(elsewhere, "mine", tmp_path / "all.tar")
    assert rows(from_archive) == expected
    assert prepare(from_archive, tmp_path / "store").female == 2
    elsewhere.write_text(MANIFEST.replace("2019/a.jpg", f"{manifest.parent}/2019/a.jpg"), encoding="utf-8")
    assert rows(list_manifest(elsewhere, "mine", manifest.parent)) == expected


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("Female", "0", r"2019/a\.jpg the label '0' .write female or male"),
        (" label", "gender", "no column named label"),
        ("2020/c.jpg", "2019/b.jpg", r"two rows for 2019/b\.jpg"),
        ("Ann,,", "Ann,test,", "Ann in two splits, train and test"),
        (
            "d.jpg,male,,,",
            "d.jpg,male,B\u00f6b,train,",
            "Bob in the split test and B\u00f6b, who counts as the same person, in train",
        ),
        ("Test", "dev", "the split 'dev'"),
        ("party", "store", "column named 'store'"),
        ("party", "found", "column named 'found'"),
        ("party", "fold_one", "column named 'fold_one'"),
        ("party", "", "column named ''"),
        ("party", "path", "two columns of one name"),
        ("Ann,train", "train", "line 2 of .* has not 5 cells"),
    ],
)
def test_rows_that_make_no_sense(manifest, before, after, complaint):
    text = MANIFEST.replace(before, after, 1)
    assert text != MANIFEST
    manifest.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=complaint):
        list_manifest(manifest, "mine")


def test_no_manifest_and_no_rows(manifest, tmp_path):
    with pytest.raises(DatasetError, match=r"cannot read .*nothing\.csv"):
        list_manifest(tmp_path / "nothing.csv", "mine")
    manifest.write_text("path,label\n")
    with pytest.raises(DatasetError, match="no labelled photos of mine"):
        prepare(list_manifest(manifest, "mine"), tmp_path / "store")


def test_the_command(invoke, manifest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke("prepare", "manifest", manifest)
    printed = " ".join(result.output.split())
    assert "1 absent or no photo, left out: 2020/gone.jpg" in printed
    assert "2 people among the crops" in printed
    assert len(open_store(tmp_path / "stores" / "people")) == 4
