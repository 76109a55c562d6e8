"""Pictures that are made of photos: copies with the answers drawn in, and crops of the faces."""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import PIL.Image

from facegender.errors import OutputError
from facegender.faces.align import LandmarkTemplate, crop_faces
from facegender.faces.annotate import annotate
from facegender.faces.prints import smoothed
from facegender.faces.types import Image, PhotoResult, Picture
from facegender.files import atomic_file

#: What the name of an annotated picture ends in.
ANNOTATED_SUFFIX = ".faces.jpg"
#: What the name of a face's crop ends in.
CROP_SUFFIX = re.compile(r"\.face\d+\.png$")

#: Pixels a side that a JPEG file can have; larger pictures are shrunk to it.
_JPEG_LIMIT = 65_500


def save_annotated(image: Image, result: PhotoResult, path: Path) -> None:
    """Draw a result and save it as JPEG.

    Args:
        image: uint8, H x W x 3, RGB.
        result: belongs to the image.
        path: of the new file, in a folder that exists.

    Raises:
        OutputError: the folder cannot be written.
    """
    drawn = PIL.Image.fromarray(annotate(image, result))
    drawn.thumbnail((_JPEG_LIMIT, _JPEG_LIMIT))
    with atomic_file(path) as temporary:
        drawn.save(temporary, format="JPEG", quality=92)


def save_crops(image: Image, result: PhotoResult, template: LandmarkTemplate, folder: Path, stem: str) -> None:
    """Save the aligned faces of a photo as ``STEM.face0.png`` and so on, 64 x 64 pixels, smoothed as for the answers.

    Args:
        image: uint8, H x W x 3, RGB.
        result: belongs to the image.
        template: how faces are aligned.
        folder: that exists.
        stem: of the names.

    Raises:
        OutputError: the folder cannot be written.
    """
    picture = smoothed(Picture.of(image))
    for number, crop in enumerate(crop_faces(picture, [found.face for found in result.faces], template)):
        with atomic_file(folder / f"{stem}.face{number}.png") as temporary:
            PIL.Image.fromarray(crop).save(temporary, format="PNG")


class PictureNames:
    """Stems for the pictures made of photos: that of the photo, or ``STEM-2`` where the name is taken.

    The same photos in the same order have the same stems, so that a run that is taken up makes the same files.

    Args:
        taken: names of files that must not be overwritten.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        # Many file systems do not tell A.jpg from a.jpg. Hashes take less room than names.
        self._taken = {hash(name.casefold()) for name in taken}

    def stem(self, photo: str) -> str:
        """A stem of its own for a photo."""
        stem = Path(photo).stem or "photo"
        unique, number = stem, 1
        while (key := hash(f"{unique}{ANNOTATED_SUFFIX}".casefold())) in self._taken:
            number += 1
            unique = f"{stem}-{number}"
        self._taken.add(key)
        return unique


def is_made(photo: str, folders: Sequence[Path]) -> bool:
    """Whether a photo is by its name a picture that an earlier run made in one of the folders."""
    if not folders or not (photo.endswith(ANNOTATED_SUFFIX) or CROP_SUFFIX.search(photo)):
        return False
    return Path(photo).parent.resolve() in [folder.resolve() for folder in folders]


def names_in(folders: Sequence[Path], photos: Iterable[str]) -> Iterator[str]:
    """Names of photos that are in one of the folders, which pictures must not take."""
    places = {folder.resolve() for folder in folders}
    resolved = functools.lru_cache(lambda parent: parent.resolve())
    return (Path(photo).name for photo in photos if resolved(Path(photo).parent) in places)


def check_folder(folder: Path) -> None:
    """Make a folder and write in it once; OutputError where that is refused."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"cannot write in the folder {folder}: {error.strerror}") from error
