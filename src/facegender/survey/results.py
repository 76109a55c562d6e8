"""Reading what `facegender predict` wrote: photos or videos, in any of its formats, joined with metadata."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from facegender.errors import InputError
from facegender.formats.records import COLUMN_TYPES, Record
from facegender.formats.registry import read_rows
from facegender.inference.journal import content_digests
from facegender.survey.metadata import folders_agree, is_across_folders, matched_paths

Kind: TypeAlias = Literal["photos", "videos"]
#: Of photos with the same content the first counts once, or all of them count.
Copies: TypeAlias = Literal["once", "all"]
COPIES: tuple[Copies, ...] = get_args(Copies)

#: Columns of a face or track; all others of a table belong to the photo or video.
_FACE = ("face", "track", "x", "y", "w", "h", "score", "quality", "p_male", "label", "begin", "end", "seconds", "faces")
_BOX = ("x", "y", "w", "h")
_NUMBERS = ("face", "track", "quality", "p_male", "seconds", "weight", "width", "height", "duration")
_WORDS = ("label", "error_kind", "error_message")
#: What metadata cannot replace.
_OURS = ("weight", "error_kind")
#: The path in the metadata, while it is joined.
_ROW = " row"
_NEEDED = ("path", "quality", "p_male", "label")
#: The option of `facegender predict` in the command that a run notes.
_LIMIT = re.compile(r"(?<!\S)--limit[ =](\d+)")
#: Rows that are Python objects at a time.
_ROWS = 65_536


@dataclass(frozen=True)
class Results:
    """The results of one or more runs.

    Attributes:
        kind: what was analysed.
        photos: one row a photo or video, unique `path`; `weight` (float, how many of the collection it stands for),
            `error_kind` (None where it was read), and its metadata.
        faces: one row a face or track; `photo` (int, position in `photos`), `face` (int, number of the face or track),
            `quality`, `p_male` (floats), `label` (female, male or uncertain), `seconds` (float, 1 for a photo's face);
            of photos `x`, `y`, `w`, `h` (floats, the box in pixels of the oriented photo), where the file has them.
        runs: what lies beside the results as ``.run.json``, in their order; empty where nothing does.
        copies: photos whose content is that of another one under another name; they are left out, unless `again` has
            their paths.
        again: paths of those of `photos` whose content is that of an earlier one.
        across_folders: photos whose metadata was found by file name alone, in a row with other folders or none.
    """

    kind: Kind
    photos: pd.DataFrame
    faces: pd.DataFrame
    runs: Sequence[Mapping[str, Any]]
    copies: int = 0
    again: frozenset[str] = frozenset()
    across_folders: int = 0

    @property
    def model(self) -> tuple[str, str] | None:
        """Name and sha256 of the classifier; None where no run says so.

        Raises:
            InputError: the results come from different ones, whose errors differ.
        """
        found = {(str(run["model"]["name"]), str(run["model"]["sha256"])) for run in self.runs if run.get("model")}
        if len(found) > 1:
            names = ", ".join(f"{name} ({digest[:8]})" for name, digest in sorted(found))
            raise InputError(f"the results come from different models: {names}", remedy="survey those of one model")
        return found.pop() if found else None

    @property
    def detectors(self) -> set[str]:
        """The sha256 of the face detectors, as far as runs tell."""
        return {str(run["detector"]["sha256"]) for run in self.runs if run.get("detector")}

    @property
    def limited(self) -> bool:
        """A run took the first photos or videos alone, and left others out."""
        return any(_is_limited(run, self.kind) for run in self.runs)


def _is_limited(run: Mapping[str, Any], kind: Kind) -> bool:
    if "limited" in run:
        return bool(run["limited"])
    # An earlier version: by its command, where there were as many as that was to take.
    limit, found = _LIMIT.search(str(run.get("command", ""))), run.get(kind)
    return limit is not None and not (isinstance(found, int) and found < int(limit[1]))


def read_results(paths: Sequence[Path], *, copies: Copies = "once") -> Results:
    """Read result files of one kind; they may be of several formats.

    Args:
        copies: of photos with the same content, as far as the journals beside the files know it, ``once`` takes the
            first, ``all`` takes all. Those of a sample are all taken: a sample is of files, and each stands for others.

    Raises:
        InputError: there is no such choice of copies; a file is absent, damaged, no result of `facegender predict`, or
            not of the kind of the others; or a photo has results twice.
    """
    if copies not in COPIES:
        raise InputError(f"there is no way {copies!r} to count copies", remedy=f"one of {', '.join(COPIES)}")
    if not paths:
        raise InputError("there are no results to read")
    tables, runs, digests = [], [], dict[str, str]()
    for path in paths:
        table, run = _read(path), _run(path)
        sampled = (run or {}).get("sample")
        if "weight" not in table:
            table["weight"] = sampled["population"] / sampled["drawn"] if sampled else 1.0
        table["weight"] = _numbers(table["weight"].fillna(1.0), "weight", path, 0.0, np.inf)
        tables.append(table)
        digests |= {} if sampled else content_digests(path)
        runs += [] if run is None else [run]
    kinds = {"videos" if "track" in table else "photos" for table in tables}
    if len(kinds) > 1:
        raise InputError("the results are of photos and of videos", remedy="survey them one after the other")
    kind: Kind = "videos" if kinds == {"videos"} else "photos"
    number = "track" if kind == "videos" else "face"
    _require_once(tables, paths, number)
    rows = pd.concat(tables, ignore_index=True)
    first: dict[str, str] = {}
    again = {name for name in rows["path"] if name in digests and first.setdefault(digests[name], name) != name}
    if copies == "once":
        rows = rows[~rows["path"].isin(again)].reset_index(drop=True)
    about = [column for column in rows.columns if column not in _FACE]
    codes, _ = pd.factorize(rows["path"])
    photos = rows[about].drop_duplicates("path", ignore_index=True)
    found = rows["p_male"].notna().to_numpy()
    if kind == "photos":
        rows["seconds"] = 1.0
    types = {number: np.int64, "quality": float, "p_male": float, "label": str, "seconds": float}
    types |= {side: float for side in _BOX if side in rows}
    columns = {name: rows.loc[found, name].astype(kind_).to_numpy() for name, kind_ in types.items()}
    faces = pd.DataFrame({"photo": codes[found], **columns}).rename(columns={number: "face"})
    return Results(kind, photos, faces, runs, len(again), frozenset() if copies == "once" else frozenset(again))


def join_metadata(collection: Results, metadata: Path) -> Results:
    """The collection with the columns of a CSV or Parquet file that has one row a `path`.

    Rows go with photos as `matched_paths` says, where their last folders do not contradict. A photo without a row gets
    None. Rows without a path are left out. Weights and errors stay those of the results.

    Raises:
        InputError: the file cannot be read, has no such column, two rows for a path, or no photo of the results.
    """
    table = _table(_rows(metadata))
    if "path" not in table:
        raise InputError(
            f"{metadata} has no column named path", remedy=f"it has: {', '.join(map(str, table.columns)) or 'nothing'}"
        )
    table = table[table["path"].notna()].reset_index(drop=True)  # as spreadsheets leave behind
    table["path"] = table["path"].astype(str)
    if (again := table["path"].duplicated()).any():
        raise InputError(f"{metadata} has two rows for {table['path'][again].iloc[0]}", remedy="keep one a photo")
    paths = collection.photos["path"].tolist()
    found = zip(paths, matched_paths(paths, table["path"].tolist()), strict=True)
    matched = [row if row is not None and folders_agree(photo, row) else None for photo, row in found]
    if not any(matched):
        raise InputError(
            f"{metadata} has none of the photos of the results",
            remedy=f"it begins with {table['path'].iloc[0] if len(table) else 'nothing'}, "
            f"they with {collection.photos['path'].iloc[0]}: write the paths alike",
        )
    table = table.drop(columns=[column for column in _OURS if column in table]).rename(columns={"path": _ROW})
    photos = collection.photos.drop(columns=[c for c in table.columns if c in collection.photos])
    photos[_ROW] = pd.Series(matched, photos.index, dtype=object)
    joined = photos.merge(table, on=_ROW, how="left").drop(columns=_ROW)
    pairs = zip(paths, matched, strict=True)
    across = sum(row is not None and is_across_folders(photo, row) for photo, row in pairs)
    return replace(collection, photos=joined, across_folders=across)


def _read(path: Path) -> pd.DataFrame:
    """The rows of a file, one a face or track, with the columns of the contract."""
    table = _table(_rows(path))
    if not len(table):
        raise InputError(f"{path} holds no results")
    if "women" in table and "p_male" not in table:
        raise InputError(
            f"{path} has one row a photo, and this needs one a face",
            remedy="the same predict command without --rows photo writes that file again, with the faces",
        )
    if absent := [column for column in _NEEDED if column not in table]:
        raise InputError(f"{path} has no column named {absent[0]}", remedy="give what facegender predict wrote")
    number = "track" if "track" in table else "face"
    if number not in table or (number == "track" and "seconds" not in table):
        raise InputError(f"{path} does not number its faces", remedy="give what facegender predict wrote")
    if "error_kind" not in table:
        table["error_kind"] = None
    table["path"] = table["path"].fillna("").astype(str)
    found = table["p_male"].notna()
    if (found & table[number].isna()).any() or not table.loc[found, "label"].isin(
        ["female", "male", "uncertain"]
    ).all():
        raise InputError(f"{path} has a face without a number or with an unknown label")
    for column, high in (("p_male", 1.0), ("quality", 1.0), *([("seconds", np.inf)] if number == "track" else [])):
        _numbers(table.loc[found, column], column, path, 0.0, high)
    # Of one kind in all files, also where a column is empty.
    for column in table.columns:
        if column in _NUMBERS:
            table[column] = pd.to_numeric(table[column], errors="coerce").astype(float)
        elif column in _WORDS:
            table[column] = table[column].astype(object)
    return table


def _numbers(values: pd.Series, column: str, path: Path, low: float, high: float) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    if bad := (~((numbers >= low) & (numbers <= high) & np.isfinite(numbers))).sum():
        raise InputError(f"{path}: {bad} values of {column} are no numbers from {low:g} to {high:g}")
    return numbers


def _table(rows: Iterable[Record]) -> pd.DataFrame:
    """Rows as a table: numbers of the schemas as floats, all else as it is."""
    frames, rows = [], iter(rows)
    while some := list(itertools.islice(rows, _ROWS)):
        names = list(dict.fromkeys(name for row in some for name in row))
        frame = pd.DataFrame({name: pd.Series([row.get(name) for row in some], dtype=object) for name in names})
        for name in names:
            if COLUMN_TYPES.get(name, str) is not str:
                frame[name] = _as_numbers(frame[name])
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _as_numbers(column: pd.Series) -> pd.Series:
    """A column as floats; as it is where one of its values is no number, which a check then says."""
    try:
        return pd.to_numeric(column).astype(float)
    except (ValueError, TypeError):
        return column


def _rows(path: Path) -> Iterator[Record]:
    """The rows of a file, or of the folder of Parquet files that a cluster writes."""
    if not path.is_dir():
        return read_rows(path)
    parts = sorted(path.glob("part-*.parquet"))
    if not parts:
        raise InputError(f"the folder {path} has no results", remedy="give what facegender predict wrote")
    return itertools.chain.from_iterable(map(read_rows, parts))


def _run(path: Path) -> dict[str, Any] | None:
    """What the run says of itself; None where no ``.run.json`` lies beside its results."""
    beside = path / "run.json" if path.is_dir() else path.with_name(path.name + ".run.json")
    try:
        run = json.loads(beside.read_text(encoding="utf-8"))
        if run.get("sample") and not run["sample"]["population"] >= run["sample"]["drawn"] > 0:
            raise ValueError("a sample that is larger than its population")
        if run.get("model"):
            run["model"]["name"], run["model"]["sha256"]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot read {beside}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{beside} is not what facegender predict wrote: {error}") from error
    return dict(run)


def _require_once(tables: Sequence[pd.DataFrame], paths: Sequence[Path], number: str) -> None:
    """No photo may count twice."""
    seen: dict[str, Path] = {}
    for table, path in zip(tables, paths, strict=True):
        keys = table[["path"]].assign(number=table[number].fillna(-1))
        empty = set(keys.loc[keys["number"] < 0, "path"])
        again = set(keys.loc[keys.duplicated(), "path"]) | (empty & set(keys.loc[keys["number"] >= 0, "path"]))
        again |= seen.keys() & set(keys["path"])
        if again:
            first = min(again)
            where = f"{seen[first]} and {path}" if first in seen else str(path)
            raise InputError(f"{first} has results twice, in {where}", remedy="give each photo's results once")
        seen.update(dict.fromkeys(keys["path"], path))
