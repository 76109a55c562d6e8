"""Labelled faces of five sets, as they are and in versions, from photo to score: what studies/survey/sets.py needs.

    python studies/survey/sets_faces.py FOLDER --fairface SOURCE TRAIN.csv VAL.csv --utkface UTKFACE
        --celeba ATTRIBUTES.csv CELEBA64 CELEBA_TEST --lfw LFW.tar --all-age-faces FOLDER

Photos of the test splits (LFW: all; All-Age-Faces: its authors' validation part) go through the detector and the
shipped classifiers as `facegender predict` does it, in the versions

colour      as they are
gray        without colour
grain       gray, a little blurred, with the noise of a fast film
print       gray, with less contrast, in a fine screen of dots, as a scanner sees it
small       shrunk, so that the face has 12 to 28 pixels

Writes FOLDER/SET.csv: one row a face, version and classifier. FOLDER belongs outside the repository. Sets that are
there are left as they are. Takes about 2 minutes a set on one core.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from facegender import weights
from facegender.faces.align import crop_faces
from facegender.faces.types import Face, Image, Picture
from facegender.inference.classifier import GenderClassifier
from facegender.inference.detector import OnnxDetector
from facegender.lab.datasets.all_age_faces import list_all_age_faces
from facegender.lab.datasets.celeba import list_celeba
from facegender.lab.datasets.cropping import middle_face
from facegender.lab.datasets.fairface import list_fairface
from facegender.lab.datasets.lfw import list_lfw
from facegender.lab.datasets.listing import Entry, Listing
from facegender.lab.datasets.utkface import list_utkface
from facegender.progress import track
from facegender.tables import write_csv
from faces import drawn

VERSIONS = ("colour", "gray", "grain", "print", "small")
COLUMNS = ("version", "model", "truth", "quality", "p_male", "label")
#: Photos of one set and label.
_MOST = 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, count in (("fairface", 3), ("utkface", None), ("celeba", 3), ("lfw", None), ("all-age-faces", None)):
        parser.add_argument(f"--{name}", nargs=count)
    parser.add_argument("--most", type=int, default=_MOST, help="photos of one set and label")
    arguments = parser.parse_args()
    detector = OnnxDetector(threads=1)
    classifiers = {name: GenderClassifier(name, threads=1) for name in weights.list_models()}
    for listing in listings(arguments):
        output = arguments.folder / f"{listing.name}.csv"
        if output.exists():
            continue
        entries = drawn(listing, "test", arguments.most, np.random.default_rng(2020))
        rows: list[dict[str, object]] = []
        photos = replace(listing, entries=entries, complete=True).photos()
        for number, image, _ in track(photos, listing.name, total=len(entries)):
            rows += measured(entries[number], image, detector, classifiers)
        write_csv(output, [dict.fromkeys(COLUMNS) | row for row in rows])


def listings(arguments: argparse.Namespace) -> Iterator[Listing]:
    """The sets that were given."""
    if arguments.lfw is not None:
        yield list_lfw(arguments.lfw)
    if arguments.all_age_faces is not None:
        yield list_all_age_faces(arguments.all_age_faces)
    if arguments.fairface is not None:
        source, *labels = arguments.fairface
        yield list_fairface([source], list(map(Path, labels)))
    if arguments.utkface is not None:
        yield list_utkface(arguments.utkface)
    if arguments.celeba is not None:
        attributes, squeezed, tested = arguments.celeba
        yield list_celeba([tested], Path(attributes), squeezed=[squeezed])


def measured(
    entry: Entry, image: Image, detector: OnnxDetector, classifiers: dict[str, GenderClassifier]
) -> Iterator[dict[str, object]]:
    """The rows of one photo; a face that was not found has no score."""
    rng = np.random.default_rng(zlib.crc32(entry.name.encode()))
    found: Face | None = None
    for version in VERSIONS:
        seen = Picture.of(altered(image, version, found, rng))
        face = middle_face(seen.width, seen.height, detector.detect([seen])[0])
        if version == "colour":
            found = face
        for name, classifier in classifiers.items():
            row: dict[str, object] = {"version": version, "model": name, "truth": entry.label}
            if face is not None:
                answer = classifier.predict(crop_faces(seen, [face], classifier.card.template))[0]
                scores = {"quality": round(face.quality, 4), "p_male": round(answer.p_male, 4)}
                row |= scores | {"label": answer.label}
            yield row


def altered(image: Image, version: str, face: Face | None, rng: np.random.Generator) -> Image:
    """A photo in another version; `face` is where it was found in colour."""
    height, width = image.shape[:2]
    if version == "colour":
        return image
    if version == "small":
        side = float(rng.uniform(12, 28))
        share = 0.2 if face is None else side / (face.box[2] * face.box[3]) ** 0.5
        if share >= 1:
            return image
        size = max(8, round(width * share)), max(8, round(height * share))
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if version == "grain":
        noise = cv2.GaussianBlur(rng.normal(0, 1, gray.shape).astype(np.float32), (0, 0), 0.7)
        noise *= rng.uniform(10, 25) / noise.std()
        gray = cv2.GaussianBlur(gray, (0, 0), rng.uniform(0.3, 1.0)) + noise
    if version == "print":
        double = cv2.resize(30 + 0.75 * gray, (4 * width, 4 * height), interpolation=cv2.INTER_LINEAR)
        y, x = np.mgrid[: 4 * height, : 4 * width]
        pitch = rng.uniform(8, 12)  # of the screen: 2 to 3 pixels of the photo, at 45 degrees
        screen = np.cos(2 * np.pi * (x + y) / (pitch * 2**0.5)) + np.cos(2 * np.pi * (x - y) / (pitch * 2**0.5))
        dots = np.where(double > 127.5 + 60 * screen, 255.0, 0.0).astype(np.float32)
        soft = cv2.GaussianBlur(dots, (0, 0), rng.uniform(4.5, 6))
        gray = cv2.resize(soft, (width, height), interpolation=cv2.INTER_AREA)
    plate = np.clip(np.rint(gray), 0, 255).astype(np.uint8)
    return np.repeat(plate[..., None], 3, axis=2)


if __name__ == "__main__":
    main()
