"""Reading a dataset's images from the archive or folder it came in."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Collection, Iterator
from itertools import pairwise
from pathlib import Path, PurePosixPath

from facegender.errors import DatasetError

_SUFFIXES = {".jpg", ".jpeg", ".png"}


def image_names(source: Path) -> list[str]:
    """File names (without folders) of all images in a tar archive or below a folder.

    Raises:
        DatasetError: there is nothing at `source`, it is no readable archive or folder, or a name occurs twice.
    """
    if source.is_dir():
        return _unique(source, [path.name for path in _images_below(source)])
    with _open_tar(source) as archive:
        try:
            members = archive.getmembers()
        except (tarfile.TarError, EOFError, OSError) as error:
            raise _damaged(source) from error
    names = [PurePosixPath(member.name) for member in members if member.isfile()]
    return _unique(source, [name.name for name in names if name.suffix.lower() in _SUFFIXES])


def read_images(source: Path, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (file name, bytes) of each wanted image once, in the order of the archive or by name in a folder.

    Raises:
        DatasetError: the archive is damaged.
    """
    left = frozenset(wanted)
    if source.is_dir():
        for path in _images_below(source):
            if path.name in left:
                try:
                    yield path.name, path.read_bytes()
                except OSError as error:
                    raise DatasetError(f"cannot read {path}: {error.strerror}") from error
        return
    with _open_tar(source) as archive:
        try:
            for member in archive:
                name = PurePosixPath(member.name).name
                file = archive.extractfile(member) if member.isfile() and name in left else None
                if file is not None:
                    yield name, file.read()
        except (tarfile.TarError, EOFError, OSError) as error:
            raise _damaged(source) from error


def fingerprint(source: Path) -> str:
    """Changes when the source does: SHA-256 over the names, sizes and times of its files, without reading them."""
    paths = _images_below(source) if source.is_dir() else [source]
    digest = hashlib.sha256()
    for path in paths:
        status = path.stat()
        digest.update(f"{path.relative_to(source)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _images_below(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())


def _unique(source: Path, names: list[str]) -> list[str]:
    names.sort()
    for name, following in pairwise(names):
        if name == following:
            raise DatasetError(f"{source} holds more than one image named {name}", remedy="keep one of them")
    return names


def _open_tar(source: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(source)
    except FileNotFoundError as error:
        raise DatasetError(f"there is nothing at {source}", remedy="give the archive or the unpacked folder") from error
    except PermissionError as error:
        raise DatasetError(f"no permission to read {source}") from error
    except (tarfile.TarError, EOFError, OSError) as error:
        raise _damaged(source) from error


def _damaged(source: Path) -> DatasetError:
    return DatasetError(f"{source} is not a whole tar archive", remedy="fetch it again, or give the unpacked folder")
