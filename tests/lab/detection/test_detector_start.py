"""Training that begins with the weights of an exported detector."""

import numpy as np
import onnx
import pytest
import torch

from facegender.errors import CheckpointError, WeightsError
from facegender.lab.detection import loop
from facegender.lab.detection.loop import train_detector
from facegender.lab.detection.recipe import DetectorRecipe, SceneSettings
from facegender.lab.detection.start import begin_detector, read_detector
from facegender.lab.networks.face_detector import FaceDetectorNetwork
from facegender.lab.training.hardware import Hardware
from facegender.weights import detector_path


def noise(seed):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [None, 0.2])
@torch.inference_mode()
def test_it_answers_as_the_one_it_begins_with(exported, tmp_path, size):
    network, data = exported
    (tmp_path / "detector.onnx").write_bytes(data)
    begun = FaceDetectorNetwork()
    begin_detector(begun, read_detector(tmp_path / "detector.onnx"), noise(1), size)
    # Small weights feel the epsilon of the normalization.
    np.testing.assert_allclose(begun.eval()(noise(2)), network.eval()(noise(2)), atol=2e-2 if size else 2e-3)


def test_the_detector_that_ships_is_of_the_network_that_is_trained():
    tensors = read_detector(detector_path())
    assert tensors["heads.0.2.weight"].shape == (15, 64, 1, 1)


def test_a_file_that_is_no_detector(tmp_path, exported):
    path = tmp_path / "other.onnx"
    with pytest.raises(WeightsError, match="cannot start from"):
        read_detector(path)
    path.write_bytes(b"no model")
    with pytest.raises(WeightsError, match="cannot start from"):
        read_detector(path)
    model = onnx.load_from_string(exported[1])
    (lateral,) = (tensor for tensor in model.graph.initializer if tensor.name == "network.lateral.0.weight")
    lateral.name = "elsewhere"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match=r"has no lateral\.0\.weight"):
        read_detector(path)


def test_a_run_belongs_to_what_it_began_with(exported, labelled, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "ROUND", 1)
    scenes = SceneSettings(canvas=64, smallest_face=12.0, largest_face=50.0)
    recipe = DetectorRecipe(steps=1, batch_size=2, learning_rate=1e-9, ema=0.0, precision="32-true", scenes=scenes)
    one, other = tmp_path / "one.onnx", tmp_path / "other.onnx"
    one.write_bytes(exported[1])
    model = onnx.load_from_string(exported[1])
    (bias,) = (tensor for tensor in model.graph.initializer if tensor.name == "network.lateral.0.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.ones(64, np.float32), bias.name))
    other.write_bytes(model.SerializeToString())
    photos = [labelled((80, 70, 50))]

    def run(start):
        return train_detector(recipe, photos, photos, tmp_path / "run", Hardware("cpu"), start)

    trained = run(one).state_dict()
    np.testing.assert_allclose(trained["lateral.0.weight"], exported[0].state_dict()["lateral.0.weight"], atol=1e-5)
    for start in (other, None):
        with pytest.raises(CheckpointError, match="another"):
            run(start)
