"""Labeled Faces in the Wild with the gender labels of Afifi and Abdelhamed.

G. B. Huang et al., "Labeled Faces in the Wild", UMass Amherst TR 07-49, 2007 (images, people.txt), and
M. Afifi, A. Abdelhamed, "AFIF4", JVCIR 62, 2019 (male_names.txt, female_names.txt).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facegender.datasets.centre import CentreCropper
from facegender.datasets.source import fingerprint, image_names, read_images
from facegender.datasets.splits import identity_folds, random_folds
from facegender.datasets.store import create_store, read_manifest
from facegender.errors import DatasetError, PhotoReadError, StoreError
from facegender.faces.align import DEFAULT_TEMPLATE, LandmarkTemplate
from facegender.faces.decode import decode
from facegender.faces.detect import OnnxDetector
from facegender.faces.types import Face, Image

#: Every image of LFW has a face in its middle. Where it lies on average, as shares of the image's side.
USUAL_FACE = Face(
    box=(0.315, 0.251, 0.376, 0.517),
    landmarks=((0.416, 0.452), (0.587, 0.45), (0.503, 0.55), (0.43, 0.631), (0.579, 0.629)),
    score=0.0,
)

#: Images that are cropped together.
_BATCH = 16


@dataclass(frozen=True)
class LabelLists:
    """What the two name lists say, cleaned.

    Attributes:
        labels: file name to 0 (female) or 1 (male).
        lines: number of non-empty lines in the female and in the male list.
        in_both: names in both lists; the five of LFW are women, and so such a name counts as female.
        mended: names that lacked their ``.jpg``.
        sha256: of both files together.
    """

    labels: dict[str, int]
    lines: tuple[int, int]
    in_both: tuple[str, ...]
    mended: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class LfwReport:
    """What `prepare_lfw` found.

    Attributes:
        images: images in the source.
        people: people among the crops.
        female, male: crops in the store.
        lines: lines in the female and the male list, to stand beside Table 2.
        in_both, unlabelled, absent, mended: the exceptions, by name.
        fallbacks: crops whose face was not found and that were cut out where faces usually are.
        reused: the store was already there, whole, and made from the same inputs.
    """

    images: int
    people: int
    female: int
    male: int
    lines: tuple[int, int]
    in_both: tuple[str, ...]
    unlabelled: tuple[str, ...]
    absent: tuple[str, ...]
    mended: tuple[str, ...]
    fallbacks: tuple[str, ...] = ()
    reused: bool = False


def read_label_lists(folder: Path) -> LabelLists:
    """Read ``female_names.txt`` and ``male_names.txt``: any line ends, a missing suffix mended.

    Raises:
        DatasetError: a list is absent or empty.
    """
    names: list[list[str]] = []
    mended: list[str] = []
    digest = hashlib.sha256()
    for file in ("female_names.txt", "male_names.txt"):
        data = _read(folder / file)
        digest.update(data)
        lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
        if not lines:
            raise DatasetError(f"{folder / file} has no names", remedy="fetch the label list again")
        mended += [line + ".jpg" for line in lines if not line.endswith(".jpg")]
        names.append([line if line.endswith(".jpg") else line + ".jpg" for line in lines])
    female, male = names
    return LabelLists(
        labels={**dict.fromkeys(male, 1), **dict.fromkeys(female, 0)},
        lines=(len(female), len(male)),
        in_both=tuple(sorted(set(female) & set(male))),
        mended=tuple(sorted(mended)),
        sha256=digest.hexdigest(),
    )


def read_people(path: Path) -> dict[str, int]:
    """The official ten folds: person to fold number from 1 (LFW "view 2", ``people.txt``).

    Raises:
        DatasetError: the file is absent or not of that layout.
    """
    lines = _read(path).decode("utf-8", "replace").split("\n")
    folds: dict[str, int] = {}
    try:
        position = 1
        for fold in range(1, int(lines[0]) + 1):
            count = int(lines[position])
            block = lines[position + 1 : position + 1 + count]
            if len(block) < count:
                raise IndexError
            folds.update((line.split("\t")[0], fold) for line in block)
            position += 1 + count
    except (ValueError, IndexError) as error:
        raise DatasetError(f"{path} is cut short or not LFW's people.txt", remedy="fetch it again") from error
    return folds


def prepare_lfw(
    source: Path,
    output: Path,
    lists: Path | None = None,
    *,
    allow_missing: bool = False,
    template: LandmarkTemplate = DEFAULT_TEMPLATE,
    on_image: Callable[[int], None] = lambda total: None,
) -> LfwReport:
    """Find and crop every labelled LFW face to 64x64 and write a prepared store.

    Args:
        source: the tar archive or the unpacked folder (original, funneled or deep-funneled).
        output: folder of the store; an equal store that is already there is left as it is.
        lists: folder with female_names.txt, male_names.txt and people.txt; beside `source` unless given.
        allow_missing: go on where the lists name images that the source lacks.
        template: where the landmarks go in a crop.
        on_image: called after each image with their total number.

    Raises:
        DatasetError: source or lists are not what they should be, or an image cannot be read.
        OutputError: the store cannot be written.
    """
    lists = lists or source.parent
    found = image_names(source)
    named = read_label_lists(lists)
    people = read_people(lists / "people.txt")
    present = set(found)
    absent = tuple(sorted(set(named.labels) - present))
    if absent and not allow_missing:
        raise DatasetError(
            f"the lists in {lists} name {len(absent)} images that {source} lacks, the first is {absent[0]}",
            remedy="complete the source, or pass --allow-missing",
        )
    images = sorted(present & set(named.labels))
    if not images:
        raise DatasetError(f"{source} holds none of the images that the lists in {lists} name")
    identities = [name.rpartition("_")[0] for name in images]
    labels = np.array([named.labels[name] for name in images], dtype=np.int64)
    folds = {"random": random_folds(labels), "identity": identity_folds(identities, people)}
    report = LfwReport(
        images=len(found),
        people=len(set(identities)),
        female=int((labels == 0).sum()),
        male=int((labels == 1).sum()),
        lines=named.lines,
        in_both=named.in_both,
        unlabelled=tuple(sorted(present - set(named.labels))),
        absent=absent,
        mended=named.mended,
    )
    cropper = CentreCropper(OnnxDetector(), template, USUAL_FACE)
    inputs = {
        "source": fingerprint(source),
        "lists": named.sha256,
        "people": hashlib.sha256(_read(lists / "people.txt")).hexdigest(),
        "images": len(images),
    }
    before = _prepared(output, inputs, cropper.alignment)
    if before is not None:
        return replace(report, fallbacks=tuple(before["report"]["fallbacks"]), reused=True)

    with create_store(output, len(images)) as writer:
        index = {name: i for i, name in enumerate(images)}
        fallbacks: list[str] = []
        waiting: list[tuple[str, Image]] = []

        def crop() -> None:
            crops, found = cropper.crop([image for _, image in waiting])
            for (name, _), one, sure in zip(waiting, crops, found, strict=True):
                writer.put(index[name], one)
                if not sure:
                    fallbacks.append(name)
                on_image(len(images))
            waiting.clear()

        for name, data in read_images(source, index):
            try:
                image = decode(data)
            except PhotoReadError as error:
                raise DatasetError(f"{name} in {source}: {error}", remedy="fetch the archive again") from error
            waiting.append((name, image))
            if len(waiting) == _BATCH:
                crop()
        crop()
        report = replace(report, fallbacks=tuple(sorted(fallbacks)))
        counts = {k: v for k, v in asdict(report).items() if k != "reused"}
        details = {"inputs": inputs, "report": counts}
        writer.finish("lfw", images, identities, labels, folds, cropper.alignment, details)
    return report


def _prepared(output: Path, inputs: dict[str, Any], alignment: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of a whole store of the same inputs and alignment, if there is one."""
    try:
        manifest = read_manifest(output)
        same = manifest["inputs"] == inputs and manifest["alignment"] == alignment
    except (StoreError, KeyError):
        return None
    return manifest if same else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}", remedy="pass --lists FOLDER") from error
