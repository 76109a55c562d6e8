import csv
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from facegender.lab.evaluation.gallery import mistakes, write_gallery


@pytest.fixture
def p_male(store):
    """Right answers but for crops 3 and 4 (women) and 20 (a man), who are more and more surely mistaken."""
    p_male = np.where(store.labels == 1, 0.99, 0.01)
    for place, (index, wrong) in enumerate({3: 0.7, 4: 0.85, 20: 0.05}.items()):
        assert store.labels[index] == (place == 2)
        p_male[index] = wrong
    return p_male


def test_mistakes_come_by_confidence(store, p_male):
    index = np.arange(len(store))
    found = mistakes(store, index, p_male)
    assert [(m.index, m.label) for m in found] == [(20, 1), (4, 0), (3, 0)]
    assert found[0].confidence == pytest.approx(0.95)
    assert found[1].p_male == pytest.approx(0.85)
    assert [m.index for m in mistakes(store, index[10:30], p_male[10:30])] == [20]


def test_the_files(store, p_male, tmp_path):
    found = mistakes(store, np.arange(len(store)), p_male)
    # A long name in letters that the figures' font lacks, with what mathematics would be.
    named = [replace(found[0], image="写真/$x_{" + "写" * 40 + ".jpg"), *found[1:]]
    write_gallery(tmp_path, store, named, 1, "drawn")
    rows = list(csv.DictReader((tmp_path / "errors.csv").read_text().splitlines()))
    assert [row["label"] for row in rows] == ["male", "female", "female"]
    assert rows[0]["image"] == named[0].image
    with PIL.Image.open(tmp_path / "errors.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    # The most confident woman's crop is in the picture, in its own colours, above the man's.
    coloured = (pixels.max(2) - pixels.min(2) > 20).any(1)
    assert coloured[: len(coloured) // 2].any()
    assert coloured[len(coloured) // 2 :].any()


def test_no_mistakes_at_all(store, tmp_path):
    found = mistakes(store, np.arange(len(store)), store.labels.astype(float))
    assert found == []
    write_gallery(tmp_path, store, found, 40, "drawn")
    assert (tmp_path / "errors.csv").read_text() == "image,label,p_male,confidence\n"
    assert (tmp_path / "errors.png").exists()


def test_the_command(invoke, store_folder, store, tiny_model, tmp_path):
    arguments = ["errors", str(store_folder), str(tiny_model), "-o", str(tmp_path)]
    result = invoke(*arguments, "--split", "all", "--limit", "9")
    rows = list(csv.DictReader((tmp_path / "errors.csv").read_text().splitlines()))
    red = store.crops[..., 0].mean((1, 2))
    assert {row["image"] for row in rows} == {
        image for image, label, value in zip(store.images, store.labels, red, strict=True) if (value >= 128) != label
    }
    assert f"tiny on made, all: {len(rows)} of 120 faces misclassified" in result.stdout
