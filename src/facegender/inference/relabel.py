"""Other labels for records that are there: the least confidence of an answer changes no probability."""

from __future__ import annotations

from facegender.faces.types import Prediction
from facegender.formats.records import Record
from facegender.inference.classifier import prediction_for


def relabelled(record: Record, min_confidence: float) -> Record:
    """The record that a new analysis of the same photo or video would give with another least confidence.

    Where a label is another, the record no longer names a copy of the photo with its labels drawn in.

    Args:
        record: of a photo, a video, or the sightings in one, which have no labels.
        min_confidence: below it an answer is ``uncertain``; in [0.5, 1].
    """
    key = next((key for key in ("faces", "tracks") if key in record), None)
    if key is None:
        return record
    items = [each | {"label": _prediction(each, min_confidence).label} for each in record[key]]
    if items == record[key]:
        return record
    return {name: value for name, value in record.items() if name != "annotated"} | {key: items}


def _prediction(item: Record, min_confidence: float) -> Prediction:
    return prediction_for(item["p_male"], min_confidence).for_quality(item["quality"])
