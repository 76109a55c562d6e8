"""Reading a dataset's images from the archive or folder it came in."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from facegender.errors import DatasetError
from facegender.sources import is_hidden, is_photo, is_photo_file


def image_names(source: Path) -> list[str]:
    """File names (without folders) of all images in an archive or below a folder; errors as for `paths_by_name`."""
    return sorted(paths_by_name(source))


def base_name(path: str) -> str:
    """The last part of a path in an archive."""
    return PurePosixPath(path).name


def last_two(path: str) -> str:
    """The last two parts of a path in an archive: ``train/1.jpg`` of ``fair_face/train/1.jpg``."""
    return "/".join(PurePosixPath(path).parts[-2:])


def paths_by_name(source: Path, key: Callable[[str], str] = base_name) -> dict[str, str]:
    """The name that each image goes by to its path, for all in a tar or zip archive or below a folder.

    Args:
        source: archive or folder.
        key: a path in the source to the name it goes by; file names without folders unless given.

    Raises:
        DatasetError: there is nothing at `source`, it is no readable archive or folder, or a name occurs twice.
    """
    paths: dict[str, str] = {}
    for path in image_paths(source):
        if paths.setdefault(name := key(path), path) != path:
            raise DatasetError(f"{source} holds more than one image named {name}", remedy="keep one of them")
    return paths


def image_paths(source: Path) -> list[str]:
    """Paths of all images, with ``/`` between folders, as the archive has them or from the folder on; sorted.

    Raises:
        DatasetError: there is nothing at `source`, or it is no readable archive or folder.
    """
    if source.is_dir():
        return sorted(path.relative_to(source).as_posix() for path in _images_below(source))
    with _opened(source) as archive:
        if isinstance(archive, zipfile.ZipFile):
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
        else:
            names = [member.name for member in archive.getmembers() if member.isfile()]
    return sorted(filter(is_photo, names))


def places_by_name(
    sources: Iterable[Path], key: Callable[[str], str] = base_name
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
    source: Path, wanted: Collection[str], key: Callable[[str], str] = base_name
) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of each wanted image once, in the order of the archive or by path in a folder.

    Args:
        source: archive or folder.
        wanted: the names to read.
        key: a path in the source to the name it goes by.

    Raises:
        DatasetError: the archive is damaged.
    """
    left = frozenset(wanted)
    if source.is_dir():
        for path in _images_below(source):
            name = key(path.relative_to(source).as_posix())
            if name in left:
                try:
                    yield name, path.read_bytes()
                except OSError as error:
                    raise DatasetError(f"cannot read {path}: {error.strerror}") from error
        return
    with _opened(source) as archive:
        if isinstance(archive, zipfile.ZipFile):
            for info in archive.infolist():
                if (name := key(info.filename)) in left:
                    yield name, archive.read(info)
        else:
            for member in archive:
                name = key(member.name)
                file = archive.extractfile(member) if member.isfile() and name in left else None
                if file is not None:
                    yield name, file.read()


def fingerprint(source: Path) -> str:
    """Changes when the source does: SHA-256 over the names, sizes and times of its files, without reading them."""
    paths = _images_below(source) if source.is_dir() else [source]
    digest = hashlib.sha256()
    for path in paths:
        status = path.stat()
        digest.update(f"{path.relative_to(source)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _images_below(folder: Path) -> list[Path]:
    """Those that `facegender predict` would take for photos, too."""
    files = (path for path in folder.rglob("*") if not is_hidden(path.relative_to(folder).as_posix()))
    return sorted(path for path in files if path.is_file() and is_photo_file(path))


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile | zipfile.ZipFile]:
    """The archive at `source`; what goes wrong with it, at once or later, is a DatasetError."""
    try:
        with zipfile.ZipFile(source) if zipfile.is_zipfile(source) else tarfile.open(source) as archive:
            yield archive
    except FileNotFoundError as error:
        raise DatasetError(f"there is nothing at {source}", remedy="give the archive or the unpacked folder") from error
    except PermissionError as error:
        raise DatasetError(f"no permission to read {source}") from error
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise DatasetError(
            f"{source} is not a whole tar or zip archive", remedy="fetch it again, or give the unpacked folder"
        ) from error
