"""What a teacher says of the crops of a store: how it answers, and how it describes each face.

A file of lessons is an ``.npz`` without pickles::

    key        names of images, as in the store's table
    logit      float, N; log-odds of male
    embedding  float, N x E; a description of the face in which alike faces are near, perhaps of identity

It may hold further pairs, such as ``logit_cc0`` and ``embedding_cc0``, of a teacher with other terms.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facegender.errors import DatasetError
from facegender.lab.datasets.store import Store


@dataclass(frozen=True)
class Lessons:
    """A teacher's answers, one a crop of a store.

    Attributes:
        logits: float32, N; NaN where the teacher has not seen the face.
        descriptions: float32, N x E; NaN likewise.
        answer: which of the teachers of the file it is.
        sha256: of the file.
    """

    logits: npt.NDArray[np.float32]
    descriptions: npt.NDArray[np.float32]
    answer: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.descriptions.ndim != 2 or self.logits.shape != self.descriptions.shape[:1]:
            raise ValueError(f"answers {self.logits.shape} and descriptions {self.descriptions.shape} do not fit")

    def known(self, index: npt.NDArray[np.int64]) -> int:
        """How many of these crops the teacher has seen."""
        return int((~np.isnan(self.logits[index])).sum())

    def to_record(self, index: npt.NDArray[np.int64]) -> dict[str, Any]:
        """For a checkpoint or a card: who taught the crops `index`, and how many of them."""
        return {"sha256": self.sha256, "answer": self.answer, "crops": self.known(index)}


def load_lessons(path: Path, store: Store, answer: str = "logit") -> Lessons:
    """The lessons of a file for a store's crops, in the store's order.

    Args:
        answer: the array with the log-odds; the descriptions are in the one of the same name with ``embedding``.

    Raises:
        DatasetError: the file is absent or no such file, or knows not one of the images.
    """
    try:
        data = path.read_bytes()
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            keys, logits = file["key"].tolist(), np.asarray(file[answer], np.float32)
            descriptions = np.asarray(file[answer.replace("logit", "embedding")], np.float32)
        if logits.shape != (len(keys),) or descriptions.ndim != 2 or len(descriptions) != len(keys):
            raise ValueError(f"{len(keys)} names, {logits.shape} answers, {descriptions.shape} descriptions")
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read as a teacher's lessons: {error}") from error
    place = {key: number for number, key in enumerate(keys)}
    rows = np.array([place.get(image, -1) for image in store.images])
    known = rows >= 0
    if not known.any():
        raise DatasetError(
            f"{path} knows none of the {len(store)} images of {store.name}", remedy="are the names alike?"
        )
    lessons = Lessons(
        np.full(len(store), np.nan, np.float32),
        np.full((len(store), descriptions.shape[1]), np.nan, np.float32),
        answer,
        hashlib.sha256(data).hexdigest(),
    )
    lessons.logits[known], lessons.descriptions[known] = logits[rows[known]], descriptions[rows[known]]
    return lessons
