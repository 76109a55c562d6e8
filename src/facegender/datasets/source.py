"""Reading a dataset's images from the archive or folder it came in."""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from facegender.errors import DatasetError

_SUFFIXES = {".jpg", ".jpeg", ".png"}


def image_names(source: Path) -> list[str]:
    """File names (without folders) of all images in a tar archive or below a folder.

    Raises:
        DatasetError: there is nothing at `source`, or it is no readable archive or folder.
    """
    if source.is_dir():
        return sorted(p.name for p in source.rglob("*") if p.suffix.lower() in _SUFFIXES)
    with _open_tar(source) as archive:
        try:
            members = archive.getmembers()
        except (tarfile.TarError, EOFError, OSError) as error:
            raise _damaged(source) from error
    return sorted(
        PurePosixPath(m.name).name for m in members if m.isfile() and PurePosixPath(m.name).suffix in _SUFFIXES
    )


def read_images(source: Path, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (file name, bytes) of each wanted image once, in the order of the archive or by name in a folder.

    Raises:
        DatasetError: the archive is damaged.
    """
    left = set(wanted)
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.name in left:
                left.remove(path.name)
                yield path.name, path.read_bytes()
        return
    with _open_tar(source) as archive:
        try:
            for member in archive:
                name = PurePosixPath(member.name).name
                file = archive.extractfile(member) if member.isfile() and name in left else None
                if file is not None:
                    left.remove(name)
                    yield name, file.read()
        except (tarfile.TarError, EOFError, OSError) as error:
            raise _damaged(source) from error


def _open_tar(source: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(source)
    except FileNotFoundError as error:
        raise DatasetError(f"there is nothing at {source}", remedy="give the archive or the unpacked folder") from error
    except (tarfile.TarError, EOFError, OSError) as error:
        raise _damaged(source) from error


def _damaged(source: Path) -> DatasetError:
    return DatasetError(f"{source} is not a whole tar archive", remedy="fetch it again, or give the unpacked folder")
