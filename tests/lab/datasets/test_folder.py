"""Photos sorted into folders female and male."""

import subprocess
import zipfile
from collections import Counter

import pytest
from typer.testing import CliRunner

from facegender.cli import app
from facegender.errors import DatasetError, OutputError
from facegender.lab.datasets import listing as listing_module
from facegender.lab.datasets.folder import list_folder
from facegender.lab.datasets.listing import prepare
from facegender.lab.datasets.store import open_store

pytestmark = pytest.mark.usefixtures("red_squares_are_faces")


@pytest.fixture
def photos(tmp_path, draw):
    """A folder in which red squares at any place are faces."""

    def write(*paths, place=(0.3, 0.4)):
        for number, path in enumerate(paths):
            photo = tmp_path / "photos" / path
            photo.parent.mkdir(parents=True, exist_ok=True)
            draw(number, place, (160, 120), 0.2).save(photo)
        return tmp_path / "photos"

    return write


def test_labels_come_from_folders_anywhere_in_the_path(photos, tmp_path):
    source = photos("female/a.jpg", "2020/Male/spring/b.png", "FEMALE/c/d.webp", "e.jpg", "males/f.jpg", "male.jpg")
    listing = list_folder(source, "mine")
    assert {e.name: e.label for e in listing.entries} == {
        "female/a.jpg": 0,
        "2020/Male/spring/b.png": 1,
        "FEMALE/c/d.webp": 0,
    }
    assert listing.findings["below neither female nor male, left out"] == ["e.jpg", "male.jpg", "males/f.jpg"]
    assert prepare(listing, tmp_path / "store").fallbacks == ()


def test_folders_may_name_the_split(photos):
    source = photos("train/female/a.jpg", "male/Test/b.jpg", "val/male/c.jpg", "x/validation/female/d.jpg")
    assert {e.name: e.split for e in list_folder(source, "mine").entries} == {
        "train/female/a.jpg": "train",
        "male/Test/b.jpg": "test",
        "val/male/c.jpg": "validation",
        "x/validation/female/d.jpg": "validation",
    }


def test_contradictions_are_left_out(photos):
    source = photos("male/female/a.jpg", "train/test/male/b.jpg", "male/c.jpg", "validation/val/male/d.jpg")
    listing = list_folder(source, "mine")
    assert [e.name for e in listing.entries] == ["male/c.jpg", "validation/val/male/d.jpg"]
    assert listing.findings["below both, or below folders of two splits, left out"] == [
        "male/female/a.jpg",
        "train/test/male/b.jpg",
    ]


def test_other_photos_are_split_by_their_path(tmp_path):
    source = tmp_path / "photos" / "female"
    source.mkdir(parents=True)
    for number in range(300):
        (source / f"{number}.jpg").write_bytes(b"never read")
    before = {e.name: e.split for e in list_folder(source.parent, "mine").entries}
    shares = Counter(before.values())
    assert shares["train"] == pytest.approx(240, abs=25)
    assert shares["validation"] == pytest.approx(30, abs=18)
    assert shares["test"] == pytest.approx(30, abs=18)
    for number in range(0, 300, 2):
        (source / f"{number}.jpg").unlink()
    assert all(before[e.name] == e.split for e in list_folder(source.parent, "mine").entries)


def test_archives_of_the_folder_say_the_same(photos, tmp_path):
    source = photos("female/a.jpg", "male/b.jpg", "male/c.jpg")
    subprocess.run(["tar", "-czf", tmp_path / "all.tar.gz", "-C", source, "."], check=True)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in source.rglob("*.jpg"):
            archive.write(path, path.relative_to(source))
    folder, tar, zipped = (list_folder(s, "mine") for s in (source, tmp_path / "all.tar.gz", tmp_path / "all.zip"))
    assert [(e.name, e.label, e.split) for e in tar.entries] == [(e.name, e.label, e.split) for e in folder.entries]
    assert zipped.entries == folder.entries
    assert prepare(tar, tmp_path / "store").female == 1


