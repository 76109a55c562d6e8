"""The paper's datasets, and ours, as far as a folder holds them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from facegender.errors import InputError
from facegender.lab.datasets.celeba import list_celeba
from facegender.lab.datasets.fairface import list_fairface
from facegender.lab.datasets.imdb_wiki import list_imdb_wiki
from facegender.lab.datasets.lfw import list_lfw
from facegender.lab.datasets.listing import Listing
from facegender.lab.datasets.utkface import list_utkface

#: Names of folders and stores, in the order of the report.
DATASETS = ("lfw", "celeba", "utkface", "fairface", "imdb", "wiki")
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")


def find_datasets(folder: Path) -> dict[str, Callable[[], Listing]]:
    """What lists each dataset for which `folder` holds a folder of its name: archives or folders of photos, and labels.

    ::

        lfw/        an archive or folder; female_names.txt, male_names.txt, people.txt
        celeba/     archives or folders; list_attr_celeba.txt and list_eval_partition.txt, or a CSV with both
        utkface/    an archive or folder
        fairface/   archives or folders; fairface_label_train.csv, fairface_label_val.csv
        imdb/       archives or folders; imdb.mat
        wiki/       archives or folders; wiki.mat

    Raises:
        InputError: there is no such folder, or none of the datasets in it.
    """
    remedy = f"it should hold {', '.join(f'{name}/' for name in DATASETS)}, as docs/datasets says"
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", remedy=remedy)
    found = {name: _lister(name, folder / name) for name in DATASETS if (folder / name).is_dir()}
    listed = {name: lists for name, lists in found.items() if lists is not None}
    if not listed:
        raise InputError(f"{folder} holds no dataset", remedy=remedy)
    return listed


def _lister(name: str, folder: Path) -> Callable[[], Listing] | None:
    """What lists the dataset of that name, where the folder has its photos and its labels."""
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    archives = [path for path in inside if path.name.endswith(_ARCHIVES)]
    sources = [str(path) for path in archives or filter(Path.is_dir, inside)]
    tables = [path for path in inside if path.name.endswith((".csv", ".csv.gz"))]
    if not sources:
        return None
    if name in ("lfw", "utkface"):
        return partial(list_lfw, sources[0], folder) if name == "lfw" else partial(list_utkface, sources[0])
    if name == "fairface":
        labels = [path for path in tables if path.name.startswith("fairface_label_")]
        return partial(list_fairface, sources, labels) if labels else None
    if name == "celeba":
        attributes, partition = folder / "list_attr_celeba.txt", folder / "list_eval_partition.txt"
        if not (attributes.exists() and partition.exists()):
            return partial(list_celeba, sources, tables[0]) if tables else None
        people = folder / "identity_CelebA.txt"
        return partial(list_celeba, sources, attributes, partition, identities=people if people.exists() else None)
    whole = [source for source in sources if not Path(source).name.split(".")[0].endswith("_crop")]
    mat = folder / f"{name}.mat"
    return partial(list_imdb_wiki, whole or sources, mat, crops=not whole) if mat.exists() else None
