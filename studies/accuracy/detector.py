"""The face detector against its teacher, on photos that neither training nor the threshold has seen.

    python studies/accuracy/detector.py --stills DIR --lfw DIR --imagenet DIR --fairface-val DIR --teacher YUNET.onnx
        [--detector FILE.onnx]

The test split is that of `facegender train-detector` (`facegender.lab.detection.photos.split_of`); of FairFace, of
which training photos were used in training, the validation photos. Writes results/accuracy/detector.csv and, with
--sheet, a contact sheet of test photos with what was found and missed.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np

from facegender.faces.align import crop_face
from facegender.faces.anchors import overlaps
from facegender.faces.decode import decode
from facegender.faces.types import Face, Image, Picture
from facegender.inference.classifier import GenderClassifier
from facegender.inference.detector import OnnxDetector
from facegender.lab.datasets.cropping import middle_face
from facegender.lab.detection.measure import CONFIDENT, Comparison, as_rows
from facegender.lab.detection.photos import photos_below, split_of
from facegender.lab.detection.teacher import Teacher
from facegender.lab.study import study_parser, write_results
from facegender.progress import track
from facegender.weights import detector_path

ROUNDS = 200

#: What is measured, on what, the value, and over how many.
Row: TypeAlias = tuple[str, str, Any, Any]


def main() -> None:
    parser = study_parser(__doc__, "accuracy/detector.csv")
    for name in ("stills", "lfw", "imagenet", "fairface-val", "teacher"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--detector", type=Path, help="another than the one that ships")
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    detector, teacher = OnnxDetector(arguments.detector), Teacher(arguments.teacher)

    rows: list[Row] = []
    tests = {name: _test(getattr(arguments, name)) for name in ("stills", "lfw", "imagenet")}
    counts = {name: Comparison() for name in tests}
    together, agreed, itself = Comparison(), Comparison(), Comparison()
    sheet: list[Image] = []
    for name, paths in tests.items():
        for path in track(paths, name):
            image = decode(path)
            theirs = teacher.detect_rows(image)
            ours = as_rows(detector.detect([Picture.of(image)])[0])
            counts[name].add(ours, theirs)
            if name != "imagenet":
                hits = together.add(ours, theirs)
                if len(sheet) < 60 and name == "stills" and len(theirs):
                    sheet.append(_drawn(image, ours, theirs, hits))
                sure = teacher.label(image).faces
                agreed.add(ours, sure)
                itself.add(sure, theirs)
    photos = f"{len(tests['stills'])} stills + {len(tests['lfw'])} LFW originals"
    rows += [
        ("recall, faces >= 32 px", photos, together.recall(2), f"{together.wanted[2]} faces"),
        ("recall, faces 16-32 px", photos, together.recall(1), f"{together.wanted[1]} faces"),
        ("recall, faces < 16 px", photos, together.recall(0), f"{together.wanted[0]} faces"),
        ("precision", photos, together.precision(), f"{len(together.answers)} faces found"),
    ]
    for name in ("stills", "lfw"):
        one = counts[name]
        rows += [
            (f"recall, faces >= 32 px, {name} alone", name, one.recall(2), f"{one.wanted[2]} faces"),
            (f"recall, faces 16-32 px, {name} alone", name, one.recall(1), f"{one.wanted[1]} faces"),
            (f"precision, {name} alone", name, one.precision(), f"{len(one.answers)} faces found"),
        ]
    empty = counts["imagenet"]
    rows.append(
        ("false faces per 100 images", "ImageNet, teacher finds none", empty.false_per_100(), f"{empty.empty} images")
    )
    rows += [
        *(
            (
                "landmark error, median",
                f"{photos}; {looks}",
                c.median_landmark_error(),
                f"{len(c.landmark_errors)} faces",
            )
            for looks, c in (("teacher's one look", together), ("mean of its four looks", agreed))
        ),
        ("the teacher's own landmark error", "one look against the mean of four", itself.median_landmark_error(), ""),
    ]
    for name, paths in (("test split", tests["lfw"]), ("all", photos_below(arguments.lfw))):
        found = sum(_middle(detector, Picture.of(decode(path))) is not None for path in track(paths, "LFW centres"))
        rows.append((f"LFW originals, centre face found, {name}", "lfw", found / len(paths), f"{len(paths)} images"))
    rows += _agreement(detector, teacher, {"lfw": tests["lfw"], "FairFace val": photos_below(arguments.fairface_val)})
    rows += _timing(detector, arguments.teacher, cv2.resize(decode(tests["stills"][0]), (640, 480)))
    rows += [
        ("parameters", "", detector.card.parameters, ""),
        ("ONNX bytes", "", detector_path(arguments.detector).stat().st_size, ""),
    ]
    records = []
    for measure, on, value, count in rows:
        shown = round(value, 4) if isinstance(value, float) else value
        print(f"{measure} [{on}]: {shown} ({count})")
        records.append({"measure": measure, "on": on, "value": shown, "count": count})
    packages = ("onnxruntime", "opencv-python-headless")
    write_results(arguments.output, records, *packages, detector_sha256=detector.card.sha256[:12])
    if arguments.sheet and sheet:
        _save_sheet(sheet, arguments.sheet)


def _test(folder: Path) -> list[Path]:
    return [path for path in photos_below(folder) if split_of(path.name) == "test"]


def _middle(detector: OnnxDetector, picture: Picture) -> Face | None:
    return middle_face(picture.width, picture.height, detector.detect([picture])[0])


def _agreement(detector: OnnxDetector, teacher: Teacher, sets: dict[str, list[Path]]) -> list[Row]:
    """Gender answers on crops by the teacher's landmarks and by ours, of the faces in the middle that both find.

    Beside them, what the teacher's own jitter does: its one look against the mean of its four, on every fourth photo.
    """
    classifier = GenderClassifier()
    template = classifier.card.template
    rows: list[Row] = []
    for name, paths in sets.items():
        pairs: dict[str, list[Image]] = {"": [], ", the teacher with itself": []}
        for number, path in enumerate(track(paths, f"agreement on {name}")):
            picture = Picture.of(decode(path))
            sure = [_face(row) for row in teacher.detect_rows(picture.pixels) if row[14] >= CONFIDENT]
            theirs = middle_face(picture.width, picture.height, sure)
            ours = _middle(detector, picture)
            if theirs is not None and ours is not None:
                pairs[""] += [crop_face(picture, face, template) for face in (theirs, ours)]
            if theirs is not None and number % 4 == 0:
                often = [_face(row) for row in teacher.label(picture.pixels).faces]
                mean = middle_face(picture.width, picture.height, often)
                if mean is not None:
                    pairs[", the teacher with itself"] += [
                        crop_face(picture, face, template) for face in (theirs, mean)
                    ]
        for what, crops in pairs.items():
            p_male = np.array([answer.p_male for answer in classifier.predict(np.stack(crops))]).reshape(-1, 2)
            same = float(((p_male[:, 0] >= 0.5) == (p_male[:, 1] >= 0.5)).mean())
            moved = float(np.abs(p_male[:, 0] - p_male[:, 1]).mean())
            count = f"{len(p_male)} faces"
            rows.append((f"gender answers agree, {name}{what}", classifier.card.sha256[:12], same, count))
            rows.append((f"mean change of p_male, {name}{what}", classifier.card.sha256[:12], moved, count))
    return rows


def _face(row: Any) -> Face:
    return Face(tuple(row[:4].tolist()), tuple(map(tuple, row[4:14].reshape(5, 2).tolist())), float(row[14]))


def _timing(detector: OnnxDetector, yunet_file: Path, image: Image) -> list[Row]:
    """Milliseconds of one 640x480 photo, from pixels to faces, in turns of ten so that idle threads don't disturb."""
    yunet = cv2.FaceDetectorYN.create(str(yunet_file), "", (640, 480), 0.6, 0.4, 5000)
    reversed_ = np.ascontiguousarray(image[:, :, ::-1])
    picture = Picture.of(image)
    jobs: dict[str, Callable[[], Any]] = {
        "ours": lambda: detector.detect([picture]),
        "YuNet in OpenCV": lambda: yunet.detect(reversed_),
    }
    try:
        import dlib  # where it happens to be installed: the detector of earlier versions

        hog = dlib.get_frontal_face_detector()
        jobs["HOG in dlib"] = lambda: hog.run(image, 1, 0.2)
    except ImportError:
        pass
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(ROUNDS // 10 + 1):
        for name, job in jobs.items():
            time.sleep(0.05)
            for _ in range(10 if name != "HOG in dlib" else 1):
                began = time.perf_counter()
                job()
                if turn:
                    times[name].append(1000 * (time.perf_counter() - began))
    medians = {name: statistics.median(values) for name, values in times.items()}
    rows: list[Row] = [
        (f"640x480 photo, {name}, milliseconds", "median", value, len(times[name])) for name, value in medians.items()
    ]
    rows += [
        (f"640x480 photo, ours / {name}", "ratio of medians", medians["ours"] / value, "")
        for name, value in medians.items()
        if name != "ours"
    ]
    return rows


def _drawn(image: Image, ours: Any, theirs: Any, hits: Iterable[bool]) -> Image:
    """Green: found. Red: a confident face of the teacher that was missed. Yellow: found where the teacher sees none."""
    canvas = image.copy()
    for row in ours:
        known = bool(len(theirs)) and float(overlaps(row[:4], theirs[:, :4]).max()) >= 0.5
        _box(canvas, row, (0, 220, 0) if known else (255, 220, 0))
        for i in range(5):
            cv2.circle(canvas, (int(row[4 + 2 * i]), int(row[5 + 2 * i])), 1, (0, 255, 255), -1)
    for row, hit in zip(theirs[theirs[:, 14] >= CONFIDENT], hits, strict=True):
        if not hit:
            _box(canvas, row, (255, 0, 0))
    return canvas


def _box(canvas: Image, row: Any, colour: tuple[int, int, int]) -> None:
    x, y, width, height = (round(float(v)) for v in row[:4])
    cv2.rectangle(canvas, (x, y), (x + width, y + height), colour, 1)


def _save_sheet(photos: list[Image], path: Path) -> None:
    side = 260
    sheet = np.full((-(-len(photos) // 10) * side, 10 * side, 3), 255, np.uint8)
    for place, photo in enumerate(random.Random(0).sample(photos, len(photos))):
        scale = side / max(photo.shape[:2])
        size = int(photo.shape[1] * scale), int(photo.shape[0] * scale)
        y, x = place // 10 * side, place % 10 * side
        sheet[y : y + size[1], x : x + size[0]] = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), sheet[:, :, ::-1])


if __name__ == "__main__":
    main()
