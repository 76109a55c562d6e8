"""Where results go: JSON Lines, CSV, Parquet, or a table for people.

A sink is a context manager with ``write(result)``. A file grows under the name ``FILE.partial`` and gets
its own name when the run ends well; after an exception the finished results stay in ``FILE.partial``.
"""

from __future__ import annotations

import csv
import io
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

from rich.console import Console
from rich.table import Table
from rich.text import Text

from facegender.errors import MissingExtraError, OutputError
from facegender.faces.types import LOW_QUALITY, FaceResult, PhotoResult

#: Of CSV and Parquet: one row a face; a photo without faces, or with an error, has one row too.
COLUMNS = (
    "path",
    "width",
    "height",
    "face",
    "x",
    "y",
    "w",
    "h",
    "score",
    "quality",
    "p_male",
    "label",
    "error_kind",
    "error_message",
)

PARQUET_ROW_GROUP = 4096

PERCEPTION_NOTE = "The answer is how a face is likely to be perceived, not who the person is."


class Sink(Protocol):
    """What a run writes its results to."""

    def __enter__(self) -> Self: ...

    def write(self, result: PhotoResult) -> None:
        """Add one photo; OutputError where the disk refuses."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


def rows(result: PhotoResult) -> Iterator[dict[str, Any]]:
    """The rows of one photo with the keys `COLUMNS`; ``face`` counts from 0, None where a value is absent."""
    record = result.to_dict()
    error = record["error"] or {"kind": None, "message": None}
    photo = {
        "path": printable(result.path),
        "width": result.width,
        "height": result.height,
        "error_kind": error["kind"],
        "error_message": None if error["message"] is None else printable(error["message"]),
    }
    empty = dict.fromkeys(COLUMNS)
    for index, face in enumerate(record["faces"]):
        box = dict(zip("xywh", face["box"], strict=True))
        answer = {name: face[name] for name in ("score", "quality", "p_male", "label")}
        yield {**empty, **photo, "face": index, **box, **answer}
    if not record["faces"]:
        yield {**empty, **photo}


def printable(text: str) -> str:
    r"""The text, with bytes of a file name that are not UTF-8 written as ``\udcff``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class PartialFile:
    """A file that is not there until it is whole.

    Args:
        path: the final name; an existing file is replaced at the end.

    Raises:
        OutputError: ``path`` is a folder.
    """

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder")
        self.path = path
        self.partial = path.with_name(path.name + ".partial")

    def open(self) -> IO[bytes]:
        """Open ``FILE.partial``; OutputError naming the folder where that fails."""
        try:
            return self.partial.open("wb")
        except OSError as error:
            raise self.refusal(error) from error

    def refusal(self, error: OSError) -> OutputError:
        """The error for the user, naming the file and its folder."""
        reason = error.strerror or str(error)
        return OutputError(f"cannot write {self.path.name} in the folder {self.path.parent}: {reason}")

    def finish(self, has_results: bool, error: BaseException | None) -> None:
        """Take the final name, or after an error tell where the results are; if there are none, go."""
        if error is None:
            try:
                self.partial.replace(self.path)
            except OSError as failure:
                raise self.refusal(failure) from failure
        elif has_results:
            error.add_note(f"The finished results are in {self.partial}")
        else:
            self.partial.unlink(missing_ok=True)


