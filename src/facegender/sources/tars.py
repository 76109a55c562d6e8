"""Photos in tar archives, with or without compression, here or at a URL."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Self

from facegender.errors import ByteLimitError, InputError, PhotoNotFoundError
from facegender.sources.kinds import PassedOver, is_photo
from facegender.sources.remote import check_protocol, is_url, open_url
from facegender.sources.source import ByteRange, InMemory, Source, Unreadable, refuse_above_limit

#: Of archives by their names.
TAR_SUFFIXES = (".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")

#: By what compressed data begins with, the module that reads it.
_OPENERS: dict[bytes, Callable[[IO[bytes]], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_ZSTD = b"\x28\xb5\x2f\xfd"


class _StrictInfo(tarfile.TarInfo):
    """A header that cannot be read is an error; tarfile takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(str(error)) from error

    def _proc_member(self, tarfile_: tarfile.TarFile) -> Any:
        """Read what follows the header; tarfile holds in memory what one claims that only describes another."""
        if self.type in _LONG_HEADERS and self.size > _MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header claims {self.size} bytes")
        return super()._proc_member(tarfile_)  # type: ignore[misc]


#: Kinds of headers that describe the member that follows, or all.
_LONG_HEADERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_MOST_HEADER_BYTES = 16 * 2**20


def is_compressed(path: str) -> bool:
    """Whether the photos of this tar can only be counted by reading it all."""
    if is_url(path):
        return True
    try:
        with Path(path).open("rb") as file:
            head = file.read(6)
    except OSError:
        return False
    return head.startswith((*_OPENERS, _ZSTD))


def photos_in_tar(archive: str, passed: PassedOver) -> Iterator[Source]:
    """The photos of a tar archive in its order; after damage one more that says so.

    Args:
        archive: path or URL. Of one here without compression the photos are read where they lie; all others are
            read from end to end, and the bytes travel with each photo.
        passed: counts the other members.

    Raises:
        MissingExtraError, InputError: the URL's protocol needs a package that is not there, or is none; or the
            archive is compressed with Zstandard, and this Python cannot read that.
    """
    if is_url(archive):
        check_protocol(archive)
    begun = not is_url(archive) and is_compressed(archive)
    try:
        for source in _members(archive, passed):
            begun = True
            if source is not None:
                yield source
    except InputError:
        raise
    except Exception as error:  # zlib, lzma, tarfile and file systems raise what they like
        yield Unreadable.damaged(archive, error, begun=begun or not isinstance(error, tarfile.TarError))


def _members(archive: str, passed: PassedOver) -> Iterator[Source | None]:
    """A source for each photo, None for each other member."""
    in_place = not is_compressed(archive)
    with ExitStack() as stack:
        if in_place:
            tar = stack.enter_context(tarfile.open(archive, "r:", tarinfo=_StrictInfo))
        else:
            opened = open_url(archive) if is_url(archive) else Path(archive).open("rb")  # noqa: SIM115
            packed = _decompressed(archive, stack.enter_context(opened))
            tar = stack.enter_context(tarfile.open(fileobj=packed, mode="r|", tarinfo=_StrictInfo))
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # else it keeps them all
            if is_photo(member.name) and not member.isdir():
                yield _source(archive, tar, member, in_place=in_place)
            else:
                if not member.isdir():
                    passed.add(member.name)
                yield None


def _decompressed(archive: str, file: io.BufferedReader) -> IO[bytes]:
    head = file.peek(6)
    for magic, opener in _OPENERS.items():
        if head.startswith(magic):
            return opener(file)  # type: ignore[no-any-return]
    if head.startswith(_ZSTD):
        try:
            zstd = importlib.import_module("compression.zstd")
        except ImportError:
            raise InputError(f"reading {archive} needs Python 3.14", remedy="decompress it: zstd -d") from None
        return zstd.open(file)  # type: ignore[no-any-return]
    return file


def _source(archive: str, tar: tarfile.TarFile, member: tarfile.TarInfo, *, in_place: bool) -> Source:
    name = f"{archive}/{member.name}"
    if not member.isfile() or member.issparse():
        what = f"a link to {member.linkname}" if member.linkname else "not a regular file"
        return Unreadable(name, PhotoNotFoundError, f"{name} is {what}, not a photo")
    try:
        refuse_above_limit(name, member.size)
    except ByteLimitError as error:
        return Unreadable.of(name, error)
    if in_place:
        return ByteRange(name, archive, member.offset_data, member.size)
    content = tar.extractfile(member)
    return InMemory(name, b"" if content is None else content.read())
