"""From a trained network to the file that ships and its card."""

import hashlib
import json

import numpy as np
import onnx
import pytest
import torch

from facegender.errors import WeightsError
from facegender.faces.types import Picture
from facegender.inference.detector import OnnxDetector
from facegender.inference.runtime import Session
from facegender.lab.detection import export
from facegender.lab.detection.export import choose_score, compare, export_detector
from facegender.lab.detection.measure import Comparison
from facegender.lab.detection.recipe import DetectorRecipe
from facegender.lab.networks.face_detector import DeployedDetector, FaceDetectorNetwork

TOLD = {"training_data": "painted", "licence": "ours", "command": "pytest"}


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 96, 128), (2, 256, 64)], ids=str)
def test_the_exported_file_answers_as_pytorch_does(exported, shape):
    network, data = exported
    images = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    ours = Session(data, threads=1).run(images)
    with torch.inference_mode():
        theirs = DeployedDetector(network).eval()(torch.from_numpy(images)).numpy()
    count, height, width = shape
    assert ours.shape == (count, 15, height * width * 21 // 1024)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert (np.ptp(ours[:, 1:], axis=2) > 0.05).all()  # it is no constant


def test_the_exported_file_tells_nothing_of_the_machine(exported):
    model = onnx.load_from_string(exported[1])
    assert [i.name for i in model.graph.input] == ["images"]
    assert [o.name for o in model.graph.output] == ["cells"]
    assert b".py" not in exported[1]


@pytest.fixture
def fresh(exported, monkeypatch):
    """The network; exporting it again is not waited for."""
    monkeypatch.setattr(export, "detector_onnx", lambda network: exported[1])
    return exported[0]


@pytest.fixture
def source(save, paint, named, tmp_path):
    """A folder with three test photos, one of them damaged, and others."""
    for number, name in enumerate(named("test", 3)):
        save(f"party/{name}", paint(100, 80, (50, 40, 30 + 10 * number))[0])
    for name in named("train", 2):
        save(f"party/{name}", paint(64, 64)[0])
    broken = tmp_path / "party" / named("test", 3)[2]
    broken.write_bytes(broken.read_bytes()[:60])
    return tmp_path / "party"


def test_the_pair(fresh, exported, labelled, teacher, source, tmp_path):
    recipe = DetectorRecipe(steps=3)
    validation = [labelled((80, 80, 60)), labelled(size=(70, 50))]
    out = tmp_path / "out"
    card = export_detector(fresh, recipe, validation, teacher, [source], out, **TOLD)

    assert {path.name for path in out.iterdir()} == {"face-detector.onnx", "face-detector.json"}
    assert json.loads((out / "face-detector.json").read_text()) == card
    assert card["sha256"] == hashlib.sha256(exported[1]).hexdigest()
    assert card["recipe"] == recipe.to_dict()
    assert card["parameters"] == sum(p.numel() for p in fresh.parameters())
    assert {key: card[key] for key in TOLD} == TOLD
    figures = card["accuracy"]["party test"]
    assert (figures["photos"], figures["faces"]) == (2, 2)
    detector = OnnxDetector(out / "face-detector.onnx")
    assert detector.min_score == card["min_score"]
    assert detector.card.smallest_face == 16
    detector.detect([Picture.of(np.zeros((50, 70, 3), np.uint8))])


def test_a_file_that_answers_otherwise_is_not_written(fresh, labelled, teacher, source, tmp_path):
    torch.manual_seed(1)
    with pytest.raises(WeightsError, match="differ by"):
        export_detector(
            FaceDetectorNetwork(),
            DetectorRecipe(),
            [labelled((80, 80, 60))],
            teacher,
            [source],
            tmp_path / "out",
            **TOLD,
        )
    assert not (tmp_path / "out").exists()


def test_a_detector_beside_its_teacher(paint, teacher):
    image, rows = paint(120, 90, (60, 45, 40))
    teacher.look = lambda image: rows

    class Knows:
        def detect(self, pictures):
            return [[] for _ in pictures]

    comparison = compare(Knows(), teacher, iter([Picture.of(image), Picture.of(image)]))
    assert (comparison.photos, comparison.wanted, comparison.found) == (2, [0, 0, 2], [0, 0, 0])


def counted(right=(), wrong=(), empty=0, false=()):
    return Comparison(
        answers=[*right, *wrong], right=[True] * len(right) + [False] * len(wrong), empty=empty, false_scores=[*false]
    )


@pytest.mark.parametrize(
    ("comparison", "score"),
    [
        (counted(right=[0.9] * 10), 0.2),
        (counted(right=[0.9] * 100, wrong=[0.305] * 4), 0.31),
        (counted(right=[0.9] * 100, wrong=[0.305] * 3), 0.2),  # 97 %
        (counted(right=[0.9] * 100, empty=100, false=[0.405] * 2), 0.41),
        (counted(right=[0.9] * 100, empty=100, false=[0.405]), 0.2),  # 1 in 100
        (counted(right=[0.9] * 100, wrong=[0.505] * 9, empty=50, false=[0.405, 0.705]), 0.71),
        (counted(right=[0.9] * 100, wrong=[0.505] * 9, empty=50, false=[0.405]), 0.51),
    ],
)
def test_the_lowest_score_that_satisfies_both_conditions(monkeypatch, comparison, score):
    monkeypatch.setattr(export, "_PRECISION", 0.97)
    monkeypatch.setattr(export, "_FALSE_PER_100", 1.0)
    assert choose_score(comparison) == score


@pytest.mark.parametrize(
    "comparison", [counted(), counted(wrong=[0.95] * 5), counted(right=[0.95], empty=9, false=[0.99])]
)
def test_no_score_satisfies_them(comparison):
    assert choose_score(comparison) == 0.89
