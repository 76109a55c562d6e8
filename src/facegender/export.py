"""From a trained fold to the pair that ships: one ONNX file, and the card that says what it is."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from facegender.datasets.store import Store
from facegender.errors import CheckpointError, WeightsError
from facegender.evaluation.calibration import confidence_for_error, fit_temperature
from facegender.evaluation.crossval import fold_examples, fold_folder
from facegender.evaluation.metrics import (
    expected_calibration_error,
    measure,
    p_male_from_logits,
    wilson_interval,
)
from facegender.faces.types import CROP_SIZE
from facegender.files import atomic_file
from facegender.inference.runtime import Session
from facegender.networks.classifier import CropClassifier
from facegender.networks.deploy import deployable
from facegender.training.loop import Examples
from facegender.training.model import MODEL, TrainedModel, load_model, predict_logits

OPSET = 18
#: Largest difference of any logit between PyTorch and ONNX Runtime that an export may have.
PARITY = 1e-4
#: The answered faces of the calibration folds err at most at this rate; the others are "uncertain".
MAX_ERROR = 0.01


def to_onnx(classifier: CropClassifier, size: int = CROP_SIZE) -> bytes:
    """The classifier as an ONNX model: uint8 ``crops`` N x `size` x `size` x 3 in, float32 ``logits`` N x 2 out."""
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    return onnx_bytes(deployable(classifier, size), example, "crops", "logits", {0: torch.export.Dim("faces")})


def onnx_bytes(module: nn.Module, example: Tensor, takes: str, gives: str, dynamic: dict[int, Any]) -> bytes:
    """A module with one input and one output as an ONNX model.

    Args:
        module: put into evaluation mode.
        example: an input.
        takes: name of the input.
        gives: name of the output.
        dynamic: which dimensions of the input may change, and their names or formulas.

    Raises:
        WeightsError: PyTorch gave no program.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[takes],
            output_names=[gives],
            dynamic_shapes=(dynamic,),
            verbose=False,
        )
    if program is None:
        raise WeightsError("PyTorch gave no ONNX program")
    model = program.model_proto
    # The exporter notes source lines and paths of the machine; none of it belongs into a shipped file.
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        value.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def export_fold(
    crossval: Path,
    fold: int,
    store: Store,
    assignment: str,
    output: Path,
    name: str,
    *,
    licence: str,
    command: str,
) -> dict[str, Any]:
    """Export the model that was tested on `fold`, calibrated on the predictions of all other folds.

    The other folds' predictions come from their own models, none of which saw the crops it predicted: together
    they say how confident a network of this recipe is on new faces, and `fold` stays untouched for the test.

    Args:
        crossval: folder that `cross_validate` wrote, with every fold done.
        fold: whose model to export; its crops are the test set in the card.
        store: the data of the cross-validation.
        assignment: its fold assignment.
        output: folder for ``<name>.onnx`` and ``<name>.json``.
        name: of the weights.
        licence: of the training data, as the card states it.
        command: that made the file, for the card.

    Returns:
        the card.

    Raises:
        CheckpointError: a fold is missing, cut short, or was trained on other crops.
        WeightsError: the exported file does not agree with PyTorch.
        OutputError: `output` cannot be written.
    """
    folds = store.fold(assignment)
    models = {
        number: _checked_model(crossval, fold_examples(store, assignment, number), number)
        for number in sorted({*folds.tolist(), fold})
    }
    trained = models.pop(fold)
    members = {number: np.flatnonzero(folds == number) for number in models}
    calibration_labels = np.concatenate([store.labels[index] for index in members.values()])
    calibration_logits = np.concatenate(
        [predict_logits(models[number].classifier, store.crops, index) for number, index in members.items()]
    )
    temperature = fit_temperature(calibration_labels, calibration_logits)
    min_confidence = confidence_for_error(
        calibration_labels, p_male_from_logits(calibration_logits, temperature), MAX_ERROR
    )

    data = to_onnx(trained.classifier)
    test = np.flatnonzero(folds == fold)
    ours = Session(data).run(np.ascontiguousarray(store.crops[test]))
    difference = float(np.abs(ours - predict_logits(trained.classifier, store.crops, test)).max())
    if difference > PARITY:
        raise WeightsError(f"ONNX Runtime and PyTorch differ by {difference:.2g} in a logit, over {PARITY}")
    p_male = p_male_from_logits(ours, temperature)
    metrics = measure(store.labels[test], p_male)
    right = int(((p_male >= 0.5) == (store.labels[test] == 1)).sum())
    low, high = wilson_interval(right, len(test))
    answered = np.maximum(p_male, 1 - p_male) >= min_confidence
    wrong = ((p_male >= 0.5) != (store.labels[test] == 1))[answered]
    card = {
        "name": name,
        "network": trained.recipe.network,
        "parameters": sum(p.numel() for p in trained.classifier.parameters()),
        "input_size": CROP_SIZE,
        "channels": trained.recipe.colour,
        "colour_order": "RGB",
        "mean": list(trained.mean),
        "std": list(trained.std),
        "template": trained.alignment["template"],
        "temperature": round(temperature, 4),
        "min_confidence": math.ceil(min_confidence * 1e4) / 1e4,
        "training_data": f"{store.name}, {assignment} folds without fold {fold}: {len(store) - len(test)} crops",
        "licence": licence,
        "accuracy": {
            f"{store.name} {assignment} fold {fold}": {
                **{k: round(v, 5) if isinstance(v, float) else v for k, v in metrics.to_dict().items()},
                "accuracy_wilson_95": [round(low, 5), round(high, 5)],
                "expected_calibration_error": round(expected_calibration_error(store.labels[test], p_male), 5),
                "coverage": round(float(answered.mean()), 5),
                "error_among_answered": round(float(wrong.mean()) if len(wrong) else 0.0, 5),
            }
        },
        "sha256": hashlib.sha256(data).hexdigest(),
        "command": command,
        "recipe": trained.recipe.to_dict(),
    }
    with atomic_file(output / f"{name}.onnx") as path:
        path.write_bytes(data)
    with atomic_file(output / f"{name}.json") as path:
        path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card


def _checked_model(crossval: Path, examples: Examples, number: int) -> TrainedModel:
    path = fold_folder(crossval, number) / MODEL
    if not path.exists():
        raise CheckpointError(f"there is no {path}", remedy="run facegender crossval on all folds first")
    model = load_model(path)
    if model.examples != examples.fingerprint():
        raise CheckpointError(f"{path} was not trained on these folds of {examples.store.name}", remedy="check --folds")
    return model
