"""From a finished run to the files that ship: calibrated, converted, checked, tested."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from facegender.errors import AccuracyLossError, InputError, WeightsError
from facegender.faces.align import LandmarkTemplate
from facegender.faces.types import CROP_SIZE
from facegender.files import atomic_file
from facegender.inference.runtime import NetworkSession, Session, open_network
from facegender.lab.datasets.provenance import SEEN_SUFFIX, Provenance, Seen, write_faces
from facegender.lab.datasets.splits import person
from facegender.lab.datasets.store import Store
from facegender.lab.effects import degrade_mixed
from facegender.lab.evaluation.metrics import FloatArray, IntArray
from facegender.lab.export import to_onnx
from facegender.lab.export.convert import Format, convert
from facegender.lab.export.measure import (
    EvaluationCrops,
    accuracy,
    answers,
    balanced,
    faces_to_test,
    tested,
    thresholds,
    validation_faces,
)
from facegender.lab.training.calibration import CALIBRATION_FOLDS, fit_calibration, out_of_fold
from facegender.lab.training.model import TrainedModel, features_and_logits
from facegender.lab.training.start import open_trained
from facegender.progress import track
from facegender.weights.cards import Card, Precision

#: Probabilities beyond them have no logit in float32.
_BOUNDS = (1e-7, 1 - 1e-7)
#: Largest difference of any probability between PyTorch and the float32 file that an export may have.
PARITY = 1e-4
#: Crops on which int8 takes the ranges of activations.
_RANGES = 512
#: How much a face made poor counts in the calibration, beside the same face as it is.
_POOR = 0.5


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        files: network first, then the digests of the faces that it has seen, card last.
        card: as written.
        validation: accuracy on each set of validation faces: name to that in float32 and that of the file.
        lost: points of accuracy, in percent, that the file lost over all of them; negative where it gained.
    """

    files: Sequence[Path]
    card: Mapping[str, Any]
    validation: Mapping[str, tuple[float, float]]
    lost: float


