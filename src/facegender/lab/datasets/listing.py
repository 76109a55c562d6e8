"""From what a dataset says of its photos to a prepared store: the part that all datasets share."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from facegender.errors import DatasetError, PhotoReadError, StoreError
from facegender.faces.align import DEFAULT_TEMPLATE, LandmarkTemplate
from facegender.faces.decode import decode
from facegender.faces.types import Face, Image
from facegender.inference.detector import OnnxDetector
from facegender.inference.workers import chunks_of
from facegender.lab.datasets.cropping import Box, FaceCropper
from facegender.lab.datasets.images import Place, fingerprint, read_images
from facegender.lab.datasets.store import (
    LABELS,
    MARGIN,
    SPLITS,
    Split,
    Table,
    create_store,
    photo_digest,
    read_manifest,
)

#: The names of what was found; or, where there may be very many, only their number.
Finding: TypeAlias = Sequence[str] | int

#: Images that are cropped together.
_BATCH = 16


@dataclass(frozen=True)
class ImageRoot:
    """An archive or a folder of photos.

    Attributes:
        path: folder, tar or zip archive, pattern, list of photos, or a URL of one of these.
        frame: width and height that every photo is brought to first, for copies that were squeezed; None: as they are.
    """

    path: Place
    frame: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One labelled photo.

    Attributes:
        name: unique in the dataset; goes into the store's table.
        path: in its source, as `facegender.lab.datasets.images.image_paths` gives it.
        label: 0 female, 1 male.
        split: what it may be used for.
        identity: the person, "" where unknown.
        attributes: other annotations; the same keys for every entry.
        box: where the face lies in pixels of the photo, where the dataset tells it.
        source: which of the sources, from 0.
    """

    name: str
    path: str
    label: int
    split: Split
    identity: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    box: Box | None = None
    source: int = 0


@dataclass(frozen=True)
class Listing:
    """What of a dataset goes into a store, before a pixel is read.

    Attributes:
        name: of the dataset, as stores and results call it.
        sources: where the photos are.
        entries: one a photo, in the order of the store.
        folds: fold number of each entry for each named assignment, int64, N, counted from 1.
        counts: (text, female, male) for the report: what the labels say before anything was left out.
        findings: what was corrected or left out: text to the names concerned, or to their number.
        usual: where faces usually are (`FaceCropper.usual`).
        complete: a photo that cannot be read is an error; else it is left out and counted.
        labels_sha256: of the files that the labels came from.
    """

    name: str
    sources: Sequence[ImageRoot]
    entries: Sequence[Entry]
    folds: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    counts: Sequence[tuple[str, int, int]] = ()
    findings: Mapping[str, Finding] = field(default_factory=dict)
    usual: Face | None = None
    complete: bool = False
    labels_sha256: str = ""

    def photos(self, done: Collection[int] = ()) -> Iterator[tuple[int, Image | None, str]]:
        """The index of each entry that is not done, its pixels, and the digest of its file, as the sources go.

        A photo that cannot be read has None and "".

        Raises:
            DatasetError: a source is not what it should be, or a photo of a complete set is unreadable.
        """
        for number, source in enumerate(self.sources):
            index = {entry.path: i for i, entry in enumerate(self.entries) if entry.source == number and i not in done}
            if not index:
                continue
            for path, data in read_images(source.path, index, key=str):
                try:
                    image = decode(data)
                except PhotoReadError as error:
                    if self.complete:
                        reason = f"{path} in {source.path}: {error}"
                        raise DatasetError(reason, remedy="fetch the archive again") from error
                    yield index[path], None, ""
                    continue
                if source.frame is not None and image.shape[1::-1] != source.frame:
                    image = np.asarray(cv2.resize(image, source.frame, interpolation=cv2.INTER_CUBIC), np.uint8)
                yield index[path], image, photo_digest(data)


@dataclass(frozen=True)
class Preparation:
    """What `prepare` made of a listing.

    Attributes:
        name: of the dataset.
        counts: (text, female, male): those of the listing, then what is in the store, then each of its splits.
        people: among the crops, 0 where the dataset does not tell them apart.
        findings: those of the listing, and photos left out because they could not be read or show no face.
        fallbacks: crops whose face was not found and that were cut out where it usually is, or where the dataset says.
        reused: the store was already there, whole, and made from the same inputs.
    """

    name: str
    counts: Sequence[tuple[str, int, int]]
    people: int
    findings: Mapping[str, Finding]
    fallbacks: Sequence[str]
    reused: bool = False

    @property
    def female(self) -> int:
        """Crops of women in the store."""
        return next(women for text, women, _ in self.counts if text == IN_STORE)

    @property
    def male(self) -> int:
        """Crops of men in the store."""
        return next(men for text, _, men in self.counts if text == IN_STORE)


#: The attribute with the height of the face's box in the photo, pixels; "" where the face was not found.
FACE_SIZE = "face_size"
IN_STORE = "crops in the store"
UNREADABLE, FACELESS = "unreadable, left out", "without a face, left out"


