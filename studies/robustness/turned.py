"""Faces that are turned: how many are found and answered, and how often against the answer to the upright photo.

    python studies/robustness/turned.py LFW.tar [--count 200] [--output results/robustness/turned.csv]

Photos are taken evenly from the sorted paths and turned about their middle, the border repeated. A face counts where
its centre lies where the upright one's has been turned to. Takes about a minute and a half on two cores.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple, get_args

import cv2
import numpy as np

from facegender import FaceAnalyzer
from facegender.faces.decode import decode
from facegender.faces.types import FaceResult, Image
from facegender.inference.detector import Orientations
from facegender.lab.datasets.images import image_paths, read_images
from facegender.lab.study import study_command, study_parser
from facegender.progress import track
from facegender.tables import write_csv
from facegender.weights import load_detector_card

#: Landmarks are the right way up where their roll is off by at most this many degrees.
RIGHT = 20
TURNS = (0, 30, 45, 60, 90, 180)
COLUMNS = ("orientations", "degrees", "photos", "found", "right_way_up", "answered", "opposite")


class Upright(NamedTuple):
    """The face of an upright photo, and where its centre lies from the photo's middle, in pixels."""

    result: FaceResult
    offset: tuple[float, float]


def main() -> None:
    parser = study_parser(__doc__, "robustness/turned.csv")
    parser.add_argument("photos", type=Path, metavar="LFW.tar")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--orientations", choices=get_args(Orientations), nargs="*", default=["upright", "auto"])
    arguments = parser.parse_args()

    paths = image_paths(arguments.photos)
    wanted = paths[:: max(1, len(paths) // arguments.count)][: arguments.count]
    images = [decode(data) for _, data in read_images(arguments.photos, wanted, key=str)]
    extra = {"detector": load_detector_card().sha256[:12], "command": study_command()}
    rows = []
    for orientations in arguments.orientations:
        analyzer = FaceAnalyzer(orientations=orientations)
        faces = [(image, middle(analyzer, image, None, 0)) for image in images]
        before = [(image, Upright(face, from_middle(face, image))) for image, face in faces if face]
        for turn in track(TURNS, orientations):
            found = [middle(analyzer, turned(image, turn), upright, turn) for image, upright in before]
            cells = (orientations, turn, len(found), *counts(found, [upright.result for _, upright in before], turn))
            rows.append(dict(zip(COLUMNS, cells, strict=True)) | extra)
    write_csv(arguments.output, rows)


def turned(image: Image, degrees: float) -> Image:
    """The photo turned clockwise about its middle; uint8, H x W x 3."""
    if degrees % 90 == 0:
        return np.ascontiguousarray(np.rot90(image, -degrees // 90))
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1.0)
    return np.asarray(
        cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def middle(analyzer: FaceAnalyzer, image: Image, upright: Upright | None, degrees: float) -> FaceResult | None:
    """The face nearest to where the upright photo's is after the turn, or without one to the middle."""
    (x, y), reach = (0.0, 0.0), float(image.shape[1])
    if upright:
        (x, y), reach = upright.offset, upright.result.face.box[2]
    angle = math.radians(degrees)
    x, y = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)

    def distance(found: FaceResult) -> float:
        across, down = from_middle(found, image)
        return math.hypot(across - x, down - y)

    nearest = min(analyzer.analyze(image).faces, key=distance, default=None)
    return nearest if nearest and distance(nearest) < reach / 2 else None


def from_middle(found: FaceResult, image: Image) -> tuple[float, float]:
    """Where the centre of a face lies, in pixels right of and below the middle of its photo."""
    left, top, across, down = found.face.box
    height, width = image.shape[:2]
    return left + across / 2 - width / 2, top + down / 2 - height / 2


def counts(found: list[FaceResult | None], before: list[FaceResult], degrees: float) -> list[int]:
    """Faces found, with their landmarks the right way up, answered, and answered opposite to the upright photo."""
    pairs = [(one, other) for one, other in zip(found, before, strict=True) if one]
    answered = [(one, other) for one, other in pairs if one.prediction.label != "uncertain"]
    opposite = sum((one.prediction.p_male < 0.5) != (other.prediction.p_male < 0.5) for one, other in answered)
    off = [(one.face.roll - other.face.roll - degrees + 180) % 360 - 180 for one, other in pairs]
    return [len(pairs), sum(abs(angle) < RIGHT for angle in off), len(answered), opposite]


if __name__ == "__main__":
    main()
