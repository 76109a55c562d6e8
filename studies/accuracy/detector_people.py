"""Landmarks against people: ours, YuNet's and dlib's on photos whose 68 points were set by hand; and false faces.

    python studies/accuracy/detector_people.py --helen HELEN/testset --afw AFW --graphics DIR --teacher YUNET.onnx
        --dlib shape_predictor_5_face_landmarks.dat [--detector FILE.onnx]

The five points of the 68 are `facegender.lab.detection.teacher.five_of_68`. Each detector looks at the photo shrunk to
the same longest side; of the faces that it finds, the one nearest to the annotated points counts. Errors are the mean
distance of the five points in inter-eye distances. dlib's predictor has no detector of its own and starts from YuNet's
box; it knows the corners of the eyes and the nose's base, so only its eye centres are compared. Writes
results/accuracy/detector_people.csv.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facegender.errors import PhotoReadError
from facegender.faces.anchors import FaceRows
from facegender.faces.decode import decode
from facegender.faces.types import Image, Picture
from facegender.inference.detector import OnnxDetector
from facegender.lab.detection.measure import as_rows
from facegender.lab.detection.photos import photos_below
from facegender.lab.detection.teacher import Points, read_pts
from facegender.lab.detection.yunet import YuNetDetector
from facegender.lab.study import study_parser, write_results
from facegender.progress import track

#: Photos are shrunk to this longest side for every detector alike.
LONGEST = 1280
#: A face whose landmarks are further than this from the annotated ones is another face: the annotated one is missed.
ANOTHER = 0.6

Finder = Callable[[Image], FaceRows]


def main() -> None:
    parser = study_parser(__doc__, "accuracy/detector_people.csv")
    parser.add_argument("--helen", type=Path, required=True)
    parser.add_argument("--afw", type=Path, required=True)
    parser.add_argument("--graphics", type=Path, nargs="*", action="extend", default=[])
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--dlib", type=Path)
    parser.add_argument("--detector", type=Path, help="another than the one that ships")
    arguments = parser.parse_args()
    ours, yunet = OnnxDetector(arguments.detector), YuNetDetector(arguments.teacher)
    finders: dict[str, Finder] = {
        "ours": lambda image: as_rows(ours.detect([Picture.of(image)])[0]),
        "YuNet": lambda image: yunet.detect_rows([image])[0],
    }
    rows: list[tuple[Any, ...]] = []
    for name, folder in (("HELEN test", arguments.helen), ("AFW", arguments.afw)):
        rows += _landmarks(name, folder, finders, arguments.dlib)
    for folder in arguments.graphics:
        rows += _false_faces(folder, finders["ours"], YuNetDetector(arguments.teacher, min_score=0.3))
    for row in rows:
        print(*row, sep="  ")
    columns = ("on", "photos", "detector", "measure", "value")
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    packages = "onnxruntime", "opencv-python-headless"
    write_results(arguments.output, records, *packages, detector_sha256=ours.card.sha256[:12])


def _landmarks(name: str, folder: Path, finders: dict[str, Finder], dlib_file: Path | None) -> list[tuple[Any, ...]]:
    errors: dict[str, list[float]] = {who: [] for who in finders}
    eyes: dict[str, list[float]] = {who: [] for who in (*finders, *(["dlib, 5 points"] if dlib_file else []))}
    predict = None if dlib_file is None else _dlib(dlib_file)
    files = sorted(folder.glob("*.pts"))
    for file in track(files, name):
        full = decode(file.with_suffix(".jpg"))
        scale = min(1.0, LONGEST / max(full.shape[:2]))
        size = round(full.shape[1] * scale), round(full.shape[0] * scale)
        image = np.asarray(cv2.resize(full, size, interpolation=cv2.INTER_AREA), np.uint8)
        points = read_pts(file) * scale
        for who, find in finders.items():
            face = _nearest(find(image), points)
            if face is None:
                continue
            found = face[4:14].reshape(5, 2)
            errors[who].append(_error(found, points))
            eyes[who].append(_error(found[:2], points[:2]))
            if who == "YuNet" and predict is not None:
                eyes["dlib, 5 points"].append(_error(predict(image, face), points[:2]))
    rows: list[tuple[Any, ...]] = []
    for who, values in errors.items():
        measures = {
            "found": len(values) / len(files),
            "five landmarks, mean error": np.mean(values),
            "five landmarks, median error": np.median(values),
            "five landmarks, share over 10 %": (np.array(values) > 0.1).mean(),
        }
        rows += [(name, len(files), who, measure, round(float(value), 4)) for measure, value in measures.items()]
    rows += [(name, len(files), who, "eyes, mean error", round(float(np.mean(v)), 4)) for who, v in eyes.items()]
    return rows


def _nearest(faces: FaceRows, points: Points) -> FaceRows | None:
    if not len(faces):
        return None
    away = [_error(face[4:14].reshape(5, 2), points) for face in faces]
    best = int(np.argmin(away))
    return faces[best] if away[best] < ANOTHER else None


def _error(found: Any, points: Points) -> float:
    return float(np.linalg.norm(found - points, axis=1).mean() / np.linalg.norm(points[0] - points[1]))


def _dlib(file: Path) -> Callable[[Image, FaceRows], Points]:
    import dlib

    predictor = dlib.shape_predictor(str(file))

    def eyes(image: Image, face: FaceRows) -> Points:
        x, y, width, height = face[:4]
        side, low = max(width, height), y + 0.1 * height  # dlib's boxes leave out the forehead
        left = x + width / 2 - side / 2
        box = dlib.rectangle(*(round(float(v)) for v in (left, low, left + side, low + 0.95 * side)))
        parts = np.array([(p.x, p.y) for p in predictor(np.ascontiguousarray(image), box).parts()], np.float64)
        one, two = parts[:2].mean(0), parts[2:4].mean(0)
        return np.stack(sorted((one, two), key=lambda point: float(point[0])))

    return eyes


def _false_faces(folder: Path, find: Finder, suspicious: YuNetDetector) -> list[tuple[Any, ...]]:
    """Faces found per 100 pictures in which YuNet suspects none."""
    empty = [image for image in _readable(photos_below(folder)) if not len(suspicious.detect_rows([image])[0])]
    found = sum(len(find(image)) for image in track(empty, folder.name))
    return [(folder.name, len(empty), "ours", "false faces per 100", round(100 * found / max(len(empty), 1), 2))]


def _readable(paths: Sequence[Path]) -> Iterator[Image]:
    for path in paths:
        try:
            image = decode(path)
        except PhotoReadError:
            continue
        if min(image.shape[:2]) >= 32 and max(image.shape[:2]) <= 4000:
            yield image


if __name__ == "__main__":
    main()
