"""Your photos, sorted into folders ``female`` and ``male``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from facegender.errors import DatasetError
from facegender.lab.datasets.images import Place, base_name, image_paths
from facegender.lab.datasets.listing import Entry, ImageRoot, Listing
from facegender.lab.datasets.registry import dataset
from facegender.lab.datasets.splits import hashed_splits
from facegender.lab.datasets.store import LABELS, Split
from facegender.sources.remote import is_url

#: The words for a split, in folder names and in manifests.
SPLIT_WORDS: Mapping[str, Split] = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


#: An option of the subcommands for photos of your own.
NameOption = Annotated[str | None, typer.Option(help="What the dataset is called.  [default: as the folder or file]")]


@dataset("folder", "Your photos in folders female and male, perhaps below train, validation and test.")
def list_folder(
    source: Annotated[str, typer.Argument(help="Folder or archive with photos below female/ and male/.")],
    name: NameOption = None,
) -> Listing:
    """Every photo that lies somewhere below a folder ``female`` or ``male``, whatever the case of their letters.

    Its split is the one that another folder of its path names: train, validation or val, test. Photos without such a
    folder go to 80, 10 and 10 per cent by a hash of their path. Of each photo the largest face is taken.

    Raises:
        DatasetError: the source cannot be read, or no photo is below such a folder.
    """
    paths = {PurePosixPath(path): path for path in image_paths(source)}  # archives may begin them with "./"
    entries, neither, several = [], [], []
    for (photo, path), hashed in zip(paths.items(), hashed_splits(map(str, paths)), strict=True):
        folders = {part.lower() for part in photo.parts[:-1]}
        labels = [number for number, label in enumerate(LABELS) if label in folders]
        splits = {SPLIT_WORDS[folder] for folder in folders if folder in SPLIT_WORDS}
        if not labels:
            neither.append(str(photo))
        elif len(labels) > 1 or len(splits) > 1:
            several.append(str(photo))
        else:
            entries.append(Entry(str(photo), path, labels[0], splits.pop() if splits else hashed))
    if not entries:
        raise DatasetError(
            f"none of the {len(paths)} photos in {source} is below a folder female or male",
            remedy="sort them into such folders, or write a manifest (facegender prepare manifest)",
        )
    return Listing(
        name=name or called(source),
        sources=[ImageRoot(source)],
        entries=entries,
        findings={
            "below neither female nor male, left out": neither,
            "below both, or below folders of two splits, left out": several,
        },
    )


def called(place: Place) -> str:
    """The name of a dataset after its folder or file, without suffixes."""
    text = str(place)
    return base_name(text if is_url(text) else str(Path(text).resolve())).split(".")[0]
