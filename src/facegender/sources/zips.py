"""Photos in zip archives.

The central directory is read entry by entry, and what an entry says travels with the photo: `zipfile.ZipFile` holds
all entries, more than half a gigabyte for a million photos, in each process that has the archive open.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from facegender.errors import PhotoPermissionError, PhotoReadError, TruncatedImageError
from facegender.sources.kinds import PassedOver, is_photo
from facegender.sources.source import ByteRange, Source, Stamp, Unreadable, refuse_above_limit, stamp_of

# .ZIP File Format Specification (PKWARE APPNOTE 6.3.10), sections 4.3.7 and 4.3.12 to 4.3.16.
_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")

_ENCRYPTED, _SIZES_FOLLOW, _UTF8 = 0x41, 0x08, 0x800
_IN_EXTRA = 0xFFFFFFFF
_ZIP64_EXTRA = 1


@dataclass(frozen=True, slots=True)
class ZipMember(ByteRange):
    """A member of a local zip archive; the range begins with its local header.

    Attributes:
        size: bytes of the photo.
        compressed: bytes that it takes in the archive.
        method: of compression.
        checksum: CRC-32 of the photo.
        flags: general purpose bits.
    """

    compressed: int
    method: int
    checksum: int
    flags: int

    def stamp(self) -> Stamp | None:
        """Of the member, by its checksum."""
        return stamp_of(self.archive, self.size, self.checksum)

    def load(self) -> bytes:
        if self.flags & _ENCRYPTED:
            raise PhotoPermissionError(f"{self.name} is encrypted")
        refuse_above_limit(self.name, self.size)
        info = zipfile.ZipInfo("photo")
        info.compress_type, info.CRC = self.method, self.checksum
        info.compress_size, info.file_size = self.compressed, self.size
        try:
            with Path(self.archive).open("rb") as file:
                file.seek(self.offset)
                signature, *_, name, extra = _LOCAL.unpack(file.read(_LOCAL.size))
                if signature != b"PK\3\4":
                    raise zipfile.BadZipFile("its header is not where the archive says")
                file.seek(name + extra, 1)
                with zipfile.ZipExtFile(file, "r", info) as member:
                    data = member.read(self.size)  # without a number it would inflate all there is
        except NotImplementedError as error:
            raise PhotoReadError(f"cannot read {self.name}: {error}") from error
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError) as error:
            raise self._damaged(error) from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise self._damaged(error) from error
        if len(data) < self.size:
            raise self._damaged("its data ends early")
        return data

    def _damaged(self, reason: object) -> TruncatedImageError:
        return TruncatedImageError(f"{self.name} is cut short or damaged: {reason or 'the archive ends within it'}")


def photos_in_zip(archive: str, passed: PassedOver) -> Iterator[Source]:
    """The photos of a local zip archive in the order of its directory; after damage one more that says so.

    Of an archive that is cut short, and so has no directory, those that can still be found from its start. The other
    members are counted.
    """
    begun = False
    try:
        with Path(archive).open("rb") as file:
            begun = file.read(4) in (b"PK\3\4", b"PK\5\6")
            end = _end(file)
            entries = _entries(file, archive, *end) if end is not None else _local_headers(file, archive)
            for member in entries:
                begun = True
                name = member.name.removeprefix(f"{archive}/")
                if is_photo(name):
                    yield member
                elif not name.endswith("/"):
                    passed.add(name)
            if end is None:
                raise zipfile.BadZipFile("it has no directory")
    except Exception as error:
        yield Unreadable.damaged(archive, error, begun=begun)


def _end(file: IO[bytes]) -> tuple[int, int, int] | None:
    """Where the central directory begins and ends, and how far all offsets in it are off; None without one."""
    length = file.seek(0, 2)
    start = file.seek(max(0, length - _END.size - 0xFFFF))
    tail = file.read()
    at = tail.rfind(b"PK\5\6", 0, len(tail) - _END.size + 4)
    if at < 0:
        return None
    *_, size, offset, _comment = _END.unpack_from(tail, at)
    end = start + at
    file.seek(max(0, end - _LOCATOR.size))
    locator = file.read(_LOCATOR.size)
    if len(locator) == _LOCATOR.size and locator.startswith(b"PK\6\7"):
        file.seek(max(0, end - _LOCATOR.size - _END_64.size))
        signature, *_, size_64, offset_64 = _END_64.unpack(file.read(_END_64.size))
        if signature == b"PK\6\6":
            size, offset, end = size_64, offset_64, end - _LOCATOR.size - _END_64.size
    if size > end:
        raise zipfile.BadZipFile("its directory is larger than the archive")
    return end - size, end, end - size - offset


def _entries(file: IO[bytes], archive: str, start: int, end: int, shift: int) -> Iterator[ZipMember]:
    at = start
    while at < end:
        file.seek(at)
        fields = _ENTRY.unpack(file.read(_ENTRY.size))
        flags, method, checksum, compressed, size = fields[3], fields[4], *fields[7:10]
        names, extras, comments = fields[10:13]
        offset = fields[16]
        if fields[0] != b"PK\1\2":
            raise zipfile.BadZipFile("a line of its directory is damaged")
        name, extra = file.read(names), file.read(extras)
        if len(name) + len(extra) < names + extras:
            raise zipfile.BadZipFile("its directory ends early")
        size, compressed, offset = _wide(extra, size, compressed, offset)
        at += _ENTRY.size + names + extras + comments
        yield ZipMember(
            f"{archive}/{_text(name, flags)}", archive, offset + shift, size, compressed, method, checksum, flags
        )


def _local_headers(file: IO[bytes], archive: str) -> Iterator[ZipMember]:
    at = 0
    while True:
        file.seek(at)
        head = file.read(_LOCAL.size)
        if len(head) < _LOCAL.size or not head.startswith(b"PK\3\4"):
            return
        _, _, flags, method, _, _, checksum, compressed, size, names, extras = _LOCAL.unpack(head)
        name, extra = file.read(names), file.read(extras)
        if flags & _SIZES_FOLLOW or len(name) + len(extra) < names + extras:
            return
        size, compressed, _ = _wide(extra, size, compressed, at)
        yield ZipMember(f"{archive}/{_text(name, flags)}", archive, at, size, compressed, method, checksum, flags)
        at += _LOCAL.size + names + extras + compressed


def _wide(extra: bytes, *values: int) -> tuple[int, ...]:
    """The values, each that does not fit in 32 bits from the extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == _ZIP64_EXTRA:
            wide = iter(value for (value,) in struct.iter_unpack("<Q", extra[at + 4 : at + 4 + length // 8 * 8]))
            return tuple(next(wide, value) if value == _IN_EXTRA else value for value in values)
        at += 4 + length
    return values


def _text(name: bytes, flags: int) -> str:
    """A member's name, in UTF-8 or CP437 according to the flag. macOS writes UTF-8 without it."""
    try:
        text = name.decode("utf-8")  # names in CP437 are hardly ever sound UTF-8
    except UnicodeDecodeError:
        text = name.decode("utf-8", "surrogateescape") if flags & _UTF8 else name.decode("cp437")
    return text.partition("\0")[0]
