"""Labelled faces that the networks never learned from, from photo to record, for the error rates and the simulation.

    python studies/survey/faces.py FOLDER --fairface SOURCE [SOURCE] TRAIN.csv VAL.csv --utkface UTKFACE.tar
        --celeba ATTRIBUTES.csv CELEBA64.tar CELEBA_TEST.tar --all-age-faces FOLDER --lfw LFW.tar [--splits validation]

Every photo goes through the detector and the shipped classifiers as `facegender predict` does it. Photos of the
validation and test splits come in versions: `mixed` (half of the photos as they are, half shrunk so that the face is 10
to 48 pixels wide and high), and test photos also `small` (12 to 24 pixels), `dark` (a quarter to a half as bright) and
`plain`. Each version has a photo at most once.

Writes MODEL/validation.jsonl and MODEL/test.jsonl with their .run.json, validation.csv and test.csv (path, label, face,
and attributes of the photo). FOLDER belongs outside the repository. `python -m facegender.lab.export.rates`
measures the error rates of the shipped networks from the validation photos, `simulation.py` needs both splits.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from facegender import weights
from facegender.faces.align import crop_faces
from facegender.faces.types import FaceResult, Image, PhotoResult, Picture
from facegender.inference.classifier import GenderClassifier
from facegender.inference.detector import OnnxDetector
from facegender.lab.datasets.all_age_faces import list_all_age_faces
from facegender.lab.datasets.celeba import list_celeba
from facegender.lab.datasets.cropping import middle_face
from facegender.lab.datasets.fairface import list_fairface
from facegender.lab.datasets.lfw import list_lfw
from facegender.lab.datasets.listing import Entry, Listing
from facegender.lab.datasets.utkface import list_utkface
from facegender.lab.study import study_command
from facegender.progress import track
from facegender.tables import write_csv

SPLITS = ("validation", "test")
_SEED = 2020
#: Test photos of one set and label that are looked at.
_MOST = 2500


@dataclass(frozen=True)
class Task:
    """One version of one photo."""

    dataset: str
    entry: Entry
    split: str
    version: str
    side: float | None = None
    brightness: float = 1.0

    @property
    def path(self) -> str:
        return f"{self.dataset}/{self.version}/{self.entry.name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--fairface", type=Path, nargs="+", required=True, help="archives or a folder, then two label files"
    )
    parser.add_argument("--utkface", type=Path, required=True)
    parser.add_argument("--celeba", type=Path, nargs=3, required=True)
    parser.add_argument("--all-age-faces", type=Path, required=True)
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--splits", choices=SPLITS, nargs="+", default=SPLITS)
    arguments = parser.parse_args()
    *fairface, train_labels, val_labels = arguments.fairface
    attributes, squeezed, tested = arguments.celeba
    listings = [
        list_fairface(fairface, [train_labels, val_labels]),
        list_utkface(arguments.utkface),
        list_celeba([tested], attributes, squeezed=[squeezed]),
        list_all_age_faces(arguments.all_age_faces),
        list_lfw(arguments.lfw),
    ]
    tasks = {listing.name: sampled(listing) for listing in listings}
    detector = OnnxDetector(threads=1)
    classifiers = {name: GenderClassifier(name, threads=1) for name in weights.list_models()}
    for split in arguments.splits:
        known = []
        files = {}
        for name in classifiers:
            (arguments.folder / name).mkdir(parents=True, exist_ok=True)
            files[name] = (arguments.folder / name / f"{split}.jsonl").open("w", encoding="utf-8")
        for listing in listings:
            here = [task for task in tasks[listing.name] if task.split == split]
            for task, image, digest in track(versions(listing, here), f"{listing.name} {split}", total=len(here)):
                picture = Picture.of(image)
                faces = detector.detect([picture])[0]
                middle = middle_face(picture.width, picture.height, faces)
                known.append(
                    {
                        "path": task.path,
                        "label": ("female", "male")[task.entry.label],
                        "face": "" if middle is None else faces.index(middle),
                        "dataset": task.dataset,
                        "version": task.version,
                        "split": split,
                        "photo_digest": digest,
                        "race": task.entry.attributes.get("race", ""),
                        "age": task.entry.attributes.get("age", ""),
                    }
                )
                for name, classifier in classifiers.items():
                    crops = crop_faces(picture, faces, classifier.card.template)
                    answers = zip(faces, classifier.predict(crops), strict=True)
                    result = PhotoResult(
                        task.path, picture.width, picture.height, tuple(FaceResult(*pair) for pair in answers)
                    )
                    files[name].write(json.dumps(result.to_dict() | {"weight": 1.0}) + "\n")
        for name, classifier in classifiers.items():
            files[name].close()
            run = {
                "command": study_command(),
                "model": {"name": name, "sha256": classifier.card.sha256, "min_confidence": classifier.min_confidence},
                "detector": {"name": detector.card.name, "sha256": detector.card.sha256},
                "sample": None,
            }
            text = json.dumps(run, indent=2) + "\n"
            (arguments.folder / name / f"{split}.jsonl.run.json").write_text(text, encoding="utf-8")
        write_csv(arguments.folder / f"{split}.csv", known)


def sampled(listing: Listing) -> list[Task]:
    """Which photos, in which versions."""
    rng = np.random.default_rng(_SEED)
    tasks = []
    splits = ("test",) if listing.name == "lfw" else ("validation", "test")
    for split in splits:
        for entry in drawn(listing, split, None if split == "validation" else _MOST, rng):
            small = rng.random() < 0.5
            side = float(np.exp(rng.uniform(np.log(10), np.log(48)))) if small else None
            tasks.append(Task(listing.name, entry, split, "mixed", side))
            if split == "test":
                tasks.append(Task(listing.name, entry, split, "plain"))
                tasks.append(Task(listing.name, entry, split, "small", float(rng.uniform(12, 24))))
                tasks.append(Task(listing.name, entry, split, "dark", brightness=float(rng.uniform(0.25, 0.5))))
    return tasks


def drawn(listing: Listing, split: str, most: int | None, rng: np.random.Generator) -> list[Entry]:
    """As many women as men, at random; LFW, which nobody learns from, is a test as a whole."""
    entries: list[Entry] = []
    for label in (0, 1):
        there = [e for e in listing.entries if e.label == label and (listing.name == "lfw" or e.split == split)]
        entries += [there[i] for i in np.sort(rng.permutation(len(there))[:most])]
    return entries


def versions(listing: Listing, tasks: Sequence[Task]) -> Iterator[tuple[Task, Image, str]]:
    """Each task's photo as it is to be seen, and the digest of its file."""
    assert listing.usual is not None
    usual = listing.usual.box[2] * listing.usual.box[3]
    wanted: dict[str, list[Task]] = {}
    for task in tasks:
        wanted.setdefault(task.entry.name, []).append(task)
    some = replace(listing, entries=[same[0].entry for same in wanted.values()], complete=True)
    for number, image, digest in some.photos():
        height, width = image.shape[:2]
        for task in wanted[some.entries[number].name]:
            seen = image
            if task.side is not None:
                share = task.side / (usual * width * height) ** 0.5
                size = max(8, round(width * share)), max(8, round(height * share))
                if share < 1:
                    seen = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            if task.brightness < 1:
                seen = np.asarray(image * task.brightness, np.uint8)
            yield task, seen, digest


if __name__ == "__main__":
    main()
