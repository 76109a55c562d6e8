import csv

import numpy as np
import pytest
from scipy.special import expit

from facegender.errors import CheckpointError, InputError, WeightsError
from facegender.lab.datasets.unseen import split_index
from facegender.lab.evaluation.metrics import Predictions, write_predictions
from facegender.lab.evaluation.models import open_model, open_models

THREE = Predictions(["a, b.jpg", "c.jpg", "d.jpg"], np.array([0, 1, 1]), np.array([0.25, 0.1, 1 - 1e-12]))


def test_what_is_written(tmp_path):
    path = tmp_path / "there" / "p.csv"
    write_predictions(path, THREE)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["image"] for row in rows] == THREE.images
    assert [row["label"] for row in rows] == ["female", "male", "male"]
    assert [float(row["p_male"]) for row in rows] == THREE.p_male.tolist()
    assert THREE.right.tolist() == [True, False, True]
    assert THREE.measure().accuracy == pytest.approx(2 / 3)


def test_one_label_has_no_measures():
    with pytest.raises(InputError, match="2 tested faces are not of both labels"):
        Predictions(THREE.images[1:], THREE.labels[1:], THREE.p_male[1:]).measure()


def test_an_onnx_file_answers_any_number_of_crops(tiny_model, store):
    model = open_model(str(tiny_model))
    assert (model.name, model.network, model.examples) == ("tiny", "tiny", "")
    index = np.arange(len(store)).repeat(5)[::-1]  # several batches, in any order
    red = store.crops[index][..., 0].mean((1, 2))
    predictions = model.predict(store, index)
    assert np.allclose(predictions.p_male, expit((red - 128) / 32), atol=1e-5)
    assert predictions.images[0] == store.images[-1]


def test_networks_that_are_not_there(tiny_model, tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        open_model(tmp_path)
    with pytest.raises(WeightsError, match="unknown model 'nobody'"):
        open_model("nobody")
    with pytest.raises(InputError, match="two of the networks are named tiny"):
        open_models([tiny_model, tiny_model])


def test_a_folder_that_is_called_like_a_shipped_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "open").mkdir()
    assert open_model("open").name == "open"
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        open_model("./open")


def test_the_crops_of_a_split(store):
    assert len(split_index(store, "all")) == len(store)
    assert {store.splits[i] for i in split_index(store, "test")} == {"test"}
    with pytest.raises(InputError, match=r"no crops in the split 'tset'.*test, train, validation, all"):
        split_index(store, "tset")
