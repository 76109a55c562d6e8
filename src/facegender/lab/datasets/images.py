"""A dataset's photos, read as `facegender.sources` reads those of `facegender predict`."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from facegender.errors import DatasetError, PhotoNotFoundError, PhotoReadError
from facegender.sources import LocalFile, Photos, Source, is_photo, is_photo_file, read
from facegender.sources.remote import is_url
from facegender.sources.source import Unreadable

#: Where photos are: a folder, an archive, a pattern, a list, or a URL of one of these.
Place: TypeAlias = str | Path


def base_name(path: str) -> str:
    """The last part of a path in an archive."""
    return PurePosixPath(path).name


def last_two(path: str) -> str:
    """The last two parts of a path in an archive: ``train/1.jpg`` of ``fair_face/train/1.jpg``."""
    return "/".join(PurePosixPath(path).parts[-2:])


def paths_by_name(source: Place, key: Callable[[str], str] = base_name) -> dict[str, str]:
    """The name that each image goes by to its path, for all images of a source.

    Args:
        source: folder, archive, pattern, list or URL.
        key: a path in the source to the name it goes by; file names without folders unless given.

    Raises:
        DatasetError: there is nothing at `source`, it cannot be read, or a name occurs twice.
    """
    paths: dict[str, str] = {}
    for path in image_paths(source):
        if paths.setdefault(name := key(path), path) != path:
            raise DatasetError(f"{source} holds more than one image named {name}", remedy="keep one of them")
    return paths


def image_paths(source: Place) -> list[str]:
    """Paths of all images: from the folder or archive on, else as patterns and lists give them; sorted.

    Raises:
        DatasetError: there is nothing at `source`, or it cannot be read.
    """
    return sorted(path for path, _ in _photos(source))


def places_by_name(
    sources: Iterable[Place], key: Callable[[str], str] = base_name
) -> tuple[dict[str, tuple[int, str]], int]:
    """Where each image is: the name it goes by to the number of its source, from 0, and its path there.

    An image that is in several sources is taken from the first; how many there are comes second.

    Raises:
        DatasetError: as for `paths_by_name`.
    """
    places: dict[str, tuple[int, str]] = {}
    again: set[str] = set()
    for number, source in enumerate(sources):
        found = paths_by_name(source, key)
        again |= places.keys() & found.keys()
        places = {name: (number, path) for name, path in found.items()} | places
    return places, len(again)


def read_images(
    source: Place, wanted: Collection[str], key: Callable[[str], str] = base_name
) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of each wanted image once, in the order of the archive or by path in a folder.

    Args:
        key: a path in the source to the name it goes by.

    Raises:
        DatasetError: the source is damaged, or a file cannot be read.
    """
    left = frozenset(wanted)
    for path, photo in _photos(source):
        if (name := key(path)) in left:
            try:
                data = read(photo)
                yield name, data if isinstance(data, bytes) else Path(data).read_bytes()
            except PhotoReadError as error:
                raise DatasetError(str(error)) from error
            except OSError as error:
                raise DatasetError(f"cannot read {photo.name}: {error.strerror}") from error


def copies_in(
    source: Place, paths: Mapping[str, str], labels: Mapping[str, int]
) -> tuple[dict[str, str], list[list[str]], list[list[str]]]:
    """The SHA-256 of each labelled image by its name; and the names of each content, where their labels agree, and not.

    Args:
        paths: of all images, by name.
        labels: by name, in the order that the names of one content come in.

    Raises:
        DatasetError: as for `read_images`.
    """
    names = {paths[name]: name for name in labels}
    digests = {names[path]: hashlib.sha256(data).hexdigest() for path, data in read_images(source, names, key=str)}
    copies: dict[str, list[str]] = defaultdict(list)
    for name in labels:
        copies[digests[name]].append(name)
    agree: dict[bool, list[list[str]]] = {True: [], False: []}
    for same in copies.values():
        agree[len({labels[name] for name in same}) == 1].append(same)
    return digests, agree[True], agree[False]


def fingerprint(source: Place) -> str:
    """Changes when the source does: SHA-256 over the names, sizes and times of its files, without reading them."""
    digest = hashlib.sha256()
    local = Path(source)
    if not is_url(str(source)) and local.is_file():
        status = local.stat()
        digest.update(f".\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        return digest.hexdigest()
    for path, photo in _photos(source):
        stamp = photo.stamp()
        size, time = (stamp.size, stamp.version) if stamp is not None else ("", "")
        digest.update(f"{path}\0{size}\0{time}\n".encode())
    return digest.hexdigest()


def _photos(source: Place) -> Iterator[tuple[str, Source]]:
    """Each photo with its path; links in archives are passed over."""
    text = str(source)
    folder = Path(text) if os.path.isdir(text) else None  # noqa: PTH112 (it may be a URL)
    for photo in Photos((text,), recursive=True, skip=None):
        if isinstance(photo, Unreadable):
            if photo.error is PhotoNotFoundError and is_photo(photo.name):
                continue
            raise DatasetError(photo.message, remedy="fetch it again, or give the unpacked folder")
        if isinstance(photo, LocalFile) and photo.name == text and not os.path.lexists(text):
            raise DatasetError(f"there is nothing at {source}", remedy="give the archive or the unpacked folder")
        own = folder is not None or photo.name == text
        if isinstance(photo, LocalFile) and own and not is_photo_file(Path(photo.path)):
            raise DatasetError(f"{photo.name} is no folder that can be listed, and no archive, list or photo")
        yield _below(photo.name, text, folder), photo


def _below(name: str, text: str, folder: Path | None) -> str:
    """The path of a photo from its source on, where it lies below; else its whole name."""
    if folder is not None:
        return Path(name).relative_to(folder).as_posix()
    if is_url(text):  # file systems write one place in several ways
        place = text.partition("://")[2].strip("/")
        path = name.partition("://")[2].lstrip("/")
        return path.removeprefix(f"{place}/") if path.startswith(f"{place}/") else name
    return name.removeprefix(f"{text}/")
