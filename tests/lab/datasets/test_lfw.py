"""A small LFW with all the traps of the real one, as folder and as tar."""

import hashlib
import io
import tarfile

import numpy as np
import pytest
from PIL import Image as PillowImage

from facegender import weights
from facegender.errors import DatasetError, FacegenderError, OutputError, StoreError
from facegender.faces.align import DEFAULT_TEMPLATE, LandmarkTemplate
from facegender.inference.detector import OnnxDetector
from facegender.lab.datasets import listing as module
from facegender.lab.datasets.lfw import list_lfw, read_people
from facegender.lab.datasets.listing import prepare
from facegender.lab.datasets.store import open_store, read_manifest

PEOPLE = {"Ann_One": 2, "Bob_Two": 3, "Cat_Three": 1, "Dan_Four": 2, "Both_Lists": 1, "No_Label": 1}
FOLDS = {"Ann_One": 1, "Bob_Two": 1, "Cat_Three": 2, "Dan_Four": 2, "Both_Lists": 2, "No_Label": 1}
#: Photos with nothing that the tiny detector takes for a face, and with one in a corner only.
FACELESS, CORNER = "Dan_Four_0002.jpg", "Cat_Three_0001.jpg"


#: What a preparation says of the traps.
BOTH, UNLABELLED = "in both lists, counted once, as female", "in neither list, left out"
MENDED, ABSENT = "listed without .jpg, mended", "listed but absent"


def prepare_lfw(source, output, *, allow_missing=False, **options):
    return prepare(list_lfw(source, allow_missing=allow_missing), output, **options)


@pytest.fixture(scope="module")
def detector(tiny_detector):
    return OnnxDetector(tiny_detector, threads=1)


@pytest.fixture(autouse=True)
def _red_squares_are_faces(monkeypatch, detector):
    monkeypatch.setattr(module, "OnnxDetector", lambda: detector)


def draw(rng, place, side=250):
    """Gray noise with a red square, its centre given in shares of the side."""
    gray = PillowImage.fromarray(rng.integers(0, 256, (25, 25), dtype=np.uint8)).resize((side, side))
    pixels = np.array(gray.convert("RGB"))
    if place is not None:
        x, y, half = (round(side * share) for share in (*place, 0.12))
        pixels[y - half : y + half, x - half : x + half] = (255, 0, 0)
    return PillowImage.fromarray(pixels)


@pytest.fixture
def lfw(tmp_path):
    source = tmp_path / "data" / "lfw"
    rng = np.random.default_rng(0)
    for person, count in PEOPLE.items():
        (source / person).mkdir(parents=True)
        for n in range(1, count + 1):
            name = f"{person}_{n:04d}.jpg"
            place = {FACELESS: None, CORNER: (0.2, 0.2)}.get(name, tuple(rng.uniform(0.45, 0.55, 2)))
            draw(rng, place).save(source / person / name)
    lists = source.parent
    female = ["Ann_One_0001.jpg", "Ann_One_0002.jpg", "Cat_Three_0001", "Both_Lists_0001.jpg"]
    male = [f"Bob_Two_{n:04d}.jpg" for n in (1, 2, 3)] + ["Dan_Four_0001.jpg", "Dan_Four_0002.jpg"]
    (lists / "female_names.txt").write_bytes("\r\n".join(female).encode() + b"\r\n\r\n")
    (lists / "male_names.txt").write_bytes("\r\n".join([*male, "Both_Lists_0001.jpg"]).encode())
    write_people(lists / "people.txt")
    return source


def write_people(path, folds=FOLDS):
    lines = ["2"]
    for fold in (1, 2):
        members = [p for p, f in folds.items() if f == fold]
        lines += [str(len(members)), *(f"{p}\t{PEOPLE[p]}" for p in members)]
    path.write_text("\n".join(lines) + "\n")


