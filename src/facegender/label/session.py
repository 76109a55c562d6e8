"""The answers of one labeller, on disk after every key."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from facegender.errors import DatasetError, InputError, OutputError
from facegender.label.draw import Draw
from facegender.survey.labels import Labelled, label_weights, read_labels, same_size
from facegender.survey.results import Results
from facegender.tables import read_table, write_csv

Answer: TypeAlias = Literal["female", "male", "unclear"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)

Box: TypeAlias = tuple[float, float, float, float]

COLUMNS = ("path", "face", "label", "weight", "stratum", "stratum_faces", "labeller")


@dataclass(frozen=True)
class Item:
    """One face to label.

    Attributes:
        row: its position in `Results.faces`.
        photo: path of its photo.
        box: x, y, width, height in pixels of the oriented photo.
        answer: what has been said of it; None where nothing has.
    """

    row: int
    photo: str
    box: Box
    answer: Answer | None


class LabellingSession:
    """What one labeller has answered so far; safe for several threads.

    Args:
        path: the labels file; what it holds is kept.
        labeller: who labels; goes into the file.
        count: faces to label; None: all.
        review: only faces whose answer is uncertain.

    Raises:
        InputError: the file is not of such a draw or was drawn from other results, or there is nothing to label.
    """

    def __init__(
        self,
        collection: Results,
        draw: Draw,
        path: Path,
        *,
        labeller: str = "",
        count: int | None = None,
        review: bool = False,
    ) -> None:
        self.collection, self.path, self.labeller = collection, path, labeller
        self._draw = draw
        self._paths = collection.photos["path"].to_numpy(object)[collection.faces["photo"].to_numpy()]
        self._numbers = collection.faces["face"].to_numpy()
        rows = draw.order
        if review:
            rows = rows[(collection.faces["label"] == "uncertain").to_numpy()[rows]]
            if not len(rows):
                raise InputError("no face is uncertain")
        self.rows: list[int] = rows[:count].tolist()
        self._answers: dict[int, Answer] = {}
        self._given: list[int] = []
        self._lock = threading.Lock()
        self._known = _state_of(path)
        if path.exists():
            self._take_up()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def done(self) -> int:
        """How many of the faces have an answer."""
        with self._lock:
            return sum(row in self._answers for row in self.rows)

    @property
    def next(self) -> int:
        """The place of the first face without an answer; the number of faces where all have one."""
        with self._lock:
            return next((i for i, row in enumerate(self.rows) if row not in self._answers), len(self.rows))

    def item(self, place: int) -> Item:
        """The face at a place in the order; IndexError where there is none."""
        if place < 0:
            raise IndexError(place)
        row = self.rows[place]
        face = self.collection.faces.iloc[row]
        box = float(face["x"]), float(face["y"]), float(face["w"]), float(face["h"])
        with self._lock:
            return Item(row, str(self._paths[row]), box, self._answers.get(row))

    def answer(self, place: int, answer: Answer) -> None:
        """Say what the face at a place is; on disk when this returns.

        Raises:
            IndexError: there is no such place.
            OutputError: the file cannot be written, or another program has changed it; the answer does not count then.
        """
        row = self.item(place).row
        with self._lock:
            self._write(self._answers | {row: answer})
            self._given = [*(each for each in self._given if each != row), row]

    def undo(self) -> int | None:
        """Take back the last answer, of this session or else of the file; its place, None where there is none.

        Raises:
            OutputError: the file cannot be written; the answer still counts then.
        """
        with self._lock:
            rows = set(self.rows)
            row = next((row for row in reversed(self._given) if row in rows), None)
            if row is None:
                return None
            self._write({each: said for each, said in self._answers.items() if each != row})
            self._given.remove(row)
            return self.rows.index(row)

    def labelled(self) -> Labelled | None:
        """The labels as a survey takes them; None before the first clear answer."""
        with self._lock:
            answers = dict(self._answers)
        weights = self._weights(answers)
        clear = [row for row, answer in answers.items() if answer != "unclear"]
        if not clear:
            return None
        return Labelled(
            np.array(clear, np.int64),
            np.array([ANSWERS.index(answers[row]) for row in clear], np.int64),
            np.array([weights[row] for row in clear], np.float64),
            (0, 0),
            len(answers) - len(clear),
        )

    def _weights(self, answers: dict[int, Answer]) -> dict[int, float]:
        strata = {row: (name := self._draw.strata[row], self._draw.sizes[name]) for row in answers}
        return dict(zip(strata, label_weights(list(strata), strata), strict=True))

    def _write(self, answers: dict[int, Answer]) -> None:
        """Put the answers on the disk; they are those of the session then."""
        if _state_of(self.path) not in (None, self._known):
            raise OutputError(
                f"{self.path} was changed meanwhile, perhaps on another page",
                remedy="end this one, and start facegender label again: it takes up what the file holds",
            )
        lines = []
        for row, weight in self._weights(answers).items():
            stratum = self._draw.strata[row]
            drawn = f"{weight:.6g}", stratum, f"{self._draw.sizes[stratum]:.12g}"
            values = (self._paths[row], self._numbers[row], answers[row], *drawn, self.labeller)
            lines.append(dict(zip(COLUMNS, values, strict=True)))
        write_csv(self.path, lines, COLUMNS)
        self._known, self._answers = _state_of(self.path), answers

    def _take_up(self) -> None:
        """The answers of the file, which must be of the same faces."""
        try:
            rows = read_table(self.path, COLUMNS)
        except DatasetError as error:
            raise InputError(
                f"{self.path} is no file of facegender label: {error}", remedy="choose another name with --output"
            ) from error
        if not rows:
            return
        names = {row["labeller"] for row in rows}
        if names != {self.labeller}:
            said = ", ".join(sorted(name or "nobody by name" for name in names))
            raise InputError(f"{self.path} holds the labels of {said}", remedy="pass the same --labeller")
        paths = [path.strip() for path in self._paths]  # as tables are read
        places = {key: i for i, key in enumerate(zip(paths, self._numbers.tolist(), strict=True))}
        for row in rows:
            key = row["path"], int(row["face"]) if row["face"].isdecimal() else -1
            place = places.get(key)
            answer = next((each for each in ANSWERS if each == row["label"]), None)
            if place is None or answer is None or self._draw.strata[place] != row["stratum"]:
                raise InputError(
                    f"{self.path} does not go with these results: {row['path']}, face {row['face']}",
                    remedy="give the results that it was labelled from, or choose another name with --output",
                )
            if not same_size(pd.to_numeric(row["stratum_faces"], errors="coerce"), self._draw.sizes[row["stratum"]]):
                raise InputError(
                    f"{self.path} was drawn from results of another size: photos or answers have changed since",
                    remedy="--output NEW.csv labels these anew",
                )
            self._answers[place] = answer
            self._given.append(place)


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """What tells one state of a file from another; None without a file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def agreement_files(path: Path, labeller: str) -> list[Path]:
    """The labels files of all labellers beside that of one: ``labels.csv`` and ``labels.NAME.csv``."""
    stem = path.stem.removesuffix(f".{labeller}") if labeller else path.stem
    beside = re.compile(re.escape(stem) + r"(\.[^.]+)?\.csv")
    return sorted(each for each in path.parent.iterdir() if beside.fullmatch(each.name))


def all_labels(session: LabellingSession) -> Labelled | None:
    """The labels of all labellers of the draw, with their agreement; None where they are too few."""
    try:
        return read_labels(agreement_files(session.path, session.labeller), session.collection)
    except InputError:
        return None
