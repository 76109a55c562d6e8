"""What the records of a run come to, in lines for the end of it."""

from __future__ import annotations

from collections import Counter

from facegender.formats.records import ANSWERS, Record
from facegender.wording import counted, duration

#: For one photo and for several, of each kind of `facegender.faces.types.Note`.
_REMARKS = {
    "pages": ("has further pages that were not analysed", "have further pages that were not analysed"),
    "screen": (
        "is printed with a halftone screen, which was smoothed before the search",
        "are printed with a halftone screen, which was smoothed before the search",
    ),
    "grain": (
        "has heavy grain, which was smoothed before the search",
        "have heavy grain, which was smoothed before the search",
    ),
    "turned": ("has faces that lie on their side or upside down", "have faces that lie on their side or upside down"),
}


class Summary:
    """Counts records as they are made.

    Attributes:
        nouns: what a record is of, and what it lists: ``photo`` and ``face``, or ``video`` and ``track``.
        counts: ``photos`` or videos; ``errors`` of them; ``empty``, those that were read and show no face; ``faces``
            or tracks; and of these each answer.
        errors: how many of each kind.
    """

    def __init__(self) -> None:
        self.nouns = ("photo", "face")
        self.counts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()

    def add(self, record: Record) -> None:
        """Count a photo, also one whose faces are counted already, or a video."""
        if "tracks" in record:
            self.nouns = ("video", "track")
        if "women" in record:
            labels = Counter({label: record[column] or 0 for column, label in ANSWERS.items()})
        else:
            labels = Counter(item["label"] for item in record["tracks" if "tracks" in record else "faces"])
        self.counts += Counter(photos=1, faces=labels.total()) + labels
        self._notes.update(note["kind"] for note in record.get("notes", ()))
        if record["error"] is not None:
            self.counts["errors"] += 1
            self.errors[record["error"]["kind"]] += 1
        elif not labels.total():
            self.counts["empty"] += 1

    def remarks(self) -> list[str]:
        """What the notes come to, one sentence without its end for each kind: "2 photos have ..."."""
        return [
            f"{counted(number, 'photo')} {one if number == 1 else several}"
            for kind, (one, several) in _REMARKS.items()
            if (number := self._notes[kind])
        ]

    def lines(self, seconds: float, *, below_table: bool = False) -> list[str]:
        """The summary, given how long the run took; empty where nothing was counted.

        Such as ``12 photos in 3 s: 9 faces: 4 women, 4 men, 1 uncertain; 2 without a face; 1 error (truncated 1)``;
        right below a table, which ends with such counts, ``12 photos in 3 s``.
        """
        counts = self.counts
        if not counts["photos"]:
            return []
        of_files, of_items = self.nouns
        took = f"{counted(counts['photos'], of_files)} in {duration(seconds)}"
        if below_table:
            return [took]
        parts = [
            f"{took}: {counted(counts['faces'], of_items)}: "
            f"{counts['female']} {'woman' if counts['female'] == 1 else 'women'}, "
            f"{counts['male']} {'man' if counts['male'] == 1 else 'men'}, {counts['uncertain']} uncertain",
            f"{counts['empty']} without a face",
        ]
        if self.errors:
            kinds = sorted(self.errors.items(), key=lambda found: (-found[1], found[0]))
            parts.append(
                f"{counted(counts['errors'], 'error')} ({', '.join(f'{kind} {count}' for kind, count in kinds)})"
            )
        return ["; ".join(parts), *self.remarks()]
