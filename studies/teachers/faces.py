"""The labelled face of each photo of the datasets, for extract.py and committee.py: FOLDER/DATASET.jsonl.

    python studies/teachers/faces.py FOLDER [--detector FILE.onnx] [--sample 500] [--lfw PHOTOS --lfw-lists LISTS]
        [--fairface PHOTOS --fairface-labels TRAIN.csv VAL.csv] [--utkface PHOTOS]
        [--all-age-faces DATASET] [--stills PHOTOS]
        [--celeba PHOTOS ... --celeba-squeezed PHOTOS ... --celeba-attributes male_and_partition.csv.gz]

A line has ``key`` (``fairface/train/1.jpg``: dataset and name of the image, as in joined stores), ``path``, ``frame``
(to which the photo is brought first, or null), ``landmarks`` and ``box`` in pixels of the photo, ``found`` (false: they
are where faces of this dataset usually are), ``dataset``, ``label`` (0 female, 1 male, -1 unknown), ``split`` (nothing
is ever fitted on ``test``), ``group`` (what must not be torn apart: a person, or else the photo), ``age``, ``race``.

LFW is a judge: all of it is test. A file that is there is left
as it is, so that the command may be stopped and given again; with another detector take another folder.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from extract import Row, batched, settle

from facegender.faces.types import Face, Picture
from facegender.files import atomic_file
from facegender.inference.detector import OnnxDetector
from facegender.lab.datasets.all_age_faces import list_all_age_faces
from facegender.lab.datasets.celeba import FRAME, list_celeba
from facegender.lab.datasets.cropping import middle_face, scaled
from facegender.lab.datasets.fairface import list_fairface
from facegender.lab.datasets.images import image_paths
from facegender.lab.datasets.lfw import list_lfw
from facegender.lab.datasets.listing import Entry, ImageRoot, Listing
from facegender.lab.datasets.splits import hashed_splits
from facegender.lab.datasets.utkface import list_utkface
from facegender.progress import track

#: Where the authors fixed no validation photos.
_SHARES = (0.9, 0.1, 0.0)
#: Of photos without labels all faces are taken, from this height in pixels.
_TALL_ENOUGH = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--detector", type=Path)
    parser.add_argument("--sample", type=int, help="this many photos of each source, evenly spaced")
    for name in ("fairface", "utkface", "all-age-faces", "stills", "lfw", "lfw-lists"):
        parser.add_argument(f"--{name}", type=Path)
    for name in ("fairface-labels", "celeba", "celeba-squeezed"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", action="extend", default=[])
    parser.add_argument("--celeba-attributes", type=Path)
    arguments = parser.parse_args()

    detector = OnnxDetector(arguments.detector)
    settle(arguments.folder / "made_by.json", detector.identity)
    for whole in listings(arguments):
        listing = replace(whole, entries=sampled(whole.entries, arguments.sample)) if arguments.sample else whole
        path = arguments.folder / f"{listing.name}.jsonl"
        if path.exists():
            print(f"{path} is there")
            continue
        lines = missing = 0
        with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for row in faces(listing, detector):
                file.write(json.dumps(row) + "\n")
                lines, missing = lines + 1, missing + (not row["found"])
        print(f"{path}: {lines} faces of {len(listing.entries)} photos, {missing} where they usually are", flush=True)


def listings(a: argparse.Namespace) -> Iterator[Listing]:
    if a.fairface:
        yield list_fairface([a.fairface], a.fairface_labels)
    if a.utkface:
        yield list_utkface(a.utkface)
    if a.all_age_faces:
        yield list_all_age_faces(a.all_age_faces / "original images", a.all_age_faces / "image sets")
    if a.celeba or a.celeba_squeezed:
        yield list_celeba(a.celeba, a.celeba_attributes, squeezed=a.celeba_squeezed)
    if a.stills:
        paths = image_paths(a.stills)
        entries = [
            Entry(path, path, -1, split) for path, split in zip(paths, hashed_splits(paths, _SHARES), strict=True)
        ]
        yield Listing("stills", [ImageRoot(a.stills)], entries)
    if a.lfw:
        lfw = list_lfw(a.lfw, a.lfw_lists)
        yield replace(lfw, entries=[replace(entry, split="test") for entry in lfw.entries], complete=False)


def sampled(entries: Sequence[Entry], number: int) -> list[Entry]:
    """This many of each source, evenly spaced; those of one split come first as they come."""
    by_source = defaultdict(list)
    for entry in entries:
        by_source[entry.source].append(entry)
    chosen = (some[:: max(1, len(some) // number)][:number] for some in by_source.values())
    return [entry for some in chosen for entry in some]


def faces(listing: Listing, detector: OnnxDetector) -> Iterator[Row]:
    """A row for the face in the middle of each photo; of photos without labels, for each face."""
    photos = track(images(listing), f"looking at {listing.name}", total=len(listing.entries))
    for batch in batched(iter(photos), 16):
        pictures = [Picture.of(image) for _, image in batch]
        for (entry, _), picture, found in zip(batch, pictures, detector.detect(pictures), strict=True):
            if entry.label < 0:
                tall = [face for face in found if face.box[3] >= _TALL_ENOUGH]
                for number, face in enumerate(tall):
                    yield row(listing, entry, face, True, f"#{number}")
                continue
            assert listing.usual is not None
            face = middle_face(picture.width, picture.height, found)
            stand_in = face or scaled(listing.usual, picture.width, picture.height)
            yield row(listing, entry, stand_in, face is not None)


def images(listing: Listing) -> Iterator[tuple[Entry, np.ndarray]]:
    for number, image, _ in listing.photos():
        entry = listing.entries[number]
        if image is None:
            print(f"{entry.path} cannot be read", flush=True)
        # Public copies of CelebA hold photos of something else under its numbers: a fifth larger than its own.
        elif listing.name != "celeba" or max(image.shape) <= 1.2 * max(FRAME):
            yield entry, image


def row(listing: Listing, entry: Entry, face: Face, found: bool, suffix: str = "") -> Row:
    source, key = listing.sources[entry.source], f"{listing.name}/{entry.name}{suffix}"
    return {
        "key": key,
        "path": f"{source.path}{'/' if source.path.is_dir() else '!'}{entry.path}",
        "frame": source.frame,
        "landmarks": np.round(face.landmarks, 2).tolist(),
        "box": np.round(face.box, 2).tolist(),
        "found": found,
        "dataset": listing.name,
        "label": entry.label,
        "split": entry.split,
        "group": f"{listing.name}/{entry.identity or entry.name}",
        "age": entry.attributes.get("age", ""),
        "race": entry.attributes.get("race", ""),
    }


if __name__ == "__main__":
    main()