def test_the_traps_are_mended_and_counted(lfw, tmp_path):
    report = prepare_lfw(lfw, tmp_path / "store")

    assert (report.female, report.male, report.people) == (4, 5, 5)
    assert ("lines in the label lists", 4, 6) in report.counts
    assert report.findings == {
        BOTH: ("Both_Lists_0001.jpg",),
        MENDED: ("Cat_Three_0001.jpg",),
        UNLABELLED: ("No_Label_0001.jpg",),
    }
    store = open_store(tmp_path / "store")
    assert store.crops.shape == (9, 64, 64, 3)
    assert store.wide.shape == (9, 80, 80, 3)
    assert store.crops.dtype == np.uint8
    assert dict(zip(store.images, store.labels, strict=True))["Both_Lists_0001.jpg"] == 0
    assert [store.identities[i] for i in np.flatnonzero(store.fold("identity") == 1)] == ["Ann_One"] * 2 + [
        "Bob_Two"
    ] * 3
    assert sorted(set(store.fold("random").tolist())) == list(range(1, 10))


def test_faces_not_found_are_cut_out_where_they_usually_are_and_counted(lfw, tmp_path):
    report = prepare_lfw(lfw, tmp_path / "store")
    assert report.fallbacks == (CORNER, FACELESS)
    store = open_store(tmp_path / "store")
    red = {
        name: crop[..., 0].mean() - crop[..., 1].mean() for name, crop in zip(store.images, store.crops, strict=True)
    }
    assert red[FACELESS] == pytest.approx(0, abs=3)
    assert all(value > 80 for name, value in red.items() if name not in report.fallbacks)


def test_the_store_says_how_it_was_aligned(lfw, tmp_path, tiny_detector):
    template = LandmarkTemplate.mean_face(side=2.5, drop=0.3)
    prepare_lfw(lfw, tmp_path / "store", template=template)
    alignment = read_manifest(tmp_path / "store")["alignment"]
    assert open_store(tmp_path / "store").alignment == alignment
    assert alignment["detector"] == "blocks"
    assert alignment["detector_sha256"] == hashlib.sha256(tiny_detector.read_bytes()).hexdigest()
    assert alignment["template"] == template.to_dict()


def test_the_shipped_detector_is_the_one_that_is_used(lfw, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "OnnxDetector", OnnxDetector)
    report = prepare_lfw(lfw, tmp_path / "store")
    assert FACELESS in report.fallbacks
    alignment = open_store(tmp_path / "store").alignment
    assert alignment["detector_sha256"] == weights.load_detector_card().sha256
    assert alignment["template"] == DEFAULT_TEMPLATE.to_dict()


@pytest.mark.parametrize("changed", ["detector", "template"])
def test_another_alignment_is_prepared_anew(lfw, tmp_path, monkeypatch, write_detector, changed):
    prepare_lfw(lfw, tmp_path / "store")
    before = np.array(open_store(tmp_path / "store").crops)
    template = DEFAULT_TEMPLATE
    if changed == "detector":
        strict = write_detector(tmp_path, min_score=1.0)
        monkeypatch.setattr(module, "OnnxDetector", lambda: OnnxDetector(strict, threads=1))
    else:
        template = LandmarkTemplate.mean_face(side=2.5, drop=0.3)
    assert not prepare_lfw(lfw, tmp_path / "store", template=template).reused
    assert not np.array_equal(open_store(tmp_path / "store").crops, before)
    assert prepare_lfw(lfw, tmp_path / "store", template=template).reused


def test_crops_do_not_depend_on_how_many_are_made_together(lfw, tmp_path, monkeypatch):
    together = prepare_lfw(lfw, tmp_path / "together")
    monkeypatch.setattr(module, "_BATCH", 2)
    total = []
    assert prepare_lfw(lfw, tmp_path / "few", on_image=total.append) == together
    assert total == [9] * 9
    assert np.array_equal(open_store(tmp_path / "few").crops, open_store(tmp_path / "together").crops)


def test_tar_and_folder_give_the_same_store(lfw, tmp_path):
    archive = tmp_path / "data" / "lfw.tar"
    with tarfile.open(archive, "w") as tar:
        for path in sorted(lfw.rglob("*.jpg"), reverse=True):
            tar.add(path, arcname=str(path.relative_to(lfw.parent)))
    prepare_lfw(lfw, tmp_path / "a")
    prepare_lfw(archive, tmp_path / "b")

    a, b = open_store(tmp_path / "a"), open_store(tmp_path / "b")
    assert np.array_equal(a.crops, b.crops)
    assert a.images == b.images
    assert prepare_lfw(lfw, tmp_path / "a").fallbacks == prepare_lfw(archive, tmp_path / "b").fallbacks


