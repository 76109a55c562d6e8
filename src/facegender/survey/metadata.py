"""Which row of a metadata table is about which photo: by path, else by file name where only one can be meant."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence


def file_name(path: str) -> str:
    r"""The last part of a path or a URL, with ``/`` or ``\`` between its parts, composed."""
    return re.split(r"[/\\]", composed(path))[-1]


def composed(path: str) -> str:
    """The path with each accented letter as one character: some file systems write it as two, spreadsheets do not."""
    return unicodedata.normalize("NFC", path)


def folders_agree(photo: str, row: str) -> bool:
    """The last folder of two paths of one file name is the same, or one of them has none."""
    one, other = _folders(photo), _folders(row)
    return not one or not other or one[-1] == other[-1]


def is_across_folders(photo: str, row: str) -> bool:
    """Two paths of one file name have other folders, and those of one are not the last of the other, or are none."""
    one, other = _folders(photo), _folders(row)
    shared = min(len(one), len(other))
    return one != other and (not shared or one[-shared:] != other[-shared:])


def _folders(path: str) -> list[str]:
    """The parts of a path before the last, without empty ones and dots."""
    return [part for part in re.split(r"[/\\]", composed(path))[:-1] if part not in ("", ".")]


def matched_paths(photos: Sequence[str], rows: Sequence[str]) -> list[str | None]:
    """The path in `rows` that goes with each photo.

    Args:
        photos: paths of the results, unique.
        rows: paths of the metadata, unique.

    Returns:
        for each photo the same path where `rows` has it, perhaps otherwise composed; else the one of the same file
        name, where neither another photo without a row of its own nor another unused row has that name; else None.
    """
    by_path = {composed(row): row for row in rows} | {row: row for row in rows}
    own = [by_path.get(photo, by_path.get(composed(photo))) for photo in photos]
    used = set(own)
    unused = [row for row in rows if row not in used]
    times = Counter(map(file_name, unused))
    row_of = {name: row for row in unused if times[name := file_name(row)] == 1}
    wanted = Counter(file_name(photo) for photo, row in zip(photos, own, strict=True) if row is None)
    return [
        row if row is not None else row_of.get(file_name(photo)) if wanted[file_name(photo)] == 1 else None
        for photo, row in zip(photos, own, strict=True)
    ]
