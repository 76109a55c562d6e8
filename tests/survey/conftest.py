"""Results of photos with a known number of women and men, in every format that `facegender predict` writes."""

import json
import sqlite3

import numpy as np
import pandas as pd
import pytest

from facegender.survey.measuring import count_rates

#: A classifier that is often unsure, and worse at men; good faces and poor ones.
_SHAPES = {(0, "good"): (1, 6), (1, "good"): (4, 1.5), (0, "poor"): (2, 4), (1, "poor"): (3, 2)}


def draw(rng, genders):
    """Quality and p_male for each of the genders, 0 female, 1 male."""
    poor = rng.random(len(genders)) < 0.3
    quality = np.where(poor, rng.uniform(0.1, 0.5, len(genders)), rng.uniform(0.75, 1.0, len(genders)))
    p_male = [rng.beta(*_SHAPES[g, "poor" if p else "good"]) for g, p in zip(genders, poor, strict=True)]
    return np.round(quality, 4), np.round(p_male, 4)


def answer(p_male):
    return "uncertain" if 0.1 < p_male < 0.9 else "male" if p_male >= 0.5 else "female"


def photo(path, faces=(), error=None, weight=1.0):
    """A record of the JSON Lines writer; faces are (quality, p_male)."""
    found = [
        {
            "box": [0, 0, 9, 9],
            "score": 0.9,
            "quality": float(q),
            "landmarks": [],
            "p_male": float(p),
            "label": answer(p),
        }
        for q, p in faces
    ]
    error = None if error is None else {"kind": error, "message": f"{path}: {error}"}
    return {"path": path, "width": 90, "height": 60, "faces": found, "error": error, "weight": weight}


def table(records):
    """The rows of CSV, Parquet and SQLite: one a face, or one a photo without any."""
    rows = []
    for record in records:
        error = record["error"] or {"kind": None, "message": None}
        about = {key: record[key] for key in ("path", "width", "height", "weight")}
        about |= {"error_kind": error["kind"], "error_message": error["message"]}
        faces = [
            {"face": i, "score": f["score"], "quality": f["quality"], "p_male": f["p_male"], "label": f["label"]}
            for i, f in enumerate(record["faces"])
        ]
        rows += [about | face for face in faces or [dict.fromkeys(("face", "score", "quality", "p_male", "label"))]]
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def write():
    """Write records as the suffix of the path says, and a run beside them."""

    def write(path, records, **run):
        if path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(record) + "\n" for record in records))
        elif path.suffix == ".csv":
            table(records).astype({"face": "Int64"}).to_csv(path, index=False)
        elif path.suffix == ".parquet":
            table(records).astype({"face": "Int64"}).to_parquet(path, index=False)
        else:
            base = sqlite3.connect(path)
            table(records).to_sql("faces", base, index=False)
            base.close()
        about = {"model": {"name": "tiny", "sha256": "ab" * 32, "min_confidence": 0.9}, "sample": None} | run
        path.with_name(path.name + ".run.json").write_text(json.dumps(about))
        return path

    return write


@pytest.fixture(scope="session")
def rates():
    """Error rates of the made classifier, from 4,000 faces."""
    rng = np.random.default_rng(1)
    genders = np.repeat([0, 1], 2000)
    return count_rates(*draw(rng, genders), genders, model="tiny", sha256="ab" * 32, source="made faces")


@pytest.fixture(scope="session")
def couples():
    """800 photos: 300 couples, 200 pairs of men, 200 single women, 60 without anybody, 40 that cannot be read."""
    rng = np.random.default_rng(2)
    records = []
    for kind, count in (((0, 1), 300), ((1, 1), 200), ((0,), 200)):
        for _ in range(count):
            records.append(photo(f"{len(records):03d}.jpg", zip(*draw(rng, kind), strict=True)))
    records += [photo(f"{700 + i}.jpg") for i in range(60)]
    records += [photo(f"{760 + i}.jpg", error="truncated") for i in range(40)]
    return records