def test_a_second_run_reuses_the_store_and_a_changed_list_does_not(lfw, tmp_path):
    store = tmp_path / "store"
    prepare_lfw(lfw, store)
    before = (store / "crops.npy").stat().st_mtime_ns
    again = prepare_lfw(lfw, store)
    assert again.reused
    assert again.fallbacks == (CORNER, FACELESS)
    assert (store / "crops.npy").stat().st_mtime_ns == before

    (lfw.parent / "male_names.txt").write_text("Bob_Two_0001.jpg\nDan_Four_0001.jpg\n")
    changed = prepare_lfw(lfw, store)
    assert not changed.reused
    assert len(open_store(store)) == 6


def test_a_label_that_names_no_image(lfw, tmp_path):
    with (lfw.parent / "female_names.txt").open("a") as file:
        file.write("Nobody_Here_0001.jpg\n")
    with pytest.raises(DatasetError, match=r"Nobody_Here_0001\.jpg.*--allow-missing"):
        prepare_lfw(lfw, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    report = prepare_lfw(lfw, tmp_path / "store", allow_missing=True)
    assert report.findings[ABSENT] == ("Nobody_Here_0001.jpg",)


@pytest.mark.parametrize("changed", ["a photo", "people.txt"])
def test_changed_inputs_are_prepared_anew(lfw, tmp_path, changed):
    prepare_lfw(lfw, tmp_path / "store")
    before = open_store(tmp_path / "store")
    crops, folds = np.array(before.crops), before.fold("identity")
    if changed == "a photo":
        PillowImage.new("RGB", (250, 250), "red").save(lfw / "Ann_One" / "Ann_One_0001.jpg")
    else:
        write_people(lfw.parent / "people.txt", {**FOLDS, "Ann_One": 2})
    assert not prepare_lfw(lfw, tmp_path / "store").reused
    after = open_store(tmp_path / "store")
    assert np.array_equal(after.crops, crops) == (changed != "a photo")
    assert np.array_equal(after.fold("identity"), folds) == (changed != "people.txt")


@pytest.mark.parametrize("side", [125, 200])
def test_photos_of_any_size(lfw, tmp_path, side):
    # The same picture larger or smaller gives about the same crop.
    for directory, size in (("as-it-is", 250), ("resized", side)):
        draw(np.random.default_rng(1), (0.5, 0.5), size).save(lfw / "Ann_One" / "Ann_One_0001.png")
        (lfw / "Ann_One" / "Ann_One_0001.png").replace(lfw / "Ann_One" / "Ann_One_0001.jpg")
        report = prepare_lfw(lfw, tmp_path / directory)
        assert report.fallbacks == (CORNER, FACELESS)
    one, other = (open_store(tmp_path / directory).crops[0].astype(int) for directory in ("as-it-is", "resized"))
    assert np.abs(one - other).mean() < 8


def test_two_images_of_one_name(lfw, tmp_path):
    (lfw / "copy").mkdir()
    (lfw / "copy" / "Ann_One_0001.jpg").write_bytes((lfw / "Ann_One" / "Ann_One_0001.jpg").read_bytes())
    with pytest.raises(DatasetError, match=r"more than one image named Ann_One_0001\.jpg"):
        prepare_lfw(lfw, tmp_path / "store")


def test_a_damaged_image_leaves_no_store(lfw, tmp_path):
    photo = lfw / "Dan_Four" / "Dan_Four_0002.jpg"
    photo.write_bytes(photo.read_bytes()[:400])
    with pytest.raises(DatasetError, match=r"Dan_Four_0002\.jpg"):
        prepare_lfw(lfw, tmp_path / "store")
    assert list(tmp_path.glob("*store*")) == []


@pytest.mark.parametrize("which", ["image", "archive"])
def test_no_permission_to_read_the_source(lfw, tmp_path, unprivileged, which):
    source = lfw
    locked = lfw / "Bob_Two" / "Bob_Two_0001.jpg"
    if which == "archive":
        locked = source = lfw.parent / "lfw.tar"
        source.write_bytes(b"")
    locked.chmod(0)
    (tmp_path / "out").mkdir(mode=0o777)
    (tmp_path / "out").chmod(0o777)
    with unprivileged(), pytest.raises(DatasetError, match=f"{locked.name}"):
        prepare_lfw(source, tmp_path / "out" / "store")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_tar_cut_short(lfw, tmp_path):
    archive = tmp_path / "data" / "lfw.tar"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(lfw, arcname="lfw")
    archive.write_bytes(buffer.getvalue()[:9000])
    with pytest.raises(DatasetError, match=r"lfw\.tar"):
        prepare_lfw(archive, tmp_path / "store")


@pytest.mark.parametrize("spoil", ["absent", "empty", "people cut", "no source"])
def test_inputs_that_are_not_there(lfw, tmp_path, spoil):
    source = lfw
    if spoil == "absent":
        (lfw.parent / "male_names.txt").unlink()
    elif spoil == "empty":
        (lfw.parent / "male_names.txt").write_text("\n")
    elif spoil == "people cut":
        path = lfw.parent / "people.txt"
        path.write_text("\n".join(path.read_text().split("\n")[:4]))
    else:
        source = lfw.parent / "nothing.tar"
    with pytest.raises(DatasetError, match=r"male_names|people|nothing"):
        prepare_lfw(source, tmp_path / "store")


@pytest.mark.parametrize("file", ["crops.npy", "table.csv", "store.json"])
def test_a_store_cut_short_is_refused_and_made_anew(lfw, tmp_path, file):
    store = tmp_path / "store"
    prepare_lfw(lfw, store)
    path = store / file
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"run facegender prepare again"):
        open_store(store)
    assert not prepare_lfw(lfw, store).reused
    assert len(open_store(store)) == 9


