"""Is an LFW face framed like a detected one? Eye positions and crop scale, both ways, in 64x64 crop pixels.

    python studies/framing.py LFW.tar --landmarker yunet.onnx

LFW is cropped about one nominal box, a photo about the box that the detector finds. The landmarker (YuNet, through
OpenCV) only says where the eyes are; it is a yardstick and no part of the product.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np

from facegender.datasets.lfw import IMAGE_SIZE, NOMINAL_FACE
from facegender.datasets.source import image_names, read_images
from facegender.faces.align import HOG_TEMPLATE
from facegender.faces.decode import decode
from facegender.faces.detect import HogDetector
from facegender.files import atomic_file
from facegender.progress import track


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--landmarker", type=Path, required=True)
    parser.add_argument("--every", type=int, default=5, help="take every n-th image")
    parser.add_argument("--output", type=Path, default=Path("results/framing.csv"))
    arguments = parser.parse_args()

    names = image_names(arguments.source)[:: arguments.every]
    detector = HogDetector()
    landmarker = cv2.FaceDetectorYN.create(str(arguments.landmarker), "", (IMAGE_SIZE, IMAGE_SIZE), 0.6)
    boxes, nominal_eyes, detected_eyes = [], [], []
    for _, data in track(read_images(arguments.source, names), "measuring", total=len(names)):
        image = decode(data)
        centred = [f for f in detector.detect([image])[0] if _covers_centre(f.box)]
        _, rows = landmarker.detect(np.ascontiguousarray(image[:, :, ::-1]))
        if not centred or rows is None:
            continue
        row = min(rows, key=lambda r: abs(r[0] + r[2] / 2 - IMAGE_SIZE / 2) + abs(r[1] + r[3] / 2 - IMAGE_SIZE / 2))
        eyes = row[4:8].reshape(2, 2).astype(float)
        boxes.append(centred[0].box)
        nominal_eyes.append(_mapped(eyes, NOMINAL_FACE.box))
        detected_eyes.append(_mapped(eyes, centred[0].box))

    x, y, width, height = np.mean(boxes, axis=0)
    print(f"{len(boxes)} of {len(names)} faces found; mean box ({x:.1f}, {y:.1f}, {width:.1f}, {height:.1f})")
    with atomic_file(arguments.output) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["measure", "nominal_mean", "nominal_std", "detected_mean", "detected_std", "faces", "command"])
        command = f"python studies/framing.py LFW.tar --landmarker yunet.onnx --every {arguments.every}"
        for name, values in _measures(np.array(nominal_eyes), np.array(detected_eyes)):
            row_out = [f"{v:.2f}" for pair in values for v in (pair.mean(), pair.std())]
            writer.writerow([name, *row_out, len(boxes), command])
            print(f"{name:24s} nominal {row_out[0]} +- {row_out[1]}   detected {row_out[2]} +- {row_out[3]}")


def _covers_centre(box: tuple[float, float, float, float]) -> bool:
    x, y, width, height = box
    return x < IMAGE_SIZE / 2 < x + width and y < IMAGE_SIZE / 2 < y + height


def _mapped(points: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    matrix = HOG_TEMPLATE.matrix(box)
    return points @ matrix[:, :2].T + matrix[:, 2]


def _measures(nominal: np.ndarray, detected: np.ndarray):
    yield "eyes' middle x (px)", [e.mean(axis=1)[:, 0] for e in (nominal, detected)]
    yield "eyes' middle y (px)", [e.mean(axis=1)[:, 1] for e in (nominal, detected)]
    yield "eye distance (px)", [np.linalg.norm(e[:, 1] - e[:, 0], axis=1) for e in (nominal, detected)]


if __name__ == "__main__":
    main()
