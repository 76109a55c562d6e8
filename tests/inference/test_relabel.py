"""Other labels for records that are there."""

import pytest

from facegender.inference.classifier import relabelled


def record(*faces, **more):
    named = [{"p_male": p, "quality": quality, "label": label} for p, quality, label in faces]
    return {"path": "p", "faces": named, "error": None, **more}


@pytest.mark.parametrize(
    ("p_male", "quality", "confidence", "label"),
    [
        (0.9, 1.0, 0.9, "male"),
        (0.9, 1.0, 0.9001, "uncertain"),
        (0.1, 1.0, 0.9, "female"),
        (0.5, 0.3, 0.5, "male"),
        (0.9999, 0.0, 0.5, "uncertain"),
    ],
)
def test_labels(p_male, quality, confidence, label):
    for key in ("faces", "tracks"):
        before = {key: [{"p_male": p_male, "quality": quality, "label": "?"}]}
        assert relabelled(before, confidence) == {key: [{"p_male": p_male, "quality": quality, "label": label}]}


def test_a_copy_with_other_labels_drawn_in_is_not_named():
    same = record((0.9, 1.0, "male"), annotated="p.faces.jpg")
    assert relabelled(same, 0.8) is same
    assert "annotated" not in relabelled(same, 0.95)
    assert same["annotated"] == "p.faces.jpg"


def test_sightings_have_no_labels():
    sightings = {"path": "v", "sightings": [{"p_male": 0.9, "quality": 1.0}], "error": None}
    assert relabelled(sightings, 0.99) is sightings
