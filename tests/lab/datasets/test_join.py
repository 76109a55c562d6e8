"""Several stores as one, without what would give a test away."""

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from facegender.cli import app
from facegender.lab.datasets.join import join_stores
from facegender.lab.datasets.store import Table, create_store, open_store
from facegender.lab.evaluation.leaks import find_leaks

ALIGNMENT = {"template": "the same"}


def photos(count, seed):
    small = np.random.default_rng(seed).integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)
    return np.array([cv2.resize(s, (64, 64), interpolation=cv2.INTER_CUBIC) for s in small])


def write(folder, crops, splits, attributes=None, alignment=None, identities=None):
    count = len(crops)
    table = Table(
        images=[f"{i}.jpg" for i in range(count)],
        identities=identities or [""] * count,
        labels=np.arange(count) % 2,
        splits=splits,
        folds={},
        attributes=attributes or {},
    )
    with create_store(folder, folder.name, count, (crops.shape[1] - 64) // 2) as writer:
        for i, crop in enumerate(crops):
            writer.put(i, crop)
        writer.finish(table, alignment or ALIGNMENT, {})
    return folder


@pytest.fixture
def stores(tmp_path):
    a, b, c = photos(12, 1), photos(9, 2), photos(6, 3)
    b[0] = a[11]  # a train crop of b is a test crop of a
    b[1] = a[8]  # a train crop of b is a validation crop of a
    a[7] = c[2]  # a train crop of a stands in the set that is a test as a whole
    one = write(tmp_path / "one", a, ["train"] * 8 + ["validation"] * 2 + ["test"] * 2, {"race": ["x"] * 12})
    two = write(tmp_path / "two", b, ["train"] * 6 + ["validation"] * 3, identities=["ann"] + [""] * 8)
    three = write(tmp_path / "three", c, ["train"] * 6)
    return one, two, three


def test_the_joined_store(invoke, stores, tmp_path):
    one, two, three = map(str, stores)
    result = invoke("join", one, two, "--test", three, "-o", tmp_path / "joined")
    assert "one: 7 train, 2 validation, 1 left out" in result.output
    assert "two: 4 train, 3 validation, 2 left out" in result.output
    joined = open_store(tmp_path / "joined")
    assert joined.name == "one+two"
    assert joined.images[:2] == ["one/0.jpg", "one/1.jpg"]
    assert not {"one/7.jpg", "one/11.jpg", "two/0.jpg", "two/1.jpg"} & set(joined.images)
    assert joined.attributes["store"] == ["one"] * 9 + ["two"] * 7
    assert joined.attributes["race"] == ["x"] * 9 + [""] * 7
    original = open_store(two)
    assert np.array_equal(joined.crops[9], original.crops[2])
    assert joined.labels[9] == original.labels[2]
    assert set(joined.splits) == {"train", "validation"}


def test_the_joined_crops_have_the_margin_that_all_have(invoke, tmp_path):
    narrow, wide = photos(4, 1), np.random.default_rng(2).integers(0, 256, (4, 80, 80, 3), dtype=np.uint8)
    a = open_store(write(tmp_path / "a", wide, ["train"] * 4))
    assert (a.wide.shape, a.crops.shape) == ((4, 80, 80, 3), (4, 64, 64, 3))
    assert np.array_equal(a.crops, wide[:, 8:72, 8:72])
    write(tmp_path / "b", np.pad(narrow, ((0, 0), (4, 4), (4, 4), (0, 0))), ["train"] * 4)
    invoke("join", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "joined")
    joined = open_store(tmp_path / "joined")
    assert np.array_equal(joined.wide[:4], wide[:, 4:76, 4:76])
    assert np.array_equal(joined.crops[4:], narrow)


def test_what_cannot_be_joined(stores, tmp_path):
    one = str(stores[0])
    other = write(tmp_path / "other", photos(4, 5), ["train"] * 4, alignment={"template": "another"})
    result = CliRunner().invoke(app, ["join", one, str(other), "-o", str(tmp_path / "joined")])
    assert result.exit_code == 1
    assert "cropped differently" in str(result.exception)
    assert not (tmp_path / "joined").exists()


@pytest.mark.parametrize("output", ["one", "three"])
def test_a_store_that_is_joined_is_not_replaced(output, stores, tmp_path):
    one, two, three = map(str, stores)
    result = CliRunner().invoke(app, ["join", one, two, "--test", three, "-o", str(tmp_path / output)])
    assert "one of the stores to be joined" in str(result.exception)
    assert len(open_store(tmp_path / output)) in (12, 6)


def test_people_stay_who_they_are(tmp_path):
    """A name is that of one person everywhere, a number only within its store."""
    a = write(tmp_path / "a", photos(4, 1), ["train"] * 4, identities=["Ann Lee", "17", "", "Bo"])
    b = write(tmp_path / "b", photos(2, 2), ["test"] * 2, identities=["ann_lee", "17"])
    join_stores({"a": open_store(a)}, (), (), tmp_path / "joined")
    joined = open_store(tmp_path / "joined")
    assert joined.identities == ["Ann Lee", "a/17", "", "Bo"]
    found = find_leaks({"joined": joined, "b": open_store(b)})
    assert {(leak.store, leak.image) for leak in found} == {("joined", "a/0.jpg"), ("b", "0.jpg")}


def test_which_face_of_a_photo_was_meant_does_not_matter(tmp_path):
    for seed, name in enumerate(("middle", "largest")):
        write(tmp_path / name, photos(2, seed), ["train"] * 2, alignment={**ALIGNMENT, "method": name})
    both = {name: open_store(tmp_path / name) for name in ("middle", "largest")}
    join_stores(both, (), (), tmp_path / "both")
    assert len(open_store(tmp_path / "both")) == 4
