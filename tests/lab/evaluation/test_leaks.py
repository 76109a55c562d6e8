import csv
from dataclasses import replace

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from facegender.cli import app
from facegender.lab.datasets.store import Store
from facegender.lab.evaluation.leaks import count_leaks, find_leaks, write_leaks


def photos(count, seed):
    """Drawn photos: smooth, with details, no two alike; uint8, count x 64 x 64 x 3."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)
    return np.array([cv2.resize(s, (64, 64), interpolation=cv2.INTER_CUBIC) for s in small])


def a_store(name, crops, splits, identities=None):
    count = len(crops)
    return Store(
        name=name,
        wide=crops,
        images=[f"{name}{i}.jpg" for i in range(count)],
        identities=identities or [""] * count,
        labels=np.arange(count) % 2,
        splits=splits,
        folds={},
        attributes={},
        alignment={},
        digest=name,
    )


def jpeg(crop, quality):
    return cv2.imdecode(cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def half_size(crop):
    return cv2.resize(cv2.resize(crop, (32, 32), interpolation=cv2.INTER_AREA), (64, 64), interpolation=cv2.INTER_CUBIC)


def moved(crop):
    matrix = np.array([[1.01, 0.005, 0.7], [-0.005, 1.01, -1.2]])
    return cv2.warpAffine(crop, matrix, (64, 64), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def brighter(crop):
    return cv2.convertScaleAbs(crop, alpha=0.7, beta=60)


@pytest.fixture(scope="module")
def originals():
    return photos(60, 0)


def test_copies_are_found_however_they_were_saved(originals):
    changed = [jpeg(originals[0], 60), half_size(originals[1]), moved(originals[2]), brighter(originals[3])]
    others = np.concatenate([changed, originals[4:5], photos(40, 1)])
    stores = {"one": a_store("one", originals, ["train"] * 60), "two": a_store("two", others, ["test"] * 45)}
    leaks = find_leaks(stores)
    forward = {leak.image: leak for leak in leaks if leak.store == "one"}
    found = {image: leak.other_image for image, leak in forward.items()}
    assert found == {f"one{i}.jpg": f"two{i}.jpg" for i in range(5)}
    assert [forward[f"one{i}.jpg"].kind for i in range(5)] == ["near copy"] * 4 + ["copy"]
    assert all(leak.similarity >= 0.84 for leak in leaks)
    # Both sides are listed.
    assert {(leak.other_image, leak.image) for leak in leaks if leak.store == "two"} == {
        (leak.image, leak.other_image) for leak in forward.values()
    }


def test_splits_of_one_store_and_a_search_in_several_blocks(originals, monkeypatch):
    crops = np.concatenate([originals, [jpeg(originals[7], 70)], originals[9:10]])
    store = a_store("one", crops, [*["train"] * 30, *["validation"] * 30, "test", "validation"])
    whole = find_leaks({"one": store})
    assert {(leak.image, leak.split, leak.other_split, leak.kind) for leak in whole} == {
        ("one7.jpg", "train", "test", "near copy"),
        ("one60.jpg", "test", "train", "near copy"),
        ("one9.jpg", "train", "validation", "copy"),
        ("one61.jpg", "validation", "train", "copy"),
    }
    monkeypatch.setattr("facegender.lab.evaluation.leaks._BLOCK", 7)
    assert find_leaks({"one": store}) == whole


def test_blank_crops_are_no_photos(originals):
    blank = np.stack([np.full((64, 64, 3), value, np.uint8) for value in (40, 120, 200)])
    one = a_store("one", np.concatenate([originals, blank]), ["train"] * 63)
    two = a_store("two", np.concatenate([photos(9, 1), blank + 3]), ["test"] * 12)
    assert find_leaks({"one": one, "two": two}) == []


def test_people_are_found_by_name(originals):
    names = ["Penélope_Cruz", "Penélope_Cruz", "1017", "", "Tom Hanks"] + ["Jo"] * 55
    one = a_store("one", originals, [*["train"] * 59, "test"], names)
    two = a_store("two", photos(4, 1), ["test"] * 4, ["penelope cruz", "1017", "", "Someone Else"])
    leaks = find_leaks({"one": one, "two": two})
    assert {leak.kind for leak in leaks} == {"same person"}
    across = {(leak.image, leak.other_image) for leak in leaks if leak.store != leak.other_store}
    assert across == {("one0.jpg", "two0.jpg"), ("one1.jpg", "two0.jpg"), ("two0.jpg", "one0.jpg")}
    counts = {(c.store, c.split, c.other_store, c.other_split): c for c in count_leaks({"one": one, "two": two}, leaks)}
    assert len(counts) == 6
    assert counts["one", "train", "two", "test"].same_person == 2
    assert counts["two", "test", "one", "train"].same_person == 1
    assert counts["one", "train", "one", "test"].same_person == 54
    assert counts["one", "test", "two", "test"].leaked == 0
    # A store that names nobody says nothing of persons.
    unnamed = replace(two, identities=[""] * 4)
    count = next(c for c in count_leaks({"one": one, "two": unnamed}, []) if c.store != c.other_store)
    assert count.same_person is None


def test_the_files(originals, tmp_path):
    stores = {
        "one": a_store("one", originals, ["train"] * 60),
        "two": a_store("two", originals[:2], ["test"] * 2),
    }
    leaks = find_leaks(stores)
    write_leaks(tmp_path, count_leaks(stores, leaks), leaks)
    counts = list(csv.DictReader((tmp_path / "leaks.csv").read_text().splitlines()))
    assert [(c["store"], c["faces"], c["copies"], c["same_person"]) for c in counts] == [
        ("one", "60", "2", ""),
        ("two", "2", "2", ""),
    ]
    faces = list(csv.DictReader((tmp_path / "leaked_faces.csv").read_text().splitlines()))
    assert [(f["image"], f["other_image"], f["similarity"]) for f in faces[:1]] == [("one0.jpg", "two0.jpg", "1.0")]


def test_the_command(invoke, store_folder, tmp_path):
    result = invoke("leaks", store_folder, "-o", tmp_path)
    assert "Nothing leaks." in result.stdout
    assert (tmp_path / "leaked_faces.csv").exists()
    twice = CliRunner().invoke(app, ["leaks", str(store_folder), str(store_folder), "-o", str(tmp_path)])
    assert "two of the stores are named made" in str(twice.exception)


def test_a_folder_with_brackets_is_named_as_it_is(invoke, store_folder, tmp_path):
    folder = tmp_path / "may [bold]"
    assert invoke("leaks", store_folder, "-o", folder).stdout.splitlines()[-1] == str(folder / "leaked_faces.csv")
