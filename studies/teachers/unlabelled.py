"""A store of faces without labels, which get the committee's answers: STORE, for `facegender join`.

    python studies/teachers/unlabelled.py STORE --like STORE COMMITTEE.npz FACES.jsonl

FACES.jsonl is one of faces.py for photos without labels, COMMITTEE.npz is of committee.py and knows them. The faces are
cropped as those of the store given by --like. A label is what the committee takes for more likely; faces of which it is
not sure are left out. All are for training: without a person's label, nothing is validated or tested on them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from extract import photos, read_rows

from facegender.errors import FacegenderError
from facegender.faces.align import LandmarkTemplate, crop_face
from facegender.faces.decode import decode
from facegender.faces.types import Face, Picture
from facegender.lab.datasets.store import MARGIN, Table, create_store, open_store, photo_digest
from facegender.progress import track

#: Log-odds from which the committee is sure enough: about three to one.
SURE = 1.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--like", type=Path, required=True)
    parser.add_argument("committee", type=Path)
    parser.add_argument("faces", type=Path)
    arguments = parser.parse_args()

    alignment = open_store(arguments.like).alignment
    made_by = json.loads((arguments.faces.parent / "made_by.json").read_text())
    if made_by["sha256"] != alignment["detector_sha256"]:
        raise SystemExit(f"{arguments.faces} and {arguments.like} are of different detectors: make one of them anew")
    with np.load(arguments.committee) as file:
        logits = dict(zip(file["key"].tolist(), file["logit"].astype(np.float32).tolist(), strict=True))
    rows = [row for row in read_rows([arguments.faces]) if abs(logits.get(row["key"], 0.0)) >= SURE]
    if not rows:
        raise SystemExit(f"{arguments.committee} is sure of no face of {arguments.faces}")
    if labelled := [row["key"] for row in rows if row["label"] >= 0]:
        raise SystemExit(f"{labelled[0]} has a label: facegender prepare makes stores of such faces")
    template = LandmarkTemplate.from_dict(alignment["template"])
    places, digests = {row["key"]: place for place, row in enumerate(rows)}, [""] * len(rows)
    with create_store(arguments.store, rows[0]["dataset"], len(rows), MARGIN) as writer:
        for source, faces in track(photos(rows), "cropping"):
            data = source if isinstance(source, bytes) else Path(source).read_bytes()
            try:
                picture = Picture.of(decode(data))
            except FacegenderError as error:
                raise SystemExit(f"{faces[0]['path']}: {error}") from error
            for face in faces:
                one, two, three, four, five = (tuple(point) for point in face["landmarks"])
                found = Face(tuple(face["box"]), (one, two, three, four, five), 1.0)
                writer.put(places[face["key"]], crop_face(picture, found, template, MARGIN))
                digests[places[face["key"]]] = photo_digest(data)
        table = Table(
            images=[row["key"].partition("/")[2] for row in rows],
            identities=[""] * len(rows),
            labels=np.array([logits[row["key"]] > 0 for row in rows], np.int64),
            splits=["train"] * len(rows),
            folds={},
            attributes={"found": ["yes"] * len(rows), "face_size": [f"{row['box'][3]:.0f}" for row in rows]},
            photos=digests,
        )
        writer.finish(table, alignment, {"labels": "the committee's"})
    women = int((table.labels == 0).sum())
    print(f"{arguments.store}: {women} faces taken for women's, {len(rows) - women} for men's")


if __name__ == "__main__":
    main()