def test_the_largest_face_is_taken_and_photos_without_one_are_left_out(photos, tmp_path):
    photos("female/none.jpg", "male/none.jpg", place=None)
    source = photos("female/a.jpg", "male/b.jpg")
    (source / "male" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    report = prepare(list_folder(source, "mine"), tmp_path / "store")
    assert report.findings["without a face, left out"] == ("female/none.jpg", "male/none.jpg")
    assert report.findings["unreadable, left out"] == ("male/broken.jpg",)
    store = open_store(tmp_path / "store")
    assert list(store.images) == ["female/a.jpg", "male/b.jpg"]
    assert [(face["image"], face["label"]) for face in store.not_found] == [
        ("female/none.jpg", "female"),
        ("male/none.jpg", "male"),
    ]


@pytest.mark.parametrize("half", [False, True], ids=["interrupted", "killed in a line"])
def test_an_interrupted_preparation_is_gone_on_with(half, photos, tmp_path, monkeypatch):
    source = photos(*(f"{gender}/{number}.jpg" for gender in ("female", "male") for number in range(12)))
    photos("female/none.jpg", place=None)
    (source / "female" / "0.jpg").write_bytes(b"\xff\xd8\xff")
    listing = list_folder(source, "mine")
    whole = prepare(listing, tmp_path / "whole")
    asked = []

    def stop(total):
        asked.append(total)
        if len(asked) == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(listing, tmp_path / "store", on_image=stop)
    assert not (tmp_path / "store").exists()
    if half:
        with (tmp_path / ".store.writing" / "done.jsonl").open("a") as file:
            file.write('[3, "ab')
    decoded, decode = [], listing_module.decode
    monkeypatch.setattr(listing_module, "decode", lambda data: decoded.append(data) or decode(data))
    again = prepare(listing, tmp_path / "store", on_image=asked.append)
    assert len(decoded) == 25 - 16
    assert len(asked) == 16 + 25
    assert again == whole
    one, two = open_store(tmp_path / "whole"), open_store(tmp_path / "store")
    assert one.digest == two.digest
    assert one.not_found == two.not_found
    assert {path.name for path in (tmp_path / "store").iterdir()} == {"crops.npy", "table.csv", "store.json"}
    assert not (tmp_path / ".store.writing").exists()


def test_an_interrupted_preparation_of_other_photos_begins_again(photos, tmp_path):
    source = photos("female/a.jpg", "male/b.jpg")

    def stop(total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(list_folder(source, "mine"), tmp_path / "store", on_image=stop)
    photos("male/c.jpg")
    assert prepare(list_folder(source, "mine"), tmp_path / "store").male == 2


def test_a_store_of_another_dataset_is_not_replaced(photos, tmp_path):
    source = photos("female/a.jpg", "male/b.jpg")
    prepare(list_folder(source, "mine"), tmp_path / "store")
    with pytest.raises(OutputError, match="holds the store mine, not other"):
        prepare(list_folder(source, "other"), tmp_path / "store")
    assert open_store(tmp_path / "store").name == "mine"
    (source / "female" / "a.jpg").rename(source / "female" / "c.jpg")
    assert not prepare(list_folder(source, "mine"), tmp_path / "store").reused


def test_a_folder_of_another_order(photos):
    source = photos("women/a.jpg", "men/b.jpg")
    with pytest.raises(DatasetError, match=r"none of the 2 photos.*folder female or male.*prepare manifest"):
        list_folder(source, "mine")


def test_the_command_names_the_store_after_the_folder(invoke, photos, tmp_path, monkeypatch):
    photos("female/a.jpg", "male/b.jpg", "neither.jpg")
    monkeypatch.chdir(tmp_path / "photos")
    result = invoke("prepare", "folder", ".")
    assert "1 below neither female nor male, left out: neither.jpg" in " ".join(result.output.split())
    assert open_store(tmp_path / "photos" / "stores" / "photos").name == "photos"
    assert CliRunner().invoke(app, ["prepare", "folder", ".", "--name", "mine"]).exit_code == 0
    assert open_store(tmp_path / "photos" / "stores" / "mine").name == "mine"
