"""A small UTKFace with the traps of the real one."""

import os
import tarfile
from pathlib import Path

import pytest

from facegender.errors import DatasetError
from facegender.lab.datasets.listing import prepare
from facegender.lab.datasets.store import open_store
from facegender.lab.datasets.utkface import list_utkface

DATA = Path(os.environ.get("FACEGENDER_DATA", Path(__file__).parents[4] / "shared" / "datasets"))
TENTH = DATA / "utkface" / "UTKFace_tenth.tar"

pytestmark = pytest.mark.usefixtures("red_squares_are_faces")

#: Name (without its ending) to the seed of the drawing: the same seed gives the same bytes.
PHOTOS = {
    "20_0_0_20170116000000001": 1,
    "31_1_3_20170116000000002": 2,
    "32_1_3_20170116000000003": 2,  # a copy, one year older
    "4_0_4_20170116000000004": 3,
    "4_1_4_20170116000000005": 3,  # a copy of another gender
    "61_1_20170116000000006": 4,  # no race
    "100_1_2_20170116000000007": 5,
}


@pytest.fixture
def source(tmp_path, draw):
    folder = tmp_path / "UTKFace"
    folder.mkdir()
    for name, seed in PHOTOS.items():
        draw(seed).save(folder / f"{name}.jpg.chip.jpg", format="JPEG")
    return folder


def test_names_are_read_and_zero_is_male(source, tmp_path):
    prepare(list_utkface(source), tmp_path / "store")
    store = open_store(tmp_path / "store")
    found = {
        image.split("_2017")[0]: (label, age, race)
        for image, label, age, race in zip(
            store.images, store.labels.tolist(), store.attributes["age"], store.attributes["race"], strict=True
        )
    }
    assert found == {
        "20_0_0": (1, "20", "White"),
        "31_1_3": (0, "31", "Indian"),
        "100_1_2": (0, "100", "Asian"),
    }
    assert store.attributes["found"] == ["yes"] * 3


def test_copies_are_counted_once_or_not_at_all(source):
    findings = {
        text: [name.split("_2017")[0] for name in names] for text, names in list_utkface(source).findings.items()
    }
    assert findings == {
        "named without age, gender or race, left out": ["61_1"],
        "copies that contradict each other in gender (groups: 1), left out": ["4_0_4", "4_1_4"],
        "copies of another file, left out": ["32_1_3"],
    }


def test_a_photo_keeps_its_split_whatever_lies_beside_it(source, tmp_path, draw):
    for seed in range(100, 160):
        draw(seed).save(source / f"30_0_0_{seed}.jpg.chip.jpg", format="JPEG")
    before = {entry.name: entry.split for entry in list_utkface(source).entries}
    assert set(before.values()) == {"train", "validation", "test"}
    archive = tmp_path / "part.tar"
    with tarfile.open(archive, "w") as tar:
        for path in sorted(source.iterdir(), reverse=True)[::2]:
            tar.add(path, arcname=f"data/{path.name}")
    after = {entry.name: entry.split for entry in list_utkface(archive).entries}
    shared = set(before) & set(after)
    assert len(shared) > 25
    assert all(after[name] == before[name] for name in shared)


def test_a_folder_of_something_else(source, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (source / "61_1_20170116000000006.jpg.chip.jpg").rename(other / "holiday.jpg")
    with pytest.raises(DatasetError, match=r"no labelled photos of utkface in .*other"):
        prepare(list_utkface(other), tmp_path / "store")


def test_the_command(invoke, source, tmp_path):
    result = invoke("prepare", "utkface", source, "--output", tmp_path / "store")
    printed = " ".join(result.output.split())
    assert "1 copies of another file, left out: 32_1_3_20170116000000003.jpg.chip.jpg" in printed
    assert "2 copies that contradict each other in gender (groups: 1), left out: 4_0_4" in printed


@pytest.mark.data
@pytest.mark.skipif(not TENTH.exists(), reason=f"{TENTH} is absent; FACEGENDER_DATA names another folder")
def test_the_real_tenth():
    listing = list_utkface(TENTH)
    assert listing.counts == [("file names", 1_131, 1_239)]
    assert len(listing.entries) == 2_363
    assert [len(names) for names in listing.findings.values()] == [0, 0, 7]
