"""Where a dataset's faces are on average: the `USUAL_FACE` of its module, and in how many photos none is found.

    python studies/accuracy/usual_face.py SOURCE [--frame 178 218] [--photos 500]

Photos are taken evenly from the sorted paths. Places are shares of the photo's width and height.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from facegender.faces.decode import decode
from facegender.faces.types import Picture
from facegender.inference.detector import OnnxDetector
from facegender.lab.datasets.cropping import middle_face
from facegender.lab.datasets.images import image_paths, read_images
from facegender.progress import track


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--frame", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="stretch photos to it first")
    parser.add_argument("--photos", type=int, default=500)
    arguments = parser.parse_args()

    paths = image_paths(arguments.source)
    wanted = paths[:: max(1, len(paths) // arguments.photos)]
    detector = OnnxDetector(threads=1)
    boxes, landmarks, lost = [], [], []
    for path, data in track(read_images(arguments.source, wanted, key=str), "looking", total=len(wanted)):
        image = decode(data)
        if arguments.frame:
            image = np.asarray(cv2.resize(image, arguments.frame, interpolation=cv2.INTER_CUBIC), np.uint8)
        picture = Picture.of(image)
        face = middle_face(picture.width, picture.height, detector.detect([picture])[0])
        if face is None:
            lost.append(path)
            continue
        size = np.array([picture.width, picture.height])
        boxes.append(np.array(face.box).reshape(2, 2) / size)
        landmarks.append(np.array(face.landmarks) / size)
    print(f"{len(wanted)} photos of {arguments.source.name}, no face in the middle of {len(lost)}: {lost[:5]}")
    print("box", np.mean(boxes, 0).round(3).ravel().tolist(), "deviation", np.std(boxes, 0).round(3).ravel().tolist())
    print("landmarks", np.mean(landmarks, 0).round(3).tolist())
    print("deviation", np.std(landmarks, 0).round(3).tolist())


if __name__ == "__main__":
    main()
