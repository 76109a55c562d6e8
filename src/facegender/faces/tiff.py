"""Which of the images in a TIFF file is the photo. Pillow takes the first, which may be its thumbnail."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from facegender.faces.kinds import raw_kind

#: Directories beyond are not looked for.
_MOST = 4096
#: Tags of one directory.
_MOST_ENTRIES = 4096
#: With more different sizes of images in a file, none is taken for a copy of another.
_MOST_SIZES = 256
#: Strips or tiles of one image: Pillow makes several objects of each before the size of the image can be checked.
_PIECES, _MOST_PIECES = (273, 324), 2**18

_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC, _SUB_DIRECTORIES, _DNG = 254, 255, 256, 257, 262, 330, 50706
_REDUCED, _MASK = 1, 4
_OLD_REDUCED = 2
_TRANSPARENCY, _SENSOR, _LINEAR = 4, 32803, 34892

#: Letters of `struct` for the types of numbers that we read.
_LETTERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}

#: An image that is this much smaller than another and of its shape is a copy of it, whether it says so or not.
_COPY = 2
#: Longest side in pixels of a thumbnail, and by what factor the picture is larger; its shape does not matter.
_THUMBNAIL, _THUMBNAIL_OF = 320, 4


class TooManyPiecesError(Exception):
    """An image is in more strips or tiles than any camera or scanner writes."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What images a TIFF file holds.

    Attributes:
        photo: number of the image that is the photo.
        further: how many others are no thumbnails, smaller copies or masks: pages.
        raw: the kind of raw file that it is, or None.
    """

    photo: int = 0
    further: int = 0
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    """One image of a file, as its directory tells; of sizes in pixels."""

    width: int
    height: int
    aside: bool
    photometric: int
    dng: bool

    def copies(self, other: _Entry) -> bool:
        """Whether it is a small copy of the other."""
        wide, high = other.width / self.width, other.height / self.height
        if min(wide, high) >= _THUMBNAIL_OF and max(self.width, self.height) <= _THUMBNAIL:
            return True
        same = abs(self.width * other.height - self.height * other.width) <= max(other.width, other.height)
        return same and min(wide, high) >= _COPY


def contents(file: IO[bytes]) -> Contents:
    """Look through the directories of a TIFF file; its place in the file is not kept.

    A directory that is damaged ends the list, and never the reading of the photo.

    Raises:
        TooManyPiecesError: opening the file would take memory without bounds.
    """
    file.seek(0)
    head = file.read(16)
    if kind := raw_kind(head):
        return Contents(raw=kind)
    chain: list[_Entry] = []
    inner: list[_Entry] = []
    for entry, below in _directories(file, head):
        (inner if below else chain).append(entry)
    if any(entry.dng for entry in chain):
        return Contents(raw="DNG")
    whole_within = chain and chain[0].aside and any(chain[0].copies(entry) and not entry.aside for entry in inner)
    if whole_within or any(entry.photometric in (_SENSOR, _LINEAR) for entry in chain + inner):
        return Contents(raw="TIFF/EP")
    photos = [number for number, entry in enumerate(chain) if not entry.aside] or list(range(len(chain)))
    # An image is a copy of a larger one, so one of each size is compared.
    sizes = {(chain[n].width, chain[n].height): chain[n] for n in photos}
    others = list(sizes.values()) if len(sizes) <= _MOST_SIZES else []
    pages = [n for n in photos if not any(chain[n].copies(other) for other in others)]
    return Contents(photo=pages[0], further=len(pages) - 1) if pages else Contents()


def _directories(file: IO[bytes], head: bytes) -> Iterator[tuple[_Entry, bool]]:
    """The images of a file in order, and whether each belongs to another one, as the sensor's image to its preview."""
    order = "<" if head[:2] == b"II" else ">"
    big = 43 in head[2:4]
    layout = order + ("QQ" if big else "HI")
    try:
        (offset,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
        seen: set[int] = set()
        while offset and offset not in seen and len(seen) < _MOST:
            seen.add(offset)
            tags, offset = _tags(file, offset, layout)
            places = dict.fromkeys(tags.get(_SUB_DIRECTORIES, ()))
            below = [place for place in places if place not in seen][: max(0, _MOST - len(seen))]
            yield _entry(tags), False
            for place in below:
                seen.add(place)
                yield _entry(_tags(file, place, layout)[0]), True
    except (struct.error, ValueError, OverflowError):
        return
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place beyond what a file can have
            raise


def _tags(file: IO[bytes], offset: int, layout: str) -> tuple[dict[int, tuple[int, ...]], int]:
    """The whole numbers of a directory, by tag, and the place of the next one.

    Raises:
        struct.error, ValueError or OverflowError: it is damaged.
    """
    order, count_letter, letter = layout[0], layout[1], layout[2]
    file.seek(offset)
    (count,) = struct.unpack(order + count_letter, file.read(struct.calcsize(order + count_letter)))
    entry = struct.Struct(order + "HH" + letter)
    room = struct.calcsize(order + letter)
    size = entry.size + room
    data = file.read(min(count, 65535) * size)
    for start in range(0, len(data) - size + 1, size):  # before any damage: Pillow also reads what is damaged
        tag, _, length = entry.unpack_from(data, start)
        if tag in _PIECES and length > _MOST_PIECES:
            raise TooManyPiecesError(f"it has {length:,} strips or tiles")
    if count > _MOST_ENTRIES:
        raise ValueError("no such directory")
    (following,) = struct.unpack(order + letter, file.read(room))
    tags: dict[int, tuple[int, ...]] = {}
    for start in range(0, count * size, size):
        tag, kind, length = entry.unpack_from(data, start)
        if kind not in _LETTERS or tag not in _WANTED or not 0 < length <= _MOST:
            continue
        form = f"{order}{length}{_LETTERS[kind]}"
        value = data[start + entry.size : start + size]
        if struct.calcsize(form) > room:
            file.seek(struct.unpack(order + letter, value)[0])
            value = file.read(struct.calcsize(form))
        tags[tag] = struct.unpack_from(form, value)
    return tags, following


_WANTED = (_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC, _SUB_DIRECTORIES, _DNG)


def _entry(tags: dict[int, tuple[int, ...]]) -> _Entry:
    """What the tags say; ValueError where they tell no size."""
    (subfile, *_), (old, *_) = tags.get(_SUBFILE, (0,)), tags.get(_OLD_SUBFILE, (0,))
    (width, *_), (height, *_) = tags.get(_WIDTH, (0,)), tags.get(_HEIGHT, (0,))
    (photometric, *_) = tags.get(_PHOTOMETRIC, (0,))
    if not width or not height:
        raise ValueError("an image without a size")
    aside = bool(subfile & (_REDUCED | _MASK)) or old == _OLD_REDUCED or photometric == _TRANSPARENCY
    return _Entry(width, height, aside, photometric, _DNG in tags)
