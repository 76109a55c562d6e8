"""Every sighting of every track as a row: who was where when."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from facegender.errors import InputError, MissingExtraError
from facegender.inference.writers import PARQUET_ROW_GROUP, PartialFile, printable
from facegender.video.types import VideoResult

#: ``p_male`` is the answer to the one crop; that to the track is in the tracks' table.
TIMELINE_COLUMNS = ("path", "time", "span", "track", "x", "y", "w", "h", "score", "quality", "p_male")

SUFFIXES = (".csv", ".parquet")


def timeline(result: VideoResult) -> Iterator[dict[str, Any]]:
    """The sightings of one video in the order of time, with the keys `TIMELINE_COLUMNS`; times in seconds."""
    every = ((sighting, track.number) for track in result.tracks for sighting in track.sightings)
    for sighting, number in sorted(every, key=lambda pair: (pair[0].time, pair[1])):
        box = dict(zip("xywh", (round(value, 1) for value in sighting.face.box), strict=True))
        yield {
            "path": printable(result.path),
            "time": round(sighting.time, 3),
            "span": round(sighting.span, 3),
            "track": number,
            **box,
            "score": round(sighting.face.score, 4),
            "quality": round(sighting.face.quality, 4),
            "p_male": round(sighting.p_male, 4),
        }


class TimelineSink:
    """CSV or Parquet, by the suffix; a context manager with ``write(result)``, as those of `inference.writers`.

    Raises:
        InputError: another suffix.
        MissingExtraError: pyarrow is not installed, for Parquet.
        OutputError: ``path`` is a folder, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(f"a timeline is {' or '.join(SUFFIXES)}, not {path.name}")
        self._file = PartialFile(path)
        self._arrow: Any = None
        if path.suffix.lower() == ".parquet":
            try:
                import pyarrow
                import pyarrow.parquet
            except ImportError as error:
                raise MissingExtraError("pyarrow", "parquet") from error
            self._arrow = pyarrow
        self._rows: list[dict[str, Any]] = []
        self._has_results = False

    def __enter__(self) -> Self:
        self._stream: IO[bytes] = self._file.open()
        if self._arrow is None:
            self._stream.write((",".join(TIMELINE_COLUMNS) + "\n").encode())
        else:
            kinds = {"path": "string", "track": "int32"}
            self._schema = self._arrow.schema(
                [(name, getattr(self._arrow, kinds.get(name, "float64"))()) for name in TIMELINE_COLUMNS]
            )
            self._writer = self._arrow.parquet.ParquetWriter(self._stream, self._schema)
        return self

    def write(self, result: VideoResult) -> None:
        """Add one video. OutputError where the disk refuses."""
        self._has_results = True
        self._rows.extend(timeline(result))
        if self._arrow is None or len(self._rows) >= PARQUET_ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        try:
            if self._arrow is None:
                text = io.StringIO()
                csv.DictWriter(text, TIMELINE_COLUMNS, lineterminator="\n").writerows(rows)
                self._stream.write(text.getvalue().encode())
                self._stream.flush()
            elif rows:
                self._writer.write_table(self._arrow.Table.from_pylist(rows, schema=self._schema))
        except OSError as error:
            raise self._file.refusal(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._flush()
            if self._arrow is not None:
                self._writer.close()
        finally:
            self._stream.close()
        self._file.finish(self._has_results, error)
