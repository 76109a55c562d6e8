"""The weights in the package, and what their card claims of them on real data."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facegender import FaceAnalyzer, weights
from facegender.faces.decode import decode
from facegender.inference.classifier import GenderClassifier
from facegender.lab.datasets.images import paths_by_name, read_images
from facegender.lab.datasets.lfw import list_lfw
from facegender.lab.datasets.listing import prepare
from facegender.lab.datasets.store import open_store
from facegender.lab.evaluation.metrics import measure

DATA = Path(os.environ.get("FACEGENDER_DATA", Path(__file__).parents[2] / "shared" / "datasets"))
LFW = DATA / "lfw" / "lfw-deepfunneled.tar"

needs_lfw = [
    pytest.mark.data,
    pytest.mark.skipif(not LFW.exists(), reason=f"{LFW} is absent; FACEGENDER_DATA names another folder"),
]


def test_every_shipped_network_loads_and_is_small():
    assert weights.DEFAULT in weights.list_models()
    for name in weights.list_models():
        card = weights.load_card(name)  # checks the sha256
        assert card.name == name
        assert weights.weight_path(name).stat().st_size < 2_000_000
        assert GenderClassifier(name).predict(np.zeros((1, 64, 64, 3), np.uint8))


def test_the_shipped_detector_is_what_its_card_says():
    card = weights.load_detector_card()  # checks the sha256
    assert card.name == weights.detector_path().stem
    assert weights.detector_path().stat().st_size < 2_000_000


def test_the_astronaut(astronaut):
    result = FaceAnalyzer().analyze(astronaut)
    assert result.error is None
    largest = result.faces[0]
    assert largest.prediction.label != "male"  # p_male is 0.78: the network is not sure of her
    x, y, width, height = largest.face.box
    assert 60 < width < 120
    right_eye, left_eye, nose, right_mouth, left_mouth = largest.face.landmarks
    assert x < right_eye[0] < nose[0] < left_eye[0] < x + width
    assert y < left_eye[1] < nose[1] < left_mouth[1] < y + height
    assert right_mouth[0] < left_mouth[0]
    assert largest.face.quality > 0.8


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_the_astronaut_on_her_side_and_upside_down(turns, astronaut):
    [upright] = FaceAnalyzer().analyze(astronaut).faces
    result = FaceAnalyzer().analyze(np.ascontiguousarray(np.rot90(astronaut, turns)))
    [found] = result.faces
    assert (found.face.roll + 90 * turns - upright.face.roll + 180) % 360 - 180 == pytest.approx(0, abs=2)
    assert found.face.quality == pytest.approx(upright.face.quality, abs=0.02)
    assert found.prediction.p_male == pytest.approx(upright.prediction.p_male, abs=0.05)
    assert [note.kind for note in result.notes] == ["turned"]


@pytest.fixture(scope="module")
def listing():
    return list_lfw(LFW)


#: Of the complete set, every n-th photo is tested: all take two minutes.
EACH = 6


@pytest.fixture(scope="module")
def lfw(listing, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores") / "lfw"
    folds = {name: fold[::EACH] for name, fold in listing.folds.items()}
    return prepare(replace(listing, entries=listing.entries[::EACH], folds=folds), folder), open_store(folder)


class TestOnLfw:
    pytestmark = needs_lfw

    def test_the_complete_set_is_counted_right(self, listing):
        labels = [entry.label for entry in listing.entries]
        assert (labels.count(0), labels.count(1)) == (2_966, 10_263)
        assert ("lines in the label lists", 2_966, 10_268) in listing.counts
        # Mended, unlabelled, in both lists.
        assert sorted(len(names) for names in listing.findings.values() if names) == [1, 4, 5]
        random, identity = listing.folds["random"], listing.folds["identity"]
        assert np.bincount(random)[1:].max() - np.bincount(random)[1:].min() <= 1
        people = {}
        for entry, fold in zip(listing.entries, identity, strict=True):
            assert people.setdefault(entry.identity, fold) == fold
        assert len(people) == 5_748

    def test_it_scores_what_its_card_says(self, lfw):
        report, store = lfw
        assert len(report.fallbacks) <= 0.002 * len(store)  # the detector finds the face in the middle
        for name in weights.list_models():
            card = json.loads(weights.weight_path(name).with_suffix(".json").read_text())
            claimed = card["accuracy"]["lfw all"]
            measured = measure(store.labels, GenderClassifier(name).p_male(store.crops))
            assert measured.count == -(-claimed["count"] // EACH)
            # A sixth of the faces scores within two deviations of all, women within two of their own.
            for key, apart in (("accuracy", 0.005), ("tpr", 0.005), ("female_accuracy", 0.015), ("auc", 0.002)):
                assert getattr(measured, key) == pytest.approx(claimed[key], abs=apart)

    def test_a_photo_of_a_face_gets_the_answer_of_its_crop(self, lfw):
        """Predicting goes the way that the training crops went, also among other faces in the photo."""
        _, store = lfw
        test = np.flatnonzero(store.fold("identity") == 10)
        names = [store.images[int(i)] for i in test[:: len(test) // 150]]
        photos = dict(read_images(LFW, names))
        assert len(paths_by_name(LFW)) == 13_233
        analyzer, classifier = FaceAnalyzer(min_confidence=0.5), GenderClassifier(min_confidence=0.5)
        same, found = 0, 0
        for name, data in photos.items():
            faces = [
                f
                for f in analyzer.analyze(decode(data)).faces
                if abs(f.face.box[0] + f.face.box[2] / 2 - 125) < 40
                and abs(f.face.box[1] + f.face.box[3] / 2 - 125) < 40
            ]
            crop = store.crops[store.images.index(name)][None]
            found += bool(faces)
            same += bool(faces) and faces[0].prediction.label == classifier.predict(np.array(crop))[0].label
        assert found / len(photos) >= 0.98
        assert same / found >= 0.95
