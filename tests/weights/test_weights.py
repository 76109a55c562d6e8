import json
from dataclasses import asdict
from pathlib import Path

import pytest

from facegender import weights
from facegender.errors import InputError, WeightsError
from facegender.faces.align import DEFAULT_TEMPLATE
from facegender.weights import Card, DetectorCard, load_card, load_detector_card


def test_card_beside_a_path(tiny_model):
    card = load_card(tiny_model)
    assert card == load_card(str(tiny_model))
    assert card.template == DEFAULT_TEMPLATE
    assert card.precision == "fp32"
    assert card.mean == (128.0, 128.0, 128.0)


def test_card_round_trip(tiny_model):
    card = load_card(tiny_model)
    assert Card.from_dict(json.loads(json.dumps(card.to_dict()))) == card


def test_confidence_for_an_accepted_error(tiny_model):
    card = load_card(tiny_model)
    assert card.confidence() == card.confidence(0.01) == card.confidence(0.0199) == 0.6
    assert card.confidence(0.02) == card.confidence(0.3) == 0.55
    for impossible in (0.009, 0, -1, 0.5, float("nan")):
        with pytest.raises(InputError, match=r"tiny knows no least confidence.*its rates: 0\.01, 0\.02"):
            card.confidence(impossible)


def test_more_fields_are_passed_over(tmp_path, write_model):
    assert load_card(write_model(tmp_path, recipe={"network": "tiny"})).name == "tiny"


def test_shipped_networks_are_what_their_cards_say():
    for name in weights.list_models():
        assert load_card(name).name == name


def test_unknown_name_lists_the_names():
    with pytest.raises(WeightsError, match=r"unknown model 'nobody'; installed: .*\.onnx"):
        load_card("nobody")


def test_missing_file(tmp_path):
    with pytest.raises(WeightsError, match=r"no such weight file: .*absent\.onnx \(shipped: open, research\)"):
        load_card(tmp_path / "absent.onnx")


def test_damaged_file(tmp_path, write_model):
    path = write_model(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=r"tiny\.onnx is damaged.*install"):
        load_card(path)


def test_missing_card(tmp_path, write_model):
    path = write_model(tmp_path)
    path.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match=r"tiny\.json is missing"):
        load_card(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"input_size": 224},
        {"channels": "bgr"},
        {"colour_order": "BGR"},
        {"precision": "bf16"},
        {"confidence_for_error": {}},
        {"confidence_for_error": {"0.01": 0.4}},
        {"confidence_for_error": {"0.7": 0.9}},
        {"confidence_for_error": {"little": 0.9}},
        {"confidence_for_error": {"0.01": "much"}},
        {"confidence_for_error": 0.9},
        {"template": {"scale": 1.2, "shift": [0, 0]}},
        {"template": None},
        {"mean": 3},
    ],
    ids=str,
)
def test_card_with_a_fault(tmp_path, changes, write_model):
    with pytest.raises(WeightsError, match=r"tiny\.json cannot be used"):
        load_card(write_model(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"name": "tiny"}', "\udc00"])
def test_card_that_is_no_card(tmp_path: Path, text: str, write_model):
    path = write_model(tmp_path)
    path.with_suffix(".json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(WeightsError, match=r"tiny\.json"):
        load_card(path)


def test_detector_card(tiny_detector):
    card = load_detector_card(tiny_detector)
    assert card == load_detector_card(str(tiny_detector))
    assert (card.min_score, card.smallest_face) == (0.5, 16)
    assert DetectorCard.from_dict(json.loads(json.dumps(asdict(card)))) == card


@pytest.mark.parametrize(
    "changes",
    [
        {"colour_order": "BGR"},
        {"min_score": 1.5},
        {"min_score": None},
        {"smallest_face": 0},
        {"smallest_face": "small"},
    ],
    ids=str,
)
def test_detector_card_with_a_fault(tmp_path, changes, write_detector):
    with pytest.raises(WeightsError, match=r"blocks\.json cannot be used"):
        load_detector_card(write_detector(tmp_path, **changes))


def test_detectors_are_no_classifiers(tiny_detector, tiny_model):
    assert "face-detector" not in weights.list_models()
    with pytest.raises(WeightsError, match="unknown model 'face-detector'"):
        load_card("face-detector")
    with pytest.raises(WeightsError, match="it lacks input_size"):
        load_card(tiny_detector)
    with pytest.raises(WeightsError, match="it lacks min_score"):
        load_detector_card(tiny_model)
    with pytest.raises(WeightsError, match=r"no such weight file: .*absent\.onnx"):
        load_detector_card("absent.onnx")


def test_damaged_detector(tmp_path, write_detector):
    path = write_detector(tmp_path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(WeightsError, match=r"blocks\.onnx is damaged"):
        load_detector_card(path)