def prepare(
    listing: Listing,
    output: Path,
    *,
    template: LandmarkTemplate = DEFAULT_TEMPLATE,
    on_image: Callable[[int], None] = lambda total: None,
) -> Preparation:
    """Find and crop the face of every listed photo and write a prepared store.

    Args:
        output: folder of the store; an equal store that is already there is left as it is, an interrupted one is gone
            on with.
        on_image: called after each image with their total number.

    Raises:
        DatasetError: a source is not what it should be, nothing is left, or a photo of a complete set is unreadable.
        OutputError: the store cannot be written.
    """
    if not listing.entries:
        raise DatasetError(f"no labelled photos of {listing.name} in {listing.sources[0].path}")
    cropper = FaceCropper(OnnxDetector(), template, listing.usual, MARGIN)
    inputs = {
        "sources": [[fingerprint(source.path), source.frame and list(source.frame)] for source in listing.sources],
        "labels": listing.labels_sha256,
        "entries": _fingerprint(listing),
        "margin": MARGIN,
    }
    with suppress(StoreError, KeyError):
        manifest = read_manifest(output)
        before = (manifest["name"], manifest["inputs"], manifest["alignment"])
        if before == (listing.name, inputs, cropper.alignment):
            report = manifest["report"]
            counts = tuple(map(tuple, report["counts"]))
            findings, fallbacks = _settled(report["findings"]), tuple(report["fallbacks"])
            return Preparation(listing.name, counts, report["people"], findings, fallbacks, reused=True)
    entries = listing.entries
    height = np.full(len(entries), np.nan)  # of the faces that are found
    cropped = np.zeros(len(entries), bool)
    photos = [""] * len(entries)  # digests; none of those that cannot be read
    source = {"inputs": inputs, "alignment": cropper.alignment}
    with create_store(output, listing.name, len(entries), MARGIN, source=source) as writer:
        for index, digest, is_cropped, tall in writer.done:
            photos[index], cropped[index], height[index] = digest, is_cropped, np.nan if tall is None else tall
            on_image(len(entries))
        for batch in chunks_of(_BATCH, listing.photos({index for index, *_ in writer.done})):
            readable = [(index, image) for index, image, _ in batch if image is not None]
            for index, _, digest in batch:
                photos[index] = digest
            crops, heights = cropper.crop(
                [image for _, image in readable], [entries[index].box for index, _ in readable]
            )
            for (index, _), crop, tall in zip(readable, crops, heights, strict=True):
                if crop is not None:
                    writer.put(index, crop)
                    cropped[index], height[index] = True, np.nan if tall is None else tall
            writer.note(
                *((i, digest, bool(cropped[i]), None if np.isnan(height[i]) else height[i]) for i, _, digest in batch)
            )
            for _ in batch:
                on_image(len(entries))
        if not cropped.any():
            raise DatasetError(f"no photo of {listing.name} in {listing.sources[0].path} shows a face")
        rows = np.flatnonzero(cropped)
        absent = [entries[i] for i in np.flatnonzero(~cropped).tolist() if photos[i]]
        findings = {
            **_settled(listing.findings),
            UNREADABLE: tuple(sorted(entry.name for entry, digest in zip(entries, photos, strict=True) if not digest)),
            FACELESS: tuple(sorted(entry.name for entry in absent)),
        }
        table = _table(listing, rows, height, photos)
        report = Preparation(
            name=listing.name,
            counts=(*listing.counts, *_counts(table)),
            people=len({person for person in table.identities if person}),
            findings={text: finding for text, finding in findings.items() if finding},
            fallbacks=tuple(sorted(entries[i].name for i in rows.tolist() if np.isnan(height[i]))),
        )
        details = {
            "inputs": inputs,
            "report": {k: v for k, v in asdict(report).items() if k != "reused"},
            "not_found": [
                {"image": e.name, "label": LABELS[e.label], "split": e.split, **e.attributes} for e in absent
            ],
        }
        writer.finish(table, cropper.alignment, details, rows)
    return report


def _table(
    listing: Listing, rows: npt.NDArray[np.int64], height: npt.NDArray[np.float64], photos: Sequence[str]
) -> Table:
    entries = [listing.entries[i] for i in rows.tolist()]
    return Table(
        images=[entry.name for entry in entries],
        identities=[entry.identity for entry in entries],
        labels=np.array([entry.label for entry in entries], dtype=np.int64),
        splits=[entry.split for entry in entries],
        folds={name: numbers[rows] for name, numbers in listing.folds.items()},
        attributes={
            **{key: [entry.attributes[key] for entry in entries] for key in entries[0].attributes},
            "found": ["no" if np.isnan(height[i]) else "yes" for i in rows],
            FACE_SIZE: ["" if np.isnan(height[i]) else f"{height[i]:.0f}" for i in rows],
        },
        photos=[photos[i] for i in rows.tolist()],
    )


def _counts(table: Table) -> list[tuple[str, int, int]]:
    counted = Counter(zip(table.splits, table.labels.tolist(), strict=True))
    rows = [(split, counted[split, 0], counted[split, 1]) for split in SPLITS]
    return [(IN_STORE, sum(row[1] for row in rows), sum(row[2] for row in rows)), *rows]


def _fingerprint(listing: Listing) -> str:
    digest = hashlib.sha256()
    for entry in listing.entries:
        digest.update(json.dumps(asdict(entry)).encode())
    for name, numbers in listing.folds.items():
        digest.update(name.encode() + numbers.tobytes())
    return digest.hexdigest()


def _settled(findings: Mapping[str, Finding]) -> dict[str, Finding]:
    return {text: found if isinstance(found, int) else tuple(found) for text, found in findings.items()}
