"""Answers as a table for people."""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console
from rich.table import Table
from rich.text import Text

from facegender.faces.types import LOW_QUALITY
from facegender.formats.records import Record, visible
from facegender.formats.remarks import remarks
from facegender.wording import counted

PERCEPTION_NOTE = "The answer is how a face is likely to be perceived, not who the person is."


class TableWriter(AbstractContextManager["TableWriter"]):
    """A table with one row a face, a photo or a track, printed when the run ends, also when it ends early."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._counts: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()
        self._table = Table(show_edge=False, pad_edge=False)

    def write(self, record: Record) -> None:
        """Add one photo or video."""
        if "women" in record:
            self._write_photo(record)
            return
        noun, items = ("video", record["tracks"]) if "tracks" in record else ("photo", record["faces"])
        if not self._counts:
            self._add_columns(noun)
        self._noun = noun
        path = Text(visible(record["path"]))
        self._counts["files"] += 1
        self._notes.update(note["kind"] for note in record.get("notes", ()))
        blank = [""] * (len(self._table.columns) - 2)
        if record["error"] is not None:
            self._counts["unreadable"] += 1
            self._table.add_row(path, *blank, Text(f"cannot be read: {record['error']['kind']}", style="red"))
        elif not items:
            self._table.add_row(path, *blank, Text("no face found", style="dim"))
        for item in items:
            self._counts["items"] += 1
            self._counts[item["label"]] += 1
            self._table.add_row(path, *(_track_cells if noun == "video" else _face_cells)(item))

    def _write_photo(self, record: Record) -> None:
        """Add the one row of a photo that has counts in the place of faces."""
        names = ("faces", "women", "men", "uncertain")
        if not self._counts:
            self._table.add_column("photo", overflow="fold")
            for name in names:
                self._table.add_column(name, justify="right", no_wrap=True)
            self._table.add_column("", no_wrap=True)
        self._noun = "photo"
        self._counts["files"] += 1
        self._notes.update(note["kind"] for note in record.get("notes", ()))
        error, path = record["error"], Text(visible(record["path"]))
        if error is not None:
            self._counts["unreadable"] += 1
            self._table.add_row(path, *[""] * len(names), Text(f"cannot be read: {error['kind']}", style="red"))
            return
        self._table.add_row(path, *(str(record[name]) for name in names), "")
        counted = {"items": "faces", "female": "women", "male": "men", "uncertain": "uncertain"}
        self._counts.update({name: record[column] for name, column in counted.items()})

    def _add_columns(self, noun: str) -> None:
        self._table.add_column(noun, overflow="fold")
        if noun == "video":
            self._table.add_column("on screen", no_wrap=True)
            self._table.add_column("seconds", justify="right", no_wrap=True)
        else:
            self._table.add_column("face box", no_wrap=True)
            self._table.add_column("score", justify="right", no_wrap=True)
        self._table.add_column("quality", justify="right", no_wrap=True)
        self._table.add_column("p_male", justify="right", no_wrap=True)
        self._table.add_column("answer", no_wrap=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Print what there is."""
        counts = self._counts
        if not counts["files"]:
            return
        footer = (
            f"{counted(counts['files'], self._noun)}, "
            f"{counted(counts['items'], 'track' if self._noun == 'video' else 'face')}: "
            f"{counts['female']} female, {counts['male']} male, {counts['uncertain']} uncertain"
        )
        if counts["unreadable"]:
            footer += f"; {counted(counts['unreadable'], self._noun)} could not be read"
        self._console.print(self._table)
        self._console.print()
        self._console.print(footer)
        for remark in remarks(self._notes):
            self._console.print(remark)
        if counts["items"]:
            self._console.print(PERCEPTION_NOTE)


def _face_cells(face: Record) -> tuple[str | Text, ...]:
    x, y, width, height = face["box"]
    return f"{x:.0f},{y:.0f} {width:.0f}x{height:.0f}", f"{face['score']:.2f}", *_answer(face)


def _track_cells(track: Record) -> tuple[str | Text, ...]:
    return f"{_clock(track['begin'])} - {_clock(track['end'])}", f"{track['seconds']:.1f}", *_answer(track)


def _answer(item: Record) -> tuple[str | Text, str, str]:
    quality = f"{item['quality']:.2f}"
    return (
        quality if item["quality"] >= LOW_QUALITY else Text(f"{quality} low", style="yellow"),
        f"{item['p_male']:.3f}",
        item["label"],
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes // 60)}:{int(minutes % 60):02d}:{rest:04.1f}"
