"""UTKFace, the aligned and cropped faces: age, gender and race are in the file names.

Z. Zhang, Y. Song, H. Qi, "Age Progression/Regression by Conditional Adversarial Autoencoder", CVPR 2017.
"""

from __future__ import annotations

import hashlib
import re
from itertools import chain
from typing import Annotated

import typer

from facegender.faces.types import Face
from facegender.lab.datasets.images import copies_in, paths_by_name
from facegender.lab.datasets.listing import Entry, ImageRoot, Listing
from facegender.lab.datasets.registry import dataset
from facegender.lab.datasets.splits import hashed_splits

RACES = ("White", "Black", "Asian", "Indian", "Others")

#: Every photo shows one face in its middle. Where it lies on average (studies/accuracy/usual_face.py), as shares of the
#: side.
USUAL_FACE = Face(
    box=(0.069, -0.059, 0.846, 1.04),
    landmarks=((0.299, 0.291), (0.688, 0.291), (0.494, 0.515), (0.324, 0.681), (0.662, 0.682)),
    score=0.0,
)

#: ``age_gender_race_date&time``; gender 0 is male, unlike our labels.
_NAME = re.compile(r"(?P<age>\d{1,3})_(?P<gender>[01])_(?P<race>[0-4])_\d+")


@dataset(
    "utkface",
    "UTKFace: age, gender and race from the file names; copies left out, contradicting ones altogether.",
)
def list_utkface(
    source: Annotated[str, typer.Argument(help="Archive or folder of the aligned and cropped faces.")],
) -> Listing:
    """Every photo whose name tells age, gender and race, each file once.

    Of exact copies, the one whose name comes first is kept; copies that contradict each other in gender are all left
    out. Splits go by the file's SHA-256, since nothing tells who is shown: 80, 10 and 10 per cent.

    Raises:
        DatasetError: the source cannot be read, or a name occurs twice.
    """
    paths = paths_by_name(source)
    named = {name: match for name in sorted(paths) if (match := _NAME.match(name))}
    labels = {name: 1 - int(match["gender"]) for name, match in named.items()}
    digests, groups, contradicting = copies_in(source, paths, labels)
    unique = sorted(names[0] for names in groups)
    splits = hashed_splits(digests[name] for name in unique)
    return Listing(
        name="utkface",
        sources=[ImageRoot(source)],
        entries=[
            Entry(
                name,
                paths[name],
                labels[name],
                split,
                attributes={"age": named[name]["age"], "race": RACES[int(named[name]["race"])]},
            )
            for name, split in zip(unique, splits, strict=True)
        ],
        counts=[("file names", list(labels.values()).count(0), list(labels.values()).count(1))],
        findings={
            "named without age, gender or race, left out": sorted(set(paths) - set(named)),
            f"copies that contradict each other in gender (groups: {len(contradicting)}), left out": sorted(
                chain(*contradicting)
            ),
            "copies of another file, left out": sorted(name for names in groups for name in names[1:]),
        },
        usual=USUAL_FACE,
        labels_sha256=hashlib.sha256("\n".join(f"{name} {digests[name]}" for name in named).encode()).hexdigest(),
    )
