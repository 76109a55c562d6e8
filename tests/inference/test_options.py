import copy
import dataclasses
import pickle

import pytest

from facegender.errors import InputError, WeightsError
from facegender.inference.classifier import GenderClassifier
from facegender.inference.detector import OnnxDetector
from facegender.inference.options import Options, OptionValues
from facegender.inference.pipeline import FaceAnalyzer
from facegender.video.analyze import VideoAnalyzer


def test_the_keywords_are_the_fields():
    fields = {field.name for field in dataclasses.fields(Options)}
    assert set(OptionValues.__annotations__) | {"model", "detector"} == fields


def test_values_and_options_make_the_same_analyzer(tiny_model, tiny_detector):
    options = Options(model=tiny_model, detector=tiny_detector, min_face=30, min_score=0.7, max_pixels=9, threads=1)
    one = FaceAnalyzer(options=options)
    other = FaceAnalyzer(tiny_model, tiny_detector, min_face=30, min_score=0.7, max_pixels=9, threads=1)
    for analyzer in (one, other):
        assert (analyzer.detector.min_face, analyzer.detector.min_score, analyzer.max_pixels) == (30, 0.7, 9)
        assert analyzer.classifier.card.name == "tiny"
    with pytest.raises(InputError, match="not both"):
        FaceAnalyzer(tiny_model, options=options)
    with pytest.raises(InputError, match="not both"):
        FaceAnalyzer(options=options, min_face=30)
    with pytest.raises(TypeError, match="min_faces"):
        FaceAnalyzer(min_faces=30)


@pytest.mark.parametrize("kind", [FaceAnalyzer, VideoAnalyzer])
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"max_error": 0.02, "min_confidence": 0.9}, "not both"),
        ({"min_confidence": 0.4}, r"\[0.5, 1\]"),
        ({"max_pixels": 0}, "max_pixels"),
        ({"device": "tpu"}, "tpu"),
        ({"min_face": 0}, "smallest face"),
        ({"min_score": 1.5}, "score"),
    ],
)
def test_what_cannot_be_is_refused(kind, values, words, tiny_model, tiny_detector):
    with pytest.raises(InputError, match=words):
        kind(tiny_model, tiny_detector, **values)


@pytest.mark.parametrize("kind", [FaceAnalyzer, VideoAnalyzer])
@pytest.mark.parametrize("values", [{"min_face": 20}, {"min_score": 0.4}, {"min_face": 20, "min_score": 0.4}])
def test_a_detector_object_has_its_own_options(kind, values, tiny_model, tiny_detector):
    with pytest.raises(InputError, match=" and ".join(values)):
        kind(tiny_model, OnnxDetector(tiny_detector), **values)
    assert kind(tiny_model, OnnxDetector(tiny_detector, **values))


def test_threads_of_videos_are_workers(tiny_model, tiny_detector):
    with pytest.raises(InputError, match="workers"):
        VideoAnalyzer(tiny_model, tiny_detector, threads=2)


def test_provenance_is_what_the_cards_say(tiny_model, tiny_detector, tmp_path):
    classifier, detector = GenderClassifier(tiny_model), OnnxDetector(tiny_detector)
    options = Options(model=str(tiny_model), detector=tiny_detector, min_face=20)
    provenance = options.provenance()
    assert provenance["model"] == {"name": "tiny", "sha256": classifier.card.sha256, "min_confidence": 0.6}
    assert provenance["detector"] == {"name": "blocks", "sha256": detector.card.sha256}
    assert provenance["options"] == {
        "min_face": 20,
        "min_score": None,
        "orientations": "auto",
        "max_pixels": 120_000_000,
    }
    given = Options(model=tiny_model, detector=OnnxDetector(tiny_detector, min_face=20), max_error=0.02).provenance()
    assert given["detector"] == provenance["detector"]
    assert given["options"] == {
        "min_face": 20,
        "min_score": 0.5,
        "orientations": "upright",
        "max_pixels": 120_000_000,
    }
    assert given["model"]["min_confidence"] == 0.55
    with pytest.raises(WeightsError, match="absent"):
        Options(model=tiny_model, detector=tmp_path / "absent.onnx").provenance()


def test_options_travel(tiny_model):
    options = Options(model=tiny_model, min_face=20)
    assert pickle.loads(pickle.dumps(options)) == copy.deepcopy(options) == options
