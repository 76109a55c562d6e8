"""From a trained detector to the pair that ships: one ONNX file, and the card that says what it is."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from facegender.errors import PhotoReadError, WeightsError
from facegender.faces.anchors import MULTIPLE, VALUES
from facegender.faces.decode import decode
from facegender.faces.types import Picture
from facegender.files import atomic_file, write_text
from facegender.inference.detector import FaceDetector, OnnxDetector
from facegender.inference.runtime import Session
from facegender.lab.detection.measure import Comparison, as_rows
from facegender.lab.detection.photos import LabelledPhoto, photos_below, split_of
from facegender.lab.detection.recipe import DetectorRecipe
from facegender.lab.detection.teacher import Teacher
from facegender.lab.export import onnx_bytes
from facegender.lab.networks.face_detector import DeployedDetector, FaceDetectorNetwork
from facegender.progress import track

NAME = "face-detector"

log = logging.getLogger(__name__)

#: Largest difference of any value between PyTorch and ONNX Runtime that an export may have.
PARITY = 1e-3

#: Side in input pixels from which faces are found reliably.
SMALLEST_FACE = 16
#: On validation photos, of the faces found this share must be right, and empty photos may have this many in 100.
_PRECISION, _FALSE_PER_100 = 0.97, 0.5
#: Scores that the threshold is chosen from.
_SCORES = np.arange(0.2, 0.9, 0.01)


def detector_onnx(network: FaceDetectorNetwork) -> bytes:
    """The detector as an ONNX model: uint8 ``images`` in, float32 ``cells`` out, of any size in steps of 32."""
    dimensions = {
        0: torch.export.Dim("photos"),
        1: MULTIPLE * torch.export.Dim("rows", min=2),
        2: MULTIPLE * torch.export.Dim("columns", min=2),
    }
    example = torch.zeros(2, 3 * MULTIPLE, 4 * MULTIPLE, 3, dtype=torch.uint8)
    return _with_plain_shapes(onnx_bytes(DeployedDetector(network), example, "images", "cells", dimensions))


def _with_plain_shapes(data: bytes) -> bytes:
    """The same model with constant targets of its Reshape nodes: the exporter computes each from the input's shape.

    Each level's map becomes N x 15 x cells, which needs no computing, and the two dozen tiny nodes cost as much as a
    stage of the network on a small photo.
    """
    model = onnx.load_from_string(data)
    graph = model.graph
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([0, VALUES, -1], np.int64), "cells_shape"))
    for node in graph.node:
        if node.op_type == "Reshape":
            node.input[1] = "cells_shape"
            del node.attribute[:]  # with `allowzero` the first 0 would not mean the number of photos
    wanted = {output.name for output in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(reversed(nodes))
    initializers = [tensor for tensor in graph.initializer if tensor.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(initializers)
    onnx.checker.check_model(model)
    plain: bytes = model.SerializeToString()
    return plain


def export_detector(
    network: FaceDetectorNetwork,
    recipe: DetectorRecipe,
    validation: Sequence[LabelledPhoto],
    teacher: Teacher,
    sources: Sequence[Path],
    output: Path,
    *,
    training_data: str,
    licence: str,
    command: str,
) -> dict[str, Any]:
    """Write ``face-detector.onnx`` and its card: threshold chosen on validation photos, figures from the test split.

    Args:
        validation: photos that the threshold is chosen on.
        sources: folders of which the test split is measured.

    Returns:
        the card.

    Raises:
        WeightsError: the exported file does not agree with PyTorch.
        OutputError: `output` cannot be written.
    """
    data = detector_onnx(network)
    _check_parity(network, data, validation)
    card: dict[str, Any] = {
        "name": NAME,
        "network": "facegender.lab.networks.face_detector",
        # Batch normalisation is part of the convolutions once it is exported.
        "parameters": sum(p.numel() for p in network.parameters()),
        "min_score": float(_SCORES[0]),
        "smallest_face": SMALLEST_FACE,
        # Training turns photos by up to 180 degrees.
        "any_way_up": recipe.scenes.any_way > 0,
        "colour_order": "RGB",
        "training_data": training_data,
        "licence": licence,
        "sha256": hashlib.sha256(data).hexdigest(),
        "command": command,
        "accuracy": {},
        "recipe": recipe.to_dict(),
    }
    with atomic_file(output / f"{NAME}.onnx") as path:
        path.write_bytes(data)
    _write_card(output, card)
    pictures = [Picture.of(np.asarray(photo.image)) for photo in validation]
    card["min_score"] = choose_score(compare(OnnxDetector(output / f"{NAME}.onnx"), teacher, pictures))
    _write_card(output, card)
    detector = OnnxDetector(output / f"{NAME}.onnx")
    for source in sources:
        files = [path for path in photos_below(source) if split_of(path.name) == "test"]
        named = source if [each.name for each in sources].count(source.name) > 1 else source.name
        card["accuracy"][f"{named} test"] = compare(detector, teacher, _readable(files)).to_dict()
    _write_card(output, card)
    return card


def compare(detector: FaceDetector, teacher: Teacher, pictures: Iterable[Picture]) -> Comparison:
    """Count what a detector finds in pictures against what its teacher sees."""
    comparison = Comparison()
    for picture in track(pictures, "comparing"):
        (faces,) = detector.detect([picture])
        comparison.add(as_rows(faces), teacher.detect_rows(picture.pixels))
    return comparison


def choose_score(comparison: Comparison) -> float:
    """The lowest score at which the faces found are right often enough, and empty photos stay empty enough."""
    for score in _SCORES:
        precise = comparison.precision(score) >= _PRECISION
        quiet = not comparison.empty or comparison.false_per_100(score) <= _FALSE_PER_100
        if precise and quiet:
            break
    else:
        log.warning("no score makes the faces right often enough: %.2f, the highest tried, is taken", score)
    return round(float(score), 2)


def _readable(files: Sequence[Path]) -> Iterator[Picture]:
    for path in files:
        try:
            yield Picture.of(decode(path))
        except PhotoReadError:
            continue


@torch.inference_mode()
def _check_parity(network: FaceDetectorNetwork, data: bytes, photos: Sequence[LabelledPhoto]) -> None:
    session = Session(data)
    for photo in photos[:4]:
        height, width = (math.ceil(side / MULTIPLE) * MULTIPLE for side in photo.image.shape[:2])
        batch = np.zeros((1, height, width, 3), np.uint8)
        batch[0, : photo.image.shape[0], : photo.image.shape[1]] = photo.image
        theirs = DeployedDetector(network).eval()(torch.from_numpy(batch)).numpy()
        difference = float(np.abs(session.run(batch) - theirs).max())
        if not difference <= PARITY:
            raise WeightsError(f"ONNX Runtime and PyTorch differ by {difference:.2g} in a cell")


def _write_card(output: Path, card: dict[str, Any]) -> None:
    write_text(output / f"{NAME}.json", json.dumps(card, indent=2) + "\n")
