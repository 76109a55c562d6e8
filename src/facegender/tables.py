"""CSV files: those that labels come in, and those that results go out in."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from facegender.errors import DatasetError
from facegender.files import write_text

_GZIP = b"\x1f\x8b"


def read_text(path: Path) -> str:
    """The text of a file, perhaps compressed with gzip: UTF-8, any line ends, no byte order mark.

    Raises:
        DatasetError: the file is absent, unreadable, cut short or no such text.
    """
    try:
        data = path.read_bytes()
        if data.startswith(_GZIP):
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(f"{path} is cut short or damaged", remedy="fetch it again") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is no text in UTF-8", remedy="save it as UTF-8") from error
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error


def read_table(path: Path, needed: Collection[str]) -> list[dict[str, str]]:
    """The rows of a CSV file whose header has the `needed` columns: each by column, stripped of blanks.

    The file may be compressed with gzip.

    Raises:
        DatasetError: as for `read_text`; or a column is absent or there twice, a row has more or fewer cells than
            the header, or it is no CSV.
    """
    try:
        return _rows(path, needed)
    except csv.Error as error:
        raise DatasetError(f"{path} is no sound CSV: {error}", remedy="mend it") from error


def _rows(path: Path, needed: Collection[str]) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), restkey="\0", restval="\0")
    columns = reader.fieldnames = [column.strip() for column in reader.fieldnames or []]
    if absent := [column for column in needed if column not in columns]:
        raise DatasetError(
            f"{path} has no column named {absent[0]}", remedy=f"its first line has: {', '.join(columns) or 'nothing'}"
        )
    if len(set(columns)) < len(columns):
        raise DatasetError(f"{path} has two columns of one name", remedy="rename one of them")
    rows = []
    for row in reader:
        if "\0" in row or "\0" in row.values():
            raise DatasetError(f"line {reader.line_num} of {path} has not {len(columns)} cells", remedy="mend it")
        rows.append({column: cell.strip() for column, cell in row.items()})
    return rows


def csv_text(records: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """Records of the same keys as CSV with a header.

    Args:
        columns: those of the header; none: the keys of the first record, so that no records give no text.
    """
    text = io.StringIO()
    names = columns or (list(records[0]) if records else [])
    writer = csv.DictWriter(text, names, lineterminator="\n")
    if names:
        writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def write_csv(path: Path, records: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Write `csv_text` to a file, whole or not at all.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_text(path, csv_text(records, columns))


def rounded(record: Mapping[str, Any], digits: int = 5) -> dict[str, Any]:
    """A record whose floats have this number of decimals."""
    return {key: round(value, digits) if isinstance(value, float) else value for key, value in record.items()}


def update_csv(path: Path, records: Sequence[Mapping[str, Any]], *, by: str) -> None:
    """Write records into a CSV file that may exist: they replace its rows with the same cell in column `by`.

    Raises:
        DatasetError: the file is there and cannot be read as a table with the column `by`.
        OutputError: the folder cannot be written.
    """
    replaced = {str(record[by]) for record in records}
    others = [row for row in read_table(path, [by]) if row[by] not in replaced] if path.exists() else []
    write_csv(path, [*others, *records])


def digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the bytes of label files that have been read before, in their order."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()