class _TextSink(ABC):
    """JSON Lines or CSV to a file, or to a text stream that stays the caller's."""

    def __init__(self, target: Path | IO[str]) -> None:
        self._file = PartialFile(target) if isinstance(target, Path) else None
        self._target = target
        self._has_results = False

    def __enter__(self) -> Self:
        if self._file is not None:
            self._stream: IO[str] = io.TextIOWrapper(self._file.open(), encoding="utf-8", newline="\n")
        elif not isinstance(self._target, Path):
            self._stream = self._target
        self._put(self._head())
        return self

    def write(self, result: PhotoResult) -> None:
        """Add one photo; what was written reaches the file at once. OutputError where the disk refuses."""
        self._has_results = True
        self._put(self._text(result))

    def _put(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError as error:
            if self._file is None:
                raise
            raise self._file.refusal(error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            try:
                self._stream.close()
            except OSError as failure:
                if error is None:
                    raise self._file.refusal(failure) from failure
            self._file.finish(self._has_results, error)

    def _head(self) -> str:
        return ""

    @abstractmethod
    def _text(self, result: PhotoResult) -> str: ...


class JsonLinesSink(_TextSink):
    """One JSON object a photo, as `PhotoResult.to_dict` gives it."""

    def _text(self, result: PhotoResult) -> str:
        return json.dumps(result.to_dict()) + "\n"


class CsvSink(_TextSink):
    """One line a face under a header with `COLUMNS`."""

    def _head(self) -> str:
        return ",".join(COLUMNS) + "\n"

    def _text(self, result: PhotoResult) -> str:
        text = io.StringIO()
        csv.DictWriter(text, COLUMNS, lineterminator="\n").writerows(rows(result))
        return text.getvalue()


class ParquetSink:
    """One row a face with `COLUMNS`, in row groups of `PARQUET_ROW_GROUP`.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise MissingExtraError("pyarrow", "parquet") from error
        self._arrow: Any = pyarrow
        types = {"width": "int32", "height": "int32", "face": "int32"}
        types |= dict.fromkeys(("x", "y", "w", "h", "score", "quality", "p_male"), "float64")
        self._schema = pyarrow.schema([(name, getattr(pyarrow, types.get(name, "string"))()) for name in COLUMNS])
        self._file = PartialFile(path)
        self._rows: list[dict[str, Any]] = []
        self._has_results = False

    def __enter__(self) -> Self:
        self._stream = self._file.open()
        self._writer = self._arrow.parquet.ParquetWriter(self._stream, self._schema)
        return self

    def write(self, result: PhotoResult) -> None:
        """Add one photo. OutputError where the disk refuses."""
        self._has_results = True
        self._rows.extend(rows(result))
        if len(self._rows) >= PARQUET_ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        try:
            self._writer.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._schema))
        except OSError as error:
            raise self._file.refusal(error) from error
        self._rows = []

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._rows:
                self._flush()
            self._writer.close()
            self._stream.close()
        except (OSError, OutputError) as failure:
            if error is None:
                if isinstance(failure, OSError):
                    raise self._file.refusal(failure) from failure
                raise
        self._file.finish(self._has_results, error)


class TableSink:
    """A table with one row a face, printed when the run ends, also when it ends early."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._counts: Counter[str] = Counter()
        self._table = Table(show_edge=False, pad_edge=False)
        self._table.add_column("photo", overflow="fold")
        self._table.add_column("face box", no_wrap=True)
        self._table.add_column("score", justify="right", no_wrap=True)
        self._table.add_column("quality", justify="right", no_wrap=True)
        self._table.add_column("p_male", justify="right", no_wrap=True)
        self._table.add_column("answer", no_wrap=True)

    def __enter__(self) -> Self:
        return self

    def write(self, result: PhotoResult) -> None:
        """Add one photo."""
        photo = Text(printable(result.path))
        self._counts["photos"] += 1
        if result.error is not None:
            self._counts["unreadable"] += 1
            self._table.add_row(photo, "", "", "", "", Text(f"cannot be read: {result.error.kind}", style="red"))
        elif not result.faces:
            self._table.add_row(photo, "", "", "", "", Text("no face found", style="dim"))
        for found in result.faces:
            self._counts["faces"] += 1
            self._counts[found.prediction.label] += 1
            self._table.add_row(photo, *_cells(found))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._counts["photos"]:
            return
        counts = self._counts
        footer = (
            f"{_plural(counts['photos'], 'photo')}, {_plural(counts['faces'], 'face')}: "
            f"{counts['female']} female, {counts['male']} male, {counts['uncertain']} uncertain"
        )
        if counts["unreadable"]:
            footer += f"; {_plural(counts['unreadable'], 'photo')} could not be read"
        self._console.print(self._table)
        self._console.print()
        self._console.print(footer)
        if counts["faces"]:
            self._console.print(PERCEPTION_NOTE)


def _cells(found: FaceResult) -> tuple[str, str, str | Text, str, str]:
    x, y, width, height = found.face.box
    prediction = found.prediction
    quality = f"{found.face.quality:.2f}"
    return (
        f"{x:.0f},{y:.0f} {width:.0f}x{height:.0f}",
        f"{found.face.score:.2f}",
        quality if found.face.quality >= LOW_QUALITY else Text(f"{quality} low", style="yellow"),
        f"{prediction.p_male:.3f}",
        prediction.label,
    )


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
