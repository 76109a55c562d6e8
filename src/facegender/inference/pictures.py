"""Pictures that are made of photos: copies with the answers drawn in, and crops of the faces."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

import PIL.Image
from PIL.PngImagePlugin import PngInfo

from facegender.errors import OutputError
from facegender.faces.align import LandmarkTemplate, crop_faces
from facegender.faces.annotate import annotate
from facegender.faces.prints import smoothed
from facegender.faces.types import Image, PhotoResult, Picture
from facegender.files import atomic_file
from facegender.formats.records import Record

#: What the name of an annotated picture ends in.
ANNOTATED_SUFFIX = ".faces.jpg"
#: What the name of a face's crop ends in.
CROP_SUFFIX = re.compile(r"\.face\d+\.png$")

#: In the comment of what a run makes.
MARK = "made by facegender"
#: It is in the first bytes of a picture.
_HEAD_BYTES = 4096
#: Of the 255 bytes of a name, what is left for a stem by suffixes, a number and the name while it is written.
_STEM_BYTES = 215
#: Number of crops of one stem that are checked for being the user's own.
_LOOKED_AT = 10

#: Pixels a side that a JPEG file can have; larger pictures are shrunk to it.
_JPEG_LIMIT = 65_500


def save_annotated(image: Image, result: PhotoResult, path: Path) -> None:
    """Draw a result and save it as JPEG.

    Args:
        image: uint8, H x W x 3, RGB.
        path: of the new file, in a folder that exists.

    Raises:
        OutputError: the folder cannot be written.
    """
    drawn = PIL.Image.fromarray(annotate(image, result))
    drawn.thumbnail((_JPEG_LIMIT, _JPEG_LIMIT))
    with atomic_file(path) as temporary:
        drawn.save(temporary, format="JPEG", quality=92, comment=MARK)


def save_crops(image: Image, result: PhotoResult, template: LandmarkTemplate, folder: Path, stem: str) -> list[str]:
    """Save the aligned faces of a photo as ``STEM.face0.png`` and so on, 64 x 64 pixels, smoothed as for the answers.

    Args:
        image: uint8, H x W x 3, RGB.

    Returns:
        The names, one a face.

    Raises:
        OutputError: the folder cannot be written.
    """
    picture = smoothed(Picture.of(image))
    mark = PngInfo()
    mark.add_text("Software", MARK)
    names = []
    for number, crop in enumerate(crop_faces(picture, [found.face for found in result.faces], template)):
        names.append(f"{stem}.face{number}.png")
        with atomic_file(folder / names[-1]) as temporary:
            PIL.Image.fromarray(crop).save(temporary, format="PNG", pnginfo=mark)
    return names


def is_made(photo: str) -> bool:
    """Whether a photo is a picture that a run made: its name ends like one, and it holds the mark of one."""
    if not photo.endswith(ANNOTATED_SUFFIX) and not CROP_SUFFIX.search(photo):
        return False
    try:
        with Path(photo).open("rb") as file:
            return MARK.encode() in file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return False


def has_pictures(record: Record, annotate: Path | None, crops: Path | None) -> bool:
    """Whether the pictures that are wanted of a photo, given the folder for each kind, are there by its record."""

    def there(folder: Path, name: str | None) -> bool:
        return name is not None and (folder / name).is_file()

    if record["error"] is not None:
        return True
    return (annotate is None or there(annotate, record.get("annotated"))) and (
        crops is None or all(there(crops, face.get("crop")) for face in record["faces"])
    )


def stem_of(record: Record) -> str | None:
    """The stem of the pictures that a record names; None without any."""
    annotated: str | None = record.get("annotated")
    if annotated is not None:
        return annotated.removesuffix(ANNOTATED_SUFFIX)
    return next((CROP_SUFFIX.sub("", face["crop"]) for face in record["faces"] if "crop" in face), None)


class PictureNames:
    """Stems for the pictures made of photos: that of the photo, or ``STEM-2`` where the name is taken.

    The same photos in the same order have the same stems. A stem that would be too long for a file system ends in a
    digest of the photo's name.

    Args:
        annotate, crops: folders of the pictures. What is there and was not made by a run is not overwritten.
        taken: stems of other photos' pictures.
    """

    def __init__(self, annotate: Path | None = None, crops: Path | None = None, taken: Iterable[str] = ()) -> None:
        self._annotate, self._crops = annotate, crops
        # Many file systems do not tell A.jpg from a.jpg. Hashes take less room than names.
        self._taken = {hash(stem.casefold()) for stem in taken}

    def stem(self, photo: str) -> str:
        """A stem of its own for a photo."""
        stem = shortened(Path(photo).stem.replace("\0", "_") or "photo")
        unique, number = stem, 1
        while (key := hash(unique.casefold())) in self._taken or self._is_of_the_user(unique):
            number += 1
            unique = f"{stem}-{number}"
        self._taken.add(key)
        return unique

    def _is_of_the_user(self, stem: str) -> bool:
        """Whether a picture of this stem would overwrite a file that no run made."""
        paths = [] if self._annotate is None else [self._annotate / f"{stem}{ANNOTATED_SUFFIX}"]
        if self._crops is not None:
            paths += [self._crops / f"{stem}.face{number}.png" for number in range(_LOOKED_AT)]
        return any(path.exists() and not is_made(str(path)) for path in paths)


def shortened(stem: str) -> str:
    """A stem short enough for names of at most 255 bytes, with all that is added to it."""
    data = os.fsencode(stem)
    if len(data) <= _STEM_BYTES:
        return stem
    digest = hashlib.sha256(data).hexdigest()[:12]
    return f"{data[: _STEM_BYTES - 13].decode('utf-8', 'ignore')}-{digest}"


def check_folder(folder: Path) -> None:
    """Make a folder and write in it once; OutputError where that is refused."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        file = next((place for place in (folder, *folder.parents) if os.path.isfile(place)), None)  # noqa: PTH113
        if file is not None:
            raise OutputError(
                f"{file} is a file, and a folder is needed there", remedy="choose another folder"
            ) from error
        # In the folders of the system "no such file" is no reason.
        reason = "" if isinstance(error, FileNotFoundError) else f": {error.strerror}"
        raise OutputError(f"cannot write in {folder}{reason}", remedy="choose another folder") from error