def export_run(
    run: str | Path,
    validate: Sequence[Store],
    test: Sequence[Store],
    output: Path,
    name: str,
    *,
    licence: str,
    command: str,
    form: Format = "onnx",
    precision: Precision = "fp32",
    mirror: bool = False,
    max_loss: float = 0.1,
) -> Export:
    """Write a run's network, calibrated on validation splits, and its card with what was measured on test splits.

    Args:
        run: folder of a finished run, or its ``model.safetensors``; or a shipped network or an ``.onnx`` file, which is
            calibrated and tested anew.
        validate: the calibration, the thresholds, the ranges for int8 and all checks use their validation splits
            (`facegender.lab.export.measure.validation_faces`), and each store counts the same. The thresholds are
            chosen from probabilities that each face has by a calibration fitted on other people.
        test: the card has the measures on each (`facegender.lab.export.measure.faces_to_test`).
        output: folder for ``NAME.onnx``, or ``NAME.xml`` and ``NAME.bin``, with ``NAME.seen.npz``, the digests of the
            faces that the network has seen, and ``NAME.json``.
        licence: of the training data, as the card states it.
        mirror: answer from each crop and its mirror image (`CropClassifier.mirror`).
        max_loss: points of validation accuracy, in percent, that the files may lose against float32.

    Raises:
        CheckpointError: no finished run there.
        InputError: a store lacks the split that it is asked for, or a label in it; or there are none.
        AccuracyLossError: the files lost more than `max_loss`; nothing is written.
        WeightsError: the exported network does not agree with PyTorch, or cannot be converted.
        MissingExtraError: OpenVINO or NNCF is not installed.
        OutputError: `output` cannot be written.
    """
    if not validate:
        raise InputError("there is no store to calibrate on", remedy="--validate STORE")
    trained = open_trained(run, validate[0].crops)
    trained.classifier.mirror = mirror
    validation = validation_faces(validate, trained.provenance, name)
    calibrated = reduce(or_, (Seen.of(faces.store, faces.index) for faces in validation))
    provenance = Provenance(trained.provenance.learned, calibrated)
    tests = faces_to_test(test, provenance, name)
    if not (max_loss >= 0):
        raise InputError(f"the accepted loss must be 0 points or more, not {max_loss}")

    labels = np.concatenate([faces.labels for faces in validation])
    model, exact, held_out = _calibrated(trained, validation)
    crops = np.concatenate(
        [faces.store.crops[_spread(faces.index, _RANGES // len(validation))] for faces in validation]
    )
    files = convert(model, form, precision, crops)
    network = _opened(files)
    given = [answers(network.run, faces, f"{form} {precision}") for faces in validation]
    pairs = {
        faces.name: (accuracy(faces.labels, before), accuracy(faces.labels, after))
        for faces, before, after in zip(validation, exact, given, strict=True)
    }
    lost = 100 * (accuracy(labels, np.concatenate(exact)) - accuracy(labels, np.concatenate(given)))
    if lost > max_loss:
        listed = ", ".join(f"{where} {100 * a:.2f} -> {100 * b:.2f} %" for where, (a, b) in pairs.items())
        raise AccuracyLossError(
            f"{form} {precision} loses {lost:.2f} points of accuracy, over {max_loss:g}: {listed}; nothing is written",
            remedy="choose another --precision, or allow more with --max-loss",
        )

    shifted = logit(np.concatenate(given).clip(*_BOUNDS)) + held_out - logit(np.concatenate(exact).clip(*_BOUNDS))
    confidences = thresholds(labels, expit(shifted), balanced(validation))
    measured = {
        faces.name: {
            **tested(faces, answers(network.run, faces, f"{form} {precision}"), confidences),
            **({"left_out": faces.left_out} if faces.left_out else {}),
        }
        for faces in tests
    }
    card = {
        **Card(
            name=name,
            network=trained.recipe.network,
            input_size=CROP_SIZE,
            channels=trained.recipe.colour,
            colour_order="RGB",
            mean=trained.mean,
            std=trained.std,
            template=LandmarkTemplate.from_dict(trained.alignment["template"]),
            precision=precision,
            confidence_for_error=confidences,
            training_data=trained.store,
            licence=licence,
            sha256=hashlib.sha256(b"".join(files.values())).hexdigest(),
            command=command,
            parameters=sum(p.numel() for p in trained.classifier.parameters()),
            accuracy=measured,
        ).to_dict(),
        "validation": {
            faces.name: {"count": len(faces.index), "accuracy_fp32": round(a, 5), "accuracy": round(b, 5)}
            for faces, (a, b) in zip(validation, pairs.values(), strict=True)
        },
        **provenance.to_record(),
        "recipe": trained.recipe.to_dict(),
        **({"lessons": trained.lessons} if trained.lessons else {}),
    }
    return Export(_write(files, provenance, card, output, name), card, pairs, lost)


def _calibrated(
    trained: TrainedModel, validation: Sequence[EvaluationCrops]
) -> tuple[bytes, list[FloatArray], FloatArray]:
    """The ONNX model in float32 with the calibration inside, and its probabilities for each set of faces.

    Calibrated on each face as it is, and made poor in one way that is drawn
    (`facegender.lab.effects.degrade_mixed`). The third is what thresholds are to be chosen from: the logits
    that all these faces have by calibrations which were fitted without them and without other photos of the person.
    """
    clear, poor = [], []
    for faces in track(validation, "calibration"):
        crops = np.ascontiguousarray(faces.store.crops[faces.index])
        every = np.arange(len(crops))
        clear.append(features_and_logits(trained.classifier, crops, every))
        poor.append(features_and_logits(trained.classifier, degrade_mixed(crops), every))
    labels = np.concatenate([faces.labels for faces in validation])
    features, logits = (np.concatenate(parts) for parts in zip(*clear, *poor, strict=True))
    people = _people(validation)
    if len(set(people.tolist())) < CALIBRATION_FOLDS:
        raise InputError("there are too few people among the validation faces to calibrate on", remedy="add a store")
    weights = balanced(validation)
    rows = (features, logits, np.tile(labels, 2), np.concatenate([weights, _POOR * weights]))
    who = np.tile(np.arange(len(labels)), 2)
    calibration = fit_calibration(*rows, faces=who)
    held_out = out_of_fold(*rows, faces=who, people=np.tile(people, 2))[: len(labels)]
    expected = calibration.p_male(features, logits)[: len(labels)]
    model = to_onnx(trained.classifier, CROP_SIZE, calibration)
    session = Session(model)
    exact = [answers(session.run, faces, "onnx fp32") for faces in validation]
    difference = float(np.abs(np.concatenate(exact) - expected).max())
    if not difference <= PARITY:
        raise WeightsError(f"ONNX Runtime and PyTorch differ by {difference:.2g} in a probability, over {PARITY}")
    return model, exact, logit(held_out.clip(*_BOUNDS))


def _people(validation: Sequence[EvaluationCrops]) -> IntArray:
    """A number for each face, equal for faces of one person: of one name, also in two stores."""
    keys = [
        person(faces.store.name, name) or (number, place)
        for number, faces in enumerate(validation)
        for place, name in enumerate(faces.people)
    ]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], np.int64)


def _spread(index: IntArray, count: int) -> IntArray:
    """This number of them, evenly spread."""
    return index[np.linspace(0, len(index) - 1, min(count, len(index))).astype(np.int64)]


def _opened(files: Mapping[str, bytes]) -> NetworkSession:
    with tempfile.TemporaryDirectory(prefix="facegender-export-") as folder:
        for suffix, content in files.items():
            Path(folder, "network").with_suffix(suffix).write_bytes(content)
        return open_network(Path(folder, "network").with_suffix(next(iter(files))))


def _write(
    files: Mapping[str, bytes], provenance: Provenance, card: Mapping[str, Any], output: Path, name: str
) -> list[Path]:
    faces = io.BytesIO()
    write_faces(faces, provenance)
    text = json.dumps(card, indent=2) + "\n"
    paths = []
    for suffix, content in {**files, SEEN_SUFFIX: faces.getvalue(), ".json": text.encode()}.items():
        path = output / f"{name}{suffix}"
        with atomic_file(path) as temporary:
            temporary.write_bytes(content)
        paths.append(path)
    return paths
