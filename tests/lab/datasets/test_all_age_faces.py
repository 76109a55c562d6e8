"""A small All-Age-Faces with the traps of the real one."""

import os
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from facegender.errors import DatasetError
from facegender.lab.datasets.all_age_faces import list_all_age_faces
from facegender.lab.datasets.store import open_store

pytestmark = pytest.mark.usefixtures("red_squares_are_faces")

DATA = Path(os.environ.get("FACEGENDER_DATA", Path(__file__).parents[4] / "shared" / "datasets"))

#: Name to the seed of the drawing (the same seed gives the same bytes), the official set and the gender in its list.
PHOTOS = {
    "00000A02": (1, "train", 0),
    "00001A02": (1, "val", 0),  # a copy across the official sets
    "00002A30": (2, "val", 0),
    "00003A31": (2, "val", 0),  # a copy within one
    "00004A45": (3, "train", 0),
    "07380A80": (4, "val", 0),
    "07381A02": (5, "train", 1),
    "07382A09": (3, "train", 1),  # a copy of another gender
    "07383A100": (6, "val", 1),
    "07384A20": (7, "val", 1),  # in the list alone
}
ABSENT = "07384A20.jpg"


@pytest.fixture
def source(tmp_path, draw):
    """The authors' folder: aligned copies of the photos have the same names."""
    folder = tmp_path / "All-Age-Faces Dataset"
    for place in ("original images", "aligned", "image sets"):
        (folder / place).mkdir(parents=True)
    for name, (seed, _, _) in PHOTOS.items():
        if f"{name}.jpg" != ABSENT:
            draw(seed).save(folder / "original images" / f"{name}.jpg", format="JPEG")
            draw(seed + 100).save(folder / "aligned" / f"{name}.jpg", format="JPEG")
    draw(9).save(folder / "original images" / "00009A09.jpg", format="JPEG")  # in no list
    for official in ("train", "val"):
        lines = [f"{name}.jpg {gender}" for name, (_, which, gender) in PHOTOS.items() if which == official]
        (folder / "image sets" / f"{official}.txt").write_text("\r\n".join(lines))
    return folder


def test_official_sets_without_copies(source):
    listing = list_all_age_faces(source)
    found = {entry.name[:-4]: (entry.label, entry.attributes["age"]) for entry in listing.entries}
    assert found == {
        "00000A02": (0, "2"),
        "00002A30": (0, "30"),
        "07380A80": (0, "80"),
        "07381A02": (1, "2"),
        "07383A100": (1, "100"),
    }
    splits = {entry.name[:-4]: entry.split for entry in listing.entries}
    tested = {name for name, split in splits.items() if split == "test"}
    assert tested == {"00002A30", "07380A80", "07383A100"}
    assert {splits["00000A02"], splits["07381A02"]} <= {"train", "validation"}
    assert {entry.attributes["race"] for entry in listing.entries} == {"mostly Asian"}
    assert listing.findings == {
        "copies that contradict each other in gender (groups: 1), left out": ["00004A45.jpg", "07382A09.jpg"],
        "copies of another file, left out (groups across the official sets: 1)": ["00001A02.jpg", "00003A31.jpg"],
        "listed against the serial number's gender": [],
        "listed but absent": [ABSENT],
        "in neither list, left out": ["00009A09.jpg"],
    }
    assert listing.counts == [("names in the lists", 6, 4)]


def test_the_folder_of_photos_finds_its_lists(source, tmp_path):
    whole = list_all_age_faces(source)
    photos = list_all_age_faces(source / "original images")
    assert [(e.name, e.label, e.split) for e in photos.entries] == [(e.name, e.label, e.split) for e in whole.entries]
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(source.rglob("*.jpg")):
            file.write(path, f"set/{path.relative_to(source)}")
    zipped = list_all_age_faces(archive, source / "image sets")
    assert [(e.name, e.label, e.split) for e in zipped.entries] == [(e.name, e.label, e.split) for e in whole.entries]


def test_a_list_against_the_serial_numbers(source):
    train = source / "image sets" / "train.txt"
    train.write_text(train.read_text().replace("07381A02.jpg 1", "07381A02.jpg 0"))
    listing = list_all_age_faces(source)
    assert listing.findings["listed against the serial number's gender"] == ["07381A02.jpg"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "has no names"),
        ("00000A02.jpg 2\n", "is no name and gender"),
        ("face.jpg 1\n", "is no name and gender"),
        ("00002A30.jpg 0\n", r"00002A30\.jpg is in train\.txt and in val\.txt"),
    ],
)
def test_other_lists_are_refused(source, text, complaint):
    (source / "image sets" / "train.txt").write_text(text)
    with pytest.raises(DatasetError, match=complaint):
        list_all_age_faces(source)
    (source / "image sets" / "train.txt").unlink()
    with pytest.raises(DatasetError, match=r"cannot read .*train\.txt"):
        list_all_age_faces(source)


def test_the_command(invoke, source, tmp_path):
    invoke("prepare", "all-age-faces", source, "-o", tmp_path / "store")
    store = open_store(tmp_path / "store")
    assert (store.name, len(store)) == ("all-age-faces", 5)
    assert Counter(store.labels.tolist()) == {0: 3, 1: 2}
    assert all(len(photo) == 16 for photo in store.photos)
