"""The photos a detector learns from: pixels in one memory-mapped file, what the teacher saw beside them.

A set is a folder::

    pixels.bin     uint8, the photos one after another, H x W x 3 RGB each
    photos.jsonl   one line a photo: file, source, offset, height, width, split, faces, unsure

It grows photo by photo, so that interrupted labelling is resumed where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from facegender.errors import DatasetError, OutputError, PhotoReadError
from facegender.faces.anchors import VALUES, FaceRows
from facegender.faces.decode import decode
from facegender.faces.pyramid import resized
from facegender.faces.types import Image
from facegender.files import cut_half_line
from facegender.lab.detection.teacher import Labels, Teacher, read_pts
from facegender.prefetch import ahead
from facegender.progress import track

Split: TypeAlias = Literal["train", "validation", "test"]

#: Larger photos are shrunk to this many pixels on their longest side.
LONGEST_SIDE = 640

_PIXELS, _PHOTOS = "pixels.bin", "photos.jsonl"
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class LabelledPhoto:
    """One photo of a set.

    Attributes:
        file: its path below the source folder.
        source: name of the source folder.
        split: of its group of photos.
        image: uint8, H x W x 3, RGB, memory-mapped.
        faces, unsure: float32, N x 15 (`facegender.lab.detection.teacher.Labels`).
    """

    file: str
    source: str
    split: Split
    image: Image
    faces: FaceRows
    unsure: FaceRows


def split_of(file: str) -> Split:
    """Test 20 %, validation 10 %, by the first word of the file name.

    The first word is the person's (first) name or number in the sources that have several photos of one person,
    so no person is in two splits.
    """
    group = Path(file).stem.partition("_")[0]
    number = hashlib.sha256(group.encode()).digest()[0] / 256
    return "test" if number < 0.2 else "validation" if number < 0.3 else "train"


def photos_below(folder: Path) -> list[Path]:
    """The photos in a folder and its folders, sorted.

    Raises:
        DatasetError: there are none.
    """
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and not p.name.startswith("."))
    if not found:
        raise DatasetError(f"there are no photos below {folder}", remedy="give a folder of JPEG, PNG or WebP files")
    return found


def label_photos(
    teacher: Callable[[], Teacher],
    sources: Sequence[Path],
    train_only: Sequence[Path],
    per_source: int,
    output: Path,
    workers: int = 1,
) -> None:
    """Let the teacher label every training photo; resumes where an earlier call stopped.

    Args:
        teacher: returns a teacher; called once in each thread.
        sources: folders whose photos are split; those of the test split are left alone.
        train_only: folders of which all photos serve for training.
        per_source: largest number of photos taken from one folder, evenly over its sorted files.

    Raises:
        DatasetError: a source without photos, or one that lies in another: its photos would be in two splits.
        OutputError: `output` cannot be written.
    """
    for one, other in permutations((*sources, *train_only), 2):
        if one.resolve().is_relative_to(other.resolve()):
            raise DatasetError(f"{one} lies in {other}", remedy="give folders without common photos")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror}", remedy="choose another --output") from error
    cut_half_line(output / _PHOTOS)
    done = {(row["source"], row["file"]) for row in _rows(output)}
    jobs: list[tuple[str, str, Split]] = []
    for folder in (*sources, *train_only):
        paths = photos_below(folder)
        places = np.linspace(0, len(paths) - 1, min(per_source, len(paths))).round().astype(int)
        for file in (paths[place].relative_to(folder).as_posix() for place in places):
            split = split_of(file) if folder in sources else "train"
            if split != "test" and (str(folder), file) not in done:
                jobs.append((str(folder), file, split))
    mine = threading.local()

    def label(job: tuple[str, str, Split]) -> tuple[Image, Labels] | None:
        if not hasattr(mine, "teacher"):
            mine.teacher = teacher()
        path = Path(*job[:2])
        try:
            full = decode(path)
        except PhotoReadError:
            return None
        scale = min(1.0, LONGEST_SIDE / max(full.shape[:2]))
        image = resized(full, max(1, round(full.shape[1] * scale)), max(1, round(full.shape[0] * scale)))
        beside = path.with_suffix(".pts")
        points = read_pts(beside) * (image.shape[1] / full.shape[1]) if beside.exists() else None
        return image, mine.teacher.label(image, points)

    # OpenCV lets go of the interpreter while a network runs: threads keep all cores at work.
    with (
        closing(ahead(label, jobs, threads=workers, waiting=2 * workers)) as answers,
        (output / _PIXELS).open("ab") as pixels,
        (output / _PHOTOS).open("a", encoding="utf-8") as table,
    ):
        for (source, file, split), answer in zip(jobs, track(answers, "labelling", len(jobs)), strict=True):
            if answer is None:
                continue
            image, labels = answer
            row = {
                "source": source,
                "file": file,
                "split": split,
                "offset": pixels.tell(),
                "height": image.shape[0],
                "width": image.shape[1],
                "faces": _rounded(labels.faces),
                "unsure": _rounded(labels.unsure),
            }
            pixels.write(image.tobytes())
            pixels.flush()
            table.write(json.dumps(row) + "\n")
            table.flush()


def open_photos(folder: Path, split: Split) -> list[LabelledPhoto]:
    """The photos of one split, their pixels memory-mapped."""
    rows = [row for row in _rows(folder) if row["split"] == split]
    if not rows:  # an empty file cannot be mapped
        return []
    pixels = np.memmap(folder / _PIXELS, dtype=np.uint8, mode="r")
    photos = []
    for row in rows:
        shape = row["height"], row["width"], 3
        image = pixels[row["offset"] : row["offset"] + math.prod(shape)].reshape(shape)
        faces, unsure = (np.array(row[key], np.float32).reshape(-1, VALUES) for key in ("faces", "unsure"))
        photos.append(LabelledPhoto(row["file"], row["source"], split, image, faces, unsure))
    return photos


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    if (folder / _PHOTOS).exists():
        with (folder / _PHOTOS).open(encoding="utf-8") as table:
            for line in table:
                if line.endswith("\n"):  # a killed run may leave half a line
                    yield json.loads(line)


def _rounded(rows: FaceRows) -> list[list[float]]:
    return [[round(value, 2) for value in row] for row in rows.tolist()]
