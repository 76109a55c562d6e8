"""Faces in prints and grainy pictures: how many are found and answered rightly, before and since they are smoothed.

    python studies/robustness/prints.py LFW.tar [--count 100] [--output results/robustness/prints.csv]

LFW.tar has its label lists beside it. Photos are of the test fold, which no shipped network has seen. Screens are
made: a pixel is white where the gray is above a lattice of cosines; *scanned* at four times the size and averaged, or
*sharp* without. A page has 2,500 x 3,500 pixels, white paper and nine photos of 700 x 700. Takes some minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from facegender import FaceAnalyzer
from facegender.faces.types import FaceResult, Image, Picture
from facegender.inference.detector import OnnxDetector
from facegender.lab.datasets.lfw import list_lfw
from facegender.lab.effects import compressed
from facegender.lab.study import study_command, study_parser
from facegender.progress import track
from facegender.tables import write_csv
from facegender.weights import load_detector_card

PERIODS = (2, 3, 4, 5, 6, 8, 10)
ANGLES = (15, 45)
PAGE = (2500, 3500)
PHOTO = 700
PAGE_PERIODS = (2, 3, 4, 6, 8)


def main() -> None:
    parser = study_parser(__doc__, "robustness/prints.csv")
    parser.add_argument("source", type=Path, metavar="LFW.tar")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--pages", type=int, default=3)
    arguments = parser.parse_args()

    images, labels = photos(arguments.source, arguments.count)
    analyzer, plain = FaceAnalyzer(), OnnxDetector()
    rows = []
    for name, change in track(list(changes()), "photos"):
        changed = [change(image, np.random.default_rng(number)) for number, image in enumerate(images)]
        before = [middle(image, faces) for image, faces in zip(changed, detected(plain, changed), strict=True)]
        answers = [middle_answer(analyzer, image) for image in changed]
        rows.append([name, len(images), share(sum(before), len(before)), *counted(answers, labels)])
    nine = [images[k : k + 9] for k in range(0, 9 * arguments.pages, 9)]
    for period in track(PAGE_PERIODS, "pages"):
        answers, before, truth = [], 0, []
        for number, some in enumerate(nine):
            page, centres = page_of(some, period)
            found = analyzer.analyze(page).faces
            answers += [nearest(found, centre) for centre in centres]
            before += sum(any(holds(face.box, centre) for face in detected(plain, [page])[0]) for centre in centres)
            truth += labels[9 * number : 9 * number + 9]
        name = f"pages of nine photos, screen of {period:g} pixels at 45 degrees, scanned"
        rows.append([name, len(truth), share(before, len(truth)), *counted(answers, truth)])
    head = ["pictures", "faces", "found_unsmoothed_percent", "found_percent", "right_percent", "uncertain_percent"]
    extra = {"detector": load_detector_card().sha256[:12], "command": study_command()}
    write_csv(arguments.output, [dict(zip(head, row, strict=True)) | extra for row in rows])


def photos(source: Path, count: int) -> tuple[list[Image], list[int]]:
    """Photos of the test fold, and 0 (female) or 1 (male) of each."""
    listing = list_lfw(source)
    entries = [entry for entry in listing.entries if entry.split == "test"]
    entries = entries[:: max(1, len(entries) // count)][:count]
    images = {number: image for number, image, _ in replace(listing, entries=entries).photos()}
    return [images[number] for number in range(len(entries))], [entry.label for entry in entries]


def changes() -> Iterator[tuple[str, Callable[[Image, np.random.Generator], Image]]]:
    """What is done to photos, with its name."""
    yield "colour, as they are", lambda image, rng: image
    yield "gray", lambda image, rng: shown(gray(image))
    yield "JPEG of quality 20", lambda image, rng: compressed(image, 20)
    for period in PERIODS:
        for angle in ANGLES:
            yield (
                f"screen of {period:g} pixels at {angle} degrees, scanned",
                lambda image, rng, p=period, a=angle: shown(screened(gray(image), p, a, 4)),
            )
        yield (
            f"screen of {period:g} pixels at 15 degrees, sharp",
            lambda image, rng, p=period: shown(screened(gray(image), p, 15, 1)),
        )
        yield (
            f"screen of {period:g} pixels at 45 degrees, scanned, JPEG of quality 50",
            lambda image, rng, p=period: compressed(shown(screened(gray(image), p, 45, 4)), 50),
        )
    yield "newsprint: screen of 4 pixels, soft, faded, grain of 8, JPEG of quality 60", newsprint
    for deviation in (15, 25, 40, 60):
        yield f"grain of {deviation} gray levels", lambda image, rng, d=deviation: grainy(shown(gray(image)), d, rng)


def gray(image: Image) -> Image:
    """Brightness: uint8, H x W."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def shown(plane: Image) -> Image:
    """A gray picture in three channels: uint8, H x W x 3."""
    return np.asarray(cv2.cvtColor(plane, cv2.COLOR_GRAY2RGB), np.uint8)


