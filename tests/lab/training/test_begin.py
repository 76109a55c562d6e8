"""A network that begins with the weights of another."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from facegender.errors import CheckpointError, InputError, WeightsError
from facegender.inference.classifier import GenderClassifier
from facegender.lab.datasets.provenance import Provenance, face_digests
from facegender.lab.evaluation.crossdataset import cross_test
from facegender.lab.evaluation.models import EvaluatedModel
from facegender.lab.export import run as module
from facegender.lab.export.run import export_run
from facegender.lab.training.checkpoint import MODEL
from facegender.lab.training.loop import Examples, train
from facegender.lab.training.model import load_model
from facegender.lab.training.start import begin, open_start

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["custom-cnn-table1", "residual-nano"])
def recipe(quick, request):
    return replace(quick, network=request.param)


@pytest.fixture(scope="module")
def run(store, recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("start") / "run"
    train(recipe, Examples(store, store.split("train")), folder)
    return folder


@pytest.fixture(scope="module")
def exports(run, store, tmp_path_factory):
    """The run as an exported file of a precision."""
    folder = tmp_path_factory.mktemp("exports")
    trained = load_model(run / MODEL)
    faces = module.validation_faces([store], trained.provenance, "")
    once = module._calibrated(trained, faces)  # the network in float32 is the same whatever it is converted to

    @cache
    def export(precision):
        texts = {"licence": "ours", "command": "pytest"}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_calibrated", lambda *_: once)
            export_run(run, [store], [store], folder, precision, **texts, precision=precision, max_loss=10)
        return folder / f"{precision}.onnx"

    return export


def log_odds(classifier, crops):
    with torch.inference_mode():
        logits = classifier.eval()(torch.from_numpy(np.array(crops)))
    return (logits[:, 1] - logits[:, 0]).numpy()


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_it_answers_as_the_exported_file_does(precision, exports, store, recipe):
    file = exports(precision)
    begun = log_odds(begin(open_start(file), recipe, store.crops, store.split("train")), store.crops)
    p_male = GenderClassifier(file).p_male(np.asarray(store.crops))
    # Calibration lies between the two.
    assert np.corrcoef(begun, np.log(p_male / (1 - p_male)))[0, 1] > 0.98


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_an_exported_network_is_exported_again(precision, exports, store, tmp_path):
    """Calibrated on the same faces it is what it was, and what it has learned from is still known."""
    texts = {"licence": "ours", "command": "pytest", "precision": precision, "max_loss": 10}
    first, again = exports(precision), tmp_path / "again.onnx"
    export_run(first, [store], [store], tmp_path, "again", **texts)
    before, after = (GenderClassifier(file).p_male(np.asarray(store.crops)) for file in (first, again))
    assert np.abs(before - after).max() < {"fp32": 0.005, "int8": 0.1}[precision]
    one, two = (json.loads(file.with_suffix(".json").read_text()) for file in (first, again))
    assert {key for key in one if one[key] != two[key]} <= {
        "name",
        "sha256",
        "accuracy",
        "validation",
        "confidence_for_error",
    }
    assert np.array_equal(Provenance.of(first).learned.faces, Provenance.of(again).learned.faces)


def test_a_network_without_its_recipe_is_not_exported_again(tiny_model, store, tmp_path):
    with pytest.raises(WeightsError, match=r"cannot be exported again|cannot start from"):
        export_run(tiny_model, [store], [store], tmp_path, "again", licence="", command="")


def test_it_answers_as_the_run_does(run, store, recipe):
    start = open_start(run)
    begun = begin(start, recipe, store.crops, store.split("train"))
    assert all(torch.equal(tensor, start.tensors[name]) for name, tensor in begun.state_dict().items())


@pytest.mark.parametrize("change", [{"colour": "gray"}, {"input_size": 96}], ids=["gray", "enlarged"])
def test_it_answers_as_the_exported_file_of_another_input_does(change, store, quick, tmp_path):
    recipe = replace(quick, network="residual-nano", epochs=1, **change)
    train(recipe, Examples(store, store.split("train")), tmp_path / "run")
    export_run(tmp_path / "run", [store], [store], tmp_path, "it", licence="ours", command="pytest", max_loss=10)
    begun = begin(open_start(tmp_path / "it.onnx"), recipe, store.crops, store.split("train"))
    run = load_model(tmp_path / "run" / MODEL).classifier
    assert np.allclose(log_odds(begun, store.crops), log_odds(run, store.crops), atol=1e-3)


def test_a_run_that_began_elsewhere_is_not_taken_for_one_that_did_not(run, store, recipe, tmp_path):
    examples = Examples(store, store.split("train"))
    train(replace(recipe, epochs=1), examples, tmp_path, start=open_start(run))
    with pytest.raises(CheckpointError, match="another"):
        train(replace(recipe, epochs=1), examples, tmp_path)


def test_what_the_first_network_learned_counts_as_learned(invoke, run, store_folder, store, recipe, tmp_path):
    folder = tmp_path / "run"
    settings = [f"--set={name}={getattr(recipe, name)}" for name in ("network", "batch_size", "precision")]
    invoke("train", store_folder, "--holdout=random:1", *settings, "--set=epochs=1", "--start", run, "--output", folder)
    trained = load_model(folder / MODEL)
    assert trained.store == store.name
    learned = trained.provenance.learned
    assert {number for use in learned.uses for number in use.folds["random"]} == {1, 2, 3, 4}
    assert np.isin(face_digests(store, store.split("train"))[:, 1], learned.faces).all()


def test_names_of_the_first_network_s_data_are_kept(run, store, recipe, tmp_path):
    other = replace(store, name="other", digest="other")
    trained = train(
        replace(recipe, epochs=1), Examples(other, other.split("validation")), tmp_path, start=open_start(run)
    )
    assert trained.store == f"{store.name}+other"
    # Whom it knows from its first store is not known, so it is not said that it knows nobody.
    cells = cross_test({"it": EvaluatedModel.of(trained, "it")}, {"other": other}, tmp_path / "tested")
    assert [cell.leaked for cell in cells] == [None]


@pytest.mark.parametrize(
    ("change", "remedy"),
    [({"network": "residual"}, "--set network="), ({"colour": "gray"}, "--set colour=rgb")],
    ids=["network", "colour"],
)
def test_another_network(change, remedy, run, store, recipe):
    with pytest.raises(InputError) as caught:
        begin(open_start(run), replace(recipe, **change), store.crops, store.split("train"))
    assert remedy in str(caught.value)


def test_no_network(tmp_path):
    with pytest.raises(WeightsError):
        open_start(tmp_path / "none.onnx")
