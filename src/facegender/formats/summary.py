"""What the records of a run come to, in lines for the end of it."""

from __future__ import annotations

from collections import Counter

from facegender.formats.records import Record
from facegender.formats.remarks import remarks
from facegender.wording import counted, duration


class Summary:
    """Counts records as they are made.

    Attributes:
        counts: ``photos`` or videos; ``errors`` of them; ``empty``, those that were read and show no face; ``faces``
            or tracks; and of these each answer.
        errors: how many of each kind.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()
        self._nouns = ("photo", "face")

    def add(self, record: Record) -> None:
        """Count a photo or a video."""
        if "tracks" in record:
            self._nouns = ("video", "track")
        items = record["tracks" if "tracks" in record else "faces"]
        self.counts["photos"] += 1
        self.counts["faces"] += len(items)
        self.counts.update(item["label"] for item in items)
        self._notes.update(note["kind"] for note in record.get("notes", ()))
        if record["error"] is not None:
            self.counts["errors"] += 1
            self.errors[record["error"]["kind"]] += 1
        elif not items:
            self.counts["empty"] += 1

    def lines(self, seconds: float, *, below_table: bool = False) -> list[str]:
        """The summary, given how long the run took; empty where nothing was counted.

        Such as ``12 photos in 3 s: 9 faces: 4 women, 4 men, 1 uncertain; 2 without a face; 1 error (truncated 1)``;
        right below a table, which ends with such counts, ``12 photos in 3 s``.
        """
        counts = self.counts
        if not counts["photos"]:
            return []
        of_files, of_items = self._nouns
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
        return ["; ".join(parts), *remarks(self._notes)]
