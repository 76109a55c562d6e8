"""A small FairFace with the traps of the real one."""

import gzip
import os
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from facegender.errors import DatasetError
from facegender.lab.datasets.fairface import list_fairface
from facegender.lab.datasets.listing import prepare
from facegender.lab.datasets.store import open_store

DATA = Path(os.environ.get("FACEGENDER_DATA", Path(__file__).parents[4] / "shared" / "datasets"))
REAL = DATA / "fairface"

pytestmark = pytest.mark.usefixtures("red_squares_are_faces")

HEADER = "file,age,gender,race,service_test\n"
VAL = HEADER + (
    "val/1.jpg,03-Sep,Male,East Asian,FALSE\n"
    "val/2.jpg,Oct-19,Female,Black,TRUE\n"
    "val/3.jpg,more than 70,Female,Latino_Hispanic,TRUE\n"
)


@pytest.fixture
def made(tmp_path, draw):
    """An archive of val/ deep inside, without val/2.jpg but with val/9.jpg; a folder of train/; both label files."""
    for name in ("val/1.jpg", "val/3.jpg", "val/9.jpg", "train/1.jpg", "train/2.jpg"):
        path = tmp_path / "unpacked" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(len(name), None if name == "val/3.jpg" else (0.5, 0.5)).save(path)
    with tarfile.open(tmp_path / "val.tar", "w") as tar:
        tar.add(tmp_path / "unpacked" / "val", arcname="margin025/fair_face/val")
    (tmp_path / "val.csv").write_text(VAL)
    train = HEADER + "train/1.jpg,20-29,Female,White,TRUE\r\ntrain/2.jpg,0-2,Male,Indian,TRUE\r\n"
    (tmp_path / "train.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + train.encode()))
    (tmp_path / "unpacked" / "val" / "1.jpg").unlink()
    return tmp_path


def test_archives_and_folders_meet_their_labels(made):
    listing = list_fairface([made / "val.tar", made / "unpacked"], [made / "val.csv", made / "train.csv.gz"])
    assert [(e.name, e.label, e.source, e.attributes["age"], e.attributes["race"]) for e in listing.entries] == [
        ("val/1.jpg", 1, 0, "3-9", "East Asian"),
        ("val/3.jpg", 0, 0, "more than 70", "Latino_Hispanic"),
        ("train/1.jpg", 0, 1, "20-29", "White"),
        ("train/2.jpg", 1, 1, "0-2", "Indian"),
    ]
    assert {e.split for e in listing.entries if e.name.startswith("val/")} == {"test"}
    assert not any(e.split == "test" for e in listing.entries if e.name.startswith("train/"))


def test_half_of_the_photos_will_do(invoke, made):
    result = invoke("prepare", "fairface", made / "val.tar", "--labels", made / "val.csv", "-o", made / "store")
    printed = " ".join(result.output.split())
    assert "rows in the label files │ 2 │ 1 │ 3" in printed
    assert "1 ages that a spreadsheet took for days, mended" in printed
    assert "1 rows without a photo" in printed
    assert "1 photos without a row, left out" in printed
    assert "1 (50.00%) whose face was not found, cut out where it usually is or the dataset says: val/3.jpg" in printed
    assert list(open_store(made / "store").attributes["found"]) == ["yes", "no"]


def test_the_numbers_of_findings_survive_in_the_store(made):
    listing = list_fairface([made / "val.tar"], [made / "val.csv"])
    first, again = (prepare(listing, made / "store") for _ in range(2))
    assert again.reused
    assert again.findings == first.findings
    assert again.findings["rows without a photo"] == 1


def test_a_tenth_of_train_is_for_validation(made, tmp_path):
    rows = [f"train/{n}.jpg,20-29,{('Female', 'Male')[n % 2]},White,TRUE\n" for n in range(1, 401)]
    (made / "train.csv").write_text(HEADER + "".join(rows))
    for n in range(1, 401):
        (made / "unpacked" / "train" / f"{n}.jpg").write_bytes(b"never read")
    splits = Counter(e.split for e in list_fairface([made / "unpacked"], [made / "train.csv"]).entries)
    assert set(splits) == {"train", "validation"}
    assert splits["validation"] == pytest.approx(40, abs=20)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("file,age,race\nval/1.jpg,1,White\n", "no column named gender.*file, age, race"),
        (VAL[:-20], "line 4 of .* has not 5 cells"),
        (VAL.replace("Male", "M"), "val/1.jpg the gender 'M'"),
        (VAL + "val/1.jpg,0-2,Male,Black,TRUE\n", "val/1.jpg, which had a row before"),
        (VAL.replace("val/", "photos/"), "neither train/ nor val/"),
        (VAL.replace("/", "/0"), "none of the photos.*train/ and val/"),
        ("", "no column named file.*nothing"),
    ],
)
def test_label_files_that_are_something_else(made, text, complaint):
    (made / "val.csv").write_text(text)
    with pytest.raises(DatasetError, match=complaint):
        list_fairface([made / "val.tar"], [made / "val.csv"])


def test_label_files_that_cannot_be_read(made):
    whole = (made / "train.csv.gz").read_bytes()
    for content in (whole[:-9], whole[:12] + b"\xff" * 20):
        (made / "train.csv.gz").write_bytes(content)
        with pytest.raises(DatasetError, match=r"train\.csv\.gz is cut short or damaged"):
            list_fairface([made / "unpacked"], [made / "train.csv.gz"])
    (made / "val.csv").write_bytes(VAL.encode("utf-16"))
    with pytest.raises(DatasetError, match="UTF-8"):
        list_fairface([made / "val.tar"], [made / "val.csv"])
    with pytest.raises(DatasetError, match=r"cannot read .*nothing\.csv"):
        list_fairface([made / "val.tar"], [made / "nothing.csv"])


@pytest.mark.data
@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is absent; FACEGENDER_DATA names another folder")
def test_the_real_half():
    listing = list_fairface([REAL / "val_odd.tar"], [REAL / "fairface_label_val.csv"])
    assert listing.counts == [("rows in the label files", 2_367, 2_633)]
    assert len(listing.entries) == 2_500
    assert list(listing.findings.values()) == [592, 2_500, 0, 0]
    ages = {"0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70"}
    assert {e.attributes["age"] for e in listing.entries} == ages