def screened(plane: Image, period: float, angle: float, oversampling: int) -> Image:
    """Printed in dots: uint8, H x W."""
    height, width = plane.shape
    size = (width * oversampling, height * oversampling)
    large = cv2.resize(plane, size, interpolation=cv2.INTER_CUBIC) if oversampling > 1 else plane
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    turn = 2 * math.pi / (period * oversampling)
    cosine, sine = turn * math.cos(math.radians(angle)), turn * math.sin(math.radians(angle))
    lattice = 0.5 + 0.25 * (np.cos(x * cosine + y * sine) + np.cos(y * cosine - x * sine))
    dots = np.where(large > 255 * lattice, np.uint8(255), np.uint8(0))
    return np.asarray(cv2.resize(dots, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def newsprint(image: Image, rng: np.random.Generator) -> Image:
    """A photo from a newspaper: dots that have run, gray ink on gray paper."""
    dots = cv2.GaussianBlur(screened(gray(image), 4, 45, 4), (0, 0), 0.7)
    return compressed(grainy(shown(np.asarray(50 + dots * (170 / 255), np.uint8)), 8, rng), 60)


def grainy(image: Image, deviation: float, rng: np.random.Generator) -> Image:
    """With grain, the same in all channels."""
    grain = rng.normal(0, deviation, (*image.shape[:2], 1))
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def page_of(images: Sequence[Image], period: float) -> tuple[Image, list[tuple[float, float]]]:
    """A printed page with nine photos, and their middles."""
    width, height = PAGE
    sheet = np.full((height, width), 255, np.uint8)
    centres = []
    for k, image in enumerate(images):
        left, top = 100 + k % 3 * (PHOTO + 100), 200 + k // 3 * (PHOTO + 400)
        large = cv2.resize(gray(image), (PHOTO, PHOTO), interpolation=cv2.INTER_CUBIC)
        sheet[top : top + PHOTO, left : left + PHOTO] = screened(np.asarray(large, np.uint8), period, 45, 2)
        centres.append((left + PHOTO / 2, top + PHOTO / 2))
    return shown(sheet), centres


def detected(detector: OnnxDetector, images: Sequence[Image]) -> list[list]:
    """The faces that are found without smoothing."""
    return detector.detect([Picture.of(image) for image in images])


def holds(box: tuple[float, float, float, float], place: tuple[float, float]) -> bool:
    """Whether a box is centred within half its side of a place."""
    x, y, width, height = box
    return max(abs(x + width / 2 - place[0]) / width, abs(y + height / 2 - place[1]) / height) <= 0.5


def middle(image: Image, faces: Sequence) -> bool:
    """Whether there is a face in the middle."""
    return any(holds(face.box, (image.shape[1] / 2, image.shape[0] / 2)) for face in faces)


def middle_answer(analyzer: FaceAnalyzer, image: Image) -> FaceResult | None:
    """The answer to the face in the middle."""
    return nearest(analyzer.analyze(image).faces, (image.shape[1] / 2, image.shape[0] / 2))


def nearest(found: Sequence[FaceResult], place: tuple[float, float]) -> FaceResult | None:
    """Of the faces around a place, the one centred nearest to it."""
    there = [each for each in found if holds(each.face.box, place)]

    def away(each: FaceResult) -> float:
        x, y, width, height = each.face.box
        return math.hypot(x + width / 2 - place[0], y + height / 2 - place[1])

    return min(there, key=away, default=None)


def counted(answers: Sequence[FaceResult | None], labels: Sequence[int]) -> list[str]:
    """Shares in percent: faces found; of these, on the right side of one half, and uncertain."""
    found = [(answer, label) for answer, label in zip(answers, labels, strict=True) if answer]
    right = sum((answer.prediction.p_male >= 0.5) == bool(label) for answer, label in found)
    uncertain = sum(answer.prediction.label == "uncertain" for answer, _ in found)
    return [share(len(found), len(answers)), share(right, len(found)), share(uncertain, len(found))]


def share(some: int, every: int) -> str:
    """In percent."""
    return f"{100 * some / every:.1f}" if every else ""


if __name__ == "__main__":
    main()