def test_a_store_that_was_altered_is_refused(lfw, tmp_path):
    store = tmp_path / "store"
    prepare_lfw(lfw, store)
    crops, table = (store / "crops.npy").read_bytes(), (store / "table.csv").read_bytes()
    (store / "crops.npy").write_bytes(b"x" * len(crops))
    with pytest.raises(StoreError, match="cannot be read"):
        open_store(store)
    (store / "crops.npy").write_bytes(crops)
    (store / "table.csv").write_bytes(table.replace(b"female", b"femule"))
    with pytest.raises(StoreError, match="femule"):
        open_store(store)
    # Of the same size and well-formed.
    rows = table.splitlines(keepends=True)
    (store / "table.csv").write_bytes(b"".join([rows[0], rows[2], rows[1], *rows[3:]]))
    with pytest.raises(StoreError, match=r"table\.csv was changed"):
        open_store(store)
    (store / "table.csv").write_bytes(table)
    assert len(open_store(store)) == 9


def test_a_folder_that_is_no_store_is_left_alone(lfw, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not a prepared store"):
        prepare_lfw(lfw, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").exists()


def test_an_output_that_cannot_be_written(lfw, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        prepare_lfw(lfw, tmp_path / "file" / "store")


def test_people_of_another_layout(tmp_path):
    (tmp_path / "people.txt").write_text("Ann 1\nBob 2\n")
    with pytest.raises(DatasetError, match=r"people\.txt"):
        read_people(tmp_path / "people.txt")


def test_the_command_prints_both_counts(invoke, lfw, tmp_path):
    result = invoke("prepare", "lfw", lfw, "--output", tmp_path / "store")
    assert "10,268" in result.output
    assert "Both_Lists_0001.jpg" in result.output
    assert "2 (22.22%) whose face was not found" in " ".join(result.output.split())
    assert f"{CORNER}, {FACELESS}" in " ".join(result.output.split())


def test_no_store():
    with pytest.raises(FacegenderError, match="facegender prepare"):
        open_store("nowhere")
