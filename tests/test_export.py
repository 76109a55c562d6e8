"""From a cross-validation to a file that answers as PyTorch does."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from facegender.cli import app
from facegender.errors import CheckpointError
from facegender.evaluation.crossval import cross_validate
from facegender.export import export_fold
from facegender.inference.classifier import GenderClassifier
from facegender.training.model import MODEL, load_model, predict_logits
from facegender.training.recipe import Recipe

RECIPES = {
    colour: Recipe(
        name="quick",
        colour=colour,
        epochs=2,
        batch_size=20,
        optimizer="adamw",
        learning_rate=0.003,
        dropout=0.0,
        precision="32-true",
    )
    for colour in ("rgb", "gray")
}


@pytest.mark.parametrize("colour", RECIPES)
def test_the_exported_file_answers_as_pytorch_does(colour, store, store_folder, tmp_path):
    cross_validate(RECIPES[colour], store, "identity", tmp_path / "runs")
    options = ["--name", "made", "--fold", "2", "--licence", "ours", "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["export", str(store_folder), str(tmp_path / "runs"), *options])
    assert result.exit_code == 0, result.output

    classifier = GenderClassifier(tmp_path / "out" / "made.onnx")
    trained = load_model(tmp_path / "runs" / "fold-02" / MODEL)
    index = np.arange(len(store))
    theirs = predict_logits(trained.classifier, store.crops, index)
    assert np.abs(classifier.logits(np.asarray(store.crops)) - theirs).max() <= 1e-4
    card = json.loads((tmp_path / "out" / "made.json").read_text())
    assert card["channels"] == colour
    assert card["licence"] == "ours"
    assert card["accuracy"]["made identity fold 2"]["count"] == int((store.fold("identity") == 2).sum())

    model = onnx.load(tmp_path / "out" / "made.onnx")
    for weights in model.graph.initializer:
        weights.ClearField("raw_data")  # seven megabytes of them hold any three letters by chance
    assert str(tmp_path).encode() not in model.SerializeToString()
    for weights in model.graph.initializer:
        weights.ClearField("raw_data")  # any three bytes occur among millions
    assert b".py" not in model.SerializeToString()


def test_a_missing_fold_is_named(store, tmp_path):
    cross_validate(RECIPES["rgb"], store, "identity", tmp_path / "runs", only=[2])
    with pytest.raises(CheckpointError, match="all folds first"):
        export_fold(tmp_path / "runs", 2, store, "identity", tmp_path, "made", licence="", command="")


def test_runs_on_other_crops_are_refused(store, tmp_path):
    cross_validate(RECIPES["rgb"], store, "identity", tmp_path / "runs")
    for other, folds in ((replace(store, digest="0" * 64), "identity"), (store, "random")):
        with pytest.raises(CheckpointError, match=r"not trained on these folds|all folds first"):
            export_fold(tmp_path / "runs", 2, other, folds, tmp_path, "made", licence="", command="")
